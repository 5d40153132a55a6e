"""One request of the command line, with a receipt even if it fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localagent.records import receipt_of

if TYPE_CHECKING:
    from localagent import AnswerStream, ChatRequest, ChatResponse, Receipt
    from localagent.runtime import Runtime


class Question:
    """A chat request in progress.

    Args:
        runtime: The running core.
        request: The request.
        stream: Whether the answer is streamed.
        timeout: Seconds for the whole call; None takes the timeout of the settings.
        with_receipt: Whether the steps are recorded.
    """

    def __init__(
        self,
        runtime: Runtime,
        request: ChatRequest,
        *,
        stream: bool,
        timeout: float | None = None,
        with_receipt: bool = False,
    ) -> None:
        self._engine = runtime.engine
        self._call = self._engine.call(request, stream=stream, timeout=timeout, receipt=with_receipt)

    async def whole(self) -> ChatResponse:
        """Send the request and return the whole answer."""
        return await self._engine.answer(self._call)  # type: ignore[return-value]

    def stream(self) -> AnswerStream:
        """Return the stream of the answer; entering it sends the request."""
        return self._engine.stream(self._call)

    @property
    def receipt(self) -> Receipt:
        """The receipt of the call so far."""
        return receipt_of(self._call, self._engine.clock())
