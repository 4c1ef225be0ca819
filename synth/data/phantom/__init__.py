"""The phantom cohort: a parametric thorax that writes real DICOM files and free-text reports.

Plainly labelled as phantoms everywhere; nothing here claims clinical realism. Its use is that the
truth is known: who has which finding, on which side, how large, and which identifiers were planted.
"""

from synth.data.phantom.cohort import CohortSummary, write_cohort
from synth.data.phantom.population import FINDINGS, Finding, Patient, Study, draw_patient
from synth.data.phantom.render import render
from synth.data.phantom.reports import write_report

__all__ = [
    "FINDINGS",
    "CohortSummary",
    "Finding",
    "Patient",
    "Study",
    "draw_patient",
    "render",
    "write_cohort",
    "write_report",
]
