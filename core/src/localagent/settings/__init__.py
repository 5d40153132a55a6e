"""Settings: the file, the folders of a user, and how values are read.

The types of a plugin's settings (``Count``, ``PositiveSeconds`` ...) are in ``localagent``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from localagent import lazily

# fmt: off
# isort: off
if TYPE_CHECKING:
    from localagent.settings.files import (
        FILE_NAME as FILE_NAME, SettingsFile as SettingsFile, find_settings as find_settings,
        load_settings as load_settings, read_settings_file as read_settings_file,
    )
    from localagent.settings.folders import (
        StateFolder as StateFolder, config_folder as config_folder, create_private_file as create_private_file,
        state_folder as state_folder,
    )
    from localagent.settings.provider import read_address as read_address
    from localagent.structuring.fields import (
        read_seconds as read_seconds, reading_of as reading_of, setting_fields as setting_fields,
    )
    from localagent.structuring.place import (
        NAME_RUN as NAME_RUN, looks_secret as looks_secret, names_secret as names_secret,
        wrong_variable as wrong_variable,
    )
    from localagent.structuring.reading import structure as structure
    from localagent.structuring.secrets import SecretMissing as SecretMissing, all_missing_keys as all_missing_keys
# isort: on
# fmt: on

__getattr__, __all__ = lazily(
    __name__,
    {
        "settings.files": "FILE_NAME SettingsFile find_settings load_settings read_settings_file",
        "settings.folders": "StateFolder config_folder create_private_file state_folder",
        "settings.provider": "read_address",
        "structuring.fields": "read_seconds reading_of setting_fields",
        "structuring.place": "NAME_RUN looks_secret names_secret wrong_variable",
        "structuring.reading": "structure",
        "structuring.secrets": "SecretMissing all_missing_keys",
    },
    source="localagent",
)
