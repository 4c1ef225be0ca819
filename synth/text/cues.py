"""Negation and uncertainty cues, how far each reaches, and which one governs a mention.

The scheme is NegEx's (Chapman et al. 2001, doi:10.1006/jbin.2001.1029) with ConText's directions
and termination words: pseudo-cues ("no change in") claim their words first so that the cue inside
them is not seen; a cue reaches forward or backward until a termination word or a list break.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["pseudo", "negate", "hedge", "ask", "stop"]
Direction = Literal["forward", "backward", "none"]
Span = tuple[int, int]

_SEEN = (
    r"(?:seen|identified|present|visuali[sz]ed|evident|appreciated|demonstrated|detected|noted|"
    r"apparent|observed|found|visible|shown|suggested|recogni[sz]ed)"
)
_CHANGE = (
    r"(?:change|increase|decrease|improvement|worsening|progression|difference|enlargement|"
    r"changes)"
)
_BE = r"(?:(?:is|are|was|were|has been|have been|had been|remains?|appears?)(?: now| since)? )"

# Order matters: an earlier pattern claims its words.
_CUES: tuple[tuple[Kind, Direction, str], ...] = (
    (
        "pseudo",
        "none",
        rf"(?:no|without|with no) (?:\w+ |short[- ]term )?(?:\w+ )?{_CHANGE}\b(?: in| of| from)?",
    ),
    (
        "pseudo",
        "none",
        r"not (?:\w+ly )?(?:changed|increased|decreased|improved|worsened|resolved|cleared|new)",
    ),
    (
        "pseudo",
        "none",
        r"(?:nearly|almost|partially|incompletely|near[- ]completely|largely|partly|mostly)"
        r"(?: \w+)? (?:resolved|cleared)",
    ),
    (
        "pseudo",
        "none",
        r"(?:partial|incomplete|near[- ]complete|near[- ]total) (?:interval )?"
        r"(?:resolution|clearing) of",
    ),
    ("pseudo", "none", r"not only|no doubt|without (?:a )?doubt|no question|gram[- ]negative"),
    # Asked about, or of another time: says nothing of this image.
    (
        "ask",
        "forward",
        r"(?:to )?(?:rule out|r/o)|(?:evaluate|evaluation|eval|assess|assessment|screen|screening|"
        r"check|look|looking) (?:for|of)|query|histor(?:y|ies) of|h/o|hx of|risks? (?:of|for)|"
        r"if (?:there is )?(?:\w+ )?(?:concern|suspicion|question)(?: for| of)?|in case of|"
        r"family history of|\w+ for (?:follow-up|surveillance) of",
    ),
    # Refusals to decide, before the plain negations they contain.
    (
        "hedge",
        "forward",
        r"(?:cannot|can not|can't|could not|couldn't|unable to|difficult to|hard to|impossible to|"
        r"does not|do not|not|inadequate to|insufficient to)(?: \w+ly)? (?:exclude|rule out)",
    ),
    (
        "hedge",
        "backward",
        r"(?:cannot|can not|can't|could not) (?:\w+ly )?be (?:\w+ly )?(?:excluded|ruled out)|"
        rf"{_BE}?not (?:\w+ly )?(?:excluded|ruled out)|"
        r"not (?:well|adequately|optimally|fully) (?:seen|evaluated|assessed|visuali[sz]ed)|"
        rf"{_BE}(?:difficult|hard) to exclude|"
        rf"{_BE}(?:also )?(?:possible|suspected|likely|probable|questioned|questionable|unlikely|"
        r"less likely|equivocal|indeterminate|a possibility|a consideration|considered|"
        r"in the differential)(?! (?:unchanged|stable|related|due|secondary|increased|decreased|"
        r"improved|larger|smaller))|"
        r"(?:may|might|could) (?:also )?be (?:present|developing|possible|considered)|"
        r"(?:should|would|must|could|may) (?:have to |also )?be considered|"
        r"(?:may|might|could|(?:most )?likely|probably) (?:represents?|reflects?|be) "
        r"(?:a |an |the )?(?:\w+ )?(?:nipple|artifact|"
        r"artefact|overlap|overlapping|superimposed|superimposition|summation|vessel|vascular)",
    ),
    # Negations.
    (
        "negate",
        "backward",
        rf"{_BE}?(?:not|no longer) (?:\w+ly )?{_SEEN}|{_BE}?absent|"
        r"(?:has|have|had) (?:\w+ |in the interim )?(?:resolved|cleared|disappeared)|"
        rf"{_BE}(?:\w+ly )?(?:resolved|excluded|ruled out|removed|withdrawn|discontinued)|"
        r": (?:none|no|absent|negative)\b|"
        r"resolved(?= ?[.,]|$)",
    ),
    (
        "negate",
        "forward",
        r"(?:no|without|with no|not have|neither|nor|never)(?: (?:\w+ )?(?:evidence|signs?|"
        r"findings?|indication|suggestion) (?:of|for))?|"
        r"(?:negative for|free (?:of|from)|clear of|absence of|lack of|denies|resolved)|"
        r"(?:resolution|clearing|disappearance|removal) of|"
        r"(?:excludes?|excluded|ruled out for)|fail(?:s|ed)? to (?:show|reveal|demonstrate)|"
        r"(?:not|n't) (?:\w+ly )?(?:show|see|demonstrate|represent|suggest|indicate|identify|"
        r"reveal|"
        r"find|due to|a|an|any)",
    ),
    # Hedges.
    (
        "hedge",
        "forward",
        r"possib(?:le|ly|ility of)|probabl[ey]|questionable|question of|suspected|suspects?|"
        r"suspicion (?:of|for)|suspicious for|may|might|could|concern(?:ing)? (?:for|of)|"
        r"worrisome for|suggest(?:s|ed|ive|ing|ion)?(?: of)?|less likely|likely|presum(?:ed|ably)|"
        r"perhaps|potential(?:ly)?|equivocal|consider|differential(?: diagnosis)?(?: includes?)?|"
        r"rais(?:es?|ing) (?:the )?(?:question|possibility|concern|suspicion)(?: of| for)?|"
        r"indeterminate|uncertain|unclear|borderline|versus|vs\.?|either|\?",
    ),
    ("hedge", "backward", r"versus|vs\.?"),
    # Termination words.
    (
        "stop",
        "none",
        r"but|however|although|though|yet|whereas|while|except(?: for)?|apart from|aside from|"
        r"other than|despite|which|because|there (?:is|are|has|have)|;|:|"
        rf"(?:is|are|was|were) (?:again |also )?{_SEEN}|persists?|"
        r"(?:remains?|is|are) (?:unchanged|stable|enlarged|normal)",
    ),
)
_COMPILED = tuple(
    # Word ends only where the cue begins and ends with a letter: ";" may touch its neighbours.
    (kind, direction, re.compile(rf"(?:(?<!\w)|(?=\W))(?:{pattern})(?:(?!\w)|(?<=\W))"))
    for kind, direction, pattern in _CUES
)
# Inside a mention such as "heart size is not enlarged".
_INNER_NEGATION = re.compile(r"\b(?:not|no longer)\b")
_INNER_HEDGE = re.compile(r"\b(?:borderline|possibly|probably|likely|perhaps|may|top)\b")

# After a comma, "and" or "with", these words begin a new statement rather than a list's next item.
_BREAK = re.compile(
    r"(?:, ?(?:and |with )| and | with |, )(?=(?:there|a|an|the|mild|mildly|moderate|"
    r"moderately|severe|"
    r"severely|small|large|tiny|trace|minimal|minimally|stable|stably|unchanged|persistent|"
    r"worsening|worsened|increased|increasing|decreased|decreasing|improved|improving|bilateral|"
    r"left|right|again|also|low|enlarged|marked|markedly|slight|slightly|subtle|linear|patchy|"
    r"extensive|dense|multiple|several|known|chronic|old|healed|borderline|is|are|has|heart|"
    r"cardiac|lungs)\b)|, ?with (?!no\b)"
)
_VERB = r"is|are|was|were|has|have|causing|shows?|seen|noted|present|there|no|without"
# "Emphysema with flat diaphragms, cannot be excluded" is one thought, "… with leads not seen" two.
_ENDS_SUBJECT = {
    "hedge": re.compile(rf"\b(?:{_VERB})\b"),
    "negate": re.compile(rf"\b(?:{_VERB}|with)\b"),
}
# "Effusion, small, cannot be excluded": commas around short modifiers do not end the statement.
_AFTERTHOUGHT = re.compile(r"(?: \w+){0,8}(?:, ?(?:\w+ ?){0,2})*")
_EITHER_OR = re.compile(r" (?:\w+ )?(?:and/or|or) (?:\w+ ){0,3}")
_REACH = 90  # characters over which a hedge is believed


@dataclass(frozen=True)
class Cue:
    """Words that change what a mention means."""

    kind: Kind
    direction: Direction
    start: int
    end: int
    words: str


def find_cues(sentence: str) -> tuple[Cue, ...]:
    """All cues of a lower-case, single-spaced sentence, in order of position.

    "Versus" hedges both ways and is found twice.
    """
    found: list[Cue] = []
    for kind, direction, pattern in _COMPILED:
        for match in pattern.finditer(sentence):
            start, end = match.span()
            rivals = (cue for cue in found if start < cue.end and cue.start < end)
            if all(cue.kind == kind and cue.direction != direction for cue in rivals):
                found.append(Cue(kind, direction, start, end, match.group()))
    return tuple(sorted(found, key=lambda cue: cue.start))


def governing_cue(
    sentence: str, cues: Sequence[Cue], mention: Span, named: Sequence[Span]
) -> Cue | None:
    """The cue that decides what a mention says, or ``None``: it is simply present.

    A predicate directly after the mention ("… is not seen") wins over a cue before it; a predicate
    shared through a list ("effusion and pneumothorax are not seen") only speaks where no cue stands
    before.

    Args:
        sentence: lower-case, single-spaced.
        cues: from :func:`find_cues`.
        mention: span judged.
        named: spans of all mentions in the sentence.
    """
    inner = _inner_cue(sentence, mention)
    if inner is not None:
        return inner
    before = _cue_before(sentence, cues, mention)
    after, direct = _cue_after(sentence, cues, mention, named)
    if after is not None and (direct or before is None):
        return after
    if before is not None:
        return before
    return _either_or(sentence, mention, named)


def _inner_cue(sentence: str, mention: Span) -> Cue | None:
    words = sentence[slice(*mention)]
    patterns: tuple[tuple[Kind, re.Pattern[str]], ...] = (
        ("negate", _INNER_NEGATION),
        ("hedge", _INNER_HEDGE),
    )
    for kind, pattern in patterns:
        match = pattern.search(words)
        if match:
            start = mention[0] + match.start()
            return Cue(kind, "none", start, start + len(match.group()), match.group())
    return None


def _cue_before(sentence: str, cues: Sequence[Cue], mention: Span) -> Cue | None:
    start = mention[0]
    for cue in reversed([cue for cue in cues if cue.end <= start]):
        if cue.kind == "stop":
            return None
        if cue.direction != "forward":
            continue
        between = sentence[cue.end : start + 1]
        if _broken(between, sentence[start:]):
            return None
        if cue.kind == "hedge":
            if len(between) > _REACH:
                return None
            return _negation_of(sentence, cues, cue) or cue
        return cue
    return None


def _negation_of(sentence: str, cues: Sequence[Cue], hedge: Cue) -> Cue | None:
    """The "no" of "no hyperinflation to suggest emphysema", if one stands before the hedge."""
    for cue in reversed([cue for cue in cues if cue.end <= hedge.start]):
        if cue.kind == "stop":
            return None
        if cue.kind == "negate" and cue.direction == "forward":
            between = sentence[cue.end : hedge.start]
            return None if re.search(r"[,;]|\b(?:and|with)\b", between) else cue
    return None


def _broken(between: str, rest: str) -> bool:
    """Whether a new statement begins between cue and mention; "…, large X, or Y" is a list."""
    match = _BREAK.search(between)
    if match is None:
        return False
    listed = re.split(r"[;.:]|\bbut\b|\bhowever\b|\bthere\b", between[match.end() :] + rest[1:])[0]
    return re.search(r"\b(?:or|nor)\b", listed) is None


def _cue_after(
    sentence: str, cues: Sequence[Cue], mention: Span, named: Sequence[Span]
) -> tuple[Cue | None, bool]:
    end = mention[1]
    for cue in (cue for cue in cues if cue.start >= end):
        if cue.kind == "stop":
            break
        if cue.direction != "backward":
            continue
        others = [span for span in named if end <= span[0] and span[1] <= cue.start]
        between = _without(sentence, end, cue.start, others)
        shared = bool(others)
        if _ENDS_SUBJECT[cue.kind].search(between) or len(between) > _REACH:
            break
        if shared and not re.search(r",|\band\b|\bor\b|/", between):
            break
        if not shared and "," in between and not _AFTERTHOUGHT.fullmatch(between):
            break
        return cue, not shared
    return None, False


def _without(sentence: str, start: int, end: int, holes: Sequence[Span]) -> str:
    kept, position = [], start
    for hole_start, hole_end in sorted(holes):
        kept.append(sentence[position:hole_start])
        position = max(position, hole_end)
    return "".join(kept) + sentence[position:end]


def _either_or(sentence: str, mention: Span, named: Sequence[Span]) -> Cue | None:
    """Two findings joined by "or" without a negation are a differential: both uncertain."""
    for other in named:
        first, second = sorted((mention, other))
        if first[1] < second[0] and _EITHER_OR.fullmatch(sentence, first[1], second[0]):
            return Cue("hedge", "none", first[1], second[0], "either or")
    return None
