"""The settings: what may stand in the file, how it is read, and how errors about it are told."""
