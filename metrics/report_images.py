"""Images of the page: small PNGs inside it, and real beside synthetic ones by finding."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image

from metrics.report_values import shortened, words
from synth.images import grey_to_u8, load_grey
from synth.manifest import NO_FINDING, Dataset, Row

SIDE = 160  # pixels of the longer side inside the page, so that a page stays small
PER_SIDE = 3  # images of a finding on either side
MOST_FINDINGS = 24
OPEN_FINDINGS = 6  # the others are folded
CAPTION = 150  # characters
_TEXT = 2000  # characters of the text that shows on hovering


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
    """Images of one finding, real and synthetic, with how many of each there are."""

    title: str
    real: tuple[Shot, ...]
    synthetic: tuple[Shot, ...]
    n_real: int
    n_synthetic: int


def embed(path: Path, *, alt: str, text: str = "", longest: int = SIDE) -> Shot:
    """Read an image file and shrink it to ``longest`` pixels where it is larger.

    Raises:
        SynthError: the file is missing or not an image.
    """
    image = Image.fromarray(grey_to_u8(load_grey(path)))
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


def gallery(real: Dataset, synthetic: Dataset) -> tuple[Group, ...]:
    """Real beside synthetic images, the finding that is rarest in real training images first.

    Nothing is picked by eye or by score: images that show few other findings come first, then by
    sample id, and where a synthetic image names the real one whose text it was made from, the two
    are shown together.
    """
    findings = _rarest_first(real, synthetic)
    if not findings:
        shown = plainest(real.rows, None), plainest(synthetic.rows, None)
        return (_group("all images", real, synthetic, *shown, rows=(real.rows, synthetic.rows)),)
    groups = []
    for finding in findings[:MOST_FINDINGS]:
        made = _showing(synthetic.rows, finding)
        originals = _showing(_training(real), finding)
        first, second = _pairs(originals, made, finding)
        rows = originals, made
        groups.append(_group(words(finding), real, synthetic, first, second, rows=rows))
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


def plainest(rows: Sequence[Row], finding: str | None) -> list[Row]:
    """``PER_SIDE`` rows: plain examples first, no patient and no text twice if it can be helped."""
    ordered = sorted(rows, key=lambda row: (_others(row, finding), row.sample_id))
    chosen: list[Row] = []
    seen: set[str] = set()
    for row in ordered:
        keys = {f"patient {row.patient_id}"} if row.patient_id else set()
        keys |= {f"text {row.text_used}"} if row.text_used else set()
        if not keys & seen and len(chosen) < PER_SIDE:
            chosen.append(row)
            seen |= keys
    taken = _ids(chosen)
    left = [row for row in ordered if row.sample_id not in taken]
    return chosen + left[: PER_SIDE - len(chosen)]


def _ids(rows: Iterable[Row]) -> set[str]:
    return {row.sample_id for row in rows}


def _others(row: Row, finding: str | None) -> int:
    """Other findings that the image may show, uncertain ones included."""
    return sum(value in (1, -1) for name, value in row.labels.items() if name != finding)


def _group(
    title: str,
    real: Dataset,
    synthetic: Dataset,
    first: Sequence[Row],
    second: Sequence[Row],
    *,
    rows: tuple[Sequence[Row], Sequence[Row]],
) -> Group:
    return Group(
        title,
        tuple(_shot(real, row, f"real image: {title}") for row in first),
        tuple(_shot(synthetic, row, f"synthetic image: {title}") for row in second),
        len(rows[0]),
        len(rows[1]),
    )


def _shot(dataset: Dataset, row: Row, alt: str) -> Shot:
    return embed(dataset.path(row), alt=alt, text=row.text_used or row.text)
