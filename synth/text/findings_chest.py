"""Findings of heart, great vessels, mediastinum and pleura."""

from __future__ import annotations

from synth.text.wording import BE, NORMAL, Finding, Statement

# Words that may stand between "heart" and "enlarged" without changing the subject; "xxxx" is a
# de-identified word.
_HEART = (
    r"(?:heart|cardiac|cardiac silhouette|cardio-?mediastinal silhouette|cardiopericardial "
    r"silhouette|cardio-?mediastinal contours?|cardiac contours?|cardiac shadow)(?: size)?"
)
_GAP = (
    r"(?: (?:size|silhouette|contours?|borders?|shadow|and|mediastinum|mediastinal|pulmonary"
    r"|vasculature|hilar|hila|is|are|was|were|remains?|appears?|be|again|to|still|now|also|overall|"
    r"stably|stable|unchanged|not|no|longer|definitely|significantly|mildly|minimally|slightly|"
    r"moderately|severely|markedly|grossly|massively|borderline|possibly|probably|likely|may|at|"
    r"least|top|perhaps|somewhat|quite|otherwise|both|within|the|of|in|quality|diffusely|"
    r"xxxx|demonstrates?|shows?|has|been))"
)
_ENLARGED = r"(?:enlarged|enlargement|increased|widened|prominent)"
_TOP = (
    r"(?:borderline(?! (?:\w+ )?(?:enlarge|cardiomeg))|top[- ](?:of )?normal|"
    r"(?:at )?(?:the )?upper limits? (?:of )?normal|high[- ]normal|upper normal)"
)
_MEDIASTINUM = (
    r"(?:(?:superior |upper )?mediastin(?:um|al)(?: silhouette| contours?| shadow| borders?)?"
    r"|cardio-?mediastin(?:um|al)(?: silhouette| contours?| shadow| borders?)?)"
)
_ANGLE = r"(?:costo-?phrenic|cp) (?:angles?|sulc(?:us|i)|recess(?:es)?|xxxx)"
_BLUNT = (
    rf"blunt(?:ing|ed)(?: of)?(?: the)? (?:\w+ ){{0,3}}{_ANGLE}",
    rf"{_ANGLE} {BE}(?:\w+ly )?(?:not )?blunt(?:ing|ed)",
)
_SHARP = (
    rf"{_ANGLE} {BE}(?:\w+ly )?(?:sharp|clear|preserved|maintained|free)",
    rf"(?:sharp|clear) {_ANGLE}",
)
_AORTA = r"(?:(?:thoracic |ascending |descending )*aort(?:a|ic)(?: arch| knob| root| contour)?)"
_LARGER = (
    r"(?:enlarged|enlargement|dilat(?:ed|ation|ion)|aneurysm(?:al|s)?|ectatic|ectasia|"
    r"wid(?:e|ened))"
)
_WINDING = r"(?:tortuous|tortuosity|unfold(?:ed|ing)|uncoil(?:ed|ing)|elongat(?:ed|ion))"

NORMAL_PLEURA = Statement(
    "pleura",
    ("pleura",),
    (rf"pleural (?:spaces?|surfaces?) {BE}(?:clear|normal|unremarkable)",),
    ("pleural_effusion", "pleural_thickening"),
)

