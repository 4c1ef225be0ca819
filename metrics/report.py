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
from metrics.report_sets import Named, ShownSet, ShownSets, open_shown
from metrics.report_summary import sentences, tiles
from metrics.report_training import training
from metrics.report_utility import utility_view
from metrics.report_values import Scores, items, sentence, words
from metrics.verdict import verdict
from synth.manifest import write_bytes
from synth.progress import Progress, Silent

_TEMPLATES = "templates"
_WARNED = 12  # warnings shown at once; the rest is folded


@dataclass(frozen=True)
class _Sources:
    """Everything the page is made from."""

    scores: Scores
    sets: ShownSets
    run: Path | None
    cohort: Path | None


def write_report(
    path: Path,
    *,
    scores: dict[str, Any],
    beside: Path | None = None,
    real: Path | None = None,
    synthetic: Path | None = None,
    train: Path | None = None,
    run: Path | None = None,
    cohort: Path | None = None,
    before: Path | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write the page.

    Its pictures are those of the sets that were scored, which the scores name. A set that is gone,
    that has changed, or that was saved statistics is left out with the reason.

    Args:
        path: the HTML file; its folder is made.
        scores: the content of ``scores.json`` (structure: ``metrics.records``).
        beside: the folder of ``scores.json``, to which the paths in it are relative.
        real: the real set, where it does not lie where the scores say, or they say nothing.
        synthetic: the set that was scored; as ``real``.
        train: the training images; as ``real``. Older scores take them from ``real``.
        run: the fine-tune's folder (``config.yaml``, ``log.jsonl``, ``previews/``), if any.
        cohort: the source of the real dataset, for its README and terms of use.
        before: the dataset of the same plan's images by the base weights; as ``real``.
        progress: told what could not be shown.

    Returns:
        ``path``.

    Raises:
        SynthError: a set that is named here is missing, malformed or without images, or one of a
            dataset's images that are shown cannot be read.
    """
    named = Named(real=real, synthetic=synthetic, train=train, before=before)
    sources = _Sources(
        scores,
        open_shown(scores, beside=beside, named=named),
        run if run and run.is_dir() else None,
        cohort if cohort and cohort.is_dir() else None,
    )
    page = _environment().get_template("report.html").render(_context(sources))
    write_bytes(path, page.encode())
    for remark in sources.sets.remarks:
        (progress or Silent()).note(remark)
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
    scores, sets = sources.scores, sources.sets
    real, synthetic = sets.real.dataset, sets.synthetic.dataset
    counts = plan_counts(real, synthetic)
    facts = read_run_facts(sources.run)
    both: dict[str, Any] = {"real": sets.real, "synthetic": sets.synthetic}
    return {
        "title": _title(sets.synthetic),
        "kicker": f"{real.info.name} → {synthetic.info.name}",
        "phantom": real.info.phantom or synthetic.info.phantom,
        "summary": sentences(scores, sets=sets, counts=counts, weights=_weights(sources)),
        "verdict": verdict(scores),
        "tiles": tiles(scores, counts=counts, **both),
        "headline": headline(scores),
        "further": further(scores),
        **_pictures(sources),
        "alignment": alignment_view(scores),
        "findings": findings_view(scores),
        "subgroups": subgroups_view(scores),
        "training": training(sources.run, facts),
        "plan": plan_view(real, synthetic, missing=sets.real.why or sets.synthetic.why),
        "utility": utility_view(scores),
        "arms_views": arms_views(scores),
        "warnings": [sentence(text) for text in items(scores, "warnings")],
        "warned": _WARNED,
        "not_computed": [
            (words(str(entry.get("what", ""))), sentence(entry.get("why")))
            for entry in items(scores, "not_computed")
            if isinstance(entry, Mapping)
        ],
        "provenance": provenance(
            scores,
            real=real,
            synthetic=synthetic,
            run=sources.run,
            run_facts=facts,
            cohort=sources.cohort,
        ),
    }


def _pictures(sources: _Sources) -> dict[str, Any]:
    """The sections that show images of the sets."""
    scores, sets = sources.scores, sources.sets
    both: dict[str, Any] = {"real": sets.real, "synthetic": sets.synthetic}
    found = findings_shown(sets.real.dataset, sets.synthetic.dataset)
    return {
        "gallery": gallery(sets.real, sets.synthetic),
        "gallery_open": OPEN_FINDINGS,
        "gallery_cut": max(0, found - MOST_FINDINGS),
        "gallery_labelled": found > 0,
        "set_remarks": sets.remarks,
        "set_notes": sets.notes,
        "fidelity": fidelity_view(scores, before=sets.before, **both),
        "filters": filter_view(sets.synthetic),
        "neighbours": neighbours(scores, sets.train, sets.synthetic),
        "failures": failure_view(scores, train=sets.train, **both),
    }


def _title(synthetic: ShownSet) -> str:
    """What was scored; a real dataset may be scored as if it were synthetic."""
    kind = "synthetic"
    if synthetic.pictures is None and not synthetic.dataset.info.synthetic:
        kind = "compared"
    kind = f"labelled {kind}" if synthetic.dataset.findings else kind
    known = synthetic.images
    if known is None:
        return f"{kind.capitalize()} images, scored"
    return f"{known:,} {kind} images, scored"


def _weights(sources: _Sources) -> str:
    """The base model's name from the run's configuration, empty without a run."""
    if sources.run is None or not (sources.run / "config.yaml").is_file():
        return ""
    from synth.config import load_config

    return load_config(sources.run / "config.yaml").model.weights
