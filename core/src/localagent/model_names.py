"""Which names of models are taken: they are remembered, logged, and sent on in headers and errors."""

from __future__ import annotations

import re

from localagent.errors import InvalidRequest

LONGEST = 256
"""Characters of a model's name."""

# Control characters (C0, DEL, C1), what else ends a line, and halves of characters, which no encoding can say.
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def check_model_name(name: str) -> None:
    """Refuse a name by which no model can be asked for.

    Args:
        name: ``provider/name`` or an alias; empty for the default model.

    Raises:
        InvalidRequest: It is no text, is longer than 256 characters, consists of blanks, lacks the part before or
            behind its first slash, or holds control characters, line ends or lone surrogates.
    """
    if not isinstance(name, str):
        raise InvalidRequest("The name of the model is no text.")
    if len(name) > LONGEST:
        raise InvalidRequest(f"The name of the model is longer than {LONGEST} characters.")
    if _UNFIT.search(name):
        raise InvalidRequest("The name of the model holds control characters.")
    provider, slash, model = name.partition("/")
    if name and not provider.strip():
        raise InvalidRequest("The name of the model is blank.", mend="Leave model out for the default model.")
    if slash and not model.strip():
        raise InvalidRequest("The name of the model ends behind its provider.", mend="Write it as PROVIDER/NAME.")
