"""One way to write each character: composed, straight quotes, plain spaces and line feeds.

Compatibility forms stay (``cm²`` is not ``cm2``); only what looks the same is made the same.
"""

from __future__ import annotations

import re
import unicodedata

_TABLE = {
    **dict.fromkeys(map(ord, "\t\u00a0\u1680\u202f\u205f\u3000"), " "),
    **dict.fromkeys(range(0x2000, 0x200B), " "),
    **dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"), ""),
    **dict.fromkeys(map(ord, "\r\f\v\x85\u2028\u2029"), "\n"),
    **dict.fromkeys(map(ord, "‘’‚‛′´`"), "'"),
    **dict.fromkeys(map(ord, "“”„‟″«»"), '"'),
    **dict.fromkeys(map(ord, "‐‑‒–—―−"), "-"),
    ord("："): ":",
    ord("…"): "...",
}
# Line feeds stay; the rest of C0, C1 and "not a character" carry no text.
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\ufffe\uffff\ud800-\udfff]")
# Composing sorts runs of marks in quadratic time; no word of any language stacks this many.
_STACKED_MARKS = re.compile(r"([\u0300-\u036f\u0483-\u0489\u0591-\u05bd]{8})[\u0300-\u05bd]+")


def plain_characters(text: str) -> str:
    r"""The same text, each character written one way; line ends become ``\n``.

    >>> plain_characters("T\u00f3rax\u00a0\u201c3\u20134 cm\u201d\r\n")
    'Tórax "3-4 cm"\n'
    """
    text = text.replace("\r\n", "\n")
    if text.isascii():
        return _CONTROL.sub("", text.translate(_TABLE))
    text = _STACKED_MARKS.sub(r"\1", text.translate(_TABLE))
    return unicodedata.normalize("NFC", _CONTROL.sub("", text))


def is_binary(text: str) -> bool:
    """Whether more than a tenth of the text is control or replacement characters."""
    odd = len(_CONTROL.findall(text.translate(_TABLE))) + text.count("\ufffd")
    return odd > len(text) / 10
