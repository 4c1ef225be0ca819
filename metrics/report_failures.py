"""The failure sheet: the synthetic images that the evaluation finds worst, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from metrics.report_images import Shot, embed_of
from metrics.report_sets import ShownSet
from metrics.report_values import Scores, finite, items, number, sentence, why_missing, words

MOST = 24  # images, whatever the scores hold
_SIDE = 128  # pixels
_REASONS = {
    "absent": (
        "Asked for, not seen",
        "The judge gives a finding that the text asks for less than it gives real images with it.",
    ),
    "present": (
        "Denied, but suspected",
        "The judge gives a finding that the text denies more than it gives real images without it.",
    ),
    "far": (
        "Unlike any real image",
        "Farthest from its nearest real image, in the features that the distances are measured in.",
    ),
    "copy": (
        "Close to a training image",
        "Nearest to a training image, in pixels: possible copies.",
    ),
    "repeat": ("Close to each other", "Nearest to another synthetic image, in pixels: repeats."),
}
_LIMITS = {
    "absent": "95 % of real images with it lie above {}",
    "present": "95 % of real images without it lie below {}",
    "far": "99 % of real images lie within {} of another patient's",
    "copy": "99 % of held-out real images keep a distance of {}",
    "repeat": "99 % of real images keep {} from those of other patients",
}
_OTHERS = {"real": "nearest real", "train": "training", "synthetic": "other synthetic"}


@dataclass(frozen=True)
class Failed:
    """One image.

    Attributes:
        shot: the image.
        other: the image that it is compared with, None where there is none or its file is gone.
        other_is: what that is.
        score: the number, in words.
        verdict: how real images compare, in words.
        beyond: whether it passes what few real images pass.
        ids: sample ids.
    """

    shot: Shot
    other: Shot | None
    other_is: str
    score: str
    verdict: str
    beyond: bool
    ids: str


@dataclass(frozen=True)
class FailedGroup:
    """Images listed for one reason."""

    title: str
    meaning: str
    images: tuple[Failed, ...]


@dataclass(frozen=True)
class FailureView:
    """The section: a group a reason, how many pass a limit of all that are shown, or why none."""

    groups: tuple[FailedGroup, ...] = ()
    shown: int = 0
    beyond: int = 0
    why: str = ""


def failure_view(
    scores: Scores, *, real: ShownSet, synthetic: ShownSet, train: ShownSet
) -> FailureView:
    """``failures`` of the scores, reason by reason; images that are gone are left out."""
    sides = {"real": real, "synthetic": synthetic, "train": train}
    found: dict[str, list[Failed]] = {}
    for entry in items(scores, "failures")[:MOST]:
        if isinstance(entry, Mapping):
            failed = _failed(entry, sides)
            if failed is not None:
                found.setdefault(str(entry.get("reason")), []).append(failed)
    groups = tuple(
        FailedGroup(*_REASONS.get(reason, (words(reason).capitalize(), "")), tuple(images))
        for reason, images in found.items()
    )
    if not groups:
        if items(scores, "failures"):
            return FailureView(why=synthetic.why or "The images it names are not in their folder.")
        reason = "The scores name no images. Newer scores do, unless they are told not to."
        return FailureView(why=sentence(why_missing(scores, ("failures",), reason)))
    every = [image for group in groups for image in group.images]
    return FailureView(groups, len(every), sum(image.beyond for image in every))


def _failed(entry: Mapping[str, Any], sides: Mapping[str, ShownSet]) -> Failed | None:
    synthetic = sides["synthetic"]
    made = synthetic.picture(entry.get("synthetic"))
    if made is None:
        return None
    role = str(entry.get("other_set"))
    side = sides.get(role, sides["real"])
    other = side.picture(entry.get("other"))
    finding, name = words(str(entry.get("finding") or "")), entry.get("synthetic_id")
    alt, text = f"synthetic image {name}", synthetic.text(made.name)
    return Failed(
        embed_of(synthetic, made, alt=alt, text=text, longest=_SIDE),
        embed_of(side, other, alt=f"{_OTHERS.get(role, '')} image", longest=_SIDE)
        if other
        else None,
        _OTHERS.get(role, ""),
        _score(entry, finding),
        _verdict(entry),
        entry.get("beyond") is True,
        " · ".join(str(one) for one in (name, entry.get("other_id")) if one),
    )


def _score(entry: Mapping[str, Any], finding: str) -> str:
    value = number(entry.get("score"))
    return f"{finding}: probability {value}" if finding else f"distance {value}"


def _verdict(entry: Mapping[str, Any]) -> str:
    """What few real images pass; the words depend on the reason."""
    limit, words_for = finite(entry.get("limit")), _LIMITS.get(str(entry.get("reason")))
    if limit is None or words_for is None:
        return "too few real images for a limit"
    return words_for.format(number(limit))
