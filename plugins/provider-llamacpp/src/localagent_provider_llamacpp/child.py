"""The program of the child process: ``python -m localagent_provider_llamacpp.child`` runs one llama.cpp server.

Standard input carries one line of JSON, the order (see ``load``), and then stays open for as long as the owner lives.
When it closes, the child ends itself at once, no matter what it is doing: the owner may have been killed. Standard
output returns one line of JSON: ``{"port": 40123}`` when the model is loaded and the server listens, or
``{"error": "...", "of_settings": false}``. llama.cpp's own log goes to standard error.
"""

from __future__ import annotations

import contextlib
import enum
import fcntl
import importlib
import json
import os
import select
import signal
import sys
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

OWNER = 0  # the pipe from the owner is standard input

# More threads make generation slower on most machines: memory is the bottleneck, and waiting threads spin.
MOST_THREADS = 8

# By default llama.cpp keeps up to 8 GiB of old conversations in memory; ``extra`` can restore that.
CACHE_MIB = 512


class WrongSettingError(ValueError):
    """A setting names a parameter that llama.cpp does not have, or a value that it does not accept."""


def main() -> None:
    """Run the order from standard input until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C at a prompt is for the owner
    owner = _reserve_standard_output()
    line = sys.stdin.buffer.readline()
    if not line:
        return
    try:
        with _killed_when_owner_leaves():
            server = load(json.loads(line))
    except Exception as error:  # from llama.cpp or Python; the owner converts it to its own error
        _report(
            owner, {"error": str(error) or type(error).__name__, "of_settings": isinstance(error, WrongSettingError)}
        )
        return
    _report(owner, {"port": int(server.listening_address.rpartition(":")[2])})
    sys.stdin.buffer.read()
    os._exit(0)  # an orderly shutdown would wait for answers that nobody reads any more


def load(order: Mapping[str, Any]) -> Any:
    """Load the model and listen on a free port of the loopback interface.

    Args:
        order: ``model`` (path), ``name``, ``api_key``, ``threads`` (None: chosen here), ``context`` (tokens of one
            conversation), ``parallel`` (conversations at a time), ``batch`` (tokens of a prompt at a time),
            ``embeddings``, and ``extra`` (further fields of llama.cpp's parameters; a dot separates a group from its
            field, enumerations are given by name).

    Returns:
        The running ``xllamacpp.Server``.
    """
    llama: Any = importlib.import_module("xllamacpp")
    params = llama.CommonParams()
    params.model.path, params.model_alias = order["model"], {order["name"]}
    params.hostnames, params.port, params.api_keys = ["127.0.0.1"], 0, [order["api_key"]]
    params.ui, params.verbosity, params.cache_ram_mib = False, 1, CACHE_MIB
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = order["threads"] or sensible_threads()
    params.n_batch = params.n_ubatch = order["batch"]
    params.n_parallel = order["parallel"]
    params.n_ctx = order["context"] * order["parallel"]  # llama.cpp divides it among the conversations
    # Fitting loads everything twice and matters only if layers are split between a GPU and the CPU.
    params.fit_params = any("GPU" in device["type"].name for device in llama.get_device_info())
    if order["embeddings"]:
        params.embedding, params.pooling_type = True, llama.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    for name, value in order["extra"].items():
        _set(params, name, value)
    return llama.Server(params)


def sensible_threads() -> int:
    """Return one less than the number of processors that this process may use, from 1 to 8; one is for its owner."""
    return max(1, min(MOST_THREADS, _processors() - 1))


def _processors() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1


def _set(params: Any, name: str, value: Any) -> None:
    *groups, field = name.split(".")
    try:
        for group in groups:
            params = getattr(params, group)
        now = getattr(params, field)
        setattr(params, field, type(now)[value] if isinstance(now, enum.Enum) and isinstance(value, str) else value)
    except AttributeError:
        raise WrongSettingError(f"extra: llama.cpp has no parameter {name!r}") from None
    except (KeyError, TypeError):
        raise WrongSettingError(f"extra: {value!r} is not valid for llama.cpp's parameter {name!r}") from None


def _reserve_standard_output() -> TextIO:
    """Return standard output for our reports, and redirect all other output to standard error."""
    ours = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return ours


def _report(owner: TextIO, report: Mapping[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError):  # the owner has ended; the caller ends right after
        owner.write(json.dumps(report) + "\n")
        owner.flush()


@contextlib.contextmanager
def _killed_when_owner_leaves() -> Iterator[None]:
    """Let the kernel end this process when the owner's pipe closes.

    llama.cpp holds Python's lock while it loads, which can take minutes, so no Python thread could watch the pipe. The
    kernel can: an asynchronous pipe sends SIGIO, whose default action is to end the process. (Where it is not, as on
    macOS, the closed pipe is noticed once the model is loaded.)
    """
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    flags = fcntl.fcntl(OWNER, fcntl.F_GETFL)
    fcntl.fcntl(OWNER, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(OWNER, fcntl.F_SETFL, flags | os.O_ASYNC)
    if select.select([OWNER], [], [], 0)[0]:  # it closed before the signal was armed
        os._exit(0)
    yield
    fcntl.fcntl(OWNER, fcntl.F_SETFL, flags)


if __name__ == "__main__":
    main()
