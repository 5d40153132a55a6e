"""The client: opening, closing, asking; and that whatever goes wrong is a typed error that leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from localagent import Call, Client, LocalAgentError, Plugin, Principal, Request, Settings, hookimpl
from localagent.errors import (
    Draining,
    InternalError,
    InvalidRequest,
    NotAllowed,
    Overloaded,
    PluginError,
    SettingsError,
    StartError,
    UpstreamTimeout,
)
from localagent.records.responses import ModelInfo
from localagent_testing import Reply, fake_provider_plugin
from localagent_testing.fake_provider import FakeProviderPlugin

CALM: dict[str, Any] = {"health": {"enabled": False}}


def client(fake: type[FakeProviderPlugin] | None = None, *plugins: type[Plugin], **settings: Any) -> Client:
    return Client({**CALM, **settings}, plugins=[fake or fake_provider_plugin(), *plugins], environment={}, seed=1)


# Asking ---------------------------------------------------------------------------------------------------------------


async def test_it_opens_with_the_first_request() -> None:
    """``async with`` is the safe way, and not the only one."""
    asker = client()
    assert (await asker.chat("Hello.")).text == "ok"
    await asker.aclose()


async def test_a_bare_prompt_is_a_conversation() -> None:
    """Fields of the request go as they are, behind it."""
    fake = fake_provider_plugin()
    async with client(fake) as asker:
        await asker.chat("Hello.", model="fake/x", temperature=0.5, tools=[])
        await asker.complete("Once", max_tokens=3)
        await asker.embed(["a", "b"])
    documents = [asked.attempt.request.document for asked in fake.asked]
    assert documents == [
        {"messages": [{"role": "user", "content": "Hello."}], "temperature": 0.5, "tools": [], "model": "fake/x"},
        {"prompt": "Once", "max_tokens": 3},
        {"input": ["a", "b"]},
    ]


@pytest.mark.parametrize("messages", [[], [{}], ["text"], [{"role": 1}]], ids=str)
async def test_what_no_server_could_answer_is_refused(messages: Any) -> None:
    """Before anything is sent; the message's place is named."""
    fake = fake_provider_plugin()
    async with client(fake) as asker:
        with pytest.raises(InvalidRequest, match=r"at least one message|messages\[0\]"):
            await asker.chat(messages)
        with pytest.raises(InvalidRequest):
            asker.stream(messages)
    assert fake.asked == []


@pytest.mark.virtual
async def test_a_call_has_its_own_time() -> None:
    """Or that of the settings."""
    async with client(fake_provider_plugin(Reply(after=60.0)), timeout="7 s") as asker:
        for timeout, seconds in ((3.0, 3.0), (None, 7.0)):
            begun = asyncio.get_running_loop().time()
            with pytest.raises(UpstreamTimeout):
                await asker.chat("Hello.", timeout=timeout)
            assert asyncio.get_running_loop().time() - begun == pytest.approx(seconds, abs=0.1)


async def test_the_tenant_reaches_the_steps() -> None:
    """It is the principal's."""
    fake = fake_provider_plugin()
    async with client(fake) as asker:
        await asker.chat("Hello.", tenant="t")
        await asker.chat("Hello.")
    assert [asked.attempt.call.principal.tenant for asked in fake.asked] == ["t", ""]


async def test_a_seed_repeats_what_is_random() -> None:
    """The same numbers for every client with the same seed."""

    async def drawn(seed: int) -> float:
        async with Client(CALM, plugins=[fake_provider_plugin()], environment={}, seed=seed) as asker:
            return (await asker.runtime()).random.random()

    assert await drawn(1) == await drawn(1) != await drawn(2)


# Models and health ----------------------------------------------------------------------------------------------------


def with_lists(lists: dict[str, Any], *, check: Any = None) -> type[FakeProviderPlugin]:
    """A scripted provider whose instances list what ``lists`` says; an exception is raised."""
    fake = fake_provider_plugin(dict.fromkeys(lists, Reply()))
    original = fake._make

    def make(self: Any, setup: Any) -> Any:
        provider = original(self, setup)

        async def list_models(instance: Any, transport: Any, phases: Any) -> Any:
            said = lists[instance.id]
            if isinstance(said, float):
                phases.enter("first_token")
                await asyncio.sleep(said)
            if isinstance(said, BaseException):
                raise said
            return [ModelInfo(name, "fake", instance.id) for name in said]

        provider.list_models = list_models
        provider.check = list_models
        return provider

    fake._make = make  # type: ignore[method-assign]
    return fake


