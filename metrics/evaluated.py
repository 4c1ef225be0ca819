"""What an evaluation was made from: sets, judge, settings, terms of use, software."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from metrics.ingest import ImageSet
from metrics.sets import Sets
from metrics.whereabouts import set_facts
from synth.config.schema import MetricsSection
from synth.extractors.classifier import Classifier
from synth.manifest import read_info
from synth.provenance import versions


def provenance(
    sets: Sets,
    judge: Classifier | None,
    settings: MetricsSection,
    weights: str | None,
    seconds: float,
    out: Path | None = None,
) -> Mapping[str, Any]:
    """The ``provenance`` of ``scores.json``, whose paths are relative to ``out``."""
    roles = sets.roles
    return {
        "sets": {name: _set_facts(images, out) for name, images in roles.items()},
        "reading": asdict(sets.real.reading),
        "judge": None if judge is None else {"id": judge.id, "sha256": judge.weights_sha256},
        "settings": settings.model_dump(mode="json"),
        "weights": weights,
        **_terms(roles.values()),
        "seconds": round(seconds, 2),
        "versions": versions(),
    }


def _terms(roles: Iterable[ImageSet]) -> dict[str, list[Any]]:
    """The terms of use of all images that the scores are about, each once."""
    infos = [read_info(images.folder) for images in roles]
    sources = {source.name: source for info in infos for source in info.sources}
    return {
        "terms": list(dict.fromkeys(term for info in infos for term in info.terms)),
        "sources": [source.model_dump(mode="json") for source in sources.values()],
    }


def _set_facts(images: ImageSet, out: Path | None) -> dict[str, Any]:
    return {
        **set_facts(images.folder, out),
        "images": len(images),
        "patients": None if images.groups is None else len(set(images.groups)),
    }
