"""The masks beside the images of a set, padded as the images are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from metrics.alteration import Alteration
from metrics.ingest import ImageSet, take
from synth.errors import SynthError
from synth.images import fit_square_mask
from synth.masks import COLUMN, mask_name, mask_path, read_mask


@dataclass(frozen=True)
class Masked:
    """Images with their masks.

    Attributes:
        images: uint8 [N, 1, S, S].
        masks: bool [N, 1, S, S], True inside.
    """

    images: Tensor
    masks: Tensor

    def __post_init__(self) -> None:
        if self.images.shape != self.masks.shape or self.masks.dtype != torch.bool:
            raise SynthError(
                "masks do not fit the images",
                got=f"{self.masks.dtype} {list(self.masks.shape)}",
                expected=f"torch.bool {list(self.images.shape)}",
            )

    def __len__(self) -> int:
        return len(self.images)

    def __add__(self, other: Masked) -> Masked:
        return Masked(torch.cat([self.images, other.images]), torch.cat([self.masks, other.masks]))

    @property
    def marked(self) -> NDArray[np.bool_]:
        """Bool [N]: whether anything is inside."""
        return np.asarray(self.masks.flatten(1).any(dim=1).numpy(), dtype=np.bool_)

    def rows(self, rows: NDArray[np.intp]) -> Masked:
        """Some of them."""
        index = torch.from_numpy(rows)
        return Masked(self.images[index], self.masks[index])

    def altered(self, change: Alteration) -> Masked:
        """Images and masks moved alike."""
        return Masked(change.image(self.images), change.mask(self.masks))


def with_masks(images: ImageSet) -> ImageSet:
    """The images of a set whose rows name a mask, empty ones included.

    Raises:
        SynthError: no row does.
    """
    rows = [
        index
        for index, picture in enumerate(images.pictures)
        if picture.row is not None and mask_name(picture.row) is not None
    ]
    if not rows:
        raise SynthError(
            "no masks",
            where=images.folder,
            expected=f"rows with `{COLUMN}`",
            fix="Name a PNG of 0 outside and above 0 inside for each image.",
        )
    return take(images, rows)


def masked(images: ImageSet) -> Masked:
    """Read the mask of every image of a set; nearest pixels where the size changes.

    Args:
        images: as ``with_masks`` gives them.

    Raises:
        SynthError: a mask is missing, damaged, or of another size than its image.
    """
    side = images.image_u8.shape[-1]
    found = [
        _read(images.folder, picture.path, mask_name(picture.row))
        for picture in images.pictures
        if picture.row
    ]
    stacked = np.stack([fit_square_mask(mask, side) for mask in found])
    return Masked(images.image_u8, torch.from_numpy(stacked)[:, None])


def _read(folder: Path, image: Path, name: str | None) -> NDArray[np.bool_]:
    if name is None:
        raise SynthError("the row names no mask", where=image, expected=COLUMN)
    with Image.open(image) as opened:
        size = opened.size
    return read_mask(mask_path(folder, name), size)
