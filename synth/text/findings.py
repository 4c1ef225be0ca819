"""What the labeller looks for: wordings that mention a finding and wordings that only seem to.

Patterns are regular expressions over lower-case text in which white space is one space. Substring
matching is wrong ("pseudonodule", "subcutaneous emphysema", "pericardial effusion"), so every
pattern is bounded by word ends and may be overruled by a longer ``unlike`` match.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One finding's wordings.

    Attributes:
        name: snake_case label name.
        mentions: patterns that speak of it; negation and uncertainty are judged around them.
        unlike: patterns that contain such a wording but mean something else.
        hedged: patterns that name it only as a possibility; -1 unless negated.
        normal: statements that by themselves say it is absent; label 0.
        device: not a disease, so it does not speak against ``no_finding``.
    """

    name: str
    mentions: tuple[str, ...]
    unlike: tuple[str, ...] = ()
    hedged: tuple[str, ...] = ()
    normal: tuple[str, ...] = ()
    device: bool = False

    def compiled(self) -> tuple[tuple[str, re.Pattern[str]], ...]:
        """(kind, pattern) pairs, kinds in the order unlike, hedged, normal, mention."""
        kinds = (
            ("unlike", self.unlike),
            ("hedged", self.hedged),
            ("normal", self.normal),
            ("mention", self.mentions),
        )
        return tuple(
            (kind, re.compile(rf"\b(?:{'|'.join(patterns)})(?!\w)"))
            for kind, patterns in kinds
            if patterns
        )


# Words that may stand between "heart" and "enlarged" without changing the subject.
_HEART = (
    r"(?:heart|cardiac|cardiac silhouette|cardiomediastinal silhouette|cardiopericardial silhouette"
    r"|cardio-?mediastinal contours?|cardiac contours?|cardiac shadow)(?: size)?"
)
_GAP = (
    r"(?: (?:size|silhouette|contours?|borders?|shadow|and|mediastinum|mediastinal|pulmonary"
    r"|vasculature|hilar|hila|is|are|was|were|remains?|appears?|be|again|to|still|now|also|overall|"
    r"stably|stable|unchanged|not|no|longer|definitely|significantly|mildly|minimally|slightly|"
    r"moderately|severely|markedly|grossly|massively|borderline|possibly|probably|likely|may|at|"
    r"least|top|perhaps|somewhat|quite|otherwise|both|within|the|of))"
)
_NORMAL = r"(?:normal(?: limits)?|unremarkable)"
_CLEAR_LUNGS = (
    r"(?:both |the )?lungs? (?:fields? |volumes? )?(?:is |are |remain |remains |appear |appears )?"
    r"(?:otherwise |grossly |essentially |well[- ]expanded and |hyperexpanded but |now |"
    r"bilaterally |both |fully )*clear(?! of\b)",
    r"clear (?:both |the )?lungs?(?: fields?)?",
    r"lungs? parenchyma is (?:clear|normal)",
)
_NO_PROCESS = (
    r"no (?:acute |active |significant |focal )*(?:cardiopulmonary|pulmonary|intrathoracic|"
    r"cardio-?pulmonary|thoracic|lung)(?: or \w+)? "
    r"(?:process|disease|abnormalit(?:y|ies)|findings?|pathology)"
)

