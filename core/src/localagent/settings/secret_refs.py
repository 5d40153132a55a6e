"""Where a key is found. Settings name the place and never hold the key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Self

import attrs

from localagent.errors import SettingsError
from localagent.secrets import Secret
from localagent.settings.fields import NOT_A_SETTING
from localagent.settings.place import Place, looks_secret
from localagent.settings.structuring import read_table

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEY = re.compile(r"[\x21-\x7e]+")
_NO_KEYS_HERE = "Keys do not belong in the settings: put it into an environment variable and write its name here."


class SecretMissing(SettingsError):
    """A key that the settings name is not there, cannot be read, or is none."""


@attrs.frozen
class SecretRef:
    """``{ env = "NAME" }`` or ``{ file = "path" }`` in the settings; a program may also pass a ``Secret``.

    Attributes:
        env: The environment variable that holds the key.
        file: The file that holds it; white space around it does not count.
        given: The key itself, where a program passed it; a settings file cannot.
        named_by: The place in the settings, for errors.
    """

    expected_settings: ClassVar[str] = 'a reference: { env = "NAME" } or { file = "path" }'

    env: str | None = None
    file: Path | None = None
    given: Secret | None = attrs.field(default=None, metadata=NOT_A_SETTING)
    named_by: str = attrs.field(default="", eq=False, metadata=NOT_A_SETTING)

    @classmethod
    def from_settings(cls, value: object, place: Place) -> Self:
        """Read a reference, and refuse a key that stands there in its stead."""
        if isinstance(value, Secret):
            return cls(given=value, named_by=str(place))
        if isinstance(value, str):
            raise SettingsError(f"{place}: expected {cls.expected_settings}, not text.", mend=_NO_KEYS_HERE)
        if not isinstance(value, cls | Mapping):
            raise place.wrong(value, cls.expected_settings)
        reference = read_table(cls, value, place)
        if sum(part is not None for part in (reference.env, reference.file, reference.given)) != 1:
            raise place.wrong(value, f"{cls.expected_settings}, one of the two")
        if reference.env is not None and not _NAME.fullmatch(reference.env):
            raise SettingsError(f"{place.key('env')}: expected the name of a variable.", mend=_NO_KEYS_HERE)
        return attrs.evolve(reference, named_by=reference.named_by or str(place))

    def read(self, environment: Mapping[str, str]) -> Secret:
        """Return the key.

        Args:
            environment: The environment variables.

        Raises:
            SecretMissing: The variable is not set, the file cannot be read, or what is there is no key.
        """
        if self.given is not None:
            return self.given
        key = (self._from_file(self.file) if self.file else environment.get(self.env or "", "")).strip()
        if not key:
            raise SecretMissing(f"{self.named_by}: {self} is not set or empty.", mend="Set it, or take this key out.")
        if not _KEY.fullmatch(key):
            raise SecretMissing(f"{self.named_by}: {self} holds characters that no key has, such as white space.",
                                mend="Put the key alone there.")  # fmt: skip
        return Secret(key)

    def __str__(self) -> str:
        if self.given is not None:
            return "a key that the program passed"
        # Somebody may have written the key itself where its name belongs.
        name = str(self.file or self.env)
        return f"the {'file' if self.file else 'environment variable'} {'***' if looks_secret(name) else name}"

    def _from_file(self, path: Path) -> str:
        try:
            return path.read_text(encoding="utf-8")
        except OSError as error:
            why = error.strerror or type(error).__name__
        except UnicodeDecodeError:
            why = "it is not text"
        # Raised here and not above: the decoder's error holds what the file holds.
        raise SecretMissing(f"{self.named_by}: {self} cannot be read: {why}.",
                            mend="Put the key there, or take it out of the settings.")  # fmt: skip