HEART: tuple[Finding, ...] = (
    Finding(
        "cardiomegaly",
        ("heart", "cardi"),
        (
            r"cardiomegaly",
            rf"{_HEART}{_GAP}{{0,9}} (?:{_ENLARGED}|large)",
            r"(?:enlarge(?:d|ment)|large)(?: of)?(?: the)? "
            r"(?:\w+ )?(?:heart|cardiac|cardio-?mediastinal|cardiopericardial)"
            r"(?: silhouette| size| contours?| shadow)?",
            r"increased? (?:in )?(?:the )?(?:size of the )?(?:heart|cardiac silhouette|"
            r"cardiac shadow|cardiothoracic ratio)(?: size)?",
            r"prominen(?:t|ce)(?: of)?(?: the)? (?:heart|cardiac silhouette|cardiac shadow)",
            r"cardiothoracic ratio is (?:increased|enlarged)",
        ),
        unlike=(r"(?:heart|cardiac) (?:failure|pacemaker|device|leads?|monitor(?:ing)?|valve)",),
        hedged=(
            rf"{_HEART}{_GAP}{{0,6}} {_TOP}(?: in size| size)?",
            rf"{_TOP} (?:heart|cardiac)(?: size| silhouette)?(?! enlarge)",
            rf"{_HEART}{_GAP}{{0,6}} (?:upper )?normal (?:or|to) (?:\w+ )?enlarged",
        ),
        normal=(
            rf"{_HEART}{_GAP}{{0,9}} {NORMAL}",
            rf"{NORMAL} (?:appearing |appearance of the |size of the |sized )?"
            r"(?:heart|cardiac|cardio-?mediastinal|cardiopericardial)"
            r"(?: silhouette| size| contours?)?",
        ),
    ),
    Finding(
        "enlarged_cardiomediastinum",
        ("mediastin", "cardiomediastin", "cardio-mediastin"),
        (
            rf"{_MEDIASTINUM}{_GAP}{{0,6}} (?:{_ENLARGED}|widening|prominence)",
            rf"(?:wid(?:ened|ening)|enlarge(?:d|ment)|prominen(?:t|ce))(?: of)?(?: the)? "
            rf"(?:\w+ )?{_MEDIASTINUM}",
        ),
        unlike=(r"mediastinal (?:lymph|nodes?|mass|fat|adenopathy|shift)",),
        normal=(
            rf"{_MEDIASTINUM}{_GAP}{{0,9}} {NORMAL}",
            rf"{NORMAL} (?:appearing |appearance of the |size of the |sized )?{_MEDIASTINUM}",
        ),
    ),
    Finding(
        "heart_failure",
        ("congestive", "heart", "cardiac", "chf"),
        (
            r"(?:congestive )?(?:heart|cardiac) failure",
            r"chf",
            r"cardiac (?:decompensation|insufficiency)",
        ),
    ),
    Finding(
        "pericardial_effusion",
        ("pericardial", "pericardium"),
        (r"pericardial (?:effusions?|fluid)", r"(?:pleural|effusions?) and pericardial effusions?"),
    ),
)

VESSELS: tuple[Finding, ...] = (
    Finding(
        "aortic_elongation",
        ("aort",),
        (
            rf"(?:{_WINDING}|ectatic)[ /](?:and )?(?:\w+[ /])?(?:\w+ ){{0,3}}{_AORTA}",
            rf"{_WINDING} of (?:the )?{_AORTA}",
            rf"{_AORTA} {BE}(?:\w+ly )?(?:\w+[ /](?:and )?)?{_WINDING}",
        ),
    ),
    Finding(
        "aortic_enlargement",
        ("aort",),
        (
            rf"{_LARGER}(?: of)?(?: the)? {_AORTA}",
            rf"{_AORTA} {BE}(?:\w+ly )?(?:tortuous and |calcified and )?{_LARGER}",
            r"prominent (?:thoracic )?aort(?:a|ic)(?: arch| knob)?",
        ),
    ),
    Finding(
        "aortic_calcification",
        ("aort", "atheroscl", "atheromat"),
        (
            rf"{_AORTA} (?:\w+ ){{0,3}}(?:calcifications?|calcified|atherosclero(?:sis|tic)|"
            r"atheromatosis|atheromatous)",
            rf"(?:calcifications?|atherosclero(?:sis|tic(?: \w+)?)|atheromatosis) "
            rf"(?:of|in|along|within) (?:the )?{_AORTA}",
            rf"(?:calcified|atherosclerotic|atheromatous)(?: and \w+)? {_AORTA}",
            r"atherosclero(?:sis|tic (?:disease|changes?|calcifications?))",
        ),
    ),
    Finding(
        "enlarged_pulmonary_artery",
        ("pulmonary", "enlarg", "dilat"),
        (
            r"(?:enlarged|prominent|dilated|enlargement of the) (?:\w+ )?pulmonary "
            r"(?:arter(?:y|ies)|outflow tract|trunk)",
            r"pulmonary (?:arter(?:y|ies)|trunk) (?:is |are )?(?:\w+ly )?"
            r"(?:enlarged|dilated|prominent)",
            r"pulmonary (?:arterial )?hypertension",
        ),
    ),
    Finding(
        "hilar_enlargement",
        ("hil",),
        (
            r"hil(?:ar|um|a) (?:\w+ ){0,2}(?:enlarge(?:d|ment)|prominen(?:t|ce)|full(?:ness)?)",
            r"(?:enlarge(?:d|ment)|prominen(?:t|ce)|fullness)(?: of)?(?: the| both)? "
            r"(?:\w+ )?hil(?:ar|um|a)(?: contours?| regions?)?",
        ),
    ),
    Finding(
        "lymphadenopathy",
        ("adenopath", "lymphadenopath", "enlarged", "lymph"),
        (r"(?:lymph)?adenopath(?:y|ies)", r"enlarged (?:\w+ )?lymph nodes?"),
    ),
    Finding(
        "mediastinal_shift",
        ("mediastin", "shift", "trache", "deviat"),
        (
            r"mediastinal shift",
            r"shift of the (?:mediastinum|trachea|mediastinal structures)",
            r"trachea(?:l)? (?:is )?(?:\w+ly )?(?:deviat(?:ed|ion)|shift(?:ed)?)",
            r"deviation of the trachea",
        ),
        normal=(r"trachea is (?:in )?(?:the )?midline", r"midline trachea"),
    ),
    Finding("pneumomediastinum", ("pneumomediastin",), (r"pneumomediastinum",)),
)

