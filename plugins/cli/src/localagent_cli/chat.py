"""``localagent chat``: a conversation at the terminal.

The event loop runs only while an answer is awaited, not while the user types. So Ctrl-C always reaches the active one
of the two: it cancels an answer and closes its connection, and the prompt appears again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from localagent import LocalAgentError
from localagent_cli.chat_history import History, Message
from localagent_cli.chat_words import Words
from localagent_cli.interrupts import PressedTwice, run_until_interrupted
from localagent_cli.keyboard import Keyboard
from localagent_cli.line import CommandLine
from localagent_cli.options import command
from localagent_cli.request_options import RequestOptions, request_options
from localagent_cli.sentences import sentence
from localagent_cli.waiting import Waiting

if TYPE_CHECKING:
    from localagent import Client

CONTEXT_TOKENS = 4096


@command("chat", help="Talk to a model.\n\nCtrl-C stops an answer. At an empty prompt, Ctrl-C and Ctrl-D end the chat.")
@request_options
@click.option("--context-tokens", type=click.IntRange(min=1), default=CONTEXT_TOKENS, show_default=True,
              help="The limit for a request and its answer together; the oldest exchanges are dropped.")  # fmt: skip
def chat(line: CommandLine, *, request_options: RequestOptions, context_tokens: int) -> None:
    """Talk to a model."""
    room = request_options.max_tokens if request_options.max_tokens is not None else context_tokens // 4
    history = History(max(1, context_tokens - room), request_options.system)
    with asyncio.Runner() as runner:
        client = line.client()
        try:
            run_until_interrupted(runner, _opened(client))
            Chat(line, runner, client, history, request_options).run()
        finally:
            run_until_interrupted(runner, client.aclose())


async def _opened(client: Client) -> None:
    await client.runtime()


class Chat:
    """One conversation.

    Args:
        line: The command line.
        runner: Runs the requests, one at a time.
        client: The client, open on the runner's loop.
        history: The conversation so far.
        request_options: The options of every request.

    Attributes:
        line: As above.
        history: As above.
        model: The model; empty for the default.
    """

    def __init__(
        self,
        line: CommandLine,
        runner: asyncio.Runner,
        client: Client,
        history: History,
        request_options: RequestOptions,
    ) -> None:
        self.line = line
        self.history = history
        self.model = request_options.model
        self._runner = runner
        self._client = client
        self._request_options = request_options
        self._words = Words(self)
        self._keyboard = Keyboard(self._words.complete)

    def run(self) -> None:
        """Read and answer until the user ends the chat.

        Raises:
            KeyboardInterrupt: The user ends the chat with Ctrl-C.
            LocalAgentError: There is no such model; or, when the input is not typed, an answer failed.
        """
        self.checked(self.model)
        if self._keyboard.asks:
            self.line.terminal.note(self._words.greeting())
        while (prompt := self._next()) is not None:
            if not prompt.strip():
                continue
            if self._words.is_one(prompt):
                if not self._words.obey(prompt):
                    return
            else:
                self._answer(prompt)

    async def check(self, model: str) -> str:
        """Return the full name of a model that a provider serves.

        Raises:
            ModelNotFound: No provider serves it.
        """
        from localagent.records import NOBODY

        fleet = (await self._client.runtime()).fleet
        fleet.names.targets(model, NOBODY)
        return model or fleet.registry.default_model or ""

    def checked(self, model: str) -> str:
        """Return the full name of a model, from outside the event loop.

        Raises:
            ModelNotFound: No provider serves it.
        """
        return run_until_interrupted(self._runner, self.check(model))

    def _next(self) -> str | None:
        """Return the next prompt; None when the user ends the chat."""
        while True:
            try:
                return self._keyboard.line("> ")
            except EOFError:
                if self._keyboard.asks:
                    self.line.terminal.line()
                return None
            except KeyboardInterrupt:
                if self._keyboard.was_empty():
                    raise
                self.line.terminal.line()

    def _answer(self, prompt: str) -> None:
        said: list[str] = []
        try:
            run_until_interrupted(self._runner, self._send(prompt, said))
        except PressedTwice:
            raise  # end at once; the clean-up is not awaited
        except KeyboardInterrupt:
            self.line.terminal.note("", label="stopped")
        except LocalAgentError as error:
            if not self._keyboard.asks:
                raise
            self.line.terminal.error(sentence(error))
        finally:
            self.line.terminal.end_line()
        if self._keyboard.asks:
            self.line.terminal.line()
        if said:
            self.history.add(prompt, "".join(said))

    async def _send(self, prompt: str, said: list[str]) -> None:
        with Waiting(self.line.terminal):
            messages = await self._fitted(prompt)
            await self._stream(messages, said)

    async def _fitted(self, prompt: str) -> list[Message]:
        forgotten = self.history.forgotten
        messages = await self.history.fitted(prompt, self._count)
        if forgotten == 0 < self.history.forgotten:
            self.line.terminal.note("The context is full: the oldest exchanges are dropped from now on (see /help).")
        return messages

    async def _count(self, messages: list[Message]) -> int | None:
        return await self._client.count_tokens(messages, model=self.model)

    async def _stream(self, messages: list[Message], said: list[str]) -> None:
        from localagent import ChatRequest
        from localagent_cli.asking import Question

        request_options = self._request_options
        fields = {**request_options.fields, **({"model": self.model} if self.model else {})}
        # The history's estimate learns from the usage.
        fields["stream_options"] = {"include_usage": True}
        request = ChatRequest({"messages": messages, **fields})
        question = Question(await self._client.runtime(), request, stream=True, timeout=request_options.timeout)
        async with question.stream() as stream:
            async for chunk in stream:
                if chunk.text:
                    said.append(chunk.text)
                    self.line.terminal.write(chunk.text)
        if stream.usage is not None and stream.usage.prompt_tokens is not None:
            self.history.estimate.learn(messages, stream.usage.prompt_tokens)