async def test_models_of_all_instances_are_listed() -> None:
    """Those of instances that do not answer are missing, as long as one answers."""
    async with client(with_lists({"a": ["x"], "b": Overloaded("busy"), "c": ["y", "z"]})) as asker:
        assert [model.name for model in await asker.models()] == ["fake/x", "fake/y", "fake/z"]
    async with client(with_lists({"a": Overloaded("busy"), "b": Overloaded("busy too")})) as asker:
        with pytest.raises(Overloaded, match=r"busy$"):
            await asker.models()


@pytest.mark.virtual
async def test_a_silent_instance_does_not_hold_up_the_list() -> None:
    """Longer than the time that is given."""
    async with client(with_lists({"a": ["x"], "b": 600.0})) as asker:
        assert [model.name for model in await asker.models(timeout=5.0)] == ["fake/x"]


@pytest.mark.parametrize("method", ["models", "health"])
async def test_a_provider_that_fails_badly_is_a_typed_error(method: str) -> None:
    """What it raises beyond the tree reaches no user, and hides no other instance."""
    async with client(with_lists({"a": KeyError("x"), "b": ["x"]})) as asker:
        answer = await getattr(asker, method)()
    if method == "models":
        assert [model.name for model in answer] == ["fake/x"]
    else:
        assert [state.health for state in answer] == ["unhealthy", "healthy"]


@pytest.mark.virtual
async def test_health_is_asked_of_all_at_once() -> None:
    """Each says how it is; anyone who does not answer in time is not well."""
    async with client(with_lists({"a": ["x"], "b": Overloaded("busy"), "c": 600.0})) as asker:
        begun = asyncio.get_running_loop().time()
        states = await asker.health(timeout=5.0)
        assert asyncio.get_running_loop().time() - begun == pytest.approx(5.0, abs=0.1)
    assert [(state.instance.id, state.health) for state in states] == [
        ("a", "healthy"), ("b", "unhealthy"), ("c", "unhealthy")
    ]  # fmt: skip
    assert states[1].error


@pytest.mark.virtual
async def test_only_instances_in_use_are_checked_in_the_background() -> None:
    """A client that asks one question opens no other connection; and checks end with the client."""
    checked: list[str] = []
    fake = fake_provider_plugin({"a": Reply(), "b": Reply()})
    original = fake._make

    def make(self: Any, setup: Any) -> Any:
        provider = original(self, setup)

        async def check(instance: Any, transport: Any, phases: Any) -> None:
            checked.append(instance.id)

        provider.check = check  # type: ignore[method-assign, assignment]
        return provider

    fake._make = make  # type: ignore[method-assign]
    async with Client({"health": {"interval": "10 s"}}, plugins=[fake], environment={}, seed=1) as asker:
        await asyncio.sleep(60.0)
        assert checked == []
        await asker.chat("Hello.")
        await asyncio.sleep(60.0)
    assert set(checked) == {"a"}
    assert 4 <= len(checked) <= 8


async def test_tokens_are_counted_by_whoever_can() -> None:
    """None when no plugin can; long texts are counted outside the event loop."""
    import threading

    threads: list[str] = []

    class Words:
        def message(self, message: dict[str, Any]) -> int:
            return len(message["content"].split())

        def request(self, request: Request) -> int:
            threads.append(threading.current_thread().name)
            return sum(map(self.message, request.document["messages"]))

    class Tokenizes(Plugin):
        name = "tokenize-words"

        @hookimpl
        def tokenize(self) -> Words:
            return Words()

    async with client() as asker:
        assert await asker.count_tokens("one two three") is None
    async with client(None, Tokenizes) as asker:
        assert await asker.count_tokens("one two three") == 3
        assert await asker.count_tokens("word " * 10_000) == 10_000
    assert threads[0] == threading.current_thread().name
    assert threads[1] != threads[0]


async def test_tokens_are_counted_on_somebody_s_behalf() -> None:
    """The tenant is no part of what is counted; a model that a principal may not use is not counted for."""
    counted: list[dict[str, Any]] = []

    class Keeps:
        def message(self, message: dict[str, Any]) -> int:
            return 1

        def request(self, request: Request) -> int:
            counted.append(request.document)
            return 7

    class Tokenizes(Plugin):
        name = "tokenize-seven"

        @hookimpl
        def tokenize(self) -> Keeps:
            return Keeps()

    narrow = Principal(tenant="a", models=frozenset({"fake/other"}))
    async with client(None, Tokenizes) as asker:
        assert await asker.count_tokens("Hello.", model="fake/m", tenant="a") == 7
        assert await asker.count_tokens("Hello.", model="fake/other", principal=narrow) == 7
        with pytest.raises(NotAllowed):
            await asker.count_tokens("Hello.", model="fake/m", principal=narrow)
    assert [sorted(document) for document in counted] == [["messages", "model"]] * 2


