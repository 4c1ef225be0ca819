r"""Reports inside other formats -> plain text: HTML, RTF, HL7 v2 messages, escaped line ends.

Only text is taken; nothing is loaded, run or followed. Time is linear, whatever the nesting.
"""

from __future__ import annotations

import html
import re
from typing import Literal, NamedTuple

Wrapper = Literal["html", "rtf", "hl7", "escapes"]


class Unwrapped(NamedTuple):
    """The plain text, and what it was wrapped in; ``None`` if it was plain already."""

    text: str
    wrapper: Wrapper | None


def unwrap(text: str) -> Unwrapped:
    r"""Take a report out of its wrapper. Never raises.

    >>> unwrap("<p>FINDINGS: Clear &amp; dry.</p>")
    Unwrapped(text='FINDINGS: Clear & dry.', wrapper='html')
    """
    head = text[:200].lstrip("\ufeff\x0b \t\r\n")
    if head.startswith("{\\rtf"):
        return Unwrapped(_from_rtf(text), "rtf")
    if head.startswith("MSH|"):
        return Unwrapped(_from_hl7(text), "hl7")
    if _TAG.search(text) or _ENTITY.search(text):
        return Unwrapped(_from_html(text), "html")
    if "\\.br\\" in text or ("\\n" in text and "\n" not in text.strip()):
        return Unwrapped(_ESCAPED_LINE.sub("\n", text), "escapes")
    return Unwrapped(text, None)


# Only names that HTML has: "<DATE>" is a de-identification mark and "< 1 cm" a measurement.
_BLOCKS = "address|article|blockquote|body|br|div|dd|dl|dt|h[1-6]|head|header|hr|html|li|ol|p|pre|"
_BLOCKS += "section|table|tbody|td|th|thead|title|tr|ul"
_SPANS = "a|b|big|center|code|em|font|i|img|input|label|link|meta|o:p|s|small|span|strong|sub|sup|u"
_END = r"(?:\s[^<>]{0,500})?\s?/?>"
_BLOCK = re.compile(rf"</?(?:{_BLOCKS}){_END}", re.IGNORECASE)
_TAG = re.compile(rf"<!doctype|<!--|</?(?:{_BLOCKS}|{_SPANS}|style|script){_END}", re.IGNORECASE)
_SPAN = re.compile(rf"</?(?:{_SPANS}){_END}|<!doctype[^<>]{{0,500}}>", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:nbsp|amp|lt|gt|quot|apos|#\d{1,6}|#x[0-9a-f]{1,5});", re.IGNORECASE)
_HIDDEN = (("<!--", "-->"), ("<style", "</style>"), ("<script", "</script>"))
_ESCAPED_LINE = re.compile(r"\\\.br\\|(?:\\r)?\\n")


def _from_html(text: str) -> str:
    for opening, closing in _HIDDEN:
        text = _without(text, opening, closing)
    # Line ends of the source are spaces in HTML, but reports are often text with a few tags.
    text = _SPAN.sub("", _BLOCK.sub("\n", text))
    return html.unescape(text).strip()


def _without(text: str, opening: str, closing: str) -> str:
    """The text without every stretch from ``opening`` to ``closing``; an unclosed one runs on."""
    lower = text.lower()
    if opening not in lower or len(lower) != len(text):
        return text
    kept, position = [], 0
    while (start := lower.find(opening, position)) >= 0:
        kept.append(text[position:start])
        end = lower.find(closing, start)
        position = end + len(closing) if end >= 0 else len(text)
    return "".join([*kept, text[position:]])


_RTF_TOKEN = re.compile(
    r"\\'(?P<hex>[0-9a-fA-F]{2})|\\(?P<word>[a-zA-Z]{1,32})(?P<number>-?\d{1,10})?[ ]?"
    r"|\\(?P<symbol>[^a-zA-Z'])|(?P<brace>[{}])|[\r\n]+|(?P<text>[^\\{}\r\n]+)|\\"
)
# Groups that hold no text of the document.
_RTF_HIDDEN = frozenset(
    "fonttbl colortbl stylesheet info pict object header footer generator listtable "  # noqa: SIM905
    "listoverridetable rsidtbl themedata datastore latentstyles xmlnstbl".split()
)
_RTF_WORDS = {"par": "\n", "line": "\n", "sect": "\n", "page": "\n", "row": "\n", "tab": " "}
_RTF_WORDS |= {"cell": " ", "emdash": "-", "endash": "-", "lquote": "'", "rquote": "'"}
_RTF_WORDS |= {"ldblquote": '"', "rdblquote": '"', "bullet": "-"}
_RTF_SYMBOLS = {"~": " ", "_": "-", "\\": "\\", "{": "{", "}": "}", "\n": "\n", "\r": "\n"}


def _from_rtf(text: str) -> str:
    """The text of an RTF document (Rich Text Format Specification 1.9.1), in Windows-1252."""
    said: list[str] = []
    hidden = [False]  # one per open group
    skip_after_unicode, skip = 1, 0
    for token in _RTF_TOKEN.finditer(text):
        word, number = token["word"], token["number"]
        if token["brace"] == "{":
            hidden.append(hidden[-1])
        elif token["brace"] == "}":
            hidden = hidden[:-1] if len(hidden) > 1 else hidden
        elif token["symbol"] == "*" or word in _RTF_HIDDEN:
            hidden[-1] = True
        elif word == "uc":
            skip_after_unicode = min(int(number or 1), 8)
        elif word == "u" and number and not hidden[-1]:
            said.append(chr(int(number) % 0x10000))
            skip = skip_after_unicode
        elif not hidden[-1]:
            plain = _rtf_text(token)
            said.append(plain[skip:])
            skip = max(0, skip - len(plain))
    return "".join(said).strip()


def _rtf_text(token: re.Match[str]) -> str:
    if token["hex"]:
        return bytes([int(token["hex"], 16)]).decode("cp1252", errors="replace")
    if token["word"]:
        return _RTF_WORDS.get(token["word"], "")
    if token["symbol"]:
        return _RTF_SYMBOLS.get(token["symbol"], "")
    return token["text"] or ""


# HL7 v2 suffixes of an observation identifier that name the part of an imaging report.
_HL7_PARTS = {"GDT": "FINDINGS", "IMP": "IMPRESSION", "ADT": "ADDENDUM", "REC": "RECOMMENDATION"}
_HL7_ESCAPES = {"F": "|", "S": "^", "T": "&", "R": "~", "E": "\\", ".br": "\n", "H": "", "N": ""}
_HL7_ESCAPE = re.compile(r"\\(F|S|T|R|E|\.br|H|N)\\")


def _from_hl7(text: str) -> str:
    """The text observations (OBX-5) of an HL7 v2 message; header segments hold identifiers."""
    lines: list[str] = []
    part = ""
    for segment in re.split(r"[\r\n]+", text):
        fields = segment.split("|", 6)
        if fields[0] != "OBX" or len(fields) < 6 or fields[2] not in ("TX", "FT", "ST", ""):
            continue
        suffix = _HL7_PARTS.get(fields[3].split("^")[0].rpartition("&")[2], "")
        value = _HL7_ESCAPE.sub(
            lambda escape: _HL7_ESCAPES[escape[1]], fields[5].replace("~", "\n")
        )
        if suffix and suffix != part and not value.upper().lstrip().startswith(suffix):
            lines.append(f"{suffix}:")
        part = suffix or part
        lines.append(value)
    return "\n".join(lines).strip()
