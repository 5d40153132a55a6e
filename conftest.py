"""Every test of the repository runs with the public test kit: no leaks, no secrets, async tests."""

import contextlib
import signal
from pathlib import Path

ONE_AUTHORITY = Path(__file__).parent / "tests/no_authority.pem"
"""An authority that signs nothing. httpx reads all authorities of certifi for each client, which takes 30 ms; no test
talks to a server outside this machine."""


def pytest_configure() -> None:
    """Let clients start fast, and give children the usual meaning of Ctrl-C.

    Background jobs and many CI runners start with SIGINT ignored.
    """
    with contextlib.suppress(ImportError):
        import certifi

        certifi.where = lambda: str(ONE_AUTHORITY)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
