"""Settings: the file, the folders of a user, and how values are read.

The types of a plugin's settings (``Count``, ``PositiveSeconds`` ...) are in ``localagent``.
"""

from __future__ import annotations

from localagent.settings.databases import open_database
from localagent.settings.files import FILE_NAME, SettingsFile, find_settings, load_settings, read_settings_file
from localagent.settings.folders import StateFolder, config_folder, create_private_file, state_folder
from localagent.settings.provider import read_address
from localagent.structuring.fields import read_seconds, reading_of, setting_fields
from localagent.structuring.place import NAME_RUN, looks_secret, names_secret, wrong_variable
from localagent.structuring.reading import structure
from localagent.structuring.secrets import SecretMissing, all_missing_keys

__all__ = [
    "FILE_NAME", "NAME_RUN", "SecretMissing", "SettingsFile", "StateFolder", "all_missing_keys", "config_folder",
    "create_private_file", "find_settings", "load_settings", "looks_secret", "names_secret", "open_database",
    "read_address",
    "read_seconds", "read_settings_file", "reading_of", "setting_fields", "state_folder", "structure", "wrong_variable",
]  # fmt: skip