PLEURA: tuple[Finding, ...] = (
    Finding(
        "pleural_effusion",
        (
            "effusion",
            "pleura",
            "hydropn",
            "hydro-pn",
            "hemothora",
            "haemothora",
            "hemopn",
            "parapneumonic",
            "costo",
            "cp",
            "blunt",
            "sharp",
            "clear",
        ),
        (
            r"(?:pleural |parapneumonic )?effusions?",
            r"(?:pleural|interlobar|fissural) fluid",
            r"hydro-?pneumothora(?:x|ces)",
            r"ha?emo(?:pneumo)?thora(?:x|ces)",
        ),
        unlike=(r"(?:pericardial|joint|knee|elbow) (?:effusions?|fluid)",),
        hedged=_BLUNT,
        normal=_SHARP,
    ),
    Finding("costophrenic_blunting", ("costo", "cp", "blunt"), _BLUNT, normal=_SHARP),
    Finding(
        "pneumothorax",
        (
            "pneumothora",
            "hydropneumothora",
            "hydro-pneumothora",
            "hemopneumothora",
            "ptx",
            "pleura",
            "air",
        ),
        (
            r"(?:hydro-?|hemo)?pneumothora(?:x|ces|xes)",
            r"ptx",
            r"pleural air(?: collections?)?",
            r"air in the pleural space",
        ),
    ),
    Finding(
        "pleural_thickening",
        ("pleura", "pleuro", "thicken", "biapical", "fissur"),
        (
            r"(?:apical |biapical )?pleural (?:and parenchymal |based |cap )*"
            r"(?:thickening|scar(?:s|ring)?|plaques?|reaction)",
            r"pleur(?:o|al)-?[ ]?parenchymal (?:scar(?:s|ring)?|thickening)",
            r"thickened pleura",
            r"thickening of the pleura",
            r"(?:biapical|apical) (?:cap(?:s|ping)?|thickening)",
        ),
    ),
    Finding(
        "pleural_other",
        ("fibrothora", "empyema", "pleura", "mesothelioma"),
        (
            r"fibrothora(?:x|ces)",
            r"empyemas?",
            r"mesotheliomas?",
            r"pleural[- ](?:based )?(?:lesions?|calcifications?|tumou?rs?)",
        ),
    ),
)

CHEST: tuple[Finding, ...] = (*HEART, *VESSELS, *PLEURA)