FINDINGS: tuple[Finding, ...] = (
    Finding(
        "atelectasis",
        (
            r"atelecta(?:sis|ses|tic)(?: changes?)?",
            r"volume loss",
            r"(?:lobar|lobe|lung|segmental|subsegmental) collapse",
            r"collapse of the (?:\w+ ){0,3}(?:lobe|lung)",
            r"collapsed (?:\w+ ){0,2}lobe",
        ),
        normal=_CLEAR_LUNGS,
    ),
    Finding(
        "cardiomegaly",
        (
            r"cardiomegaly",
            rf"{_HEART}{_GAP}{{0,9}} (?:enlarged|enlargement|increased|widened|prominent)",
            r"enlarge(?:d|ment)(?: of)?(?: the)? "
            r"(?:\w+ )?(?:heart|cardiac|cardiomediastinal|cardiopericardial)"
            r"(?: silhouette| size| contours?)?",
            r"increased (?:heart size|cardiac silhouette|cardiothoracic ratio)",
            r"cardiothoracic ratio is (?:increased|enlarged)",
        ),
        hedged=(
            rf"{_HEART}{_GAP}{{0,6}} (?:borderline|top[- ]normal|upper limits? of normal"
            r"|high[- ]normal|upper normal)(?: in size| size)?",
            r"(?:borderline|top[- ]normal|upper limits? of normal|high[- ]normal) "
            r"(?:heart|cardiac)(?: size| silhouette)?",
        ),
        normal=(
            rf"{_HEART}{_GAP}{{0,9}} {_NORMAL}",
            rf"{_NORMAL} (?:appearing |appearance of the |size of the |sized )?"
            r"(?:heart|cardiac|cardiomediastinal|cardiopericardial)"
            r"(?: silhouette| size| contours?)?",
        ),
    ),
    Finding(
        "consolidation",
        (
            r"consolidat(?:ions?|ive|ed)(?: changes?| opacit(?:y|ies))?",
            r"air[- ]?space (?:disease|opacit(?:y|ies)|opacification)",
        ),
        normal=_CLEAR_LUNGS,
    ),
    Finding(
        "edema",
        (
            r"o?edema(?:tous)?",
            r"(?:pulmonary )?(?:vascular|venous) congestion",
            r"pulmonary congestion",
            r"(?:congestive )?(?:heart|cardiac) failure",
            r"chf",
            r"kerley(?: b)? lines?",
        ),
        unlike=(
            r"(?:subcutaneous|soft[- ]tissue|peripheral|ankle|leg|pedal|cerebral|mucosal|"
            r"chest wall|body wall) o?edema",
        ),
        normal=(
            *_CLEAR_LUNGS,
            rf"pulmonary vas(?:cularity|culature) (?:is |are |appears )?(?:within )?{_NORMAL}",
            rf"{_NORMAL} pulmonary vas(?:cularity|culature)",
        ),
    ),
    Finding(
        "emphysema",
        (r"(?:bullous )?emphysema(?:tous)?(?: changes?)?", r"bullous (?:disease|changes?)"),
        unlike=(
            r"(?:subcutaneous|soft[- ]tissue|surgical|mediastinal|chest wall|interstitial) "
            r"emphysema",
        ),
    ),
    Finding(
        "fracture",
        (r"fractures?", r"fractured"),
    ),
    Finding(
        "hernia",
        (r"(?:hiatal |hiatus |diaphragmatic |paraesophageal )?hernias?", r"intrathoracic stomach"),
        unlike=(
            r"(?:inguinal|ventral|umbilical|incisional|abdominal wall|disc|femoral) hernias?",
            r"hernia repair",
        ),
    ),
    Finding(
        "mass",
        (r"mass(?:es)?", r"mass[- ]?like(?: \w+)?", r"neoplasm", r"tumou?r"),
        unlike=(r"body mass", r"mass effect"),
        normal=_CLEAR_LUNGS,
    ),
    Finding(
        "nodule",
        (
            r"(?:micro)?nodules?",
            r"nodular (?:opacit(?:y|ies)|densit(?:y|ies)|lesions?|foc(?:us|i))",
        ),
        unlike=(r"(?:thyroid|adrenal|lymph|soft[- ]tissue) nodules?", r"pseudonodules?"),
        normal=_CLEAR_LUNGS,
    ),
    Finding(
        "pacemaker",
        (
            r"(?:cardiac |permanent )?pace-?makers?(?: device| leads?| wires?| generator)?",
            r"pacers?(?: leads?| wires?)?",
            r"pacing (?:leads?|wires?|device)",
            r"(?:aicd|icd)",
            r"defibrillator",
            r"(?:dual|single|triple|two|three)[- ](?:chamber|lead)(?: \w+)? (?:device|generator)",
            r"(?:pulse|pectoral) generator",
            r"(?:cardiac|rhythm) (?:conduction |management )?device",
        ),
        device=True,
    ),
    Finding(
        "pleural_effusion",
        (
            r"(?:pleural |parapneumonic )?effusions?",
            r"pleural fluid",
            r"hydro-?pneumothora(?:x|ces)",
            r"h(?:a)?emothora(?:x|ces)",
        ),
        unlike=(r"(?:pericardial|joint) effusions?", r"pleural and pericardial effusions?(?<!\w)"),
        hedged=(
            r"blunt(?:ing|ed)(?: of)?(?: the)? (?:\w+ ){0,3}(?:costophrenic|cp) "
            r"(?:angles?|sulc(?:us|i)|recess(?:es)?)",
            r"(?:costophrenic|cp) (?:angles?|sulc(?:us|i)|recess(?:es)?) "
            r"(?:is |are |remains? |appears? )?(?:\w+ly )?(?:not )?blunt(?:ing|ed)",
        ),
        normal=(
            r"(?:costophrenic|cp) (?:angles?|sulc(?:us|i)|recess(?:es)?) (?:is |are |remain )?"
            r"(?:sharp|clear|preserved|maintained|free)",
            r"(?:sharp|clear) (?:costophrenic|cp) (?:angles?|sulc(?:us|i)|recess(?:es)?)",
            r"pleural (?:spaces?|surfaces?) (?:is |are )?(?:clear|normal|unremarkable)",
        ),
    ),
    Finding(
        "pleural_thickening",
        (
            r"pleural (?:thickening|scarring|plaques?)",
            r"(?:pleuro-?parenchymal|biapical pleural) (?:scarring|thickening)",
            r"thickened pleura",
            r"thickening of the pleura",
        ),
        normal=(r"pleural surfaces? (?:is |are )?(?:clear|normal|unremarkable)",),
    ),
    Finding(
        "pneumonia",
        (r"(?:broncho)?pneumonias?", r"infectious process", r"pneumonic"),
        unlike=(r"(?:interstitial|organizing|organising|eosinophilic) pneumonias?",),
        normal=_CLEAR_LUNGS,
    ),
    Finding(
        "pneumothorax",
        (r"(?:hydro-?)?pneumothora(?:x|ces)", r"ptx"),
    ),
    Finding(
        "scoliosis",
        (r"(?:levo|dextro|kypho)?-?scolio(?:sis|tic)", r"curvature of the (?:\w+ )?spine"),
    ),
    Finding(
        "support_devices",
        (
            r"(?:endotracheal|et|nasogastric|ng|enteric|feeding|chest|tracheostomy|orogastric|"
            r"dobhoff|pleural|drainage) (?:tubes?|catheters?|drains?)",
            r"(?:central (?:venous )?|picc |subclavian |jugular |ij |dialysis |swan-ganz |venous )"
            r"(?:lines?|catheters?)",
            r"picc",
            r"catheters?",
            r"port-?a-?cath",
            r"mediport",
            r"(?:surgical|orthopedic|spinal fixation) hardware",
            r"(?:monitoring|support) devices?",
            r"tracheostomy",
        ),
        device=True,
    ),
)

NAMES: tuple[str, ...] = tuple(sorted([finding.name for finding in FINDINGS] + ["no_finding"]))

# "No acute cardiopulmonary process" and its like: the report as a whole is normal.
NORMAL_STUDY = re.compile(
    rf"\b(?:{_NO_PROCESS}|(?:normal|unremarkable|negative) (?:chest|study|exam(?:ination)?|"
    r"radiographs?|chest (?:x-?ray|radiographs?|film))(?! (?:wall|tube))|"
    r"(?:lungs|heart) and (?:heart|lungs) are normal|(?:study|chest|examination) is normal)\b"
)
