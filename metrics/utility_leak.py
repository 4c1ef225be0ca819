"""The leak guard: no test patient, image or report among what was trained on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from metrics.ingest import ImageSet
from synth.errors import SynthError

_PATIENTS = ("patient_id", "source_patient_id", "source_patient_ids")
_SAMPLES = ("source_sample_id", "source_sample_ids")
_STUDIES = ("study_id", "source_study_id", "source_study_ids")
_TRAINED_ON = (
    "trained_on"  # of dataset.json: {"patients": [...], "samples": [...], "studies": [...]}
)


def refuse_leak(train: ImageSet, test: ImageSet) -> None:
    """Stop when a patient, an image, a study or a source report is on both sides.

    Patients and studies are compared where both sides know them; images by their grey levels,
    since two plain folders may well use the same file names for different images. What a synthetic
    set says of its origin counts as its own: patients, studies and samples that its rows name as
    sources, and those that its ``dataset.json`` names under ``trained_on`` (or flat, as
    ``training_patients``, ``training_samples``, ``training_studies``): a generator that has seen a
    test patient has seen the answers.

    Raises:
        SynthError: naming what is shared, and how many.
    """
    shared = {
        "patients": _patients(train) & _known_patients(test),
        "images": train.digests & test.digests,
        "source reports": _samples(train) & set(test.ids),
        "studies": _studies(train) & _named(test, _STUDIES),
    }
    for kind, both in shared.items():
        if both:
            raise SynthError(
                f"test {kind} are among the training images, so scores would mean nothing",
                where=train.folder,
                got=f"{len(both)} shared {kind}, with {test.folder}",
                expected="none",
                fix="Use a dataset with patient-disjoint splits, as `synth prepare` makes.",
            )


def _known_patients(images: ImageSet) -> set[str]:
    return set(images.groups or ()) | _named(images, _PATIENTS)


def _patients(images: ImageSet) -> set[str]:
    return _known_patients(images) | _trained_on(images, "patients")


def _samples(images: ImageSet) -> set[str]:
    return set(images.sources) | _named(images, _SAMPLES) | _trained_on(images, "samples")


def _studies(images: ImageSet) -> set[str]:
    return _named(images, _STUDIES) | _trained_on(images, "studies")


def _named(images: ImageSet, keys: tuple[str, ...]) -> set[str]:
    """What the rows behind the images name under some keys, each one name or a list of them."""
    rows = [picture.row for picture in images.pictures if picture.row is not None]
    return {
        name
        for row in rows
        for key in keys
        for name in _names(getattr(row, key, None) or (row.model_extra or {}).get(key))
    }


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, list | tuple):
        yield from (str(name) for name in value)
    elif value not in (None, ""):
        yield str(value)


def _trained_on(images: ImageSet, kind: str) -> set[str]:
    """What a synthetic set's ``dataset.json`` says that its generator was trained on."""
    try:
        info = json.loads((images.folder / "dataset.json").read_bytes())
    except (OSError, ValueError):  # a plain folder, or a table read without it
        return set()
    nested = info.get(_TRAINED_ON) if isinstance(info, dict) else None
    if not isinstance(info, dict):
        return set()
    found = set(_names(info.get(f"training_{kind}")))
    return found | (set(_names(nested.get(kind))) if isinstance(nested, dict) else set())
