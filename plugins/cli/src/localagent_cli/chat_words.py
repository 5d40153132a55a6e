"""The commands that can be typed in a chat, such as ``/help``; they are not sent to the model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from localagent import LocalAgentError
from localagent_cli.request_options import model_names
from localagent_cli.sentences import sentence

if TYPE_CHECKING:
    from localagent_cli.chat import Chat

WORDS = {
    "/help": "show this list",
    "/model [NAME]": "show or change the model",
    "/system [TEXT]": "show or change the system prompt; - removes it",
    "/clear": "forget the conversation",
    "/exit": "end the chat, as do Ctrl-D, and Ctrl-C at an empty prompt",
}
_WORD = re.compile(r"/[a-z]+")
_MORE = """\
Lines between two lines of \"\"\" are one prompt. Ctrl-C stops an answer.
The oldest exchanges are dropped when the conversation exceeds the limit
(--context-tokens); the system prompt stays."""


class Words:
    """Runs commands that begin with a slash.

    Args:
        chat: The chat.
    """

    def __init__(self, chat: Chat) -> None:
        self._chat = chat

    def greeting(self) -> str:
        """Return the line above the first prompt."""
        return f"{self._chat.checked(self._chat.model)}: /help lists the commands, Ctrl-D ends the chat."

    @staticmethod
    def is_one(text: str) -> bool:
        """Return whether a text is such a command; a text that begins with a path, for example, is not."""
        return bool(_WORD.fullmatch(text.split(maxsplit=1)[0]))

    def complete(self, text: str) -> Sequence[str]:
        """Return the completions of the beginning of a line."""
        if text.startswith("/model "):
            names = [f"/model {name}" for name in model_names(self._chat.line.config)]
        else:
            names = [word.partition(" [")[0] for word in WORDS]
        return [name for name in names if name.startswith(text)] if text.startswith("/") else []

    def obey(self, text: str) -> bool:
        """Run a command; return False when it ends the chat."""
        word, _, rest = text.strip().partition(" ")
        known = {"/help": self._help, "/model": self._model, "/system": self._system, "/clear": self._clear}
        if word == "/exit":
            return False
        if word in known:
            known[word](rest.strip())
        else:
            self._chat.line.terminal.error(f"There is no command {word}. /help lists the commands.")
        return True

    def _help(self, rest: str) -> None:
        width = max(map(len, WORDS))
        for word, text in WORDS.items():
            self._chat.line.terminal.note(f"{word:<{width}}  {text}")
        self._chat.line.terminal.note(_MORE)

    def _model(self, name: str) -> None:
        try:
            self._chat.line.terminal.note(self._chat.checked(name or self._chat.model))
        except LocalAgentError as error:
            self._chat.line.terminal.error(sentence(error))
        else:
            self._chat.model = name or self._chat.model

    def _system(self, text: str) -> None:
        history = self._chat.history
        if text:
            history.system = "" if text == "-" else text
        self._chat.line.terminal.note(history.system or "There is no system prompt.")

    def _clear(self, rest: str) -> None:
        self._chat.history.clear()
        self._chat.line.terminal.note("The conversation is forgotten.")
