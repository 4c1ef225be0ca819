"""Where the page's numbers come from: software, digests, the configuration and the terms of use."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metrics.report_plan import extra
from metrics.report_values import Scores, part, words
from synth.errors import SynthError
from synth.manifest import Dataset, SourceTerms, sha256_file
from synth.provenance import versions

_IN_DETAIL = ("records.", "settings.")  # of each record, and shown as settings of the scores
_MOST = 100_000  # characters of a file that is shown


@dataclass(frozen=True)
class Provenance:
    """Facts to make the same again.

    Attributes:
        facts: (name, value) pairs, long values included.
        software: (package, version) pairs.
        config: the run's YAML, empty where there is no run.
        cohort: the cohort's README, empty where there is none.
        terms: terms of use of the real data, which the synthetic images inherit.
        sources: the named sources of the real data.
    """

    facts: tuple[tuple[str, str], ...]
    software: tuple[tuple[str, str], ...]
    config: str
    cohort: str
    terms: tuple[str, ...]
    sources: tuple[SourceTerms, ...]


def provenance(
    scores: Scores,
    *,
    real: Dataset,
    synthetic: Dataset,
    run: Path | None,
    run_facts: Mapping[str, Any],
    cohort: Path | None,
) -> Provenance:
    """Collect what the folders and the scores record about themselves."""
    recorded = part(scores, "provenance")
    facts = dict(_dataset_facts(real, synthetic))
    for key in ("base_weights_sha256", "weights_sha256", "config_sha256"):
        if run_facts.get(key):
            facts[f"run: {words(key)}"] = str(run_facts[key])
    facts |= {f"scores: {words(name)}": value for name, value in flat(recorded)}
    for name, value in flat(part(scores, "protocol")):
        if not name.startswith(_IN_DETAIL):
            facts[f"protocol: {words(name)}"] = value
    software = part(recorded, "versions") or versions()
    sources = [*real.info.sources, *synthetic.info.sources]
    terms = [*real.info.terms, *synthetic.info.terms, *_text(cohort, "terms.txt").splitlines()]
    return Provenance(
        facts=tuple(facts.items()),
        software=tuple((name, str(value)) for name, value in software.items()),
        config=_start(_text(run, "config.yaml"), "config.yaml"),
        cohort=_start(_text(cohort, "README.txt"), "README.txt"),
        terms=tuple(dict.fromkeys(line.strip() for line in terms if line.strip())),
        sources=tuple({one.name: one for one in sources}.values()),
    )


def read_run_facts(run: Path | None) -> Mapping[str, Any]:
    """``run.json``, empty where there is no finished run.

    Raises:
        SynthError: it is not a JSON object.
    """
    path = run / "run.json" if run else None
    if path is None or not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise SynthError("not valid JSON", where=path, got=error) from None
    if not isinstance(value, dict):
        raise SynthError("not a JSON object", where=path)
    return value


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested mappings as dotted names; versions and terms of use have tables of their own.

    Paths are left out: a page is passed on, and they tell of the machine it was made on.
    """
    for key, value in values.items():
        if key in ("versions", "terms", "sources", "path"):
            continue
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        elif value not in (None, "", []):
            yield f"{prefix}{key}", _line(value)


def _line(value: Any) -> str:
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return ", ".join(str(one) for one in value)
    return str(value)


def _dataset_facts(real: Dataset, synthetic: Dataset) -> Iterator[tuple[str, str]]:
    for role, dataset in (("real dataset", real), ("synthetic dataset", synthetic)):
        if dataset.rows:
            yield role, f"{dataset.info.name}, {len(dataset.rows):,} images"
        table = dataset.folder / "metadata.jsonl"
        if table.is_file():
            yield f"{role}: metadata.jsonl SHA-256", sha256_file(table)
    for name, value in flat(part(extra(synthetic.info), "sampling")):
        yield f"sampling: {words(name)}", value


def _start(text: str, name: str) -> str:
    """The text, or its beginning where it would make the page heavy."""
    return text if len(text) <= _MOST else f"{text[:_MOST]}\n… (the rest is in {name})"


def _text(folder: Path | None, name: str) -> str:
    path = folder / name if folder else None
    return path.read_text("utf-8", errors="replace") if path and path.is_file() else ""
