"""Everything the labeller looks for, and what a report says of all findings at once.

The classes are CheXpert's fourteen observations (Irvin et al. 2019, arXiv:1901.07031) and the
commonest further ones of NIH ChestX-ray14, VinDr-CXR, PadChest and Indiana/OpenI. A mention counts
for the most specific class that it names: "nodule" is ``nodule``, not ``lung_lesion`` as well;
:mod:`synth.text.modes` gathers parts into CheXpert's classes.
"""

from __future__ import annotations

import re

from synth.text.findings_chest import CHEST, NORMAL_PLEURA
from synth.text.findings_frame import BONES, DEVICES, FRAME
from synth.text.findings_lung import CLEAR_LUNGS, LUNG
from synth.text.wording import Finding, Statement

FINDINGS: tuple[Finding, ...] = tuple(
    sorted((*LUNG, *CHEST, *BONES, *FRAME, *DEVICES), key=lambda finding: finding.name)
)
STATEMENTS: tuple[Statement, ...] = (CLEAR_LUNGS, NORMAL_PLEURA)
NAMES: tuple[str, ...] = tuple(sorted([finding.name for finding in FINDINGS] + ["no_finding"]))

_NO_PROCESS = (
    r"no (?:acute |active |significant |focal |radiographic |evidence of |evidence for )*"
    r"(?:cardiopulmonary|pulmonary|intrathoracic|cardio-?pulmonary|thoracic|lung|cardiothoracic)"
    r"(?: or \w+)? (?:process|disease|abnormalit(?:y|ies)|findings?|pathology)"
)
# "No acute cardiopulmonary process" and its like: the report as a whole is normal.
NORMAL_STUDY = re.compile(
    rf"\b(?:{_NO_PROCESS}|(?:normal|unremarkable|negative) (?:chest|study|exam(?:ination)?|"
    r"radiographs?|chest (?:x-?ray|radiographs?|film))(?! (?:wall|tube))|"
    r"(?:lungs|heart) and (?:heart|lungs) are normal|(?:study|chest|examination) is normal)\b"
)
