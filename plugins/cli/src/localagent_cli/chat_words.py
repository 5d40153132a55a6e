"""What is typed in a chat and not meant for the model: ``/help`` and its like."""

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
    "/help": "this list",
    "/model [NAME]": "show the model, or talk to another one",
    "/system [TEXT]": "show what the model is told first, or change it; - takes it away",
    "/clear": "forget what was said",
    "/exit": "leave; so do Ctrl-D, and Ctrl-C at an empty prompt",
}
_WORD = re.compile(r"/[a-z]+")
_MORE = """\
Lines between two lines of \"\"\" are one prompt. Ctrl-C stops an answer.
The oldest exchanges are forgotten when there is no room for them in the
model's window (--context-tokens); what /system says stays."""


class Words:
    """Obeys words that begin with a slash.

    Args:
        chat: The chat.
    """

    def __init__(self, chat: Chat) -> None:
        self._chat = chat

    def greeting(self) -> str:
        """Return the line above the first prompt."""
        return f"{self._chat.checked(self._chat.model)}: /help lists what else can be typed, Ctrl-D leaves."

    @staticmethod
    def is_one(text: str) -> bool:
        """Say whether a text is such a word; one that begins with a path, say, is none."""
        return bool(_WORD.fullmatch(text.split(maxsplit=1)[0]))

    def complete(self, text: str) -> Sequence[str]:
        """Return what the beginning of a line may become."""
        if text.startswith("/model "):
            names = [f"/model {name}" for name in model_names(self._chat.line.config)]
        else:
            names = [word.partition(" [")[0] for word in WORDS]
        return [name for name in names if name.startswith(text)] if text.startswith("/") else []

    def obey(self, text: str) -> bool:
        """Do what a word says; return False when the user leaves."""
        word, _, rest = text.strip().partition(" ")
        known = {"/help": self._help, "/model": self._model, "/system": self._system, "/clear": self._clear}
        if word == "/exit":
            return False
        if word in known:
            known[word](rest.strip())
        else:
            self._chat.line.terminal.error(f"There is no {word}. Type /help for what there is.")
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
        self._chat.line.terminal.note(history.system or "The model is told nothing before all else.")

    def _clear(self, rest: str) -> None:
        self._chat.history.clear()
        self._chat.line.terminal.note("Forgotten.")
