"""Is a dataset folder whole and true? Decodes every image and reports every problem, not the first.

Imports no torch and changes nothing.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image
from pydantic import ValidationError

from synth.data.importers.folder import NAME as FOLDER
from synth.data.near_duplicates import REPORT as NEAR_DUPLICATES
from synth.data.options import MAKER
from synth.data.splits import SPLITS
from synth.errors import SynthError
from synth.manifest import DatasetInfo, Row, SyntheticRow, read_jsonl, sha256_file
from synth.masks import COLUMN, mask_name, mask_path, read_mask
from synth.progress import Progress, Silent

TABLE = "metadata.jsonl"
# What ``source`` says of images without a named source; the last three before there were names.
_UNNAMED = frozenset((FOLDER, "dicom", "raster", ""))


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        kind: ``schema, label, file, hash, image, mask, split, duplicate, extra`` or ``info``.
        where: file, or table and line number.
        problem: one sentence.
    """

    kind: str
    where: str
    problem: str


@dataclass(frozen=True)
class Verification:
    """What ``verify_dataset`` found."""

    dataset: Path
    images: int
    problems: tuple[Problem, ...]

    def to_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "dataset": str(self.dataset),
            "images": self.images,
            "ok": not self.problems,
            "problems": [asdict(problem) for problem in self.problems],
        }


def verify_dataset(folder: Path | str, progress: Progress | None = None) -> Verification:
    """Check a prepared or synthetic dataset folder.

    Raises:
        SynthError: there is no table to check at all.
    """
    folder, progress = Path(folder), progress or Silent()
    table = folder / TABLE
    if not table.is_file():
        raise SynthError(
            f"not a dataset: no {TABLE}",
            where=folder,
            fix="Make one with `synth prepare SOURCE DATASET`.",
        )
    problems: list[Problem] = []
    rows = list(_rows(table, problems))
    progress.stage(f"verifying {len(rows)} images")
    for done, (where, row) in enumerate(rows, 1):
        problems += _check_image(folder, where, row)
        problems += _check_mask(folder, where, row)
        progress.update(done, len(rows))
    problems += _check_table(rows)
    problems += _check_info(folder, [row for _, row in rows])
    problems += _check_near_duplicates(folder, {row.sample_id for _, row in rows})
    masks = {str((row.model_extra or {}).get(COLUMN)) for _, row in rows}
    problems += _check_sums(folder, masks)
    problems += _check_extra(folder, {row.file_name for _, row in rows} | masks)
    if not rows and not problems:
        problems.append(Problem("schema", TABLE, "the dataset has no images"))
    return Verification(folder, len(rows), tuple(problems))


def _rows(table: Path, problems: list[Problem]) -> Iterator[tuple[str, Row]]:
    """The rows that can be read; what cannot is added to ``problems``."""
    for number, line in enumerate(table.read_bytes().split(b"\n"), 1):
        where = f"{TABLE}:{number}"
        if not line.strip():
            continue
        try:
            raw = json.loads(line)
        except ValueError:
            problems.append(Problem("schema", where, "not a JSON line"))
            continue
        if not isinstance(raw, dict):
            problems.append(Problem("schema", where, "not a JSON object"))
            continue
        problems += _check_labels(where, raw.get("labels"))
        try:
            kind = SyntheticRow if raw.get("synthetic") else Row
            yield where, kind.model_validate(raw)
        except ValidationError as error:
            for item in error.errors():
                name = ".".join(str(part) for part in item["loc"])
                if item["loc"][0] != "labels":  # said already, in words of its own
                    problems.append(Problem("schema", where, f"`{name}`: {item['msg']}"))


def _check_labels(where: str, labels: object) -> list[Problem]:
    if not isinstance(labels, dict):
        return [] if labels is None else [Problem("label", where, "`labels` is not a mapping")]
    return [
        Problem("label", where, f"`{name}` is {value!r}; it must be 1, 0, -1 or null")
        for name, value in labels.items()
        if value is not None and (type(value) is not int or value not in (1, 0, -1))
    ]


def _check_image(folder: Path, where: str, row: Row) -> list[Problem]:
    if _outside(row.file_name):
        return [Problem("file", where, f"`{row.file_name}` lies outside the dataset")]
    path = folder / row.file_name
    if not path.is_file():
        return [Problem("file", where, f"`{row.file_name}` is missing")]
    problems = []
    if not row.sha256:
        problems.append(Problem("hash", where, "the row has no sha256"))
    elif sha256_file(path) != row.sha256:
        problems.append(Problem("hash", row.file_name, "sha256 differs from the row's"))
    return problems + _decode(path, row)


def _outside(name: str) -> bool:
    path = PurePosixPath(name)
    return path.is_absolute() or ".." in path.parts


def _check_mask(folder: Path, where: str, row: Row) -> list[Problem]:
    """The mask that a row names: there, decodable, of the image's size, with an outside."""
    name: str | None = None
    try:
        name = mask_name(row)
        if name is None:
            return []
        path = mask_path(folder, name)
        if size := _size_of(folder, row):  # else the image's own problem
            read_mask(path, size)
    except SynthError as error:
        facts = f" ({error.got}; expected {error.expected})" if error.expected else ""
        return [Problem("mask", where, f"{error.problem}: `{name}`{facts}")]
    return []


