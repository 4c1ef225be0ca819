"""How an image that was made again compares with the row and the file of the first one."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sample.write import MARK
from synth.errors import SynthError
from synth.images import grey_to_u8, load_grey, save_png
from synth.manifest import Dataset, SyntheticRow, sha256_file
from synth.provenance import versions

# Grey levels that another batch size, thread count or machine may move a pixel by: float rounding,
# carried through all steps.
TOLERANCE = {"fp32": 2, "bf16": 32, "fp16": 16}

Verdict = Literal["identical", "within tolerance", "different", "unverified"]


@dataclass(frozen=True)
class Regenerated:
    """One image made again.

    Attributes:
        sample_id: its id.
        image_u8: uint8 [H, W].
        verdict: every pixel is equal to the row's digest; or none is further off than
            ``tolerance``; or some are; or that cannot be told, because the dataset's file is gone.
        largest: largest difference in grey levels; None where it cannot be told.
        tolerance: grey levels that rounding may account for.
        file_same: whether its PNG has the row's SHA-256; with equal pixels it differs only where
            another library encodes it.
        notes: what is not as it was when the image was made, one phrase each.
    """

    sample_id: str
    image_u8: NDArray[np.uint8]
    verdict: Verdict
    largest: int | None
    tolerance: int
    file_same: bool
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """For ``--json``."""
        values = {name: value for name, value in asdict(self).items() if name != "image_u8"}
        return values | {"notes": list(self.notes)}


def compare(
    dataset: Dataset, row: SyntheticRow, image_u8: NDArray[np.uint8], *, precision: str
) -> Regenerated:
    """Judge an image against its row and, where that is whole, against the dataset's own file.

    Args:
        dataset: that the row is of.
        row: what was recorded.
        image_u8: uint8 [H, W], made again.
        precision: of the model, which decides the tolerance.
    """
    path, notes = dataset.path(row), []
    tolerance = TOLERANCE.get(precision, TOLERANCE["fp32"])
    whole = path.is_file() and sha256_file(path) == row.sha256
    if not whole:
        notes.append(f"{row.file_name} is {'damaged' if path.is_file() else 'missing'}")
    same = hashlib.sha256(image_u8.tobytes()).hexdigest() == (row.model_extra or {}).get(
        "pixel_sha256"
    )
    largest: int | None = 0 if same else None
    if whole and not same:
        before = grey_to_u8(load_grey(path)).astype(np.int16)
        largest = int(np.abs(before - image_u8).max())
    verdict = _verdict(largest, tolerance)
    if verdict != "identical":
        notes += _changed(dataset)
    return Regenerated(
        sample_id=row.sample_id,
        image_u8=image_u8,
        verdict=verdict,
        largest=largest,
        tolerance=tolerance,
        file_same=_file_sha256(row.sample_id, image_u8) == row.sha256,
        notes=tuple(notes),
    )


def _verdict(largest: int | None, tolerance: int) -> Verdict:
    if largest is None:
        return "unverified"
    if largest == 0:
        return "identical"
    return "within tolerance" if largest <= tolerance else "different"


def save(made: Regenerated, path: Path) -> None:
    """Write the image as the dataset holds it, mark and id inside; nothing is overwritten.

    Raises:
        SynthError: the file is there already.
    """
    if path.exists():
        raise SynthError("the file is there already", where=path, fix="Give another --out.")
    save_png(path, made.image_u8, text=MARK | {"SampleID": made.sample_id})


def _file_sha256(sample_id: str, image_u8: NDArray[np.uint8]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        content = save_png(Path(folder) / "a.png", image_u8, text=MARK | {"SampleID": sample_id})
    return hashlib.sha256(content).hexdigest()


def _changed(dataset: Dataset) -> list[str]:
    """Versions that are not those of the dataset."""
    now = versions()
    return [
        f"{name} {there} then, {now.get(name, 'not installed')} now"
        for name, there in dataset.info.versions.items()
        if now.get(name) != there
    ]
