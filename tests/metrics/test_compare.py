"""Two runs differ by what is stated, with an interval that knows what they share."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.random import RandomState
from planted_findings import FINDINGS, replaced, sides

from metrics import c2st, data_copying, sliced_wasserstein, vendi_score
from metrics.chosen import Choices
from metrics.compare import compare, family
from metrics.delong import auroc_delong
from metrics.difference import of_aurocs, of_records
from metrics.kernel import kernel_estimate
from metrics.per_finding import per_finding
from metrics.protocol import common_protocol, full_protocol
from metrics.records import recorded
from metrics.run import evaluate
from metrics.subgroups import per_subgroup
from synth.config.schema import MetricsSection
from synth.data.images_in import Reading
from synth.errors import SynthError


def kernel_record(real: Any, synthetic: Any) -> dict[str, Any]:
    estimate = kernel_estimate(real=real, synthetic=synthetic)
    return recorded(
        estimate, n_real=len(real), n_synthetic=len(synthetic), higher_is_better=False
    ).to_json()


def grouped(given: Any) -> dict[str, Any]:
    """The scores of findings alone, as ``evaluate`` writes them."""
    found = {name: held.to_json() for name, held in per_finding(given)[0].items()}
    common = common_protocol(
        real="r", train=None, size=2, reading=Reading(), settings=MetricsSection()
    )
    return {
        "metrics": {},
        "per_finding": found,
        "protocol": full_protocol(common, {}, per_finding=found),
    }


@pytest.fixture(scope="module")
def scores(tiny_dataset: Path) -> dict[str, Any]:
    settings = MetricsSection(bootstrap=20, classifier_steps=3, image_size=32, utility=None)
    choices = Choices(extractors=("pixel",))
    found = evaluate(real=tiny_dataset, synthetic=tiny_dataset, settings=settings, choices=choices)
    return json.loads(json.dumps(found.to_json()))


def test_a_run_does_not_differ_from_itself(scores: dict[str, Any]) -> None:
    found = compare(scores, copy.deepcopy(scores))
    assert {"kd_pixel", "coverage", "memorization.auc"} <= {row.name for row in found.rows}
    for row in found.rows:
        assert row.difference == 0.0
        assert row.ci is None or row.ci[0] <= 0.0 <= row.ci[1]
        assert row.better == ""
        assert row.p in (None, 1.0)
    assert not found.only_in_one
    assert not found.not_compared


def test_the_real_images_cancel_in_a_paired_difference() -> None:
    rng = np.random.default_rng(0)
    real, one, two = (rng.normal(size=(200, 8)) for _ in range(3))
    first, second = kernel_record(real, one), kernel_record(real, two)
    found = of_records("kd_x", first, second)
    assert found is not None
    assert found.paired
    assert found.value == second["value"] - first["value"]
    # The jackknife of KD(two) - KD(one), whose real-real sums are the same and drop out.
    gaps = np.array(second["without"]) - np.array(first["without"])
    se = float(np.sqrt(0.9 * ((gaps - gaps.mean()) ** 2).sum()))
    assert found.ci is not None
    assert found.ci[1] - found.value == pytest.approx(2.262157 * se, rel=1e-5)


def test_paired_intervals_cover_and_are_narrower() -> None:
    rng = np.random.default_rng(1)
    covered, paired_width, apart_width = 0, 0.0, 0.0
    for _ in range(60):
        # Two equally wrong generators: far from the real images, no difference between them.
        real = rng.normal(size=(80, 4)) * np.array([2.0, 1.0, 1.0, 1.0])
        one, two = (rng.normal(size=(80, 4)) + 0.8 for _ in range(2))
        first, second = kernel_record(real, one), kernel_record(real, two)
        found = of_records("kd", first, second)
        apart = of_records("kd", {**first, "without": ()}, {**second, "without": ()})
        assert found is not None
        assert apart is not None
        assert found.ci is not None
        assert apart.ci is not None
        assert not apart.paired
        covered += found.ci[0] <= 0.0 <= found.ci[1]
        paired_width += found.ci[1] - found.ci[0]
        apart_width += apart.ci[1] - apart.ci[0]
    assert covered >= 51  # of 60 at 95 %: fewer would have 0.1 % probability
    assert paired_width < 0.9 * apart_width


@pytest.mark.parametrize("heavy", [False, True], ids=["gaussian", "t5"])
@pytest.mark.parametrize("name", ["sliced-wasserstein", "vendi"])
def test_differences_of_numbers_without_a_true_value_cover_what_is_expected(
    name: str, heavy: bool
) -> None:
    """Their own intervals are withheld; of their difference it is the mean over many draws."""

    def rows(stream: RandomState, scale: float, shift: float) -> Any:
        found = stream.randn(60, 5)
        if heavy:
            found *= np.sqrt(5 / stream.chisquare(5, size=(60, 1)))
        return scale * found + shift

    found = []
    for seed in range(120):
        stream = RandomState(seed)
        real, one, two = rows(stream, 1, 0), rows(stream, 1.3, 0.5), rows(stream, 1, 0.2)
        if name == "vendi":
            records = [vendi_score(real=real, synthetic=side) for side in (one, two)]
        else:
            records = [
                sliced_wasserstein(real=real, synthetic=side, projections=10) for side in (one, two)
            ]
        assert all(record.ci is None for record in records)
        found.append(of_records(name, *(record.to_json() for record in records)))
    truth = np.mean([gap.value for gap in found if gap is not None])
    held = [gap.ci[0] <= truth <= gap.ci[1] for gap in found if gap is not None and gap.ci]
    assert len(held) == 120
    assert np.mean(held) >= 0.9
    assert all(gap is not None and gap.paired for gap in found)


def test_a_spread_under_exchange_is_no_error_of_a_difference() -> None:
    stream = RandomState(0)
    real, one, two, train = (stream.randn(60, 3) for _ in range(4))
    for measure in (
        lambda made: c2st(real=real, synthetic=made + 0.3, permutations=20),
        lambda made: data_copying(train=train, heldout=real, synthetic=made, permutations=20),
    ):
        first, second = measure(one), measure(two)
        assert first.se is None
        assert first.details["null_se"] > 0
        gap = of_records("c2st", first.to_json(), second.to_json())
        assert gap is not None
        assert (gap.value, gap.ci, gap.p) == ((second.value or 0) - (first.value or 0), None, None)
        assert not measure(one).without


def test_an_error_whose_interval_is_withheld_makes_no_interval() -> None:
    withheld = {"value": 0.5, "se": 0.1, "ci": None}
    shown = {"value": 0.9, "se": 0.1, "ci": [0.7, 1.1]}
    gap = of_records("x", shown, withheld)
    assert gap is not None
    assert (gap.ci, gap.p) == (None, None)
    full = of_records("x", shown, shown)
    assert full is not None
    assert full.ci is not None


def test_shares_of_synthetic_images_do_not_pair() -> None:
    record = {"value": 0.5, "se": 0.1, "without": [0.4, 0.5, 0.6]}
    full = {"value": 1.0, "se": 0.0, "without": [1.0, 1.0, 1.0]}
    unspread = of_records("coverage", record, full)
    assert unspread is not None
    assert (unspread.value, unspread.ci, unspread.p) == (0.5, None, None)
    precision = of_records("precision", record, record)
    coverage = of_records("coverage_pixel", record, record)
    assert precision is not None
    assert coverage is not None
    assert (precision.paired, coverage.paired) == (False, True)
    assert of_records("kd", record, {"value": None}) is None
    bare = of_records("fd", {"value": 1.0, "se": None}, {"value": 2.0, "se": None})
    assert bare is not None
    assert (bare.value, bare.ci, bare.p) == (1.0, None, None)


def test_aurocs_on_different_images_differ_by_delong() -> None:
    rng = np.random.default_rng(2)
    rows = []
    for gap in (1.0, 1.4):
        truth = np.repeat([0, 1], 100)
        area = auroc_delong(truth, rng.normal(size=200) + gap * truth)
        assert area.ci is not None
        rows.append({"auroc": area.value, "ci": list(area.ci)})
    found = of_aurocs(*rows)
    assert found is not None
    assert not found.paired
    assert found.ci is not None
    width = found.ci[1] - found.ci[0]
    each = [row["ci"][1] - row["ci"][0] for row in rows]
    assert width == pytest.approx(float(np.hypot(*each)), rel=0.05)
    exact = of_aurocs({"auroc": 0.7, "se": 0.03}, {"auroc": 0.8, "se": 0.04})
    assert exact is not None
    assert exact.ci == pytest.approx((0.1 - 1.959964 * 0.05, 0.1 + 1.959964 * 0.05))
    perfect = of_aurocs({"auroc": 1.0, "ci": [0.9, 1.0]}, {"auroc": 1.0, "ci": [0.9, 1.0]})
    assert perfect is not None
    assert perfect.ci is not None
    assert perfect.ci[0] < 0.0 < perfect.ci[1]
    assert of_aurocs({"auroc": None}, {"auroc": 0.5}) is None


def test_only_the_spoilt_finding_differs_after_holm() -> None:
    honest, spoilt = grouped(sides(0)), grouped(replaced(sides(0), "hernia", "edema"))
    found = compare(honest, spoilt)
    better = {row.name: row.better for row in found.rows if row.better}
    assert better.get("per_finding.hernia.kd") == "first"
    assert all(".hernia." in name for name in better)
    rows = {row.name: row for row in found.rows}
    kd = rows["per_finding.hernia.kd"]
    assert kd.paired
    assert kd.p_holm == pytest.approx(len(FINDINGS) * (kd.p or 0.0))
    assert family("per_finding.hernia.kd") == "per_finding.kd"
    assert family("kd_pixel") == ""
    # The kernels are as wide as the real images say: one ruler for both runs.
    assert rows["per_finding.hernia.mmd"].paired
    assert not found.not_compared
    wider = copy.deepcopy(spoilt)  # given by hand, or by an older version
    wider["per_finding"]["hernia"]["mmd"]["details"]["bandwidths"] = [1.0]
    other = compare(honest, wider)
    assert other.not_compared == ("per_finding.hernia.mmd: the widths of the kernels differ",)


def test_a_finding_asked_for_more_often_is_left_out_and_the_rest_compares() -> None:
    one = grouped(sides(0))
    two = copy.deepcopy(one)
    two["protocol"]["records"]["per_finding.edema.kd"]["n_synthetic"] = 31
    found = compare(one, two)
    assert "per_finding.edema.kd: other images in the group" in found.not_compared
    assert "per_finding.nodule.kd" in {row.name for row in found.rows}


def test_another_extractor_of_findings_is_refused() -> None:
    one = grouped(sides(0))
    two = copy.deepcopy(one)
    two["protocol"]["records"]["per_finding.edema.kd"]["extractor"] = "other"
    with pytest.raises(SynthError, match=r"per_finding.edema.kd.extractor: test-1 and other"):
        compare(one, two)


def labelled(area: float, judge: str = "j") -> dict[str, Any]:
    row = {"auroc": area, "ci": [area - 0.1, area + 0.1], "se": 0.02}
    return {
        "metrics": {"kd_x": {"value": 0.0, "se": 0.1}},
        "protocol": {"fingerprint": "x", "records": {"kd_x": {}}},
        "label_fidelity": {"macro": row, "findings": {"edema": row, "hernia": {"auroc": None}}},
        "utility": {"arms": {"synthetic": {"macro_auroc": area, "ci": [area - 0.1, area + 0.1]}}},
        "provenance": {"judge": {"sha256": judge}},
    }


def test_label_fidelity_and_utility_are_compared_unpaired() -> None:
    found = compare(labelled(0.6), labelled(0.8))
    rows = {row.name: row for row in found.rows}
    edema = rows["label_fidelity.findings.edema.auroc"]
    assert (edema.better, edema.paired) == ("second", False)
    assert edema.p_holm == edema.p
    assert rows["label_fidelity.macro.auroc"].p_holm is None
    assert rows["utility.synthetic.macro_auroc"].difference == pytest.approx(0.2)
    assert "label_fidelity.findings.hernia.auroc" not in rows


def test_another_judge_says_nothing_of_the_labels() -> None:
    found = compare(labelled(0.6), labelled(0.8, judge="k"))
    assert found.not_compared == ("label_fidelity: judged by different classifiers",)
    assert not any(row.name.startswith("label") for row in found.rows)


def test_names_with_dots_are_found() -> None:
    given = sides(5)
    site = {"site": ("St. Mary",) * 60 + ("B",) * 60}
    for side in (given.real, given.synthetic):
        object.__setattr__(side, "subgroups", site)
    held = per_subgroup(given)[0].scores
    columns = {c: {v: s.to_json() for v, s in groups.items()} for c, groups in held.items()}
    common = common_protocol(
        real="r", train=None, size=2, reading=Reading(), settings=MetricsSection()
    )
    run = {"per_subgroup": columns, "protocol": full_protocol(common, {}, per_subgroup=columns)}
    names = {row.name for row in compare(run, run).rows}
    assert {"per_subgroup.site.St. Mary.kd", "per_subgroup.site.B.kd"} <= names
