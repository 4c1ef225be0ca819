"""Which cue governs a mention: how far each reaches, and what stands in its way.

The scheme is NegEx's with ConText's directions and termination words: pseudo-cues claim their words
so that the cue inside them is not seen; a cue reaches forward or backward until a termination word
or a list break. The words are in :mod:`synth.text.cue_words`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from synth.text.cue_words import CUES, FIRST_BEGINNINGS, FIRST_WORDS, Direction, Kind
from synth.text.wording import alternation

Span = tuple[int, int]

# A cue ends with a word; only ";" and its like may touch their neighbours.
_CUE = re.compile(
    rf"(?:{'|'.join(f'(?P<c{number}>{pattern})' for number, (_, _, pattern) in enumerate(CUES))})"
    r"(?:(?!\w)|(?<=\W))"
)
_START = re.compile(
    rf"(?<!\w)(?:{alternation(FIRST_WORDS)})(?!\w)|(?<!\w)(?:{alternation(FIRST_BEGINNINGS)})|[;:?]"
)
_HEDGING = frozenset(("hedge", "probable"))
# Inside a mention such as "heart size is not enlarged".
_INNER: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("negate", re.compile(r"\b(?:not|no longer)\b")),
    ("hedge", re.compile(r"\b(?:possibly|perhaps|may|top)\b")),
    ("probable", re.compile(r"\b(?:borderline|probably|likely)\b")),
)

# After a comma, "and" or "with", these words begin a new statement rather than a list's next item.
_BREAK = re.compile(
    r"(?:, ?(?:and |with )| and | with |, )(?=(?:there|a|an|the|mild|mildly|moderate|"
    r"moderately|severe|"
    r"severely|small|large|tiny|trace|minimal|minimally|stable|stably|unchanged|persistent|"
    r"worsening|worsened|increased|increasing|decreased|decreasing|improved|improving|bilateral|"
    r"left|right|again|also|low|enlarged|marked|markedly|slight|slightly|subtle|linear|patchy|"
    r"extensive|dense|multiple|several|known|chronic|old|healed|borderline|new|is|are|has|heart|"
    r"cardiac|lungs)\b)|, ?with (?!no\b)"
)
_CLAUSE_END = re.compile(r"[;.:]|\bbut\b|\bhowever\b|\bthere\b")
_OR = re.compile(r"\b(?:or|nor)\b")
_OVER = re.compile(r"\bover\b")  # "favor atelectasis over pneumonia"
_AND_WITH = re.compile(r"[,;]|\b(?:and|with)\b")
_LISTED = re.compile(r",|\band\b|\bor\b|/")
_VERB = r"is|are|was|were|has|have|causing|shows?|seen|noted|present|there|no|without"
# "Emphysema with flat diaphragms, cannot be excluded" is one thought, "… with leads not seen" two.
_ENDS_SUBJECT = {
    False: re.compile(rf"\b(?:{_VERB}|with)\b"),
    True: re.compile(rf"\b(?:{_VERB})\b"),
}
# "Effusion, small, cannot be excluded": commas around short modifiers do not end the statement.
_AFTERTHOUGHT = re.compile(r"(?: \w+){0,8}(?:, ?(?:\w+ ?){0,2})*")
_EITHER_OR = re.compile(r" (?:\w+ )?(?:and/or|or) (?:\w+ ){0,3}")
_REACH = 90  # characters over which a hedge is believed


@dataclass(frozen=True, slots=True)
class Cue:
    """Words that change what a mention means."""

    kind: Kind
    direction: Direction
    start: int
    end: int
    words: str


def find_cues(sentence: str) -> tuple[Cue, ...]:
    """All cues of a lower-case, single-spaced sentence, in order of position."""
    found = []
    end = 0
    for start in _START.finditer(sentence):
        if start.start() < end:  # inside the cue before
            continue
        match = _CUE.match(sentence, start.start())
        if match:
            kind, direction, _ = CUES[int(str(match.lastgroup)[1:])]
            end = match.end()
            found.append(Cue(kind, direction, match.start(), end, match.group()))
    return tuple(found)


def governing_cue(
    sentence: str,
    cues: Sequence[Cue],
    mention: Span,
    named: Sequence[Span],
    rivals: Sequence[Span],
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
        rivals: those that "or" makes an alternative to this one.
    """
    inner = _inner_cue(sentence, mention)
    if inner is not None and inner.kind == "negate":
        return inner
    before = _cue_before(sentence, cues, mention)
    if inner is not None:
        return before if before is not None and before.kind == "negate" else inner
    after, direct = _cue_after(sentence, cues, mention, named)
    if after is not None and (direct or before is None):
        return after
    if before is not None:
        return before
    return _either_or(sentence, cues, mention, rivals)


