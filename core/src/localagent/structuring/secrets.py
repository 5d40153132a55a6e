"""Keys: a value that hides itself, references to keys, and providers whose keys are missing.

Settings name the place of a key and never contain it. A provider with missing keys continues with the others, or is
left out. It breaks nothing else: the problem is reported once, and is an error only for a request that names this
provider.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NoReturn, Self

import attrs

from localagent.errors import SettingsError
from localagent.structuring.fields import NOT_A_SETTING
from localagent.structuring.place import Place, looks_secret
from localagent.structuring.reading import read_table

if TYPE_CHECKING:
    from localagent.settings.model import Settings
    from localagent.settings.provider import ProviderSettings

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEY = re.compile(r"[\x21-\x7e]+")
_NO_KEYS_HERE = "Do not write keys into the settings: put it into an environment variable and write its name here."


class Secret:
    """Contains a key and hides it; only ``reveal`` returns it.

    ``repr``, ``str``, ``format`` show ``***``; pickling and JSON encoding are refused. Comparison is by value.

    Args:
        value: The key itself.

    Example:
        >>> print(Secret("sk-example"))
        ***

    Since: 0.1.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value itself; call this only to send it."""
        return self._value

    def __repr__(self) -> str:
        return "Secret('***')"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return format("***", spec)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled")


class SecretMissing(SettingsError):
    """A key that the settings name is missing, cannot be read, or is invalid."""


@attrs.frozen
class SecretRef:
    """``{ env = "NAME" }`` or ``{ file = "path" }`` in the settings; a program may also pass a ``Secret``.

    Attributes:
        env: The environment variable that contains the key.
        file: The file that contains it; white space around it is ignored.
        given: The key itself, if a program passed it; a settings file cannot.
        named_by: The place in the settings, for errors.

    Since: 0.1.
    """

    expected_settings: ClassVar[str] = 'a reference: { env = "NAME" } or { file = "path" }'

    env: str | None = None
    file: Path | None = None
    given: Secret | None = attrs.field(default=None, metadata=NOT_A_SETTING)
    named_by: str = attrs.field(default="", eq=False, metadata=NOT_A_SETTING)

    @classmethod
    def from_settings(cls, value: object, place: Place) -> Self:
        """Read a reference, and refuse a key in its place."""
        if isinstance(value, Secret):
            return cls(given=value, named_by=str(place))
        if isinstance(value, str):
            raise SettingsError(f"{place}: expected {cls.expected_settings}, not text.", hint=_NO_KEYS_HERE)
        if not isinstance(value, cls | Mapping):
            raise place.wrong(value, cls.expected_settings)
        reference = read_table(cls, value, place)
        if sum(part is not None for part in (reference.env, reference.file, reference.given)) != 1:
            raise place.wrong(value, f"{cls.expected_settings}, exactly one of the two")
        if reference.env is not None and not _NAME.fullmatch(reference.env):
            raise SettingsError(
                f"{place.key('env')}: expected the name of an environment variable.", hint=_NO_KEYS_HERE
            )
        return attrs.evolve(reference, named_by=reference.named_by or str(place))

    def read(self, environment: Mapping[str, str]) -> Secret:
        """Return the key.

        Args:
            environment: The environment variables.

        Raises:
            SecretMissing: The variable is not set, the file cannot be read, or the value is not a key.
        """
        if self.given is not None:
            return self.given
        key = (self._from_file(self.file) if self.file else environment.get(self.env or "", "")).strip()
        if not key:
            raise SecretMissing(f"{self.named_by}: {self} is not set or empty.", hint="Set it, or remove this key.")
        if not _KEY.fullmatch(key):
            raise SecretMissing(
                f"{self.named_by}: {self} contains characters that are not allowed in a key, such as white space.",
                hint="Store only the key there.",
            )
        return Secret(key)

    def __str__(self) -> str:
        if self.given is not None:
            return "a key that the program passed"
        # It may be the key itself, written in place of its name.
        name = str(self.file or self.env)
        return f"the {'file' if self.file else 'environment variable'} {'***' if looks_secret(name) else name}"

    def _from_file(self, path: Path) -> str:
        try:
            return path.read_text(encoding="utf-8")
        except OSError as error:
            why = error.strerror or type(error).__name__
        except UnicodeDecodeError:
            why = "it is not text"
        # Raised here and not above: the decoder's error contains the file's contents.
        raise SecretMissing(f"{self.named_by}: {self} cannot be read: {why}.",
                            hint="Store the key there, or remove it from the settings.")  # fmt: skip


def read_all(
    references: Sequence[SecretRef], environment: Mapping[str, str]
) -> tuple[dict[int, Secret], list[SecretMissing]]:
    """Return the keys that were found, by their number (from 1), and the errors of those that were not."""
    found: dict[int, Secret] = {}
    missing: list[SecretMissing] = []
    for number, reference in enumerate(references, 1):
        try:
            found[number] = reference.read(environment)
        except SecretMissing as error:
            missing.append(error)
    return found, missing


@attrs.frozen
class MissingKeys:
    """The missing keys of a provider.

    Attributes:
        error: The error that describes them.
        left_out: Whether the provider cannot be used: all its keys are missing, or a header is.
    """

    error: SettingsError
    left_out: bool


def missing_keys(name: str, common: ProviderSettings, environment: Mapping[str, str]) -> MissingKeys | None:
    """Check the keys of a provider; None when all were found.

    Args:
        name: The provider's name in the settings.
        common: Its settings.
        environment: The environment variables.
    """
    _, keys = read_all(common.keys, environment)
    _, headers = read_all([value for value in common.headers.values() if isinstance(value, SecretRef)], environment)
    if headers or (keys and len(keys) == len(common.keys)):
        return left_out(name, [*keys, *headers])
    if not keys:
        return None
    what = f"{len(keys)} of its {len(common.keys)} keys"
    return MissingKeys(_error(f"Provider {name} continues without {what}", keys), left_out=False)


def all_missing_keys(settings: Settings, environment: Mapping[str, str]) -> Iterator[MissingKeys]:
    """Check the keys of all providers in the settings; yield those that miss some."""
    found = (missing_keys(name, common, environment) for name, common in settings.providers.items())
    return (missing for missing in found if missing is not None)


def left_out(name: str, missing: list[SecretMissing]) -> MissingKeys:
    """Return the report of a provider that cannot be used.

    Args:
        name: The provider's name.
        missing: The errors of its missing keys and headers, at least one.
    """
    return MissingKeys(_error(f"Provider {name} is left out", missing), left_out=True)


def _error(what: str, missing: list[SecretMissing]) -> SettingsError:
    reasons = "; ".join(error.message.rstrip(".") for error in missing)
    return SettingsError(f"{what}: {reasons}.", hint=missing[0].hint)
