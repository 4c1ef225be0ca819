"""The sentences of a report that count, and their plain form that patterns are written for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from synth.text.sections import split_sections

UNLABELLED_SECTIONS = frozenset(
    ("indication", "history", "comparison", "technique", "examination", "header", "signature")
)
# A sentence ends at a full stop (not in "1.5" or "Dr."), even if no space follows ("clear.Heart"),
# at a blank line, before a list item.
_END = re.compile(
    r"[.?!](?<!\b[Dd][Rr]\.)(?<!\b[Mm][Rr]\.)(?<!\b[Vv][Ss]\.)(?=\s|$|(?<=[a-z]\.)[A-Z][a-z])"
    r"|\n\s*\n|\n(?=\s*(?:\d{1,2}[.)]|[-*•])\s)"
)
LONGEST = 1000  # characters; work grows with the square of a sentence's length
_RUN = re.compile(r"\s\s")
_ONE_SPACE = {code: " " for code in range(0x3000 + 1) if chr(code).isspace()}


class Sentence(NamedTuple):
    """A sentence in lower case with single spaces.

    Attributes:
        text: the plain form.
        start: where it begins in the report.
        offsets: where each character came from; ``None`` when all follow one another.
    """

    text: str
    start: int
    offsets: Sequence[int] | None

    def place(self, start: int, end: int) -> tuple[int, int]:
        """A span of the plain form as a span of the report."""
        if self.offsets is None:
            return self.start + start, self.start + end
        return self.offsets[start], self.offsets[end - 1] + 1


def labelled_sentences(text: str) -> Iterator[Sentence]:
    """The sentences of all sections that are not in ``UNLABELLED_SECTIONS``."""
    for section in split_sections(text):
        if section.name in UNLABELLED_SECTIONS:
            continue
        start = section.body
        for match in _END.finditer(text, section.body, section.end):
            yield from _pieces(text, start, match.end())
            start = match.end()
        yield from _pieces(text, start, section.end)


def _pieces(text: str, start: int, end: int) -> Iterator[Sentence]:
    """The sentence; in pieces, cut between words, where it is longer than any sentence is."""
    while end - start > LONGEST:
        space = text.rfind(" ", start + 1, start + LONGEST)
        cut = space if space > 0 else start + LONGEST
        yield _plain(text, start, cut)
        start = cut
    if start < end:
        yield _plain(text, start, end)


def _plain(text: str, start: int, end: int) -> Sentence:
    written = text[start:end]
    lower = written.lower()
    if len(lower) == len(written) and not _RUN.search(written):
        return Sentence(lower.translate(_ONE_SPACE), start, None)
    characters: list[str] = []
    offsets: list[int] = []
    for match in re.finditer(r"\s+|\S", written):
        character = match.group()
        lowered = " " if character.isspace() else character.lower()
        characters.append(lowered if len(lowered) == 1 else character)
        offsets.append(start + match.start())
    return Sentence("".join(characters), start, offsets)
