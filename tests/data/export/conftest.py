"""A synthetic dataset as `synth sample` leaves it, made from the tiny dataset's training texts."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from synth.data.export.run import export_dataset
from synth.images import save_png
from synth.manifest import (
    DatasetInfo,
    SyntheticRow,
    append_jsonl,
    open_dataset,
    sha256_text,
    write_json,
    write_sha256sums,
)
from synth.seeding import numpy_rng, seed_from

MADE = 7  # synthetic images beside 14 real training images


def make_synthetic(folder: Path, real: Path, *, bits: int = 8, **info: object) -> Path:
    """Write a synthetic dataset; ``info`` replaces facts of its ``dataset.json``."""
    origins = open_dataset(real).split("train")[:MADE]
    rows = []
    for index, origin in enumerate(origins):
        name = f"images/00000/syn-{index:06d}.png"
        rng = numpy_rng("synthetic", seed_from(index))
        levels = rng.integers(0, 1 << bits, (31, 33)).astype(np.uint8 if bits == 8 else np.uint16)
        content = save_png(folder / name, levels, text={"Synthetic": "YES"})
        row = SyntheticRow(
            file_name=name,
            sample_id=f"syn-{index:06d}",
            split="train",
            text=origin.text,
            text_used=origin.text_used if index else "größe: “small” nodule\nleft base",
            labels=origin.labels,
            label_source="conditioned",
            source=f"synthetic from {origin.sample_id}",
            view=("PA", "AP", "LATERAL", None)[index % 4],
            sex=origin.sex,
            age_band=origin.age_band,
            sha256=hashlib.sha256(content).hexdigest(),
            width=33,
            height=31,
            bit_depth=bits,
            seed=2**53 + index,
            prompt_hash=sha256_text(origin.text),
            weights_sha256="a" * 64,
            config_sha256="b" * 64,
            solver="dpmpp_2m",
            steps=20,
            guidance=4.0,
            filters={"finite": True, "not_duplicate": index != 3},
        )
        rows.append(row.model_copy(update={"source_sample_id": origin.sample_id}))
    append_jsonl(folder / "metadata.jsonl", rows)
    source = open_dataset(real).info
    facts = {
        "name": "made",
        "synthetic": True,
        "terms": source.terms,
        "sources": source.sources,
        "versions": {"medical-image-synthesis": "0.1.0"},
    }
    write_json(folder / "dataset.json", DatasetInfo.model_validate(facts | info))
    write_sha256sums(folder)
    return folder


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, tiny_dataset: Path) -> Path:
    return make_synthetic(tmp_path_factory.mktemp("made") / "made", tiny_dataset)


@pytest.fixture(scope="session")
def merged(tmp_path_factory: pytest.TempPathFactory, tiny_dataset: Path, made: Path):
    """Format -> folder with synthetic and real images; made once a session, not to be changed."""
    folder, known = tmp_path_factory.mktemp("merged"), {}

    def get(to: str) -> Path:
        if to not in known:
            known[to] = folder / f"augmented-{to}"
            export_dataset(made, known[to], to=to, merge=tiny_dataset, weight="equal")
        return known[to]

    return get


@pytest.fixture(scope="session")
def expected(tiny_dataset: Path, made: Path):
    """sample_id -> (row, bytes of its image)."""
    return {
        row.sample_id: (row, dataset.path(row).read_bytes())
        for dataset in map(open_dataset, (tiny_dataset, made))
        for row in dataset.rows
    }


@pytest.fixture
def change_terms(tmp_path: Path, tiny_dataset: Path):
    """Copies of the tiny dataset's facts under other terms."""

    def change(name: str, **facts: object) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for path in tiny_dataset.iterdir():
            if path.name != "dataset.json":
                (folder / path.name).symlink_to(path)
        info = json.loads((tiny_dataset / "dataset.json").read_text("utf-8"))
        write_json(folder / "dataset.json", info | facts)
        return folder

    return change


@pytest.fixture(scope="session")
def made_16(tmp_path_factory: pytest.TempPathFactory, tiny_dataset: Path) -> Path:
    """As ``made``, with 16-bit images."""
    folder = tmp_path_factory.mktemp("made-16") / "deep"
    return make_synthetic(folder, tiny_dataset, bits=16, name="deep")
