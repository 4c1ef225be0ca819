"""Findings from free text by rule, each label with the span and the rule that gave it.

For every mention the nearest cue decides (NegEx/ConText style, with termination words):

    1   mentioned and neither negated nor hedged ("stable X", "X has improved", "unchanged X")
    0   negated ("no X", "X has resolved", "X is not seen") or a normal statement ("clear lungs")
   -1   hedged ("possible X", "cannot exclude X", "X versus Y")
    None  not stated, or only asked about ("rule out X", "history of X")

Several mentions of a finding: present anywhere beats uncertain, uncertain beats absent. "Lungs
are clear" says 0 for what would make a lung not clear: atelectasis, consolidation, edema, mass,
nodule and pneumonia; not for pleura, heart or bones. Text of indication, history, comparison and
technique sections is not labelled.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from synth.manifest import Label
from synth.text.cues import Cue, find_cues, governing_cue
from synth.text.findings import FINDINGS, NAMES, NORMAL_STUDY, Finding
from synth.text.sections import split_sections

UNLABELLED_SECTIONS = frozenset(
    ("indication", "history", "comparison", "technique", "examination", "header", "signature")
)
_PRIORITY: Mapping[int, int] = {1: 2, -1: 1, 0: 0}
_VALUES: Mapping[str, Literal[1, 0, -1]] = {"negated": 0, "normal": 0, "uncertain": -1}

# A sentence ends at a full stop (not in "1.5" or "Dr."), at a blank line, before a list item.
_SENTENCE_END = re.compile(
    r"(?<!\bdr)(?<!\bmr)(?<!\bvs)[.?!](?=\s|$)|\n\s*\n|\n(?=\s*(?:\d{1,2}[.)]|[-*•])\s)",
    re.IGNORECASE,
)


class Evidence(NamedTuple):
    """Why a label has its value: ``text[start:end]`` of the labelled text, and the rule.

    Rules are ``mention``, ``negated:<cue>``, ``normal:…`` and ``uncertain:<cue>``.
    """

    start: int
    end: int
    rule: str

    @property
    def value(self) -> Literal[1, 0, -1]:
        """The label value the rule stands for."""
        kind = self.rule.partition(":")[0]
        return _VALUES.get(kind, 1)


class Labeler(Protocol):
    """The seam for other labellers: any object with a name and this method."""

    @property
    def name(self) -> str:
        """Goes into ``label_source``; changes when the labels would."""
        ...

    def label(self, text: str) -> Labels:
        """Label one report."""
        ...


@dataclass(frozen=True)
class Labels:
    """Labels of one text: every known finding is a key; ``None`` means not stated."""

    values: dict[str, Label]
    evidence: dict[str, tuple[Evidence, ...]]


@dataclass(frozen=True)
class RuleLabeler:
    """The built-in labeller: pure Python, offline, no model.

    Attributes:
        findings: what to look for.
        name: goes into ``label_source``; changes when the rules change.
    """

    findings: tuple[Finding, ...] = FINDINGS
    name: str = "rules-v1"
    _patterns: dict[str, tuple[tuple[str, re.Pattern[str]], ...]] = field(
        init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        patterns = {finding.name: finding.compiled() for finding in self.findings}
        object.__setattr__(self, "_patterns", patterns)

    def label(self, text: str) -> Labels:
        """Label a report, all its clinical sections together.

        Args:
            text: any text; headers are recognised as in :func:`split_sections`.

        Returns:
            Labels with spans into ``text``.
        """
        evidence: dict[str, list[Evidence]] = {}
        normal_study: list[Evidence] = []
        for start, end in labelled_sentences(text):
            sentence, offsets = _plain(text, start, end)
            for name, found in self._mentions(sentence):
                evidence.setdefault(name, []).append(_placed(found, offsets))
            normal_study += [
                _placed(Evidence(*match.span(), "normal:study"), offsets)
                for match in NORMAL_STUDY.finditer(sentence)
            ]
        values = {name: _strongest(evidence.get(name, ())) for name in NAMES}
        self._conclude(values, evidence, normal_study)
        return Labels(values, {name: tuple(found) for name, found in sorted(evidence.items())})

    def _mentions(self, sentence: str) -> Iterator[tuple[str, Evidence]]:
        spans = [
            (finding.name, kind, (start, end))
            for finding in self.findings
            for kind, start, end in self._spans(finding, sentence)
        ]
        named = [span for _, kind, span in spans if kind != "normal"]
        cues = find_cues(sentence) if spans else ()
        for name, kind, span in spans:
            if kind == "normal":
                if not re.search(r"\bnot\b|\bno longer\b", sentence[slice(*span)]):
                    yield name, Evidence(*span, "normal:statement")
                continue
            cue = governing_cue(sentence, cues, span, named)
            if cue is None or cue.kind != "ask":
                yield name, Evidence(*span, _rule(kind, cue))

    def _spans(self, finding: Finding, sentence: str) -> Iterator[tuple[str, int, int]]:
        taken: list[tuple[int, int]] = []
        for kind, pattern in self._patterns[finding.name]:
            for match in pattern.finditer(sentence):
                start, end = match.span()
                if any(start < used_end and used_start < end for used_start, used_end in taken):
                    continue
                taken.append((start, end))
                if kind != "unlike":
                    yield kind, start, end

    def _conclude(
        self,
        values: dict[str, Label],
        evidence: dict[str, list[Evidence]],
        normal_study: list[Evidence],
    ) -> None:
        """``no_finding`` follows from all the others; devices do not speak against it."""
        diseases = [values[finding.name] for finding in self.findings if not finding.device]
        if 1 in diseases:
            values["no_finding"] = 0
        elif -1 in diseases:
            values["no_finding"] = -1
        elif 0 in diseases or normal_study:
            values["no_finding"] = 1
        if normal_study:
            evidence["no_finding"] = normal_study


def _rule(kind: str, cue: Cue | None) -> str:
    if cue is None:
        return "uncertain:wording" if kind == "hedged" else "mention"
    return f"{'negated' if cue.kind == 'negate' else 'uncertain'}:{cue.words}"


def _strongest(found: Sequence[Evidence]) -> Label:
    values = [item.value for item in found]
    return max(values, key=lambda value: _PRIORITY[value], default=None)


def _plain(text: str, start: int, end: int) -> tuple[str, list[int]]:
    """``text[start:end]`` in lower case with single spaces, and where each character came from."""
    characters: list[str] = []
    offsets: list[int] = []
    for match in re.finditer(r"\s+|\S", text[start:end]):
        character = match.group()
        lowered = " " if character.isspace() else character.lower()
        characters.append(lowered if len(lowered) == 1 else character)
        offsets.append(start + match.start())
    return "".join(characters), offsets


def _placed(found: Evidence, offsets: list[int]) -> Evidence:
    return found._replace(start=offsets[found.start], end=offsets[found.end - 1] + 1)


def labelled_sentences(text: str) -> Iterator[tuple[int, int]]:
    """Spans of the sentences that count: those of the sections not in ``UNLABELLED_SECTIONS``."""
    for section in split_sections(text):
        if section.name in UNLABELLED_SECTIONS:
            continue
        start = section.body
        for match in _SENTENCE_END.finditer(text, section.body, section.end):
            yield start, match.end()
            start = match.end()
        if start < section.end:
            yield start, section.end
