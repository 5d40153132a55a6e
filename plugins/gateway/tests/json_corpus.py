"""JSON texts by class, made from the grammar of RFC 8259: right ones, wrong ones, and ones on which it leaves a choice.

Values stand for themselves as a body, and as the value of a field in a request that is right but for them: there
nothing but the value can be the reason of a refusal. Documents are whole bodies. All have names.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

Corpus = Mapping[str, bytes]

RIGHT = b'{"messages":[{"role":"user","content":"Hi"}]}'


def embedded(value: bytes) -> bytes:
    """Return a right request that has this value in a field that nobody knows."""
    return RIGHT[:-1] + b',"x_unknown":' + value + b"}"


def _named(kind: str, texts: list[str]) -> dict[str, bytes]:
    return {f"{kind} {text}": text.encode() for text in texts}


def _numbers(signs: list[str], wholes: list[str], fractions: list[str], exponents: list[str]) -> list[str]:
    return ["".join(parts) for parts in itertools.product(signs, wholes, fractions, exponents)]


def _nested(opening: bytes, inner: bytes, closing: bytes, depth: int) -> bytes:
    return opening * depth + inner + closing * depth


ESCAPES = ['"', "\\", "/", "b", "f", "n", "r", "t"]
CHARACTERS = ["\x7f", "\x80", "\u00e9", "\u2028", "\u2029", "\ufdd0", "\ufeff", "\uffff", "\U0001f600", "\U0010ffff"]

VALID_VALUES: Corpus = {
    **_named("number", _numbers(["", "-"], ["0", "10"], ["", ".5"], ["", "e3", "E+03", "e-3"])),
    **_named("number", ["0.000001", "1e-400", "9007199254740993", "9223372036854775807", "-9223372036854775808"]),
    **_named("literal", ["true", "false", "null"]),
    **{f"escape {letter}": b'"\\' + letter.encode() + b'"' for letter in ESCAPES},
    **{f"escape u{digits}": b'"\\u' + digits.encode() + b'"' for digits in ("0000", "001f", "00E9", "20ac", "FFFF")},
    "an escaped pair": b'"\\ud83d\\ude00"',
    "an escape in a key": b'{"\\u0061":1}',
    **{f"character {one!a}": f'"{one}"'.encode() for one in CHARACTERS},
    **{f"a text of {text}": f'"{text}"'.encode() for text in ("[1,]", "//a", "/*a*/", "NaN", "{", "'", "\\\\u0061")},
    "an empty text": b'""',
    "a long text": b'"' + b"a" * 100_000 + b'"',
    "an empty list": b"[]",
    "an empty object": b"{}",
    "an empty key": b'{"":1}',
    "a key twice": b'{"a":1,"a":2}',
    "a list of everything": b'[1,"a",null,true,false,{},[]]',
    "an object of everything": b'{"a":1,"b":"a","c":null,"d":true,"e":false,"f":{},"g":[]}',
    "a long list": b"[" + b"1," * 20_000 + b"1]",
    "ninety lists": _nested(b"[", b"", b"]", 90),
    "ninety objects": _nested(b'{"a":', b"1", b"}", 90),
    **{
        f"white space {space!r} {where}": value.replace(b"_", space)
        for space in (b" ", b"\t", b"\n", b"\r", b" \t\r\n")
        for where, value in {"in a list": b"_[_1_,_2_]_", "in an object": b'_{_"a"_:_1_}_'}.items()
    },
}

# RFC 8259 leaves to the reader how large numbers, how deep values and which code points it takes (sections 4, 6, 8.2
# and 9).
OPEN_VALUES: Corpus = {
    "a number beyond all": b"1e400",
    "a negative number beyond all": b"-1e400",
    "an exponent of a thousand digits": b"1e" + b"9" * 1000,
    "a whole number of a hundred digits": b"1" * 100,
    "a whole number of ten thousand digits": b"1" * 10_000,
    "a fraction of ten thousand digits": b"0." + b"1" * 10_000,
    "a whole number above 64 bits": b"18446744073709551616",
    "half a pair": b'"\\ud83d"',
    "the other half of a pair": b'"\\ude00"',
    "a pair the wrong way": b'"\\ude00\\ud83d"',
    "half a pair and an escape": b'"\\ud83d\\n"',
    "half a pair and a letter": b'"\\ud83da"',
    "half a pair in a key": b'{"\\ud83d":1}',
    "a hundred lists": _nested(b"[", b"", b"]", 100),
    "a thousand objects": _nested(b'{"a":', b"1", b"}", 1000),
    "a hundred thousand lists": _nested(b"[", b"", b"]", 100_000),
    "a hundred thousand objects": _nested(b'{"a":', b"1", b"}", 100_000),
}

_WRONG_WHOLES = ["", "00", "01", "+1", "0x1", "0b1", "1_0", "1 0", "\uff11", "\u0661", "a"]
_WRONG_FRACTIONS = [".", ". 5", ".5.5", ",5", ".-5", "._5", ".5f"]
_WRONG_EXPONENTS = ["e", "e+", "E-", "ee1", "e 1", "e+-1", "e1.5", "e0x1", "e\uff11"]
_NOT_LITERALS = [
    "True", "FALSE", "NULL", "tru", "truee", "nul", "fals", "nan", "NaN", "-NaN", "Infinity", "-Infinity", "+Infinity",
    "inf", "undefined", "None", "t", "n", "true false", "abc", "\uff54rue",
]  # fmt: skip
_WRONG_ESCAPES = [
    "a",
    "v",
    "0",
    "x41",
    "'",
    "U0041",
    "N",
    " ",
    "\n",
    "e",
    "u",
    "u0",
    "u00",
    "u000",
    "u00g0",
    "u+041",
    "u{41}",
]
_WRONG_BYTES = {
    "a lone continuation": b"\x80",
    "a lone start": b"\xc3",
    "a cut sequence of three": b"\xe2\x82",
    "a cut sequence of four": b"\xf0\x9f\x98",
    "an overlong slash of two": b"\xc0\xaf",
    "an overlong slash of three": b"\xe0\x80\xaf",
    "an overlong slash of four": b"\xf0\x80\x80\xaf",
    "an overlong NUL": b"\xc0\x80",
    "half a pair as bytes": b"\xed\xa0\x80",
    "a code point beyond all": b"\xf4\x90\x80\x80",
    "a byte that never is": b"\xff",
    "a byte of Latin-1": b"caf\xe9",
}
_STRUCTURES = [
    "[", "]", "{", "}", "[1", "[1,", "[,1]", "[,]", "[1,]", "[1,,2]", "[1 2]", "[1;2]", "[1:2]", '["a":1]',
    "[1]]", "[[1]", "[1}", '{"a"}', '{"a":}', '{"a":1,}', '{,"a":1}', '{"a":1,,"b":2}', '{"a" 1}', '{"a"=1}',
    '{"a"::1}', "{:1}", "{a:1}", "{'a':1}", "{1:1}", "{null:1}", "{[]:1}", '{"a":1', '{"a":', '{"a',
    '{"a":1]', '{"a":1}}', '{"a":1 "b":2}', '{"a":1;"b":2}', '{"a","b"}', "{1}", "[1,2", "()", "<a>",
    "[...]", "[\\n]", "[1]#", "*", ",", ":", "'a'", "`a`", '"a', 'a"', '"a""b"', '"a\\"',
]  # fmt: skip
_COMMENTS = ["1//a", "1/*a*/", "/*a*/1", "[1/*a*/]", "1#a", "<!--a-->1", "1--a", "[1,//a\n2]"]
_NO_SPACES = ["\x00", "\x0b", "\x0c", "\x1f", "\x85", "\xa0", "\u2028", "\u3000", "\u200b", "\u2060", "\ufeff"]

INVALID_VALUES: Corpus = {
    **_named("number", _numbers(["", "-"], _WRONG_WHOLES, [""], [""])),
    **_named("number", _numbers(["", "-"], ["1"], _WRONG_FRACTIONS, [""])),
    **_named("number", _numbers(["", "-"], ["1"], [""], _WRONG_EXPONENTS)),
    **_named("number", ["--1", "- 1", "-", "+", ".5", "-.5", "1.e1", "\u22121", "1%", "$1", "1n", "1f"]),
    **_named("literal", _NOT_LITERALS),
    **{f"escape {text!a}": f'"\\{text}"'.encode() for text in _WRONG_ESCAPES},
    **{f"control character {code:#04x}": b'"' + bytes([code]) + b'"' for code in range(32)},
    **{name: b'"' + data + b'"' for name, data in _WRONG_BYTES.items()},
    "no UTF-8 in a key": b'{"\xff":1}',
    **_named("structure", _STRUCTURES),
    **_named("comment", _COMMENTS),
    **{f"no white space {space!a}": f"[{space}1]".encode() for space in _NO_SPACES},
    "a hundred thousand lists without end": b"[" * 100_000,
    "a hundred thousand objects without end": b'{"a":' * 100_000,
    "a hundred thousand ends": b"]" * 100_000,
}

INVALID_DOCUMENTS: Corpus = {
    "nothing": b"",
    "white space": b" \n",
    "two documents": RIGHT + RIGHT,
    "two lines": RIGHT + b"\n" + RIGHT,
    "a comma behind": RIGHT + b",",
    "NUL behind": RIGHT + b"\0",
    "NUL before": b"\0" + RIGHT,
    "garbage behind": RIGHT + b"x",
    "a byte order mark": b"\xef\xbb\xbf" + RIGHT,
    "a form": b"messages=Hi&model=m",
    "JSONP": b"f(" + RIGHT + b")",
    "a guard before": b")]}',\n" + RIGHT,
    **{f"in {coding}": RIGHT.decode().encode(coding) for coding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32")},
    **{f"cut behind {length} bytes": RIGHT[:length] for length in range(1, len(RIGHT), 3)},
}
