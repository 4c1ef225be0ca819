"""New texts made of the sentences of training reports, none of them a report word for word.

Every sentence that states a finding as present or possible is exchanged for one of another report
that states the same with the same side and severity; sentences of normal findings come from
anywhere as long as they deny nothing that is present; the order is drawn. The labeller then reads
the new text, and one that states anything else is thrown away.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from hashlib import blake2b

import numpy as np

from sample.plan_draw import Draft
from sample.plan_reading import Details, Read, Reader, Statements
from synth.seeding import numpy_rng
from synth.text.statements import ended, sentence_groups

_TRIES = 12  # draws for one text
_PATIENCE = 6  # of these, draws until one that is planned already is good enough
_ADDED = 2  # at most so many normal sentences more


def folded(text: str) -> str:
    """A text without case, punctuation and spacing: what counts as word for word."""
    return " ".join(re.findall(r"\w+", text.lower()))


def _digest(text: str) -> bytes:
    return blake2b(folded(text).encode(), digest_size=12).digest()  # a fifth of the text's memory


class Recombiner:
    """Words a draft anew.

    Args:
        known: texts that must not come out, whatever their split.
        reader: labels sentences and verifies what is made.
        seed: of the run.
    """

    def __init__(self, known: Iterable[str], reader: Reader, *, seed: int) -> None:
        self._reader, self._seed = reader, seed
        self._known = {_digest(text) for text in known}
        self._made: set[bytes] = set()
        self._wanted: dict[str, tuple[Statements, Details]] = {}
        self._same: dict[tuple[Statements, Details], list[str]] = {}
        self._normal: list[str] = []
        self._reads: dict[str, Read] = {}

    def learn(self, draft: Draft) -> Draft:
        """Take in the sentences of a training text.

        Returns:
            The draft with the labels that the labeller reads in it.
        """
        if draft.text not in self._wanted:
            self._wanted[draft.text] = self._reader.read(draft.text).meaning
            self._read_sentences(draft.text)
        return self._reader.worded(draft, draft.text)

    def is_new(self, text: str) -> bool:
        """Whether a text is none of the known ones."""
        return _digest(text) not in self._known

    def _read_sentences(self, text: str) -> None:
        for group in sentence_groups(text):
            if group not in self._reads:
                read = self._reads[group] = self._reader.read(group)
                if read.present:
                    self._same.setdefault(read.meaning, []).append(group)
                elif read.absent or read.normal:
                    self._normal.append(group)

    def __call__(self, draft: Draft, index: int) -> Draft | None:
        """A new text that states what the draft's text states.

        Args:
            draft: one that was learnt.
            index: place in the plan; another one gives another text.

        Returns:
            The draft with text and labels exchanged; None if every try was known or misread.
        """
        wanted = self._wanted[draft.text]
        groups = sentence_groups(draft.text)
        for attempt in range(_TRIES):
            rng = numpy_rng("recombine", self._seed, index, attempt)
            text = self._draw(groups, {name for name, _ in wanted[0]}, rng, attempt)
            digest = _digest(text)
            repeated = digest in self._made and attempt < _PATIENCE
            if not text or digest in self._known or repeated:
                continue
            if self._reader.read(text).meaning == wanted:
                self._made.add(digest)
                return self._reader.worded(draft, text)
        return None

    def _draw(
        self, groups: Sequence[str], present: set[str], rng: np.random.Generator, attempt: int
    ) -> str:
        parts: list[str] = []
        spare = int(rng.integers(0, _ADDED + 1)) + (attempt > 1)
        for group in groups:
            read = self._reads[group]
            if read.present:
                same = self._same.get(read.meaning, [group])
                parts.append(same[int(rng.integers(len(same)))])
            elif rng.random() < 0.5:
                if read.absent or read.normal:
                    spare += 1
                else:
                    parts.append(group)  # states nothing that is known: moves to no other text
        for _ in range(spare if self._normal else 0):
            group = self._normal[int(rng.integers(len(self._normal)))]
            read = self._reads[group]
            if not (read.absent & present or (read.normal and present)) and group not in parts:
                parts.append(group)
        return " ".join(ended(parts[i]) for i in rng.permutation(len(parts)))
