"""What filters took out: accept rates a finding, and rejected images with their reasons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from metrics.report_images import Shot, embed_of
from metrics.report_plan import extra
from metrics.report_sets import ShownSet
from metrics.report_values import count, finite, items, part, sentence, words
from synth.data.images_in import Picture
from synth.manifest import Row

SHOWN = 12  # rejected images
_SIDE = 150  # pixels
_NAMES = {
    "labels_agree": "label consistency",
    "text_agrees": "image-text alignment",
    "not_memorized": "memorization",
    "in_distribution": "out of distribution",
    "quality": "plain quality",
    "not_near_duplicate": "near-duplicate",
    "finite": "not finite",
    "not_constant": "constant",
    "not_duplicate": "exact duplicate",
}


@dataclass(frozen=True)
class FindingRate:
    """Images asked to show a finding: how many, accepted, attempts and their accept rate."""

    finding: str
    images: str
    accepted: str
    attempts: str
    rate: str


@dataclass(frozen=True)
class Example:
    """A rejected image: which, by what, and why."""

    shot: Shot
    title: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class FilterView:
    """The section; empty where the dataset was made without filters.

    Attributes:
        summary: what was accepted, in a sentence.
        rejected_by: (filter, attempts it rejected), most first.
        findings: one row a finding, lowest accept rate first.
        examples: rejected images, each filter in turn.
    """

    summary: str = ""
    rejected_by: tuple[tuple[str, str], ...] = ()
    findings: tuple[FindingRate, ...] = ()
    examples: tuple[Example, ...] = ()


def filter_view(synthetic: ShownSet) -> FilterView:
    """From the synthetic ``dataset.json`` and its rows."""
    found = part(extra(synthetic.dataset.info), "filters")
    if not found:
        return FilterView()
    by = part(found, "rejected_by")
    ordered = sorted(by, key=lambda name: (-(finite(by[name]) or 0), name))
    findings = part(found, "findings")
    rates = sorted(findings, key=lambda n: (finite(part(findings, n).get("accept_rate")) or 0, n))
    return FilterView(
        _summary(found),
        tuple((_NAMES.get(name, words(name)), count(by[name])) for name in ordered),
        tuple(_rate(name, part(findings, name)) for name in rates),
        tuple(_examples(synthetic)),
    )


def _summary(found: Mapping[str, Any]) -> str:
    images, accepted = finite(found.get("images")), finite(found.get("accepted"))
    text = (
        f"{count(accepted)} of {count(images)} images pass every filter, after "
        f"{count(found.get('attempts'))} attempts"
    )
    if accepted is not None and images is not None and accepted < images:
        text += (
            "; for the others the retry budget ended first, and they are in the dataset, flagged"
        )
    return sentence(text)


def _rate(name: str, found: Mapping[str, Any]) -> FindingRate:
    rate = finite(found.get("accept_rate"))
    return FindingRate(
        words(name),
        count(found.get("images")),
        count(found.get("accepted")),
        count(found.get("attempts")),
        "" if rate is None else f"{rate:.0%}",
    )


def _examples(side: ShownSet) -> list[Example]:
    """Rejected images whose files are there: each filter in turn, in the order of the plan."""
    by_filter: dict[str, list[tuple[Row, Picture, Mapping[str, Any]]]] = {}
    for row in side.rows:
        for one in _rejected(row):
            failed = items(one, "failed")
            picture = side.picture(one.get("file_name"))
            if failed and picture is not None:
                by_filter.setdefault(str(failed[0]), []).append((row, picture, one))
    turns = max(map(len, by_filter.values()), default=0)
    chosen = [
        by_filter[name][turn]
        for turn in range(min(turns, SHOWN))
        for name in sorted(by_filter)
        if turn < len(by_filter[name])
    ]
    return [_example(side, *one) for one in chosen[:SHOWN]]


def _rejected(row: Row) -> Iterator[Mapping[str, Any]]:
    """The attempts that were rejected, and the image itself where it was."""
    own = row.model_extra or {}
    yield from (one for one in items(own, "rejected_attempts") if isinstance(one, Mapping))
    filters: Mapping[str, Any] = getattr(row, "filters", {})
    failed = [name for name, good in filters.items() if not good]
    if failed:
        reasons = list(items(own, "rejected_because")) or failed
        attempt = getattr(row, "attempt", 0)
        yield {"file_name": row.file_name, "attempt": attempt, "failed": failed, "reasons": reasons}


def _example(side: ShownSet, row: Row, picture: Picture, one: Mapping[str, Any]) -> Example:
    asked = [words(name) for name, value in row.labels.items() if value == 1]
    title = f"{row.sample_id}, attempt {one.get('attempt')}: {', '.join(asked) or 'no finding'}"
    shot = embed_of(side, picture, alt=f"rejected image {row.sample_id}", longest=_SIDE)
    return Example(shot, title, tuple(str(reason) for reason in items(one, "reasons")))