def _size_of(folder: Path, row: Row) -> tuple[int, int] | None:
    if _outside(row.file_name):
        return None
    try:
        with Image.open(folder / row.file_name) as image:
            return image.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _decode(path: Path, row: Row) -> list[Problem]:
    try:
        with Image.open(path) as image:
            image.load()
            size, bands = image.size, image.getbands()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return [Problem("image", row.file_name, f"cannot be decoded: {error}")]
    problems = []
    if row.width and row.height and size != (row.width, row.height):
        text = f"is {size[0]}×{size[1]}, the row says {row.width}×{row.height}"
        problems.append(Problem("image", row.file_name, text))
    if len(bands) != 1:
        problems.append(Problem("image", row.file_name, f"has {len(bands)} channels, not one"))
    return problems


def _check_table(rows: list[tuple[str, Row]]) -> list[Problem]:
    """Rules between rows: unique names, and no patient in two splits."""
    problems = []
    seen: dict[tuple[str, str], str] = {}
    splits: dict[str, dict[str, str]] = defaultdict(dict)
    for where, row in rows:
        for field, value in (("sample_id", row.sample_id), ("file_name", row.file_name)):
            first = seen.setdefault((field, value), where)
            if first != where:
                text = f"{field} `{value}` is also in {first}"
                problems.append(Problem("duplicate", where, text))
        if row.patient_id is not None:
            splits[row.patient_id].setdefault(row.split, where)
        problems += _check_row(where, row)
    for patient, places in splits.items():
        if len(places) > 1:
            text = f"patient `{patient}` is in several splits: {', '.join(sorted(places))}"
            problems.append(Problem("split", ", ".join(places.values()), text))
    return problems


def _check_row(where: str, row: Row) -> list[Problem]:
    """Rules within a row that the schema does not know."""
    problems = []
    if row.phash and not re.fullmatch(r"[0-9a-f]{64}", row.phash):
        problems.append(Problem("schema", where, "`phash` is not 64 hexadecimal digits"))
    held_out = row.official_split
    if held_out is not None and SPLITS.index(row.split) < SPLITS.index(held_out):
        text = f"its source holds it out for {held_out}, but it is in {row.split}"
        problems.append(Problem("split", where, text))
    return problems


def _check_near_duplicates(folder: Path, known: set[str]) -> list[Problem]:
    """The report of look-alikes speaks of images that are there."""
    path = folder / NEAR_DUPLICATES
    if not path.is_file():
        return []
    try:
        lines = [set(line.get("sample_ids", ())) for line in read_jsonl(path)]
    except SynthError as error:
        return [Problem("schema", path.name, error.problem)]
    lost = set().union(*lines) - known
    return [Problem("info", path.name, f"names {len(lost)} images that no row has")] if lost else []


def _check_info(folder: Path, rows: list[Row]) -> list[Problem]:
    name = "dataset.json"
    try:
        info = DatasetInfo.model_validate_json((folder / name).read_bytes())
    except FileNotFoundError:
        return [Problem("info", name, "is missing")]
    except ValidationError as error:
        item = error.errors()[0]
        place = ".".join(str(part) for part in item["loc"])
        return [Problem("info", name, f"`{place}`: {item['msg']}" if place else item["msg"])]
    problems = []
    stated = info.counts.get("images")
    if stated is not None and stated != len(rows):
        problems.append(Problem("info", name, f"says {stated} images, the table has {len(rows)}"))
    unused = set(info.findings) - {finding for row in rows for finding in row.labels}
    if rows and unused:
        text = f"lists findings that no row labels: {', '.join(sorted(unused))}"
        problems.append(Problem("info", name, text))
    flags = Counter(flag for row in rows for flag in row.flags)
    if info.flags and info.flags != flags:
        problems.append(Problem("info", name, "counts other flags than the rows have"))
    if (info.model_extra or {}).get("made_by") == MAKER:
        named = {row.source for row in rows} - {source.name for source in info.sources} - _UNNAMED
        if named:
            text = f"lacks the terms of the sources {', '.join(sorted(named))}"
            problems.append(Problem("info", name, text))
    made = info.counts.get("synthetic", len(rows) if info.synthetic else 0)  # of a merged dataset
    if rows and sum(row.synthetic for row in rows) != made:
        problems.append(Problem("info", name, "real and synthetic are mixed up with the rows"))
    return problems


def _check_sums(folder: Path, masks: set[str]) -> list[Problem]:
    """Every file that ``SHA256SUMS`` lists; images have their own hash in the table already."""
    sums = folder / "SHA256SUMS"
    if not sums.is_file():
        return [Problem("file", sums.name, "is missing: the dataset was not finished")]
    problems = []
    for number, line in enumerate(sums.read_text("utf-8").splitlines(), 1):
        digest, _, name = line.partition("  ")
        path = folder / name
        if not name:
            problems.append(Problem("hash", f"{sums.name}:{number}", "not a `HASH  NAME` line"))
        elif not path.is_file():
            problems.append(Problem("file", name, f"is missing, {sums.name} lists it"))
        elif (path.parent == folder or name in masks) and sha256_file(path) != digest:
            problems.append(Problem("hash", name, f"differs from {sums.name}"))
    return problems


def _check_extra(folder: Path, known: set[str]) -> list[Problem]:
    images = folder / "images"
    found = (path for path in sorted(images.rglob("*")) if path.is_file())
    return [
        Problem("extra", name, "no row describes this file")
        for name in (path.relative_to(folder).as_posix() for path in found)
        if name not in known
    ]
