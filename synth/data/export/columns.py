"""The columns that every table of an export has, and what may not leave at all.

An allow-list: what a row holds beyond it, such as ``text_raw`` with the identifiers that a report
was written with, never gets out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from synth.data.export.collection import Collection, Item
from synth.errors import SynthError
from synth.provenance import PROJECT

Kind = Literal["text", "integer", "float", "flag", "label"]

_BEFORE: Mapping[str, Kind] = {
    "sample_id": "text",
    "split": "text",
    "synthetic": "flag",
    "weight": "float",
    "dataset": "text",
    "source": "text",
    "licence": "text",
    "patient_id": "text",
    "study_id": "text",
    "view": "text",
    "sex": "text",
    "age_band": "text",
    "text": "text",
    "text_used": "text",
}
_AFTER: Mapping[str, Kind] = {
    "label_source": "text",
    "qc_flags": "text",
    "seed": "integer",
    "attempt": "integer",
    "prompt_hash": "text",
    "source_sample_id": "text",
    "weights_sha256": "text",
    "config_sha256": "text",
    "solver": "text",
    "steps": "integer",
    "guidance": "float",
    "nearest_real_distance": "float",
    "generator_version": "text",
    "sha256": "text",
    "width": "integer",
    "height": "integer",
    "bit_depth": "integer",
}
_PLACES = ("file_name", "image")  # what formats call the image itself


def columns_of(collection: Collection) -> dict[str, Kind]:
    """Column -> kind: facts, one column a finding, provenance.

    Raises:
        SynthError: a finding has the name of another column.
    """
    taken = {*_BEFORE, *_AFTER, *_PLACES} & set(collection.findings)
    if taken:
        names = ", ".join(sorted(taken))
        raise SynthError("findings have the names of other columns", got=names)
    labels: dict[str, Kind] = dict.fromkeys(collection.findings, "label")
    return {**_BEFORE, **labels, **_AFTER}


def values_of(item: Item, columns: Mapping[str, Kind]) -> dict[str, Any]:
    """The cells of one image, ``None`` where nothing is stated."""
    row = item.row
    known = {
        **row.model_dump(mode="json", include=set(_BEFORE) | set(_AFTER)),
        "weight": item.weight,
        "dataset": item.dataset,
        "licence": licence_of(item),
        "qc_flags": ",".join((*row.flags, *failed_filters(item))),
        "generator_version": item.info.versions.get(PROJECT) if row.synthetic else None,
    }
    return {
        name: row.labels.get(name) if kind == "label" else known.get(name)
        for name, kind in columns.items()
    }


def licence_of(item: Item) -> str:
    """Of the image's source; a synthetic image has those of all that its model learned from."""
    sources = item.info.sources
    own = [source for source in sources if source.name == item.row.source]
    chosen = sources if item.row.synthetic or not own else own
    return "; ".join(dict.fromkeys(source.licence for source in chosen if source.licence))


def failed_filters(item: Item) -> list[str]:
    """Names of the quality checks that a synthetic image did not pass."""
    filters: Mapping[str, Any] = getattr(item.row, "filters", {})
    return sorted(name for name, found in filters.items() if _failed(found))


def _failed(found: Any) -> bool:
    """A verdict may stand alone or beside its score."""
    verdict = found.get("verdict", found.get("ok", True)) if isinstance(found, Mapping) else found
    return verdict is False or verdict in ("fail", "failed", "reject", "rejected")
