"""Images of the page: small PNGs inside it, and real beside synthetic ones by finding."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from metrics.report_sets import ShownSet
from metrics.report_values import shortened, words
from synth.data.images_in import Picture
from synth.images import grey_to_u8, load_grey
from synth.manifest import NO_FINDING, Dataset, Row

SIDE = 160  # pixels of the longer side inside the page, so that a page stays small
PER_SIDE = 3  # images of a finding on either side
UNLABELLED = 6  # the same where there are no findings
MOST_FINDINGS = 24
OPEN_FINDINGS = 6  # the others are folded
CAPTION = 150  # characters
_TEXT = 2000  # characters of the text that shows on hovering
Sides = tuple[ShownSet, ShownSet]  # real, synthetic; so are the rows
Rows = tuple[Sequence[Row], Sequence[Row]]
Chosen = tuple[list[Row], list[Row]]


@dataclass(frozen=True)
class Shot:
    """One embedded image.

    Attributes:
        uri: a ``data:`` address.
        width, height: of the embedded image, pixels.
        alt: what it is, in words.
        caption: the text that belongs to it, shortened.
        text: the same at more length.
    """

    uri: str
    width: int
    height: int
    alt: str
    caption: str = ""
    text: str = ""


@dataclass(frozen=True)
class Group:
    """Images of one finding, real and synthetic, with how many of each there are.

    ``no_real`` and ``no_synthetic`` say why a side is empty.
    """

    title: str
    real: tuple[Shot, ...]
    synthetic: tuple[Shot, ...]
    n_real: int | None
    n_synthetic: int | None
    no_real: str = "No real training image shows it."
    no_synthetic: str = "No synthetic image was asked to show it."


def embed(path: Path, *, alt: str, text: str = "", longest: int = SIDE) -> Shot:
    """Read an image file and shrink it to ``longest`` pixels where it is larger.

    Raises:
        SynthError: the file is missing or not an image.
    """
    return _shrunk(load_grey(path), alt=alt, text=text, longest=longest)


def embed_of(
    side: ShownSet, picture: Picture, *, alt: str, text: str = "", longest: int = SIDE
) -> Shot:
    """The same for an image of a set, be it DICOM or inside an archive, as it was scored.

    Raises:
        SynthError: it cannot be read.
    """
    return _shrunk(picture.grey(side.reading), alt=alt, text=text, longest=longest)


def _shrunk(grey: NDArray[np.float32], *, alt: str, text: str, longest: int) -> Shot:
    image = Image.fromarray(grey_to_u8(grey))
    scale = longest / max(image.size)
    if scale < 1:
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(size, Image.Resampling.LANCZOS)
    buffer = BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    content = base64.b64encode(buffer.getvalue()).decode()
    return Shot(
        f"data:image/png;base64,{content}",
        image.width,
        image.height,
        alt,
        shortened(text, CAPTION),
        shortened(text, _TEXT),
    )


def gallery(real: ShownSet, synthetic: ShownSet) -> tuple[Group, ...]:
    """Real beside synthetic images, the finding that is rarest in real training images first.

    Nothing is picked by eye or by score: images that show few other findings come first, then by
    sample id, and where a synthetic image names the real one whose text it was made from, the two
    are shown together. Without labels the first images of either side are shown.
    """
    if real.why and synthetic.why:
        return ()
    sides = real, synthetic
    findings = _rarest_first(real.dataset, synthetic.dataset)
    if not findings:
        group = _group("all images", sides, (real.rows, synthetic.rows), _first)
        return (replace(group, n_real=real.images, n_synthetic=synthetic.images),)
    groups = []
    for finding in findings[:MOST_FINDINGS]:
        made = _showing(synthetic.rows, finding)
        originals = _showing(_training(real.dataset), finding)
        choose = partial(_pairs, finding=finding)
        groups.append(_group(words(finding), sides, (originals, made), choose))
    return tuple(groups)


def findings_shown(real: Dataset, synthetic: Dataset) -> int:
    """How many findings there are to show, of which ``gallery`` shows the rarest."""
    return len(_rarest_first(real, synthetic))


def present_counts(rows: Iterable[Row]) -> Counter[str]:
    """Images that show each finding (label 1)."""
    return Counter(name for row in rows for name, value in row.labels.items() if value == 1)


def _training(real: Dataset) -> tuple[Row, ...]:
    return real.split("train") or real.rows


def _rarest_first(real: Dataset, synthetic: Dataset) -> list[str]:
    in_real, made = present_counts(_training(real)), present_counts(synthetic.rows)
    return sorted({*in_real, *made} - {NO_FINDING}, key=lambda name: (in_real[name], name))


def _showing(rows: Iterable[Row], finding: str) -> tuple[Row, ...]:
    return tuple(row for row in rows if row.labels.get(finding) == 1)


def _first(real: Sequence[Row], made: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    return plainest(real, None, UNLABELLED), plainest(made, None, UNLABELLED)


def _pairs(real: Sequence[Row], made: Sequence[Row], finding: str) -> tuple[list[Row], list[Row]]:
    """Real rows and the synthetic rows made from their texts; the rest is filled up."""
    counterparts: dict[str, Row] = {}
    for row in made:
        counterparts.setdefault(str((row.model_extra or {}).get("source_sample_id")), row)
    paired = plainest([row for row in real if row.sample_id in counterparts], finding)
    twins = [counterparts[row.sample_id] for row in paired]
    first, second = _ids(paired), _ids(twins)
    paired += plainest([row for row in real if row.sample_id not in first], finding)
    twins += plainest([row for row in made if row.sample_id not in second], finding)
    return paired[:PER_SIDE], twins[:PER_SIDE]


def plainest(rows: Sequence[Row], finding: str | None, most: int = PER_SIDE) -> list[Row]:
    """``most`` rows: plain examples first, no patient and no text twice if it can be helped."""
    ordered = sorted(rows, key=lambda row: (_others(row, finding), row.sample_id))
    chosen: list[Row] = []
    seen: set[str] = set()
    for row in ordered:
        keys = {f"patient {row.patient_id}"} if row.patient_id else set()
        keys |= {f"text {row.text_used}"} if row.text_used else set()
        if not keys & seen and len(chosen) < most:
            chosen.append(row)
            seen |= keys
    taken = _ids(chosen)
    left = [row for row in ordered if row.sample_id not in taken]
    return chosen + left[: most - len(chosen)]


def _ids(rows: Iterable[Row]) -> set[str]:
    return {row.sample_id for row in rows}


def _others(row: Row, finding: str | None) -> int:
    """Other findings that the image may show, uncertain ones included."""
    return sum(value in (1, -1) for name, value in row.labels.items() if name != finding)


def _group(title: str, sides: Sides, rows: Rows, choose: Callable[..., Chosen]) -> Group:
    """The group of what ``choose`` takes of the rows, without files that cannot be read."""
    left = rows
    while True:
        chosen = choose(*left)
        bad = [
            _ids(row for row in some if not side.shows(row))
            for side, some in zip(sides, chosen, strict=True)
        ]
        if not any(bad):
            break
        left = _without(left[0], bad[0]), _without(left[1], bad[1])
    real, synthetic = sides
    group = Group(
        title,
        tuple(_shot(real, row, f"real image: {title}") for row in chosen[0]),
        tuple(_shot(synthetic, row, f"synthetic image: {title}") for row in chosen[1]),
        None if real.why else len(rows[0]),
        None if synthetic.why else len(rows[1]),
    )
    return replace(
        group,
        no_real="Not shown." if real.why else group.no_real,
        no_synthetic="Not shown." if synthetic.why else group.no_synthetic,
    )


def _without(rows: Sequence[Row], ids: set[str]) -> tuple[Row, ...]:
    return tuple(row for row in rows if row.sample_id not in ids)


def _shot(side: ShownSet, row: Row, alt: str) -> Shot:
    return embed_of(side, side.of(row), alt=alt, text=row.text_used or row.text)
