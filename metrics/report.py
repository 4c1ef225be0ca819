"""One self-contained offline page: what was made, how good it is, and how far to trust that.

The page holds its style, charts and images itself and refers to nothing outside, so that it can be
mailed, archived and printed. What was not computed is left out with a sentence on why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from metrics.report_alignment import alignment_view
from metrics.report_arms import arms_views
from metrics.report_failures import failure_view
from metrics.report_fidelity import fidelity_view
from metrics.report_filters import filter_view
from metrics.report_further import further
from metrics.report_groups import findings_view, subgroups_view
from metrics.report_headline import headline
from metrics.report_images import MOST_FINDINGS, OPEN_FINDINGS, findings_shown, gallery
from metrics.report_neighbours import neighbours
from metrics.report_plan import plan_counts, plan_view
from metrics.report_provenance import provenance, read_run_facts
from metrics.report_summary import sentences, tiles
from metrics.report_training import training
from metrics.report_utility import utility_view
from metrics.report_values import Scores, items, sentence, words
from metrics.verdict import verdict
from synth.manifest import Dataset, open_dataset, write_bytes

_TEMPLATES = "templates"
_WARNED = 12  # warnings shown at once; the rest is folded


@dataclass(frozen=True)
class _Sources:
    """Everything the page is made from."""

    scores: Scores
    real: Dataset
    synthetic: Dataset
    run: Path | None
    cohort: Path | None
    before: Dataset | None


def write_report(
    path: Path,
    *,
    scores: dict[str, Any],
    real: Path,
    synthetic: Path,
    run: Path | None,
    cohort: Path | None,
    before: Path | None,
) -> Path:
    """Write the page.

    Args:
        path: the HTML file; its folder is made.
        scores: the content of ``scores.json`` (structure: ``metrics.records``).
        real: the real dataset, from which training images are shown.
        synthetic: the dataset that was scored.
        run: the fine-tune's folder (``config.yaml``, ``log.jsonl``, ``previews/``), if any.
        cohort: the source of the real dataset, for its README and terms of use.
        before: the same plan's images by the base weights.

    Returns:
        ``path``.

    Raises:
        SynthError: a dataset is missing or malformed, or one of the shown images cannot be read.
    """
    sources = _Sources(
        scores,
        open_dataset(real),
        open_dataset(synthetic),
        run if run and run.is_dir() else None,
        cohort if cohort and cohort.is_dir() else None,
        open_dataset(before) if before and (before / "metadata.jsonl").is_file() else None,
    )
    page = _environment().get_template("report.html").render(_context(sources))
    write_bytes(path, page.encode())
    return path


def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("metrics", _TEMPLATES),
        autoescape=True,  # reports and prompts are other people's text
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _context(sources: _Sources) -> dict[str, Any]:
    """Everything the template names, section by section."""
    scores, real, synthetic = sources.scores, sources.real, sources.synthetic
    facts = read_run_facts(sources.run)
    counts = plan_counts(real, synthetic)
    both: dict[str, Any] = {"real": real, "synthetic": synthetic}
    summary = sentences(scores, counts=counts, weights=_weights(sources), **both)
    return {
        "title": f"{len(synthetic.rows):,} {_kind(synthetic)} images, scored",
        "kicker": f"{real.info.name} → {synthetic.info.name}",
        "phantom": real.info.phantom or synthetic.info.phantom,
        "summary": summary,
        "verdict": verdict(scores),
        "tiles": tiles(scores, counts=counts, **both),
        "headline": headline(scores),
        "further": further(scores),
        "gallery": gallery(real, synthetic),
        "gallery_open": OPEN_FINDINGS,
        "gallery_cut": max(0, findings_shown(real, synthetic) - MOST_FINDINGS),
        "fidelity": fidelity_view(scores, before=sources.before, **both),
        "alignment": alignment_view(scores),
        "findings": findings_view(scores),
        "subgroups": subgroups_view(scores),
        "training": training(sources.run, facts),
        "plan": plan_view(real, synthetic),
        "filters": filter_view(synthetic),
        "utility": utility_view(scores),
        "arms_views": arms_views(scores),
        "neighbours": neighbours(scores, real, synthetic),
        "failures": failure_view(scores, real, synthetic),
        "warnings": [sentence(text) for text in items(scores, "warnings")],
        "warned": _WARNED,
        "not_computed": [
            (words(str(entry.get("what", ""))), sentence(entry.get("why")))
            for entry in items(scores, "not_computed")
            if isinstance(entry, Mapping)
        ],
        "provenance": provenance(
            scores, run=sources.run, run_facts=facts, cohort=sources.cohort, **both
        ),
    }


def _kind(dataset: Dataset) -> str:
    """What the scored images are; a real set may be scored as if it were synthetic."""
    labelled = "labelled " if dataset.findings else ""
    return f"{labelled}synthetic" if dataset.info.synthetic else f"{labelled}compared"


def _weights(sources: _Sources) -> str:
    """The base model's name from the run's configuration, empty without a run."""
    if sources.run is None or not (sources.run / "config.yaml").is_file():
        return ""
    from synth.config import load_config

    return load_config(sources.run / "config.yaml").model.weights
