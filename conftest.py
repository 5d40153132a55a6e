"""Every test of the repository runs with the public test kit: no leaks, no secrets, async tests."""

import signal


def pytest_configure() -> None:
    """Give children the usual meaning of Ctrl-C: background jobs and many CI runners start with SIGINT ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
