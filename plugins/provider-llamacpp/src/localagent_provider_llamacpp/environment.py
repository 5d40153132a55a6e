"""Selects the environment variables of a model server: those that a process and llama.cpp need, and no keys."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

# For any process: where its files, temporary files and caches are, and how it finds libraries.
NAMES = frozenset(
    """
    PATH HOME USER LOGNAME LANG LANGUAGE TZ TMPDIR TMP TEMP XDG_CACHE_HOME XDG_RUNTIME_DIR VIRTUAL_ENV
    LD_LIBRARY_PATH LD_PRELOAD DYLD_LIBRARY_PATH DYLD_FALLBACK_LIBRARY_PATH
    PYTHONPATH PYTHONHOME PYTHONUSERBASE PYTHONNOUSERSITE PYTHONDONTWRITEBYTECODE PYTHONPYCACHEPREFIX PYTHONUTF8
    PYTHONIOENCODING PYTHONFAULTHANDLER PYTHONHASHSEED PYTHONMALLOC PYTHONWARNINGS
    HF_HOME HF_HUB_CACHE HUGGINGFACE_HUB_CACHE HF_HUB_OFFLINE NVIDIA_VISIBLE_DEVICES NVIDIA_DRIVER_CAPABILITIES
    SYSTEMROOT SYSTEMDRIVE WINDIR COMSPEC PATHEXT APPDATA LOCALAPPDATA PROGRAMDATA USERPROFILE NUMBER_OF_PROCESSORS
    PROCESSOR_ARCHITECTURE PROCESSOR_IDENTIFIER
    """.split()
)
# For llama.cpp, and the libraries it computes with.
FAMILIES = tuple(
    """
    LC_ GGML_ LLAMA_ CUDA_ HIP_ ROCR_ ROCM_ HSA_ AMD_ VK_ SYCL_ ONEAPI_ ZE_ ZES_ MUSA_ ASCEND_ OMP_ KMP_ GOMP_ MKL_
    OPENBLAS_ BLIS_ MALLOC_
    """.split()
)
# A name with such a prefix may still be a key, such as LLAMA_API_KEY.
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|AUTH")


def for_child(environment: Mapping[str, str], also: Iterable[str] = ()) -> dict[str, str]:
    """Return the variables that a model server gets.

    Args:
        environment: The variables of its owner.
        also: Names of further variables, from the settings.
    """
    named = frozenset(also)
    return {name: value for name, value in environment.items() if name in named or _is_needed(name.upper())}


def _is_needed(name: str) -> bool:
    return name in NAMES or (name.startswith(FAMILIES) and not _SECRET.search(name))
