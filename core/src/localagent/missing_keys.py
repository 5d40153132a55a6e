"""Providers some of whose keys are not there: such a provider goes on with the others, or is left out.

It breaks nothing else: what is wrong is said once, and is an error only for the request that names this provider.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import attrs

from localagent.errors import SettingsError
from localagent.settings.secret_refs import SecretMissing, SecretRef

if TYPE_CHECKING:
    from localagent.settings.model import Settings
    from localagent.settings.provider import ProviderSettings


@attrs.frozen
class MissingKeys:
    """What a provider lacks.

    Attributes:
        error: What is said of it.
        left_out: Whether it cannot be asked: it has none of its keys, or lacks a header.
    """

    error: SettingsError
    left_out: bool


def missing_keys(name: str, common: ProviderSettings, environment: Mapping[str, str]) -> MissingKeys | None:
    """Look for the keys of a provider; None when all are there.

    Args:
        name: The provider's name in the settings.
        common: Its settings.
        environment: The environment variables.
    """
    keys = _missing(common.keys, environment)
    headers = _missing([value for value in common.headers.values() if isinstance(value, SecretRef)], environment)
    if headers or (keys and len(keys) == len(common.keys)):
        return left_out(name, [*keys, *headers])
    if not keys:
        return None
    what = f"{len(keys)} of its {len(common.keys)} keys"
    return MissingKeys(_error(f"Provider {name} goes on without {what}", keys), left_out=False)


def all_missing_keys(settings: Settings, environment: Mapping[str, str]) -> Iterator[MissingKeys]:
    """Look for the keys of all providers that the settings name."""
    found = (missing_keys(name, common, environment) for name, common in settings.providers.items())
    return (missing for missing in found if missing is not None)


def left_out(name: str, missing: list[SecretMissing]) -> MissingKeys:
    """Return what is said of a provider that cannot be asked.

    Args:
        name: The provider's name.
        missing: What it lacks, at least one.
    """
    return MissingKeys(_error(f"Provider {name} is left out", missing), left_out=True)


def _error(what: str, missing: list[SecretMissing]) -> SettingsError:
    reasons = "; ".join(error.message.rstrip(".") for error in missing)
    return SettingsError(f"{what}: {reasons}.", mend=missing[0].mend)


def _missing(references: Sequence[SecretRef], environment: Mapping[str, str]) -> list[SecretMissing]:
    missing = []
    for reference in references:
        try:
            reference.read(environment)
        except SecretMissing as error:
            missing.append(error)
    return missing
