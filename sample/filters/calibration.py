"""The filters of a dataset with their limits: made once from its real images, then read again.

The classifier, the features and the limits are functions of the real dataset and the settings. They
are kept in ``<run.out>/filters/<key>``, never in the synthetic dataset: the features are those of
patients' images. ``calibration.json`` is written last and vouches for the other files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sample.filters import alignment, distribution, labels, memorization, quality
from sample.filters.base import Filter
from sample.filters.judge import Judge
from sample.filters.references import (
    Gallery,
    collect_gallery,
    labels_of,
    load_gallery,
    shrunk,
    slices,
)
from synth.config.schema import Config, FilterSection
from synth.errors import SynthError
from synth.extractors import EXTRACTORS
from synth.extractors.classifier import (
    Classifier,
    fit_classifier,
    load_classifier,
    one_thread,
)
from synth.extractors.text_side import Joint
from synth.manifest import Dataset, Row, sha256_file, sha256_text, write_json
from synth.progress import Progress
from synth.seeding import seed_from

LEAST_TRAIN, LEAST_VALIDATION = 40, 20  # images
MOST_VALIDATION = 2000  # evenly spread; more would not move a limit
_VERSION = 1  # of what the files hold and how it is computed
_RECORD, _CLASSIFIER, _GALLERY = "calibration.json", "classifier.safetensors", "gallery.safetensors"


@dataclass(frozen=True)
class _Real:
    """The real images of a calibration."""

    dataset: Dataset
    train: tuple[Row, ...]
    validation: tuple[Row, ...]
    size: int


def open_judge(config: Config, real: Dataset, *, size: int, progress: Progress) -> Judge | None:
    """The judge that ``sample.filters`` asks for; None where every filter is off.

    Args:
        config: ``run.out`` and ``sample.filters`` are used.
        real: the dataset that the generator was trained on.
        size: side of the generated images in pixels.
        progress: told of a calibration, which reads all real training images.

    Raises:
        SynthError: too few real images, or one that cannot be read.
        UsageError: nothing is known by the name of an extractor.
        Unavailable: the extractor of ``alignment`` has no text side.
    """
    settings = config.sample.filters
    if not settings.active:
        return None
    # Opened first: what cannot be had is rejected before anything is computed.
    reader = None if settings.alignment is None else alignment.text_reader(settings.alignment)
    if settings.active == ("near_duplicates",):
        return Judge((), settings, {"settings": _settings(settings)})
    images = _images(real, size)
    folder = (settings.cache or config.run.out / "filters") / _key(images, settings, reader)[:16]
    with one_thread():
        record = _recorded(folder)
        if record is None:
            progress.stage("calibrating the filters on real images")
            record = _calibrate(folder, images, settings, reader)
        filters = _filters(folder, record["limits"], settings, reader)
    return Judge(filters, settings, record)


def _images(real: Dataset, size: int) -> _Real:
    train, validation = real.split("train"), real.split("val")
    if len(train) < LEAST_TRAIN or len(validation) < LEAST_VALIDATION:
        raise SynthError(
            "too few real images to calibrate filters on",
            where=real.folder,
            got=f"{len(train)} training and {len(validation)} validation images",
            expected=f"at least {LEAST_TRAIN} and {LEAST_VALIDATION}",
            fix="Turn sample.filters off, but for near_duplicates, or prepare more data.",
        )
    count = min(len(validation), MOST_VALIDATION)
    spread = np.linspace(0, len(validation) - 1, count).round().astype(int)
    return _Real(real, train, tuple(validation[place] for place in spread), size)


def _settings(settings: FilterSection) -> dict[str, Any]:
    """What decides a verdict."""
    return settings.model_dump(mode="json", exclude={"cache"})


def _key(images: _Real, settings: FilterSection, reader: Joint | None) -> str:
    rows = [
        (row.sample_id, row.sha256, row.labels, row.text_used)
        for row in (*images.train, *images.validation)
    ]
    facts = {
        "version": _VERSION,
        "settings": _settings(settings),
        "extractor": EXTRACTORS.get(settings.extractor)().id,
        "size": images.size,
        "train": len(images.train),
        "rows": rows,
    }
    if reader is not None:
        facts["alignment"] = reader.ids  # its folder may hold other weights by now
    return sha256_text(json.dumps(facts, sort_keys=True))


def _recorded(folder: Path) -> dict[str, Any] | None:
    """An earlier calibration, if all of its files are whole."""
    try:
        record = json.loads((folder / _RECORD).read_bytes())
        whole = all(sha256_file(folder / name) == sha for name, sha in record["files"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return record if whole else None


def _calibrate(
    folder: Path, images: _Real, settings: FilterSection, reader: Joint | None
) -> dict[str, Any]:
    """Compute and keep everything; the record comes last."""
    classifier = _fit(folder, images, settings) if settings.labels else None
    gallery = None
    if _measures(settings):
        extractor = EXTRACTORS.get(settings.extractor)()
        gallery = collect_gallery(
            folder / _GALLERY, extractor, images.dataset, images.train, images.size
        )
    arrays = _measured(images, settings, classifier, gallery, reader)
    limits = _from_measured(arrays, images, classifier, settings.reject)
    names = [name for name in (_CLASSIFIER, _GALLERY) if (folder / name).is_file()]
    record = {
        "settings": _settings(settings),
        "real": {
            "name": images.dataset.info.name,
            "train": len(images.train),
            "validation": len(images.validation),
            "size": images.size,
        },
        "limits": limits,
        "files": {name: sha256_file(folder / name) for name in names},
    }
    if reader is not None:
        cut = int(arrays["text_truncated"].sum())
        record["alignment"] = reader.ids | {"limit": reader.texts.limit, "truncated": cut}
    write_json(folder / _RECORD, record)
    return record


def _measures(settings: FilterSection) -> bool:
    return settings.memorization or settings.distribution


def _fit(folder: Path, images: _Real, settings: FilterSection) -> Classifier:
    """A classifier of the findings that training images have, and have not."""
    names = tuple(images.dataset.info.findings) or images.dataset.findings
    truth = labels_of(images.train, names)
    kept = [
        column
        for column in range(len(names))
        if min((truth[:, column] == 1).sum(), (truth[:, column] == 0).sum()) >= 2
    ]
    small = torch.cat(
        [
            shrunk(part, settings.image_size)
            for _, part in slices(images.dataset, images.train, images.size)
        ]
    )
    classifier = fit_classifier(
        small,
        truth[:, kept],
        findings=[names[column] for column in kept],
        steps=settings.classifier_steps,
        seed=seed_from("filters", "classifier"),  # another one than evaluation fits
        image_size=settings.image_size,
    )
    classifier.save(folder / _CLASSIFIER)
    return classifier


def _measured(
    images: _Real,
    settings: FilterSection,
    classifier: Classifier | None,
    gallery: Gallery | None,
    reader: Joint | None,
) -> dict[str, NDArray[np.float64]]:
    """What each filter that is on says of validation images, one by one, as images will be."""
    measured: dict[str, list[Any]] = {}
    for rows, part in slices(images.dataset, images.validation, images.size):
        for row, image_u8 in zip(rows, part.split(1), strict=True):
            found = _measure(row, image_u8, settings, classifier, gallery, reader)
            for name, value in found.items():
                measured.setdefault(name, []).append(value)
    return {name: np.array(values, dtype=np.float64) for name, values in measured.items()}


def _measure(
    row: Row,
    image_u8: Tensor,
    settings: FilterSection,
    classifier: Classifier | None,
    gallery: Gallery | None,
    reader: Joint | None,
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if classifier is not None:
        small = shrunk(image_u8, classifier.image_size)
        found["labels"] = classifier.probabilities(small)[0]
    if reader is not None:
        cosine, truncated = alignment.text_cosine(reader, image_u8, row.text_used)
        found |= {"alignment": cosine, "text_truncated": truncated}
    if gallery is not None and settings.memorization:
        found["memorization"] = memorization.nearest_train(gallery, image_u8)[0]
    if gallery is not None and settings.distribution:
        found["distribution"] = distribution.manifold_distance(gallery, image_u8)
    if settings.quality:
        found["quality"] = [quality.measure(image_u8)[name] for name in quality.MEASURED]
    return found


def _from_measured(
    arrays: Mapping[str, NDArray[np.float64]],
    images: _Real,
    classifier: Classifier | None,
    reject: float,
) -> dict[str, Any]:
    limits: dict[str, Any] = {}
    if classifier is not None:
        truth = labels_of(images.validation, classifier.findings)
        found = labels.calibrate(arrays["labels"], truth, classifier.findings, reject)
        limits["labels"] = {name: asdict(value) for name, value in found.items()}
    if "alignment" in arrays:
        limits["alignment"] = alignment.calibrate(arrays["alignment"], reject)
    if "memorization" in arrays:
        limits["memorization"] = list(memorization.calibrate(arrays["memorization"], reject))
    if "distribution" in arrays:
        limits["distribution"] = distribution.calibrate(arrays["distribution"], reject)
    if "quality" in arrays:
        limits["quality"] = list(quality.calibrate(arrays["quality"], reject))
    return limits


def _filters(
    folder: Path, limits: Mapping[str, Any], settings: FilterSection, reader: Joint | None
) -> tuple[Filter, ...]:
    """The filters that are on, from what was kept: a fresh calibration goes the same way."""
    found: list[Filter] = []
    if settings.labels:
        known = {name: labels.LabelLimits(**value) for name, value in limits["labels"].items()}
        found.append(labels.LabelFilter(load_classifier(folder / _CLASSIFIER), known))
    if reader is not None:
        found.append(alignment.AlignmentFilter(reader, limits["alignment"]))
    if _measures(settings):
        gallery = load_gallery(folder / _GALLERY, EXTRACTORS.get(settings.extractor)())
        if settings.memorization:
            near = limits["memorization"]
            found.append(memorization.MemorizationFilter(gallery, (near[0], near[1])))
        if settings.distribution:
            found.append(distribution.DistributionFilter(gallery, limits["distribution"]))
    if settings.quality:
        limit = tuple(limits["quality"])
        found.append(quality.QualityFilter(limit))
    return tuple(found)
