"""The phantoms that the base model learns from: rendered once, kept as one uint8 array."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synth.data.phantom.population import draw_patient
from synth.data.phantom.render import render
from synth.data.phantom.reports import write_report
from synth.images import fit_square, grey_to_u8
from synth.manifest import write_json
from synth.text import read_report

UNSEEN = frozenset({"hernia"})
SEED = 1_000_003  # far from any cohort a user would draw


@dataclass(frozen=True)
class BaseImages:
    """uint8 [N, size, size] with each image's prompt and findings."""

    images: NDArray[np.uint8]
    prompts: tuple[str, ...]
    findings: tuple[tuple[str, ...], ...]


def base_images(work: Path, *, patients: int, size: int, workers: int) -> BaseImages:
    """Render the base cohort into ``work``, or read it back when it is there."""
    array_path, table_path = work / f"images-{patients}.npy", work / f"images-{patients}.json"
    if not table_path.is_file():
        work.mkdir(parents=True, exist_ok=True)
        rows = [row for group in _rendered(patients, size, workers) for row in group]
        np.save(array_path, np.stack([image for image, _, _ in rows]))
        write_json(table_path, [[report, list(names)] for _, report, names in rows])
    table = json.loads(table_path.read_text())
    return BaseImages(
        np.load(array_path),
        tuple(read_report(report).text_used for report, _ in table),
        tuple(tuple(names) for _, names in table),
    )


def _rendered(
    patients: int, size: int, workers: int
) -> Iterator[list[tuple[NDArray[np.uint8], str, tuple[str, ...]]]]:
    task = partial(_render_patient, size)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(task, range(patients), chunksize=16)


def _render_patient(size: int, index: int) -> list[tuple[NDArray[np.uint8], str, tuple[str, ...]]]:
    return [
        (
            grey_to_u8(fit_square(render(study, 2 * size), size)),
            write_report(study, without=UNSEEN),
            tuple(finding.name for finding in study.findings),
        )
        for study in draw_patient(SEED, index, without=UNSEEN).studies
    ]
