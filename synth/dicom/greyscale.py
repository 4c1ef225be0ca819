"""The grey-scale transformations of DICOM PS3.3 as functions of arrays.

stored values -> modality values (C.11.1) -> VOI (C.11.2) -> [0, 1]

pydicom's ``apply_voi_lut`` (3.0.2) indexes in the table's own dtype: an 8-bit table of more than
256 entries wraps around. Indices here are int64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
WindowFunction = Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"]


@dataclass(frozen=True)
class Table:
    """A Modality or VOI LUT: descriptor (C.11.1.1.1, C.11.2.1.1) and entries.

    Attributes:
        first: input value mapped to the first entry; smaller inputs get it too.
        bits: meaningful bits an entry, 8 to 16.
        entries: integers [n].
    """

    first: int
    bits: int
    entries: NDArray[np.int64]


def stored_values(
    array: NDArray[np.generic], *, bits_stored: int, high_bit: int, signed: bool
) -> NDArray[np.int64]:
    """Keep the stored bits only and extend the sign (PS3.5 section 8.1.1).

    Bits above ``high_bit`` may hold an overlay or noise.
    """
    shift = high_bit + 1 - bits_stored
    values = (array.astype(np.int64) >> shift) & ((1 << bits_stored) - 1)
    if signed:
        values = np.where(values >= 1 << (bits_stored - 1), values - (1 << bits_stored), values)
    return values


def apply_table(values: NDArray[np.number], table: Table) -> NDArray[np.int64]:
    """Look integers up; what lies outside the table gets its first or last entry."""
    index = np.rint(np.asarray(values, dtype=np.float64)).astype(np.int64) - table.first
    return table.entries[np.clip(index, 0, len(table.entries) - 1)]


def table_to_unit(values: NDArray[np.int64], table: Table) -> Floats:
    """Entries -> [0, 1] by the descriptor's bit depth, or the largest entry if that lies above."""
    top = max((1 << table.bits) - 1, int(table.entries.max(initial=1)))
    return np.clip(values / top, 0.0, 1.0)


def apply_window(
    values: NDArray[np.number], center: float, width: float, function: WindowFunction = "LINEAR"
) -> Floats:
    """Window values into [0, 1] (y_min = 0, y_max = 1).

    LINEAR (C.11.2.1.2.1): 0 up to c - 0.5 - (w-1)/2, 1 above c - 0.5 + (w-1)/2,
    between them (x - (c - 0.5)) / (w - 1) + 0.5. LINEAR_EXACT (C.11.2.1.3.2): (x - c)/w + 0.5,
    clipped. SIGMOID (C.11.2.1.3.1): 1 / (1 + exp(-4 (x - c) / w)).

    Args:
        values: modality values, any shape.
        center: window center.
        width: window width; at least 1 for LINEAR, above 0 otherwise.
        function: the VOI LUT Function.

    Raises:
        ValueError: the width is not allowed for the function, or a number is not finite.
    """
    if not window_is_valid(center, width, function):
        raise ValueError(f"window width {width} is not allowed for {function}")
    x = np.asarray(values, dtype=np.float64)
    if function == "SIGMOID":
        exponent = np.clip(-4.0 * (x - center) / width, -700.0, 700.0)
        return np.asarray(1.0 / (1.0 + np.exp(exponent)))
    if function == "LINEAR_EXACT":
        return np.clip((x - center) / width + 0.5, 0.0, 1.0)
    if width == 1:  # a step: the slope's denominator is zero
        return np.where(x <= center - 0.5, 0.0, 1.0)
    return np.clip((x - (center - 0.5)) / (width - 1) + 0.5, 0.0, 1.0)


def window_is_valid(center: float, width: float, function: WindowFunction) -> bool:
    """Whether the standard allows this window."""
    if not (np.isfinite(center) and np.isfinite(width)):
        return False
    return width >= 1 if function == "LINEAR" else width > 0


def scale_range(values: NDArray[np.number], low: float, high: float) -> Floats:
    """Map [low, high] to [0, 1] linearly, clipped; the ends must differ."""
    return np.clip((np.asarray(values, dtype=np.float64) - low) / (high - low), 0.0, 1.0)


def luminance(rgb: NDArray[np.generic], top: float) -> Floats:
    """RGB [H, W, 3] in 0..top -> Rec. 601 luma [H, W] in [0, 1]."""
    weights = np.array([0.299, 0.587, 0.114])
    values: Floats = rgb[..., :3].astype(np.float64) @ weights
    return np.clip(values / top, 0.0, 1.0)
