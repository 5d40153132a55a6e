"""`localagent serve`: the process that binds, starts workers and reads settings again."""
