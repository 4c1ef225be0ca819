"""Do the images show what they were asked to show? A classifier trained on real images judges.

The same classifier on held-out real images is the ceiling: it says how much of a low score is the
judge's own weakness.
"""

from __future__ import annotations

from typing import Any

from metrics.finding_auroc import finding_table, macro_auroc, macro_columns
from metrics.ingest import ImageSet
from synth.extractors.classifier import Classifier


def label_fidelity(
    judge: Classifier,
    *,
    synthetic: ImageSet,
    real: ImageSet,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """AUROC per conditioned finding on synthetic images, beside the same on real ones.

    Args:
        judge: fitted on real training images.
        synthetic: images with the labels they were conditioned on.
        real: held-out real images, for the ceiling.
        resamples: bootstrap resamples behind the interval of the mean.
        seed: of the resampling.

    Returns:
        The ``fidelity`` structure of ``metrics.records``.
    """
    findings = judge.findings
    made, asked = judge.probabilities(synthetic.image_u8), synthetic.columns(findings)
    seen, truth = judge.probabilities(real.image_u8), real.columns(findings)
    table, ceiling = finding_table(made, asked, findings), finding_table(seen, truth, findings)
    for name, row in table.items():
        row |= {f"real_{key}": value for key, value in ceiling[name].items()}
    columns = macro_columns(asked)
    area, interval = macro_auroc(
        made, asked, columns, groups=synthetic.groups, resamples=resamples, seed=seed
    )
    judged = [column for column in columns if column in macro_columns(truth)]
    real_area, real_interval = macro_auroc(
        seen, truth, judged, groups=real.groups, resamples=resamples, seed=seed
    )
    macro = {
        "auroc": area,
        "ci": None if interval is None else list(interval),
        "findings": [findings[column] for column in columns],
        "real_auroc": real_area,
        "real_ci": None if real_interval is None else list(real_interval),
    }
    return {"macro": macro, "findings": table}
