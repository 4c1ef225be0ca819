"""Side, severity and location of a mention, where the sentence states them beside it.

A word belongs to the mention whose clause it stands in: from the last comma, conjunction or other
mention before it to the next after it. "Small left effusion and mild edema" gives the effusion
``{"side": "left", "severity": "small"}`` and the edema ``{"severity": "mild"}``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from synth.text.mentions import Mention

Attributes = dict[str, str]

_SIDES = re.compile(
    r"\b(?P<bilateral>bilateral(?:ly)?|both|bibasilar|bibasal|biapical|bibasally|"
    r"left and right|right and left|left greater than right|right greater than left|"
    r"left more than right|right more than left)\b"
    r"|\b(?P<left>left)(?:-sided)?\b|\b(?P<right>right)(?:-sided)?\b|\b(?P<lingula>lingular?)\b"
)
_GRADE = (
    r"(?:trace|tiny|minimal|minimally|minute|small|slight|slightly|mild|mildly|moderate|"
    r"moderately|moderate-sized|large|marked|markedly|severe|severely|massive|massively|extensive|"
    r"borderline)"
)
_SEVERITY = re.compile(rf"\b{_GRADE}(?:(?: to |-to-|/){_GRADE})?\b")
_PLACE = (
    r"(?:(?:upper|middle|mid|lower)[- ](?:lung )?(?:lobes?|zones?|lungs?|fields?)"
    r"(?: lung)?(?: zones?)?|(?:upper|middle|mid|lower) thoracic spine|mid ?lung(?: zones?)?|"
    r"lingula|lingular|(?:lung )?(?:base|bases|apex|apices)|"
    r"hemithorax|(?:posterior |anterior |lateral )?(?:\d+(?:st|nd|rd|th) )?ribs?|clavicle|humerus|"
    r"(?:thoracic|lumbar|cervical|thoracolumbar) spine|[ctl]\d{1,2}(?!\w)|hilum|costophrenic angle|"
    r"chest wall|major fissure|minor fissure)"
)
_LOCATION = re.compile(
    rf"\b(?:(?:right|left|both|bilateral) )?{_PLACE}\b"
    r"|\b(?:(?:right|left|both|bilateral)[- ])?(?:sub)?(?:bibasilar|biapical|basilar|basal|apical|"
    r"perihilar|retrocardiac|infrahilar|suprahilar|subpulmonic|paratracheal|hilar|lobar)\b"
    r"(?! (?:in|at) the)"
)
# What ends the clause of a mention: punctuation, a conjunction, a verb of another statement.
_BEFORE = re.compile(r"[,;:]|\b(?:and|or|but|with|without|versus|vs|is|are|was|were|has|have|no)\b")
_AFTER = re.compile(
    r"[;:]|, (?:and|with|no|or)\b|\b(?:and|or|but|with|without|versus|vs|suggest\w*|may|which)\b"
)
# Joins the two sides of one thing: "left and right", "small right and moderate left effusions".
_SPARED = re.compile(
    rf"(?:right|left) (?:and|greater than|more than) (?:{_GRADE} )?(?:right|left)|"
    r"\w+ (?:lobe|lung|zone)s? and (?=(?:\w+ )?(?:lobe|lung|zone|lingular?)s?\b)"
)
_ADVERBS = {"moderate-sized": "moderate"}


def describe(sentence: str, mention: Mention, mentions: Sequence[Mention]) -> Attributes:
    """What the clause around a mention says of it.

    Args:
        sentence: lower-case, single-spaced.
        mention: the one described.
        mentions: all of the sentence; another's words are not this one's.
    """
    start, end = _clause(sentence, mention, mentions)
    clause = sentence[start:end]
    own = sentence[start : mention.end]
    found: Attributes = {}
    side = _side(clause)
    if side:
        found["side"] = side
    severity = _SEVERITY.search(own) or _SEVERITY.search(clause)
    if severity:
        found["severity"] = _graded(severity.group())
    location = _LOCATION.search(clause)
    if location:
        found["location"] = location.group().replace("-", " ") if location else ""
    return found


def merged(earlier: Attributes | None, later: Attributes) -> Attributes:
    """Attributes of a finding that is mentioned again.

    Left here and right there is ``bilateral``; of severity and location the first stays.
    """
    if earlier is None:
        return later
    both = later | earlier
    if {earlier.get("side"), later.get("side")} == {"left", "right"} or (
        "bilateral" in (earlier.get("side"), later.get("side"))
    ):
        both["side"] = "bilateral"
    return both


def _clause(sentence: str, mention: Mention, mentions: Sequence[Mention]) -> tuple[int, int]:
    others = [item for item in mentions if item.end <= mention.start or item.start >= mention.end]
    floor = max((item.end for item in others if item.end <= mention.start), default=0)
    ceiling = min((item.start for item in others if item.start >= mention.end), default=None)
    spared = [match.span() for match in _SPARED.finditer(sentence)]
    start = floor
    for match in _BEFORE.finditer(sentence, floor, mention.start):
        if not any(low <= match.start() < high for low, high in spared):
            start = match.end()
    end = len(sentence) if ceiling is None else ceiling
    for match in _AFTER.finditer(sentence, mention.end, end):
        if not any(low <= match.start() < high for low, high in spared):
            return start, match.start()
    return start, end


def _side(clause: str) -> str:
    sides = {str(match.lastgroup) for match in _SIDES.finditer(clause)}
    sides = {"left" if side == "lingula" else side for side in sides}
    if "bilateral" in sides or {"left", "right"} <= sides:
        return "bilateral"
    return next(iter(sides), "")


def _graded(words: str) -> str:
    """Adverbs as adjectives: "mildly" is "mild", "moderately to severely" "moderate to severe"."""
    plain = words.replace("-to-", " to ").replace("/", " to ")
    return " ".join(_ADVERBS.get(word, re.sub(r"ly$", "", word)) for word in plain.split())