# Opening and closing --------------------------------------------------------------------------------------------------


class Lifecycle(Plugin):
    events: list[str]

    async def __aenter__(self) -> Any:
        type(self).events.append(f"{self.name} opens")
        assert self.core.random
        return self

    async def __aexit__(self, *error: object) -> None:
        type(self).events.append(f"{self.name} closes")


def lifecycle(name: str, events: list[str], **more: Any) -> type[Lifecycle]:
    return type("Made", (Lifecycle,), {"name": name, "events": events, **more})


async def test_plugins_live_as_long_as_the_client() -> None:
    """They open in the order of their names, with the core at hand, and close in reverse, after the providers."""
    events: list[str] = []
    fake = fake_provider_plugin()
    async with client(fake, lifecycle("rate-b", events), lifecycle("cache-a", events)):
        assert events == ["cache-a opens", "rate-b opens"]
    assert events[2:] == ["rate-b closes", "cache-a closes"]
    assert fake.made[0].closed


async def test_a_plugin_that_cannot_start_is_named_and_the_others_are_closed() -> None:
    """Nothing stays open."""
    events: list[str] = []

    async def fails(self: Any) -> None:
        raise OSError("no such device")

    broken = lifecycle("rate-b", events, __aenter__=fails)
    with pytest.raises(PluginError, match="rate-b could not start: OSError"):
        async with client(None, lifecycle("cache-a", events), broken):
            pass
    assert events == ["cache-a opens", "cache-a closes"]


async def test_a_plugin_that_cannot_close_keeps_nothing_open() -> None:
    """The others are closed, and the client is."""
    events: list[str] = []

    async def fails(self: Any, *error: object) -> None:
        raise OSError("disk full")

    with pytest.raises(Exception, match=r"rate-b|disk full"):
        async with client(None, lifecycle("cache-a", events), lifecycle("rate-b", events, __aexit__=fails)):
            pass
    assert events[-1] == "cache-a closes"


async def test_a_provider_that_cannot_close_keeps_nothing_open() -> None:
    """Connections and plugins are closed anyway."""
    events: list[str] = []
    fake = fake_provider_plugin()

    async def fails() -> None:
        raise OSError("process is gone")

    asker = client(fake, lifecycle("cache-a", events))
    await asker.runtime()
    fake.made[0].aclose = fails  # type: ignore[method-assign]
    await asyncio.gather(asker.aclose(), return_exceptions=True)
    assert events[-1] == "cache-a closes"


async def test_closing_twice_is_closing_once() -> None:
    """And a closed client says that it is."""
    asker = client()
    await asker.chat("Hello.")
    await asker.aclose()
    await asker.aclose()
    with pytest.raises(StartError, match="closed"):
        await asker.chat("Hello.")


async def test_a_client_that_was_never_opened_can_be_closed() -> None:
    """There is nothing to do: nothing is opened for it, and the client is closed."""
    events: list[str] = []
    fake = fake_provider_plugin()
    asker = client(fake, lifecycle("cache-a", events))
    await asker.aclose()
    assert (events, fake.made) == ([], [])
    with pytest.raises(StartError, match="closed"):
        await asker.chat("Hello.")


@pytest.mark.virtual
async def test_calls_under_way_end_with_the_client() -> None:
    """With an error that says so, whatever they were waiting for; nothing goes on behind it."""
    fake = fake_provider_plugin(Reply(after=600.0))
    asker = client(fake)
    calls = [asyncio.ensure_future(asker.chat("Hello.")) for _ in range(3)]
    await asyncio.sleep(1.0)
    await asker.aclose()
    done, pending = await asyncio.wait(calls, timeout=1.0)
    for task in pending:
        task.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    assert [type(task.exception()) for task in done] == [Draining] * 3


async def test_requests_at_once_open_it_once() -> None:
    """Anyone who comes first opens, the others wait."""
    events: list[str] = []
    asker = client(None, lifecycle("cache-a", events))
    await asyncio.gather(*(asker.chat("Hello.") for _ in range(5)))
    assert events == ["cache-a opens"]
    await asker.aclose()


