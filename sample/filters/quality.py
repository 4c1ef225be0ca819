"""Plain quality: contrast, saturation and sharpness, none beyond what real images have.

Sharpness is the logarithm of the standard deviation of the Laplacian at no more than 128 pixels a
side: what an autoencoder loses at the finest scale does not count as blur. Noise is too sharp.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sample.filters.base import Mark, Wish
from sample.filters.limits import joint_limits
from synth.extractors.base import grey_input

_SIDE = 128
_FEW = 1e-3  # share of black and white pixels that is as good as none
MEASURED = ("contrast", "saturation", "sharpness")
_SIDES = (  # measured, whether more is worse, what that is called
    ("contrast", False, "contrast too low"),
    ("contrast", True, "contrast too high"),
    ("saturation", True, "too many black and white pixels"),
    ("sharpness", False, "blurred"),
    ("sharpness", True, "sharper than a radiograph, as noise is"),
)


def measure(image_u8: Tensor) -> dict[str, float]:
    """Of uint8 [1, 1, H, W]: grey levels, share of pixels at 0 or 255, log of grey levels."""
    grey = image_u8[0, 0].numpy()
    small = grey_input(image_u8, min(_SIDE, *image_u8.shape[-2:]))[0, 0].double().numpy()
    inner = small[1:-1, 1:-1]
    around = small[:-2, 1:-1] + small[2:, 1:-1] + small[1:-1, :-2] + small[1:-1, 2:]
    return {
        "contrast": float(grey.astype(np.float64).std()),
        "saturation": float(((grey == 0) | (grey == 255)).mean()),
        "sharpness": float(np.log((127.5 * (around - 4 * inner)).std() + 1e-3)),
    }


@dataclass(frozen=True)
class QualityFilter:
    """Refuses what is outside of the limits, one a side of ``_SIDES``."""

    limits: tuple[float, ...]

    name = "quality"

    def __call__(self, image_u8: Tensor, wish: Wish) -> Mark:
        """Judge uint8 [1, 1, H, W]."""
        del wish
        found = measure(image_u8)
        sides = zip(self.limits, _SIDES, strict=True)
        reasons = tuple(
            f"{words} ({found[name]:.3g}, limit {limit:.3g})"
            for limit, (name, more, words) in sides
            if (found[name] > limit if more else found[name] < limit)
        )
        return Mark(found, reasons)


def calibrate(measured: NDArray[np.float64], reject: float) -> tuple[float, ...]:
    """Limits from the measurements [n, 3] of real images, one a side of ``_SIDES``."""
    columns = [MEASURED.index(name) for name, _, _ in _SIDES]
    signs = np.array([-1.0 if more else 1.0 for _, more, _ in _SIDES])
    even = measured.copy()
    even[:, 0] = np.log(even[:, 0] + 1.0)
    even[:, 1] = np.log(even[:, 1] + _FEW)
    limits = signs * joint_limits(signs * even[:, columns], reject)
    back = {
        "contrast": lambda value: np.exp(value) - 1.0,
        "saturation": lambda value: max(np.exp(value) - _FEW, _FEW),
        "sharpness": lambda value: value,
    }
    return tuple(
        float(back[name](value)) for value, (name, _, _) in zip(limits, _SIDES, strict=True)
    )
