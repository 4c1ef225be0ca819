"""Memorization on the page: distances to training images, and the closest pairs side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from metrics.report_charts import histogram_chart
from metrics.report_images import Shot, embed_of
from metrics.report_sets import ShownSet
from metrics.report_values import (
    LEVEL,
    NONE,
    Scores,
    count,
    finite,
    items,
    number,
    p_value,
    part,
    sentence,
    why_missing,
    words,
)

_PAIRS = 8  # shown
_ELSEWHERE = "The nearest training images are not in the real dataset's folder."
_SHARES = {"0%": "the closest image", "50%": "half of the images"}


@dataclass(frozen=True)
class Pair:
    """A synthetic image and the training image nearest to it."""

    synthetic: Shot
    real: Shot
    score: str
    ids: str
    flagged: bool = False


@dataclass(frozen=True)
class Copied:
    """A finding's share of images closer to training than unseen patients' are, as text."""

    finding: str
    share: str
    expected: str
    n: str
    p_holm: str
    differs: bool
    withheld: str


@dataclass(frozen=True)
class Neighbours:
    """The closest pairs and how close held-out real images come.

    Attributes:
        pairs: closest first.
        quantiles: (share, distance of synthetic images, of held-out real ones).
        floor: sentence on the closest held-out distance, empty where it is unknown.
        chart: the histogram of both distances, None where it is unknown.
        below: sentence on the limit, empty where it is unknown.
        by_finding: findings, most suspicious first.
        correlated: the pairs of highest correlation, where the copy rate was asked for.
        why: the reason where nothing can be shown.
    """

    pairs: tuple[Pair, ...] = ()
    quantiles: tuple[tuple[str, str, str], ...] = ()
    floor: str = ""
    chart: Markup | None = None
    below: str = ""
    by_finding: tuple[Copied, ...] = ()
    correlated: tuple[Pair, ...] = ()
    why: str = ""


def neighbours(scores: Scores, train: ShownSet, synthetic: ShownSet) -> Neighbours:
    """The closest pairs whose images are in the two sets, and the histogram of distances."""
    found = part(scores, "memorization")
    details = part(scores, "metrics", "copy-rate", "details")
    correlated = _pairs(items(details, "pairs"), train, synthetic, "correlation")
    if not found:
        reason = "Nearest training images were not computed."
        why = sentence(why_missing(scores, ("memorization", "nearest"), reason))
        return Neighbours(correlated=correlated, why=why)
    pairs = _pairs(items(found, "pairs"), train, synthetic, "distance")
    quantiles = _quantiles(part(found, "quantiles"))
    return Neighbours(
        pairs,
        quantiles,
        _floor(part(found, "quantiles")),
        _histogram(part(found, "histogram")),
        _below(found),
        _by_finding(part(found, "by_finding")),
        correlated,
        "" if pairs else train.why or synthetic.why or _ELSEWHERE,
    )


def _by_finding(found: Scores) -> tuple[Copied, ...]:
    def order(name: str) -> tuple[float, str]:
        p = finite(part(found, name).get("p"))
        return (2.0 if p is None else p, name)

    return tuple(_copied(name, part(found, name)) for name in sorted(found, key=order))


def _copied(name: str, row: Scores) -> Copied:
    p = finite(row.get("p_holm"))
    return Copied(
        words(name),
        number(row.get("share")),
        number(row.get("expected")),
        f"{count(row.get('patients'))} / {count(row.get('n_synthetic'))}",
        p_value(p),
        p is not None and p < LEVEL,
        sentence(row.get("withheld")),
    )


def _pairs(
    entries: Sequence[Any], train: ShownSet, synthetic: ShownSet, score: str
) -> tuple[Pair, ...]:
    found: list[Pair] = []
    for entry in entries[:_PAIRS]:
        if isinstance(entry, Mapping):
            found += _pair(entry, train, synthetic, score)
    return tuple(found)


def _pair(entry: Mapping[str, Any], train: ShownSet, synthetic: ShownSet, score: str) -> list[Pair]:
    """The pair in a list, which is empty where an image is elsewhere."""
    made, original = synthetic.picture(entry.get("synthetic")), train.picture(entry.get("real"))
    if made is None or original is None:
        return []
    one, two = (str(entry.get(key, NONE)) for key in ("synthetic_id", "real_id"))
    texts = synthetic.text(made.name), train.text(original.name)
    return [
        Pair(
            embed_of(synthetic, made, alt=f"synthetic image {one}", text=texts[0]),
            embed_of(train, original, alt=f"training image {two}", text=texts[1]),
            f"{score} {number(entry.get(score))}",
            f"{one} · {two}",
            entry.get("flagged") is True,
        )
    ]


def _quantiles(found: Scores) -> tuple[tuple[str, str, str], ...]:
    return tuple(
        (
            _SHARES.get(share, f"{share.removesuffix('%')} % of images"),
            number(part(found, share).get("synthetic")),
            number(part(found, share).get("held_out")),
        )
        for share in found
        if part(found, share)
    )


def _floor(found: Scores) -> str:
    closest = number(part(found, "0%").get("held_out"))
    middle = number(part(found, "50%").get("held_out"))
    if NONE in (closest, middle):
        return ""
    return (
        f"Baseline: held-out real images, of patients the model never saw, lie {closest} from "
        f"their nearest training image at the closest and {middle} in the middle."
    )


def _histogram(found: Scores) -> Markup | None:
    """None where the counts do not fit the edges: the scores are older, or not ours."""
    edges = [value for one in items(found, "edges") if (value := finite(one)) is not None]
    counts = {
        side: [value for one in items(found, side) if (value := finite(one)) is not None]
        for side in ("held_out", "synthetic")
    }
    if len(edges) < 2 or any(len(values) != len(edges) - 1 for values in counts.values()):
        return None
    sides = (
        ("held-out real images", counts["held_out"], False),
        ("synthetic images", counts["synthetic"], True),
    )
    title = "Distances to the nearest training image, synthetic against held-out real images"
    limit = finite(found.get("limit"))
    return histogram_chart(edges, sides, limit=limit, name="distances", title=title)


def _below(found: Scores) -> str:
    """What the limit is, and how many synthetic images lie below it."""
    limit = finite(part(found, "histogram").get("limit"))
    share = finite(part(found, "share_closer").get("value"))
    if limit is None or share is None:
        return ""
    return (
        f"The limit, {number(limit)}, is the distance of the closest 1 % of unseen patients, at "
        f"least of one; {100 * share:.1f} % of the synthetic images lie below it."
    )
