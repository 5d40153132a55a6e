"""A tiny language model with random weights, for tests that need many real model servers.

The file is a complete GGUF of the llama architecture: a byte-level BPE vocabulary with merges, a chat template, two
layers of 64. llama.cpp loads it in a few hundredths of a second. Its answers are nonsense made of printable ASCII, and
it never ends an answer by itself: a chat with ``max_tokens = 8`` gives exactly 8 tokens and the finish reason
``length``; without ``max_tokens`` it writes until its window is full.

The seed determines everything in the file: the same seed gives the same tokens, weights and answers. The text that the
vocabulary is learned from is generated here, because other text (such as the standard library's sources) differs
between Python versions.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from localagent.errors import StartError

__all__ = ["CONTENT_VERSION", "tiny_gguf", "write_tiny_gguf"]

#: Increased whenever the same arguments result in another file; part of the file names of ``tiny_gguf``.
CONTENT_VERSION = 1

LAYERS = 2
WIDTH = 64
HEADS = 4
FEED_FORWARD = 192
END_OF_TEXT, TURN_START, TURN_END = SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
WORDS = (
    "the of and to in is you that it he was for on are as with his they at be this have from or one had by word but "
    "not what all were we when your can said there use an each which she do how their if will up other about out many "
    "then them these so some her would make like him into time has look two more write go see number no way could "
    "people my than first water been call who oil its now find long down day did get come made may part model token "
    "server request answer stream cache limit price error key name list value return import class def self async await "
    "None True False dict str int float bytes path file open close read while try except raise yield lambda pass test "
    "capital France Paris London Germany Berlin hello world please thank question number light house garden river"
)
STEMS = "act build cost count end fill form hold join know land link mark move note plan play point send step talk"
PREFIXES = ("", "", "re", "un", "over", "pre")
SUFFIXES = ("", "", "s", "ed", "ing", "er", "able", "ment")
MARKS = (" ", " ", " ", " ", " ", ", ", ". ", ": ", "; ", "? ", "! ", "\n", "\n    ", " = ", "(", ")", "[", "]", " - ")


def tiny_gguf(folder: str | os.PathLike[str], *, seed: int = 0, vocabulary: int = 2048, context: int = 2048) -> Path:
    """Return a tiny model file inside a folder; write it only if it does not exist yet.

    The file's name contains all arguments and ``CONTENT_VERSION``, so that a file of an older version is never used.
    Several processes may call it at once: each sees a whole file or none.

    Args:
        folder: Where the file is kept between runs; created if it is missing.
        seed: Chooses vocabulary and weights.
        vocabulary: Number of tokens, as in ``write_tiny_gguf``.
        context: Number of tokens of the window, as in ``write_tiny_gguf``.

    Returns:
        The path of the file.

    Raises:
        StartError: ``gguf`` or ``tokenizers`` is not installed, and the file does not exist.
    """
    path = Path(folder) / f"tiny-v{CONTENT_VERSION}-seed{seed}-vocabulary{vocabulary}-context{context}.gguf"
    if path.exists():
        return path
    return write_tiny_gguf(path, seed=seed, vocabulary=vocabulary, context=context)


def write_tiny_gguf(
    path: str | os.PathLike[str], *, seed: int = 0, vocabulary: int = 2048, context: int = 2048
) -> Path:
    """Write a tiny model with random weights, about 1.5 MB in about 0.2 s.

    The file appears under its name only when it is complete.

    Args:
        path: The file to write; its folders are created, an existing file is replaced.
        seed: Chooses vocabulary and weights.
        vocabulary: Number of tokens, at least 300 (256 bytes, three special tokens, some merges).
        context: Number of tokens that the model claims to be trained for.

    Returns:
        The path of the file.

    Raises:
        StartError: ``gguf`` or ``tokenizers`` is not installed.
        ValueError: The vocabulary is too small, or larger than the merges of the text allow.
    """
    writing, training = _package("gguf"), _package("tokenizers")
    tokens, merges = _vocabulary(training, seed, vocabulary)
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        draft = Path(folder, "draft.gguf")
        _write(writing, draft, tokens, merges, seed=seed, context=context)
        return draft.replace(target)


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as missing:
        message = f"Writing a tiny model needs the package {name}, which is not installed."
        raise StartError(
            message, hint="Run: uv sync --group test, or add it to the packages of your tests."
        ) from missing


def _text(seed: int) -> Iterator[str]:
    """Yield lines of words and marks to learn a vocabulary from; ``random.Random`` is stable across Python versions."""
    chance, words, stems = random.Random(seed), WORDS.split(), STEMS.split()
    for _ in range(3000):
        line = [chance.choice(words) if chance.random() < 0.7 else _derived(chance, stems) for _ in range(10)]
        yield "".join(word + chance.choice(MARKS) for word in line) + str(chance.randrange(10_000))


def _derived(chance: random.Random, stems: Sequence[str]) -> str:
    word = chance.choice(PREFIXES) + chance.choice(stems) + chance.choice(SUFFIXES)
    return word.capitalize() if chance.random() < 0.2 else word


def _vocabulary(tokenizers: Any, seed: int, size: int) -> tuple[list[str], list[str]]:
    """Train a byte-level BPE; return its tokens in order of their ids, and its merges as GGUF writes them."""
    byte_level = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = byte_level
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=byte_level.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_text(seed), trainer)
    model = json.loads(tokenizer.to_str())["model"]
    if len(model["vocab"]) != size:
        raise ValueError(f"The vocabulary has {len(model['vocab'])} tokens instead of {size}.")
    return sorted(model["vocab"], key=model["vocab"].__getitem__), [" ".join(pair) for pair in model["merges"]]


def _write(gguf: Any, path: Path, tokens: Sequence[str], merges: Sequence[str], *, seed: int, context: int) -> None:
    writer = gguf.GGUFWriter(path, "llama")
    try:
        _describe(writer, len(tokens), context)
        _add_tokenizer(gguf, writer, tokens, merges)
        for name, weights in _weights(tokens, seed):
            writer.add_tensor(name, weights)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()


def _describe(writer: Any, vocabulary: int, context: int) -> None:
    writer.add_name("tiny random model")
    writer.add_version(str(CONTENT_VERSION))
    writer.add_context_length(context)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(vocabulary)


def _add_tokenizer(gguf: Any, writer: Any, tokens: Sequence[str], merges: Sequence[str]) -> None:
    kinds = [gguf.TokenType.CONTROL if token in SPECIAL_TOKENS else gguf.TokenType.NORMAL for token in tokens]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")  # the pattern that tokenizers' ByteLevel splits with
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(tokens.index(END_OF_TEXT))
    writer.add_eos_token_id(tokens.index(TURN_END))
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)


def _weights(tokens: Sequence[str], seed: int) -> Iterator[tuple[str, Any]]:
    """Random weights by name; NumPy promises that ``RandomState`` never changes its stream."""
    numpy = _package("numpy")
    stream = numpy.random.RandomState(seed)

    def matrix(rows: int, columns: int = WIDTH) -> Any:
        return (stream.standard_normal((rows, columns)) / columns**0.5).astype(numpy.float32)

    norm = numpy.ones(WIDTH, dtype=numpy.float32)
    output = matrix(len(tokens))
    output[[not _printable(token) for token in tokens]] = 0.0
    yield from [("token_embd.weight", matrix(len(tokens))), ("output_norm.weight", norm), ("output.weight", output)]
    for layer in range(LAYERS):
        for part in ("attn_norm", "ffn_norm"):
            yield f"blk.{layer}.{part}.weight", norm
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            yield f"blk.{layer}.{part}.weight", matrix(WIDTH)
        for part in ("ffn_gate", "ffn_up"):
            yield f"blk.{layer}.{part}.weight", matrix(FEED_FORWARD)
        yield f"blk.{layer}.ffn_down.weight", matrix(WIDTH, FEED_FORWARD)


def _printable(token: str) -> bool:
    """Whether a token may appear in answers: printable ASCII, spaces, line ends (as byte-level BPE writes them).

    The others' rows of the output matrix are zero. Among two thousand random logits the best is always above zero, so
    they are never chosen: answers are valid UTF-8 wherever they are cut, and never end by an end token.
    """
    return token not in SPECIAL_TOKENS and all("!" <= char <= "~" or char in "ĠĊ" for char in token)
