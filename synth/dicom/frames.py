"""Enhanced multi-frame objects: what a plain file's tags say lies in functional groups.

A macro of the frame that is taken wins over the shared one, and that over the tags of the header
(PS3.3 C.7.6.16.1). A macro counts as a whole: a window there is not mixed with a function here.
"""

from __future__ import annotations

from pydicom.dataset import Dataset

_MACROS = {
    "PixelValueTransformationSequence": ("RescaleSlope", "RescaleIntercept", "RescaleType"),
    "FrameVOILUTSequence": ("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence"),
    "PixelMeasuresSequence": ("PixelSpacing",),
}


def taken_frame(frames: int) -> int:
    """Which of several frames stands for all: the middle one, counted from 0."""
    return frames // 2


def settle_groups(dataset: Dataset, frame: int) -> None:
    """Write the macros that hold for a frame where a plain file has them (PS3.3 C.7.6.16.2)."""
    groups = [_item(dataset, "SharedFunctionalGroupsSequence", 0)]
    groups.append(_item(dataset, "PerFrameFunctionalGroupsSequence", frame))
    for group in groups:
        for sequence, names in _MACROS.items():
            macro = _item(group, sequence, 0)
            if macro is None or not any(name in macro for name in names):
                continue
            for name in names:
                if name in macro:
                    dataset[name] = macro[name]
                elif name in dataset:
                    del dataset[name]


def _item(dataset: Dataset | None, sequence: str, index: int) -> Dataset | None:
    items = None if dataset is None else dataset.get(sequence)
    return items[index] if items is not None and index < len(items) else None