def _inner_cue(sentence: str, mention: Span) -> Cue | None:
    words = sentence[slice(*mention)]
    if " " not in words:
        return None
    for kind, pattern in _INNER:
        match = pattern.search(words)
        if match:
            start = mention[0] + match.start()
            return Cue(kind, "none", start, start + len(match.group()), match.group())
    return None


def _cue_before(sentence: str, cues: Sequence[Cue], mention: Span) -> Cue | None:
    start = mention[0]
    for cue in reversed(cues):
        if cue.end > start:
            continue
        if cue.kind == "stop":
            return None
        if cue.direction not in ("forward", "both"):
            continue
        if cue.words.startswith("differential"):  # a list, however its items are joined
            return cue
        between = sentence[cue.end : start + 1]
        if _broken(between, sentence[start:]):
            return None
        if cue.kind in _HEDGING:
            if len(between) > _REACH:
                return None
            if cue.words.startswith("favo") and _OVER.search(between):
                return Cue("hedge", "none", cue.start, cue.end, f"{cue.words} over")
            return _governor_of(sentence, cues, cue) or cue
        return cue
    return None


def _governor_of(sentence: str, cues: Sequence[Cue], hedge: Cue) -> Cue | None:
    """What stands over a hedge: the "no" of "no hyperinflation to suggest emphysema".

    A question or a doubt stands over it too: "correlate for possible", "may be likely".
    """
    for cue in reversed(cues):
        if cue.end > hedge.start:
            continue
        if cue.kind == "stop":
            return None
        if cue.direction != "forward":
            continue
        if _AND_WITH.search(sentence, cue.end, hedge.start):
            return None
        if cue.kind in ("negate", "ask"):
            return cue
        if cue.kind == "hedge" and hedge.kind == "probable":
            return cue
    return None


def _broken(between: str, rest: str) -> bool:
    """Whether a new statement begins between cue and mention; "…, large X, or Y" is a list."""
    match = _BREAK.search(between)
    if match is None:
        return False
    listed = _CLAUSE_END.split(between[match.end() :] + rest[1:], maxsplit=1)[0]
    return _OR.search(listed) is None


def _cue_after(
    sentence: str, cues: Sequence[Cue], mention: Span, named: Sequence[Span]
) -> tuple[Cue | None, bool]:
    end = mention[1]
    for cue in cues:
        if cue.start < end:
            continue
        if cue.kind == "stop":
            break
        if cue.direction not in ("backward", "both"):
            continue
        others = [span for span in named if end <= span[0] and span[1] <= cue.start]
        between = _without(sentence, end, cue.start, others)
        shared = bool(others)
        hedging = cue.kind in ("hedge", "probable", "improbable", "ask")
        if _ENDS_SUBJECT[hedging].search(between) or len(between) > _REACH:
            break
        if shared and not _LISTED.search(between):
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


def _either_or(
    sentence: str, cues: Sequence[Cue], mention: Span, rivals: Sequence[Span]
) -> Cue | None:
    """Two findings joined by "or" without a negation are a differential: both uncertain.

    Not so after "no change in": "no change in pneumothorax or effusion" means both are there.
    """
    if any(cue.kind == "pseudo" and cue.end <= mention[0] for cue in cues):
        return None
    for other in rivals:
        first, second = sorted((mention, other))
        if first[1] < second[0] and _EITHER_OR.fullmatch(sentence, first[1], second[0]):
            return Cue("hedge", "none", first[1], second[0], "either or")
    return None
