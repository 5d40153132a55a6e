"""What is kept of llama.cpp's log, and what is not."""

from __future__ import annotations

from localagent_provider_llamacpp.log_tail import KEPT_CHARACTERS, KEPT_LINES, LogTail

QUOTES_A_BODY = b"0.00.732.197 W srv    operator(): got exception: parse error; last read: '\"my prompt'"
QUOTES_A_GRAMMAR = b"root ::= my prompt"
GIVES_UP = b"/src/ggml/src/ggml.c:3141: GGML_ASSERT(a->ne[2] == 1) failed"


def test_the_last_lines_of_loading_are_kept_without_their_time_stamps() -> None:
    """Fifty lines, the newest last, each cut to a bearable length."""
    tail = LogTail()
    for number in range(80):
        tail.add(b"0.00.795.845 E line %d " % number + b"x" * 1000)
    assert len(tail.lines()) == KEPT_LINES
    assert tail.lines()[-1].startswith("line 79 x")
    assert {len(line) for line in tail.lines()} == {KEPT_CHARACTERS}


def test_no_line_that_may_quote_a_request_is_kept_after_loading() -> None:
    """Of what llama.cpp writes while it serves only its last words are kept: where it gave up, and why."""
    tail = LogTail()
    tail.loaded()
    for line in (QUOTES_A_BODY, QUOTES_A_GRAMMAR, b"", GIVES_UP, b"  what():  my prompt"):
        tail.add(line)
    assert tail.lines() == (GIVES_UP.decode(),)


def test_the_cause_of_a_failed_load_is_the_line_that_names_it() -> None:
    """Of many error lines the one that says what is wrong with the model."""
    tail = LogTail()
    tail.add(b"0.00.1 E llama_model_load: error loading model: tensor data is not within the file bounds")
    tail.add(b"0.00.2 E srv          init: exiting due to model loading error")
    assert tail.cause() == "tensor data is not within the file bounds"


def test_the_cause_of_a_crash_is_the_condition_that_failed() -> None:
    """Without any such line there is no cause."""
    tail = LogTail()
    tail.loaded()
    assert tail.cause() is None
    tail.add(GIVES_UP)
    assert tail.cause() == GIVES_UP.decode()


def test_bytes_that_are_no_text_do_no_harm() -> None:
    """The log may hold anything."""
    tail = LogTail()
    tail.add(b"E \xff\xfe broken")
    assert "broken" in tail.lines()[0]
