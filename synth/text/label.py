"""Findings from free text by rule, each label with the span and the rule that gave it.

For every mention the nearest cue decides (NegEx/ConText style, with termination words):

    1   mentioned and neither negated nor hedged ("stable X", "X has improved", "unchanged X"), or
        held for probable ("probable X", "most consistent with X", "borderline X")
    0   negated ("no X", "X has resolved", "X is not seen", "X is unlikely") or a normal statement
        ("clear lungs")
   -1   hedged ("possible X", "cannot exclude X", "X versus Y", "less likely X")
    None  not stated, or only asked about ("rule out X", "history of X")

Several mentions of a finding: see :mod:`synth.text.modes`. "Lungs are clear" says 0 for what would
make a lung not clear: atelectasis, consolidation, edema, infiltration, lesion, mass, nodule,
opacity and pneumonia; not for pleura, heart or bones. Text of indication, history, comparison and
technique sections is not labelled, nor is text in another language than English: the findings are
often spelled alike there, the negations are not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from synth.manifest import NO_FINDING, Label
from synth.text.attributes import Attributes, describe, merged
from synth.text.cues import Cue, find_cues, governing_cue
from synth.text.findings import FINDINGS, NORMAL_STUDY, STATEMENTS
from synth.text.language import language
from synth.text.mentions import Mention, Vocabulary, find_mentions, vocabulary
from synth.text.modes import Evidence, Found, Mode, aggregate, check_mode
from synth.text.sentences import UNLABELLED_SECTIONS, Sentence, labelled_sentences
from synth.text.wording import Finding

__all__ = ["UNLABELLED_SECTIONS", "Evidence", "Labeler", "Labels", "RuleLabeler"]

VERSION = "rules-v2"
# "Atelectasis or scarring" and "opacity or atelectasis" are two words for one shadow.
_NO_RIVALS = frozenset(("scarring", "lung_opacity", "interstitial_pattern", "volume_loss"))
_RULES = {"negate": "negated", "hedge": "uncertain"}


@dataclass(frozen=True)
class Labels:
    """Labels of one text: every known finding is a key; ``None`` means not stated.

    Attributes:
        values: finding -> 1, 0, -1 or ``None``.
        evidence: finding -> why, in order of the text.
        attributes: finding -> ``side``, ``severity`` and ``location`` where stated, for findings
            that are present or uncertain.
    """

    values: dict[str, Label]
    evidence: dict[str, tuple[Evidence, ...]]
    attributes: dict[str, dict[str, str]] = field(default_factory=dict)


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
class RuleLabeler:
    """The built-in labeller: pure Python, offline, no model.

    Attributes:
        mode: how several mentions become one value, see :mod:`synth.text.modes`.
        findings: what to look for.

    Raises:
        UsageError: an unknown mode.
    """

    mode: Mode = "default"
    findings: tuple[Finding, ...] = FINDINGS
    _words: Vocabulary = field(init=False, repr=False, compare=False)
    _names: tuple[str, ...] = field(init=False, repr=False, compare=False)
    _devices: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_mode(self.mode)
        devices = frozenset(finding.name for finding in self.findings if finding.device)
        object.__setattr__(self, "_words", vocabulary(self.findings, STATEMENTS))
        names = sorted([*(finding.name for finding in self.findings), NO_FINDING])
        object.__setattr__(self, "_names", tuple(names))
        object.__setattr__(self, "_devices", devices)

    @property
    def name(self) -> str:
        """``rules-v2``, or ``rules-v2-chexpert``."""
        return VERSION if self.mode == "default" else f"{VERSION}-{self.mode}"

    def label(self, text: str) -> Labels:
        """Label a report, all its clinical sections together.

        Args:
            text: any text; headers are recognised as in
                :func:`~synth.text.sections.split_sections`. Of one that is not English nothing is
                stated.

        Returns:
            Labels with spans into ``text``.
        """
        found: Found = {}
        attributes: dict[str, Attributes] = {}
        worded = False
        english = language(text) in (None, "en")
        for sentence in labelled_sentences(text) if english else ():
            worded = worded or any(map(str.isalpha, sentence.text))
            self._read(sentence, found, attributes)
        values, evidence = aggregate(found, self._names, self._devices, self.mode, worded=worded)
        return Labels(
            values,
            {name: tuple(items) for name, items in sorted(evidence.items())},
            {name: attributes[name] for name in sorted(attributes) if values.get(name)},
        )

    def _read(self, sentence: Sentence, found: Found, attributes: dict[str, Attributes]) -> None:
        mentions = find_mentions(self._words, sentence.text)
        for mention, rule in _judged(sentence.text, mentions):
            start, end = sentence.place(mention.start, mention.end)
            evidence = Evidence(start, end, rule)
            found.setdefault(mention.name, []).append(evidence)
            if evidence.value:
                described = describe(sentence.text, mention, mentions)
                if described:
                    attributes[mention.name] = merged(attributes.get(mention.name), described)
        if "no" in sentence.text or "negative" in sentence.text:
            for match in NORMAL_STUDY.finditer(sentence.text):
                study = Evidence(*sentence.place(*match.span()), "normal:study")
                found.setdefault(NO_FINDING, []).append(study)


def _judged(sentence: str, mentions: list[Mention]) -> Iterator[tuple[Mention, str]]:
    """Every mention that says something, with the rule that its words and cues make."""
    spoken = [item for item in mentions if not item.kind.startswith("normal")]
    named = [(item.start, item.end) for item in spoken]
    rivals = [(item.start, item.end) for item in spoken if item.name not in _NO_RIVALS]
    cues = find_cues(sentence) if spoken else ()
    for mention in mentions:
        span = (mention.start, mention.end)
        if mention.kind == "normal":
            if not _denied(sentence[slice(*span)]):
                yield mention, "normal:statement"
        elif mention.kind.startswith("normal"):
            yield mention, mention.kind
        else:
            own = () if mention.name in _NO_RIVALS else rivals
            cue = governing_cue(sentence, cues, span, named, own)
            if cue is None or cue.kind != "ask":
                yield mention, _rule(mention.kind, cue)


def _denied(words: str) -> bool:
    return " not " in words or " no longer " in words


def _rule(kind: str, cue: Cue | None) -> str:
    if cue is None or (kind == "hedged" and cue.kind == "probable"):
        return "uncertain:wording" if kind == "hedged" else "mention"
    return f"{_RULES.get(cue.kind, cue.kind)}:{cue.words}"
