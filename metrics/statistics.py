"""Scores where a side is saved statistics (``mu``, ``sigma`` and, with luck, ``n``) and no images.

Only a Fréchet distance can be had from them, and only its plug-in value: without rows there is no
jackknife, no neighbour, no kernel and no floor.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import reduce
from pathlib import Path
from typing import Any

from metrics.chosen import ALL, Choices
from metrics.extract import features_of
from metrics.ingest import DEFAULT_SIZE, native_size, open_images
from metrics.markdown import write_scores
from metrics.meanings import MEANINGS
from metrics.moments import Moments, frechet_of_moments, load_moments, moments_of
from metrics.protocol import common_protocol, full_protocol, stamped
from metrics.records import Missing, Record, Scores
from metrics.sets import Work, warn_of_refused
from metrics.verdict import verdict
from metrics.whereabouts import is_statistics, set_facts
from synth.errors import SynthError, UsageError
from synth.extractors.base import Extractor
from synth.extractors.open import open_extractor
from synth.families.device import select_device
from synth.manifest import sha256_file
from synth.progress import Progress, Silent
from synth.provenance import versions

_WHY = "saved statistics hold a mean and a covariance, no images"


def image_moments(images: Path, *, choices: Choices, progress: Progress | None = None) -> Moments:
    """The statistics of the features of images, by the first extractor chosen.

    Raises:
        SynthError: no images, or no such extractor.
    """
    extractor = open_extractor(choices.extractors[0], device=select_device("auto").type)
    found = open_images(images, native_size(images), reading=choices.reading)
    if found.refused:
        (progress or Silent()).note(f"{len(found.refused)} unreadable files left out of {images}")
    values = features_of(extractor, found, store=choices.store, progress=progress).values
    return moments_of(values, extractor=extractor.id)


def merged_moments(parts: Sequence[Path]) -> Moments:
    """The statistics of all parts together.

    Raises:
        SynthError: a part is no statistics file, lacks n, or is of another extractor.
    """
    return reduce(Moments.merge, (load_moments(part) for part in parts))


def moments_from(
    path: Path, extractor: Extractor | None, *, size: int, choices: Choices, work: Work
) -> Moments:
    """The statistics of a file, or of the features of images.

    Raises:
        SynthError: unreadable, or images without an extractor.
    """
    if is_statistics(path):
        if not path.is_file():
            raise SynthError("no such file", where=path)
        return load_moments(path)
    if extractor is None:
        raise UsageError(
            "statistics say nothing of the extractor that made them",
            where=path,
            fix="Name it with --extractor, or save both sides with `synth evaluate features`.",
        )
    images = open_images(path, size, reading=choices.reading)
    warn_of_refused(images, work)
    features = features_of(extractor, images, store=choices.store, progress=work.progress)
    return moments_of(features.values, extractor=extractor.id)


def statistics_scores(
    real: Path, synthetic: Path, *, choices: Choices, work: Work, out: Path | None = None
) -> Scores:
    """The Fréchet distance, what else is not computed and why.

    Raises:
        SynthError: statistics of different extractors, or not statistics.
    """
    extractor = _extractor(real, synthetic, choices, work)
    folder = synthetic if is_statistics(real) else real
    size = DEFAULT_SIZE if is_statistics(folder) else native_size(folder)
    one = moments_from(real, extractor, size=size, choices=choices, work=work)
    two = moments_from(synthetic, extractor, size=size, choices=choices, work=work)
    _same_extractor(one, two, work)
    name = f"fd_{extractor.name}" if extractor else "fd"
    common = common_protocol(
        real=_digest(real, one),
        train=None,
        size=0,
        reading=choices.reading,
        settings=work.settings,
    )
    record = stamped(_record(one, two, extractor, work), common)
    missing = [Missing(what, _WHY) for what in ALL if what != "fd" and choices.wants(what)]
    scores = Scores(
        metrics={name: record},
        label_fidelity=None,
        label_fidelity_before=None,
        memorization=None,
        utility=None,
        reconstruction=None,
        not_computed=(*work.missing, *missing),
        warnings=tuple(work.warnings),
        protocol=full_protocol(common, {name: record}),
        provenance=_made_from(
            {"real": (real, one), "synthetic": (synthetic, two)}, choices, work, out
        ),
    )
    scores = replace(scores, verdict=verdict(scores.to_json()).to_json())
    if out is not None:
        write_scores(out, scores.to_json())
    return scores


def _made_from(
    sides: Mapping[str, tuple[Path, Moments]], choices: Choices, work: Work, out: Path | None
) -> dict[str, Any]:
    return {
        "sets": {
            role: {**set_facts(path, out), "images": moments.n or None}
            for role, (path, moments) in sides.items()
        },
        "reading": asdict(choices.reading),
        "judge": None,
        "settings": work.settings.model_dump(mode="json"),
        "weights": None,
        "terms": [],
        "sources": [],
        "versions": versions(),
    }


def _extractor(real: Path, synthetic: Path, choices: Choices, work: Work) -> Extractor | None:
    if len(choices.extractors) > 1:
        raise UsageError("statistics are of one extractor", got=", ".join(choices.extractors))
    named = choices.extractors[0] if choices.extractors else work.settings.extractor
    if named != "auto":
        return open_extractor(named, device=select_device(work.settings.device).type)
    if is_statistics(real) and is_statistics(synthetic):
        return None
    file = real if is_statistics(real) else synthetic
    weight_free = open_extractor("random-conv")
    return weight_free if load_moments(file).extractor == weight_free.id else None


def _same_extractor(one: Moments, two: Moments, work: Work) -> None:
    if len(one.mean) != len(two.mean) or (
        one.extractor and two.extractor and one.extractor != two.extractor
    ):
        raise SynthError(
            "statistics of different extractors do not compare",
            got=f"{one.extractor or 'unnamed'} [{len(one.mean)}] and "
            f"{two.extractor or 'unnamed'} [{len(two.mean)}]",
        )
    if not (one.extractor and two.extractor):
        work.warnings.append(
            "a statistics file does not say which extractor made it: whether the two compare is "
            "not known"
        )


def _record(one: Moments, two: Moments, extractor: Extractor | None, work: Work) -> Record:
    unknown = [side for side, m in (("real", one), ("synthetic", two)) if m.n == 0]
    note = "interval and floor withheld: they need rows"
    if unknown:
        note += f"; n of {' and '.join(unknown)} is not known, so neither is the bias"
    elif min(one.n, two.n) <= len(one.mean):
        note += "; fewer images than dimensions: the value is mostly bias"
    return Record(
        value=frechet_of_moments(real=one, synthetic=two),
        se=None,
        ci=None,
        n_real=one.n or None,
        n_synthetic=two.n or None,
        estimator="plug-in value of saved statistics, biased upwards",
        seed=work.settings.seed,
        higher_is_better=False,
        meaning=MEANINGS["fd"],
        extractor=one.extractor or two.extractor,
        extractor_sha256=extractor.weights_sha256 if extractor else "",
        preprocessing=extractor.preprocessing if extractor else "",
        note=note,
        versions=versions(),
    )


def _digest(path: Path, moments: Moments) -> str:
    if path.is_file():
        return sha256_file(path)
    return hashlib.sha256(moments.mean.tobytes() + moments.scatter.tobytes()).hexdigest()
