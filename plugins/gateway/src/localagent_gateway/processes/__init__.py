"""`localagent serve`: binds the sockets, starts the workers, and reads the settings again on SIGHUP."""