def test_it_belongs_to_one_event_loop_at_a_time() -> None:
    """Another one, while the first is open, is told to make its own; when the first has ended it opens again."""
    asker = client()
    with asyncio.Runner() as one, asyncio.Runner() as two:
        one.run(asker.chat("Hello."))
        with pytest.raises(StartError, match="another event loop"):
            two.run(asker.chat("Hello."))
        one.run((one.run(asker.runtime())).aclose())
    with asyncio.Runner() as three:
        assert three.run(asker.chat("Hello.")).text == "ok"
        three.run(asker.aclose())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
async def test_it_opens_anew_in_a_forked_child() -> None:
    """The child uses none of its parent's resources, and closing it there leaves the parent's open."""
    asker = client()
    await asker.chat("Hello.")
    child = os.fork()
    if child == 0:
        os._exit(_asked_in_child(asker))
    _, status = await asyncio.to_thread(os.waitpid, child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert (await asker.chat("Hello.")).text == "ok"
    await asker.aclose()


def _asked_in_child(asker: Client) -> int:
    async def ask() -> str:
        text = (await asker.chat("Hello.")).text
        await asker.aclose()
        return text

    try:
        return 0 if asyncio.run(ask()) == "ok" else 2
    except BaseException:  # whatever happens in the child must end the child
        return 3


# Settings -------------------------------------------------------------------------------------------------------------


async def test_settings_come_in_every_form(tmp_path: Path) -> None:
    """A mapping, a ``Settings`` object, a path, and a path as text."""
    path = tmp_path / "localagent.toml"
    path.write_text('timeout = "9 s"\n[health]\nenabled = false\n')
    for given in ({**CALM, "timeout": "9 s"}, Settings.from_mapping({**CALM, "timeout": 9.0}), path, str(path)):
        async with Client(given, plugins=[fake_provider_plugin()], environment={}) as asker:
            assert (await asker.runtime()).settings.timeout == 9.0


async def test_wrong_settings_are_said_when_it_opens() -> None:
    """Not when it is made, so that a module may make one."""
    asker = Client({"timeuot": 3}, plugins=[])
    with pytest.raises(SettingsError, match="timeuot"):
        await asker.chat("Hello.")


# Core handle ----------------------------------------------------------------------------------------------------------


async def test_plugins_are_given_the_core(tmp_path: Path) -> None:
    """Instances, models, randomness, clocks, a folder of their own, and their own hooks only."""
    handles: list[Any] = []

    class Keeps(Plugin):
        name = "metrics-keeps"

        async def __aenter__(self) -> Any:
            handles.append(self.core)
            return self

    async with client(None, Keeps, state_folder=str(tmp_path)) as asker:
        core, runtime = handles[0], await asker.runtime()
        (instance,) = core.instances
        assert core.state(instance) is runtime.instances.state(instance)
        assert core.folder == tmp_path / "metrics-keeps"
        assert core.folder.is_dir()
        assert core.clock() == pytest.approx(asyncio.get_running_loop().time(), abs=1.0)
        assert core.wall_time() > 1_600_000_000
        assert [model.id for model in await core.models.refresh(instance)] == ["m"]
        with pytest.raises(PluginError, match="metrics-keeps does not define a hook pre_request"):
            core.hook("pre_request")


async def test_a_state_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    """With what to do."""
    (tmp_path / "file").write_text("in the way")
    async with client(None, state_folder=str(tmp_path / "file")) as asker:
        with pytest.raises(SettingsError, match=r"cannot be created.*Free some space"):
            (await asker.runtime()).state_folder.of("x")


async def test_exceptions_of_the_callers_own_code_pass(tmp_path: Path) -> None:
    """``async with`` hides none."""
    with pytest.raises(ZeroDivisionError):
        async with client():
            raise ZeroDivisionError


async def test_an_unexpected_error_is_still_typed() -> None:
    """A defect of a plugin that nobody checks for reaches the user as ``InternalError``, and the call is recorded."""
    recorded: list[Any] = []

    class Odd(Plugin):
        name = "select-odd"

        @hookimpl
        def select_instance(self, call: Call, candidates: Any) -> Any:
            return ("no target", *candidates)

        @hookimpl
        def record_metric(self, metric: Any) -> None:
            recorded.append(metric)

    async with client(None, Odd) as asker:
        with pytest.raises(LocalAgentError) as caught:
            await asker.chat("Hello.")
    assert isinstance(caught.value, InternalError)
    assert len(recorded) == 1
