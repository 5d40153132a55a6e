"""How processes and tasks ended, and when silence counts as an end."""

from __future__ import annotations

import asyncio
import logging
import signal

import pytest

from localagent.supervision import Liveness, ending, raised_at, report_failure


@pytest.mark.parametrize("number", range(1, 65))
def test_every_signal_can_be_told(number: int) -> None:
    """By its name where it has one, by its number otherwise: most real-time signals have none."""
    text = ending(-number)
    assert text.startswith("signal ")
    assert text.removeprefix("signal ") in {str(number), *(one.name for one in signal.Signals)}


@pytest.mark.parametrize("code", [0, 1, 2, 127, 255])
def test_every_exit_status_can_be_told(code: int) -> None:
    """As it is."""
    assert ending(code) == f"exit status {code}"


def test_a_well_known_signal_has_its_name() -> None:
    """And the first real-time signal, too."""
    assert ending(-signal.SIGKILL) == "signal SIGKILL"
    assert ending(-signal.SIGRTMIN) == "signal SIGRTMIN"
    assert ending(-(signal.SIGRTMIN + 1)) == f"signal {signal.SIGRTMIN + 1}"


def test_the_place_of_an_exception_is_told_without_its_message() -> None:
    """Type, file, line and function of the innermost frame."""
    with pytest.raises(ValueError, match="a secret") as caught:
        int("a secret")
    assert raised_at(caught.value).startswith("ValueError at test_supervision.py:")
    assert "secret" not in raised_at(caught.value)
    assert raised_at(KeyError("x")) == "KeyError"


async def test_a_task_that_failed_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """With its name and the place; one that was cancelled, or did well, is not."""

    async def fail() -> None:
        raise ZeroDivisionError

    log = logging.getLogger("localagent.test")
    for work, name in ((fail(), "a task that fails"), (asyncio.sleep(0), "one that does well")):
        task: asyncio.Task[None] = asyncio.create_task(work, name=name)
        task.add_done_callback(report_failure(log))
        await asyncio.wait([task])
    await asyncio.sleep(0)
    (reported,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert reported.startswith("Background work (a task that fails) failed: ZeroDivisionError at test_supervision.py:")


def test_silence_counts_as_an_end_after_some_questions() -> None:
    """An answer makes everything good again; after a missed one the next question comes at once."""
    liveness = Liveness(every=5.0, patience=2.0, misses=3)
    assert [liveness.heard(answered) for answered in (True, False, False, True)] == [5.0, 0.0, 0.0, 5.0]
    assert not liveness.gone
    for _ in range(3):
        assert not liveness.gone
        liveness.heard(False)
    assert liveness.gone
    assert liveness.longest == 11.0
