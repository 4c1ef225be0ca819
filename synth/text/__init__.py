"""Radiology reports: sections, scrubbing, finding labels with evidence, prompts."""

from synth.text.findings import NAMES as FINDING_NAMES
from synth.text.label import Evidence, Labeler, Labels, RuleLabeler
from synth.text.prompts import conditioning_text
from synth.text.read import ReadReport, read_report
from synth.text.scrub import scrub
from synth.text.sections import Section, split_sections

__all__ = [
    "FINDING_NAMES",
    "Evidence",
    "Labeler",
    "Labels",
    "ReadReport",
    "RuleLabeler",
    "Section",
    "conditioning_text",
    "read_report",
    "scrub",
    "split_sections",
]
