"""One report in, everything the pipeline needs out: scrubbed text, prompt, labels, evidence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from synth.manifest import Label
from synth.text.characters import is_binary
from synth.text.label import Evidence, Labeler, RuleLabeler
from synth.text.language import language
from synth.text.prompts import DEFAULT_POLICY, Source, conditioning_text
from synth.text.scrub import Scrubbed, scrub
from synth.text.unwrap import unwrap

# A long report has 5,000 characters; a pasted patient record has ten times as many.
MAX_CHARACTERS = 20_000
_MAX_WRAPPED = 1_000_000

_RULES = RuleLabeler()


@dataclass(frozen=True)
class ReadReport:
    """A report made usable.

    Attributes:
        text: the whole report, scrubbed of identifiers and de-identification marks.
        text_used: the prompt, one line; empty if the report has no words.
        labels: finding -> 1, 0, -1 or None; every finding the labeller knows is a key.
        evidence: finding -> spans into ``text`` with the rule that fired.
        attributes: finding -> side, severity, location as far as the report states them.
        scrubbed: rule -> number of removals.
        label_source: name of the labeller.
        warnings: sorted; ``binary`` (the text is no text and was dropped), ``language_<xx>`` (not
            English: the built-in labels and comparison clauses do not apply), ``phi_suspected``
            (an identifier was removed, or something like one is left: look at the source),
            ``truncated`` (only the first 20,000 characters were read), ``unwrapped`` (the text
            came out of HTML, RTF, an HL7 message or escaped line ends).
    """

    text: str
    text_used: str
    labels: dict[str, Label]
    evidence: dict[str, tuple[Evidence, ...]]
    attributes: dict[str, dict[str, str]]
    scrubbed: dict[str, int]
    label_source: str
    warnings: tuple[str, ...]


def read_report(
    report: str,
    *,
    policy: Sequence[Source] = DEFAULT_POLICY,
    drop_comparisons: bool = True,
    labeler: Labeler = _RULES,
    known: Iterable[str] = (),
) -> ReadReport:
    """Unwrap, scrub and label a report and make it a prompt. Never raises, whatever the text.

    Args:
        report: free text as the hospital wrote it.
        policy: which section becomes the prompt, in order of preference.
        drop_comparisons: take statements relative to earlier images out of the prompt.
        labeler: who labels; the built-in rules by default.
        known: identifiers known from elsewhere, removed from the text.
    """
    plain, warnings = _plain(report)
    scrubbed = scrub(plain, known=known)
    text = scrubbed.text.strip()
    labels = labeler.label(text)
    return ReadReport(
        text=text,
        text_used=conditioning_text(text, policy, drop_comparisons=drop_comparisons),
        labels=labels.values,
        evidence=labels.evidence,
        attributes=labels.attributes,
        scrubbed=scrubbed.counts,
        label_source=labeler.name,
        warnings=tuple(sorted((*warnings, *_remarks(scrubbed)))),
    )


def _plain(report: str) -> tuple[str, list[str]]:
    """The text of the report, of bounded length, and what had to be done to get it."""
    if is_binary(report[:MAX_CHARACTERS]):
        return "", ["binary"]
    text, wrapper = unwrap(report[:_MAX_WRAPPED])
    warnings = ["unwrapped"] if wrapper else []
    if len(text) > MAX_CHARACTERS or len(report) > _MAX_WRAPPED:
        # Cut between words: half an identifier would no longer look like one.
        text = text[:MAX_CHARACTERS]
        text = text[: max(text.rfind(" "), text.rfind("\n"))] if " " in text[-200:] else text
        warnings.append("truncated")
    return text, warnings


def _remarks(scrubbed: Scrubbed) -> Iterator[str]:
    if scrubbed.suspected:
        yield "phi_suspected"
    spoken = language(scrubbed.text)
    if spoken not in (None, "en"):
        yield f"language_{spoken}"
