"""What a number depends on besides the synthetic images, and whether two numbers may be compared.

Scores of two generators compare only where everything else is equal: the reference images, how
files were read, the extractor and its preprocessing, the estimator, both N and the seeds. All of
it is written down; its hash is the fingerprint. Versions of software are written beside it: they
are named when they differ, and do not forbid a comparison.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from metrics.ingest import ImageSet
from metrics.records import Record
from synth.config.schema import MetricsSection
from synth.data.images_in import Reading

PROTOCOL_VERSION = 1
_SETTINGS = ("nearest_k", "bootstrap", "seed", "classifier_steps", "image_size", "utility")
_RECORD = (
    *("extractor", "extractor_sha256", "preprocessing"),
    *("estimator", "n_real", "n_synthetic", "seed"),
)

_UTILITY = (  # of a part that trains something: what a comparison of its arms rests on
    *("estimator", "settings", "extractor", "extractor_sha256", "preprocessing"),
    *("n_real", "n_synthetic", "n_test", "seed"),
)


def common_protocol(
    *, real: str, train: str | None, size: int, reading: Reading, settings: MetricsSection
) -> dict[str, Any]:
    """What all records of one evaluation share.

    Args:
        real: digest of the reference images.
        train: digest of the training images; None without any.
        size: side of the 8-bit squares in pixels; 0 where there are only statistics.
        reading: how files became grey levels.
        settings: of the metrics.
    """
    held = settings.model_dump(mode="json")
    return {
        "version": PROTOCOL_VERSION,
        "real": real,
        "train": train,
        "ingest": {"square": "padded", "size": size, "reading": reading.words},
        "settings": {name: held[name] for name in _SETTINGS},
    }


def set_digest(images: ImageSet) -> str:
    """SHA-256 over the grey levels of a set, whatever its file names and their order."""
    return hashlib.sha256(b"".join(sorted(images.digests))).hexdigest()


def record_protocol(record: Mapping[str, Any]) -> dict[str, Any]:
    """What belongs to one record."""
    return {name: record[name] for name in _RECORD}


def fingerprint(protocol: Mapping[str, Any]) -> str:
    """Sixteen hexadecimal digits."""
    text = json.dumps(protocol, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def stamped(record: Record, common: Mapping[str, Any]) -> Record:
    """The record with the fingerprint of everything it depends on."""
    return replace(record, fingerprint=_of_record(vars(record), common))


def stamped_section(section: dict[str, Any] | None, common: Mapping[str, Any]) -> Any:
    """The same for the records of a part of ``scores.json``, which are JSON already."""
    return section and {
        name: value | {"fingerprint": _of_record(value, common)} if is_record(value) else value
        for name, value in section.items()
    }


def stamped_utility(
    section: Mapping[str, Any] | None, common: Mapping[str, Any]
) -> dict[str, Any] | None:
    """The same for a part that trains something: one fingerprint for all its arms."""
    if section is None:
        return None
    return {**section, "fingerprint": fingerprint({**common, "part": utility_protocol(section)})}


def utility_protocol(section: Mapping[str, Any]) -> dict[str, Any]:
    """What belongs to a part that trains something."""
    return {name: section[name] for name in _UTILITY if name in section}


def stamped_groups(section: Mapping[str, Any], common: Mapping[str, Any]) -> dict[str, Any]:
    """The same for parts within parts: records by finding, or by column and value."""
    return {
        name: {**value, "fingerprint": _of_record(value, common)}
        if is_record(value)
        else stamped_groups(value, common)
        if isinstance(value, Mapping)
        else value
        for name, value in section.items()
    }


def is_record(value: Any) -> bool:
    """Whether a part of ``scores.json`` is a record."""
    return isinstance(value, Mapping) and set(_RECORD) <= set(value)


def full_protocol(
    common: Mapping[str, Any],
    records: Mapping[str, Record],
    utilities: Mapping[str, Mapping[str, Any] | None] | None = None,
    **sections: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """The ``protocol`` of ``scores.json``: what is shared, what each record adds, and the hash."""
    parts = {name: record_protocol(vars(record)) for name, record in records.items()}
    parts |= {name: utility_protocol(held) for name, held in (utilities or {}).items() if held}
    for section, held in sections.items():
        parts |= dict(_records_within(held or {}, section))
    whole = {**common, "records": parts}
    return {"fingerprint": fingerprint(whole), **whole}


def _records_within(held: Mapping[str, Any], where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, value in held.items():
        if is_record(value):
            yield f"{where}.{name}", record_protocol(value)
        elif isinstance(value, Mapping):
            yield from _records_within(value, f"{where}.{name}")


def _of_record(record: Mapping[str, Any], common: Mapping[str, Any]) -> str:
    return fingerprint({**common, "record": record_protocol(record)})


def differences(one: Any, two: Any, where: str = "") -> Iterator[str]:
    """Each leaf in which two protocols differ: ``ingest.size: 256 and 512``."""
    if isinstance(one, Mapping) and isinstance(two, Mapping):
        for key in dict.fromkeys([*one, *two]):
            yield from differences(one.get(key), two.get(key), f"{where}.{key}" if where else key)
    elif one != two:
        yield f"{where}: {_short(one)} and {_short(two)}"


def _short(value: object) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
