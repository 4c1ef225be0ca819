"""Small datasets of images and texts: a real one by patients, and synthetic ones with prompts."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from synth.images import save_png
from synth.manifest import DatasetInfo, Row, SyntheticRow, append_jsonl, write_json
from synth.seeding import numpy_rng

FINDINGS = ("hernia", "nodule")
_SIZES = ("small", "large", "left", "right", "possible")
_PLACES = ("chest", "acute", "lazy", "quick", "brown", "over")


def paired_dataset(
    folder: Path, *, count: int = 40, synthetic: bool = False, words: bool = True, longer: int = 0
) -> Path:
    """A dataset of 32-pixel images; two of a patient where it is real, all held out.

    Args:
        folder: to write.
        count: images.
        synthetic: whether rows are those of generated images.
        words: whether rows have texts.
        longer: how many texts, the first ones, have more than 16 words.
    """
    rows = []
    for index in range(count):
        labels = {"hernia": int(index % 2), "nodule": int(index // 2 % 2)}
        text = _text(index, labels) + " and the left" * 6 * (index < longer)
        name = f"images/{index:03d}.png"
        content = save_png(folder / name, _image(index, labels, synthetic))
        facts: dict[str, Any] = {
            "file_name": name,
            "sample_id": f"{'syn' if synthetic else 'real'}-{index:03d}",
            "split": "train" if synthetic else "val",
            "text_used": text if words else "",
            "labels": labels,
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        if synthetic:
            made = {"seed": index, "prompt_hash": "p", "weights_sha256": "w", "config_sha256": "c"}
            rows.append(SyntheticRow(**facts, **made, solver="ddim", steps=1, guidance=1.0))
        else:
            rows.append(Row(**facts, patient_id=f"p{index // 2:02d}"))
    append_jsonl(folder / "metadata.jsonl", rows)
    info = DatasetInfo(name=folder.name, synthetic=synthetic, size=32, findings=list(FINDINGS))
    write_json(folder / "dataset.json", info)
    return folder


def _text(index: int, labels: dict[str, int]) -> str:
    named = [
        f"there is {'a' if value else 'no'} {_SIZES[index % 5]} {name}"
        for name, value in labels.items()
    ]
    return f"{_PLACES[index % 6]} {' and '.join(named)}."


def _image(index: int, labels: dict[str, int], synthetic: bool) -> np.ndarray:
    rng = numpy_rng("paired", index, int(synthetic))
    image = rng.integers(30, 60, (32, 32)).astype(np.uint8)
    if labels["hernia"]:
        image[22:32, 10:24] = 220
    if labels["nodule"]:
        image[4:12, 2:12] = 240
    return image
