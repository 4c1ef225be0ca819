"""From stored values to [0, 1]: which modality and VOI transformation of a header applies.

All arrays here hold one entry a level that occurs in the image (:mod:`synth.dicom.levels`).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from synth.dicom.greyscale import (
    Floats,
    Table,
    WindowFunction,
    apply_table,
    apply_window,
    scale_range,
    table_to_unit,
    window_is_valid,
)
from synth.dicom.header import ImageModule, numbers
from synth.dicom.levels import percentile

Voi = Literal["auto", "window", "lut", "none", "percentile"]
VOIS: tuple[Voi, ...] = ("auto", "window", "lut", "none", "percentile")
_PERCENTILES = (0.5, 99.5)


def modality_values(
    dataset: Dataset, module: ImageModule, stored: NDArray[np.int64]
) -> tuple[Floats, str]:
    """Modality LUT, else rescale, else as stored (PS3.3 C.11.1), and the choice in words."""
    table = read_table(dataset, "ModalityLUTSequence", signed=module.signed)
    if table is not None:
        return apply_table(stored, table).astype(np.float64), f"LUT of {len(table.entries)}"
    slope, intercept = _rescale(dataset)
    if (slope, intercept) == (1.0, 0.0):
        return stored.astype(np.float64), "identity"
    return stored.astype(np.float64) * slope + intercept, f"rescale {slope:g} x + {intercept:g}"


def _rescale(dataset: Dataset) -> tuple[float, float]:
    slopes, intercepts = numbers(dataset, "RescaleSlope"), numbers(dataset, "RescaleIntercept")
    slope = slopes[0] if slopes and slopes[0] != 0 else 1.0  # zero would erase the image
    return slope, intercepts[0] if intercepts else 0.0


def to_unit(
    dataset: Dataset, module: ImageModule, values: Floats, counts: NDArray[np.int64], voi: Voi
) -> tuple[Floats, str]:
    """Bring modality values into [0, 1], and say how.

    A window that leaves no contrast is not believed: the next choice is taken.

    Args:
        dataset: the header.
        module: its image module.
        values: modality values that occur [n].
        counts: how many pixels of each to include in percentiles [n].
        voi: what to use of the header.
    """
    if voi in ("auto", "lut"):
        table = read_table(dataset, "VOILUTSequence", signed=bool(values.min() < 0))
        if table is not None:
            unit = table_to_unit(apply_table(values, table), table)
            if np.ptp(unit) > 1 / 255:
                return unit, f"LUT of {len(table.entries)}"
    if voi in ("auto", "window"):
        windowed = _windowed(dataset, values)
        if windowed is not None:
            return windowed
    if voi == "none" or (voi != "percentile" and module.bits_stored <= 8):
        low, high = _full_range(dataset, module)
        return scale_range(values, low, high), f"full range {low:g} to {high:g}"
    low, high = (percentile(values, counts, percent) for percent in _PERCENTILES)
    if low == high:
        low, high = float(values.min()), float(values.max())
    return scale_range(values, low, high), "percentiles 0.5 to 99.5"


def _windowed(dataset: Dataset, values: Floats) -> tuple[Floats, str] | None:
    """The first of the header's windows that is valid and leaves contrast."""
    named = str(dataset.get("VOILUTFunction") or "LINEAR").strip().upper()
    function: WindowFunction = "LINEAR"
    if named == "LINEAR_EXACT":
        function = "LINEAR_EXACT"
    elif named == "SIGMOID":
        function = "SIGMOID"
    centers, widths = numbers(dataset, "WindowCenter"), numbers(dataset, "WindowWidth")
    for number, (center, width) in enumerate(zip(centers, widths, strict=False), 1):
        if not window_is_valid(center, width, function):
            continue
        unit = apply_window(values, center, width, function)
        if np.ptp(unit) > 1 / 255:
            which = f" ({number} of {len(centers)})" if len(centers) > 1 else ""
            return unit, f"window {function} {center:g}/{width:g}{which}"
    return None


def window_was_ignored(dataset: Dataset, chosen: str) -> bool:
    """Whether the header offers a window or VOI LUT that :func:`to_unit` did not believe."""
    values = (dataset.get(name) for name in ("WindowCenter", "WindowWidth"))
    offered = dataset.get("VOILUTSequence") or any(value not in (None, "") for value in values)
    return bool(offered) and not chosen.startswith(("LUT", "window"))


def padded_levels(
    dataset: Dataset, module: ImageModule, stored: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Which stored values are padding around the image (PS3.3 C.7.5.1.1.2), bool [n].

    They are left out of percentiles; a header that calls everything padding is not believed.
    """
    ends = [
        int(value)
        for name in ("PixelPaddingValue", "PixelPaddingRangeLimit")
        for value in numbers(dataset, name)[:1]
    ]
    if not ends or not numbers(dataset, "PixelPaddingValue"):
        return np.zeros(len(stored), dtype=bool)
    top = 1 << module.bits_allocated
    if module.signed:  # some write the two's complement as an unsigned number
        ends = [end - top if end >= top // 2 else end for end in ends]
    padded = (stored >= min(ends)) & (stored <= max(ends))
    return np.zeros_like(padded) if padded.all() else padded


def _full_range(dataset: Dataset, module: ImageModule) -> tuple[float, float]:
    """What the stored bits can hold, after the modality transformation."""
    table = read_table(dataset, "ModalityLUTSequence", signed=module.signed)
    if table is not None:
        return 0.0, float(max((1 << table.bits) - 1, int(table.entries.max(initial=1))))
    low = -(1 << (module.bits_stored - 1)) if module.signed else 0
    high = low + (1 << module.bits_stored) - 1
    slope, intercept = _rescale(dataset)
    ends = (low * slope + intercept, high * slope + intercept)
    return min(ends), max(ends)


def read_table(dataset: Dataset, sequence: str, *, signed: bool) -> Table | None:
    """The first table of a LUT sequence, ``None`` if there is none or it is unusable.

    A descriptor of 0 entries means 65,536. 8-bit entries may be packed two to a word.
    """
    items = dataset.get(sequence)
    if not items:
        return None
    descriptor, data = items[0].get("LUTDescriptor"), items[0].get("LUTData")
    if descriptor is None or data is None or len(descriptor) != 3:
        return None
    try:
        count, first, bits = (int(value) for value in descriptor)
    except (TypeError, ValueError):
        return None
    count = count or 65536
    if signed and first > 32767:
        first -= 65536
    entries = _entries(data, count)
    if entries is None or not 1 <= bits <= 16:
        return None
    return Table(first, bits, entries)


def _entries(data: object, count: int) -> NDArray[np.int64] | None:
    if isinstance(data, bytes):
        kind = np.dtype(np.uint8) if len(data) < 2 * count else np.dtype("<u2")
        entries = np.frombuffer(data[: count * kind.itemsize], dtype=kind).astype(np.int64)
    else:
        words = np.atleast_1d(np.asarray(data)).astype(np.int64) & 0xFFFF
        if len(words) * 2 in (count, count + 1):  # bytes packed in words
            words = words.astype("<u2").view(np.uint8).astype(np.int64)
        entries = words[:count]
    return entries if len(entries) == count else None
