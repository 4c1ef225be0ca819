"""What an edit starts from: the real image, the region and the labels, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sample.edit import box_mask
from synth.config.schema import Config
from synth.errors import UsageError
from synth.images import fit_square, grey_to_u8, load_grey
from synth.manifest import (
    NO_FINDING,
    Dataset,
    DatasetInfo,
    Label,
    Row,
    open_dataset,
    sha256_file,
)
from synth.registry import did_you_mean
from synth.text.labelers import load_labeler


@dataclass(frozen=True)
class EditRequest:
    """One edit as a user asks for it.

    Attributes:
        prompt: what the image shall show.
        strength: 0 the reconstruction, 1 from pure noise.
        out: the folder.
        sample_id: an image of ``config.data.dataset``; or
        image: an image file.
        box: x0, y0, x1, y1 of the region in pixels of the model's size; or
        mask: an image file, white where the image may change.
        labels: finding -> value, over what the prompt says.
        count: variants to make.
    """

    prompt: str
    strength: float
    out: Path
    sample_id: str | None = None
    image: Path | None = None
    box: tuple[int, ...] = ()
    mask: Path | None = None
    labels: Mapping[str, Label] = field(default_factory=dict)
    count: int = 1


@dataclass(frozen=True)
class Original:
    """The real image.

    Attributes:
        image_u8: uint8 [size, size].
        sha256: of its file.
        row: of its dataset; None for a file that is given alone.
        info: of its dataset.
        name: its sample_id, or its file's name.
    """

    image_u8: NDArray[np.uint8]
    sha256: str
    row: Row | None
    info: DatasetInfo
    name: str


def check_request(request: EditRequest) -> None:
    """Refuse a request that is incomplete or contradicts itself.

    Raises:
        UsageError: naming the option.
    """
    if (request.sample_id is None) == (request.image is None):
        raise UsageError("give the image to edit: either --sample-id or --image")
    if request.box and request.mask:
        raise UsageError("give either --box or --mask, not both")
    if not request.prompt.strip():
        raise UsageError("say what the image shall show", where="--prompt")
    if not 0.0 <= request.strength <= 1.0:
        raise UsageError(
            "strength is the part of the steps to make",
            where="--strength",
            got=request.strength,
            expected="0 (the image's reconstruction) to 1 (from pure noise)",
        )


def read_original(config: Config, request: EditRequest, size: int) -> Original:
    """The image to edit, at the side of the model.

    Raises:
        UsageError: the dataset has no such image.
        SynthError: it cannot be read.
    """
    if request.image is not None:
        path, row, info = request.image, None, DatasetInfo(name=request.image.name)
    else:
        dataset = open_dataset(config.data.dataset)
        row = find_row(dataset, request.sample_id or "")
        path, info = dataset.path(row), dataset.info
    image_u8 = grey_to_u8(fit_square(load_grey(path), size))
    return Original(image_u8, sha256_file(path), row, info, row.sample_id if row else path.name)


def find_row(dataset: Dataset, sample_id: str) -> Row:
    """The row of an image.

    Raises:
        UsageError: there is none of that id.
    """
    for row in dataset.rows:
        if row.sample_id == sample_id:
            return row
    raise UsageError(
        "the dataset has no image of this id",
        where=dataset.folder,
        got=sample_id,
        expected=f"one of {len(dataset.rows)}, such as {dataset.rows[0].sample_id}",
        fix=did_you_mean(sample_id, [row.sample_id for row in dataset.rows]),
    )


def region(request: EditRequest, size: int) -> NDArray[np.bool_] | None:
    """Where the image may change, bool [size, size]; None: everywhere.

    Raises:
        UsageError: the box or the mask marks nothing, or the box leaves the image.
        SynthError: the mask is unreadable.
    """
    if request.box:
        return box_mask(request.box, size)
    if request.mask is None:
        return None
    return read_mask(request.mask, size)


def read_mask(path: Path, size: int) -> NDArray[np.bool_]:
    """A mask file as bool [size, size], true where it is lighter than middle grey.

    Raises:
        SynthError: it is unreadable.
        UsageError: nothing is marked.
    """
    mask: NDArray[np.bool_] = fit_square(load_grey(path), size) > 0.5
    if not mask.any():
        raise UsageError("the mask marks nothing: white is where to change", where=path)
    return mask


def edited_labels(request: EditRequest, original: Original) -> tuple[dict[str, Label], str]:
    """The source's labels, then what the prompt states, then what the user says.

    Returns:
        Labels by finding, and where they come from in words.

    Raises:
        UsageError: the user names a finding that there is not.
    """
    labeler = load_labeler()
    stated = {k: v for k, v in labeler.label(request.prompt).values.items() if v is not None}
    before = dict(original.row.labels) if original.row else {}
    known = {*before, *original.info.findings, *stated}
    for name in request.labels:
        if known and name not in known:
            raise UsageError(
                "no such finding",
                where="--label",
                got=name,
                expected=", ".join(sorted(known)),
                fix=did_you_mean(name, known),
            )
    labels = before | {k: v for k, v in stated.items() if not before or k in before}
    labels |= request.labels
    if NO_FINDING in labels and any(v == 1 for k, v in labels.items() if k != NO_FINDING):
        labels[NO_FINDING] = 0
    return labels, f"edited: source, {labeler.name} on the prompt" + (
        ", user" if request.labels else ""
    )
