"""One report in, everything the pipeline needs out: scrubbed text, prompt, labels, evidence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from synth.manifest import Label
from synth.text.label import Evidence, Labeler, RuleLabeler
from synth.text.prompts import DEFAULT_POLICY, Source, conditioning_text
from synth.text.scrub import scrub

_RULES = RuleLabeler()


@dataclass(frozen=True)
class ReadReport:
    """A report made usable.

    Attributes:
        text: the whole report, scrubbed of identifiers and de-identification marks.
        text_used: the prompt, one line.
        labels: finding -> 1, 0, -1 or None; every finding the labeller knows is a key.
        evidence: finding -> spans into ``text`` with the rule that fired.
        scrubbed: rule -> number of removals.
        label_source: name of the labeller.
    """

    text: str
    text_used: str
    labels: dict[str, Label]
    evidence: dict[str, tuple[Evidence, ...]]
    scrubbed: dict[str, int]
    label_source: str


def read_report(
    report: str,
    *,
    policy: Sequence[Source] = DEFAULT_POLICY,
    drop_comparisons: bool = True,
    labeler: Labeler = _RULES,
    known: Iterable[str] = (),
) -> ReadReport:
    """Scrub, label and turn a report into a prompt. Never raises, whatever the text.

    Args:
        report: free text as the hospital wrote it.
        policy: which section becomes the prompt, in order of preference.
        drop_comparisons: take statements relative to earlier images out of the prompt.
        labeler: who labels; the built-in rules by default.
        known: identifiers known from elsewhere, removed from the text.
    """
    scrubbed = scrub(report, known=known)
    text = scrubbed.text.strip()
    labels = labeler.label(text)
    prompt = conditioning_text(text, policy, drop_comparisons=drop_comparisons)
    return ReadReport(
        text=text,
        text_used=prompt,
        labels=labels.values,
        evidence=labels.evidence,
        scrubbed=scrubbed.counts,
        label_source=labeler.name,
    )
