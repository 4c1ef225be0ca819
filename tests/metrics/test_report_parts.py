"""The parts of the page that speak of findings, groups, copies, failures and further scores."""

from __future__ import annotations

import re

import numpy as np
import pytest
from report_pages import failure, group, outline, record

from metrics.report import write_report
from metrics.report_alignment import alignment_view
from metrics.report_charts import histogram_chart, share_chart
from metrics.report_failures import MOST, failure_view
from metrics.report_forest import ForestRow, forest_chart
from metrics.report_further import further
from metrics.report_groups import findings_view, subgroups_view
from metrics.report_headline import headline
from metrics.report_neighbours import neighbours
from metrics.report_sets import ShownSet
from metrics.report_utility import utility_curve, utility_view
from metrics.report_values import number, p_value, point, told_point
from synth.manifest import open_dataset


def shown(folders, role):
    return ShownSet(open_dataset(folders[role]))


def sheet(scores, real, made):
    return failure_view(scores, real=real, synthetic=made, train=real)


NEWER = ("alignment", "per_finding", "per_subgroup", "subgroup_gaps", "failures", "protocol")


def test_findings_come_worst_first_with_their_test(scores):
    view = findings_view(scores)
    assert [row.name for row in view.rows] == ["hernia", "nodule"]
    assert [row.differs for row in view.rows] == [True, False]
    assert view.differing == 1
    hernia = view.rows[0]
    assert (hernia.kd, hernia.ci, hernia.floor) == ("0.310", "0.290 to 0.330", "0.012")
    assert (hernia.p, hernia.p_holm, hernia.n) == ("0.001", "0.002", "12 / 30")
    assert hernia.nearest_real == "real 0.750, chance 0.250"
    assert view.withheld == (
        ("Fewer than 10 images a side.", ("cardiomegaly (4 real, 9 synthetic)",)),
    )


def test_a_finding_without_a_distance_is_last_and_not_drawn(scores):
    scores["per_finding"]["edema"] = group(0.1, 0.9, 11, 12) | {"kd": record(None)}
    view = findings_view(scores)
    assert [row.name for row in view.rows] == ["hernia", "nodule", "edema"]
    assert view.rows[2].kd == "–"
    assert view.chart is not None
    assert "edema" not in view.chart


def test_groups_stand_under_their_column_with_the_widest_gap(scores):
    scores["per_subgroup"]["age_band"] = {"70-79": group(0.4, 0.001, 20, 20)}
    view = subgroups_view(scores)
    assert [(row.column, row.name) for row in view.rows] == [
        ("sex", "M"),
        ("sex", "F"),
        ("age band", "70-79"),
    ]
    assert view.chart is not None
    for label in ("sex", "age band", "M ★", "70-79 ★"):
        assert f">{label}</text>" in view.chart
    gap = view.gaps[0]
    assert (gap.column, gap.worst, gap.best, gap.gap, gap.ci) == (
        *("sex", "M", "F"),
        *("0.170", "0.030 to 0.310"),
    )
    assert gap.differs


def test_groups_that_were_not_scored_say_why():
    why = {"not_computed": [{"what": "per-subgroup", "why": "no image states sex, age_band"}]}
    assert subgroups_view(why).why == "No image states sex, age band."
    assert findings_view({}).why == "Findings were not scored one by one."


def ticks(svg: str) -> list[float]:
    texts = re.findall(r"<text[^>]*>([−\d.]+)</text>", svg)
    return [float(text.replace("−", "-")) for text in texts]


def test_one_far_row_does_not_squeeze_the_others():
    rows = [ForestRow("far", (961.0, (-24.0, 1945.0)), n="1 / 1")]
    rows += [ForestRow(f"row {n}", (30.0, (-3.0, 70.0)), n="1 / 1") for n in range(5)]
    chart = forest_chart(rows, name="x", title="x", axis="distance", counts="N")
    assert max(ticks(chart)) < 350
    assert "961 (−24 to 1,945)" in chart  # its numbers stand beside it
    even = forest_chart(rows[1:], name="x", title="x", axis="distance", counts="N")
    assert max(ticks(even)) <= 80


def test_forests_of_one_row_without_interval_and_of_zeros_are_drawn():
    for value in (0.0, -0.5, 3.0):
        chart = forest_chart(
            [ForestRow("alone", (value, None))], name="x", title="x", axis="d", counts="N"
        )
        assert "alone" in chart


def test_every_record_is_on_the_page_whatever_its_name(tmp_path, folders, scores):
    scores["metrics"]["copy-rate_dinov2"] = record(0.06, details={"expected": 0.05})
    scores["metrics"]["brand_new"] = record(
        1.25, meaning="something new", details={"gamma": [1, 2]}
    )
    scores["newer"] = {"biomedclip": {"cosine": record(0.4) | {"estimator": "mean"}}}
    rows = {row.name: row for row in further(scores)}
    assert rows["classifier two-sample test"].p == "0.005"
    assert rows["classifier two-sample test"].details == "permutations 199"
    assert rows["Vendi score"].reference == "9.50 (real images)"
    assert rows["Vendi score"].details == "ratio 0.763 · order q 1.000"
    assert rows["copy rate"].detail == "dinov2 features"
    assert rows["brand new"].meaning == "Something new. Higher is better."
    assert rows["brand new"].details == "gamma 1.000, 2.00"
    assert rows["newer biomedclip cosine"].value == "0.400"
    told = outline(write_report(tmp_path / "r.html", scores=scores, **folders)).words
    shown = {row.name for row in (*headline(scores), *further(scores))}
    assert len(shown) == len(scores["metrics"]) + 1 + 6
    for name in shown:
        assert name in told


def test_texts_stand_beside_real_pairs(scores):
    view = alignment_view(scores)
    assert [row.name for row in view.rows] == [
        *("cosine", "own text against another's", "negation, mean over findings"),
    ]
    cosine = view.rows[0]
    assert (cosine.value, cosine.ci, cosine.real) == ("0.310", "0.260 to 0.360", "0.340")
    assert (cosine.gap, cosine.gap_ci, cosine.p) == ("−0.030", "−0.100 to +0.040", "0.040")
    assert view.chart is not None
    assert (
        "nodule: 0.410 (0.360 to 0.460), real images 0.470 (0.420 to 0.520); hernia" in view.chart
    )
    assert ">hernia ★</text>" in view.chart
    assert "Of 14 synthetic texts 3 are longer" in view.texts
    assert alignment_view({}).rows == ()
    assert alignment_view({"alignment": {"negation": None, "texts": None}}).chart is None


def test_copies_stand_finding_by_finding(folders, scores):
    real, made = shown(folders, "real"), shown(folders, "synthetic")
    rows = neighbours(scores, real, made).by_finding
    assert [(row.finding, row.share, row.expected, row.differs) for row in rows] == [
        ("hernia", "0.400", "0.050", True),
        ("nodule", "–", "–", False),
    ]
    assert rows[1].withheld == "Fewer than 10 of either."


def test_variety_and_frechet_columns_come_with_their_numbers(tmp_path, folders, scores):
    view = findings_view(scores)
    assert (view.varied, view.frechet) == (False, False)
    scores["per_finding"]["hernia"]["vendi"] = record(7.5, details={"real": 9.25})
    scores["per_finding"]["hernia"]["fd"] = record(3.5)
    told = outline(write_report(tmp_path / "r.html", scores=scores, **folders)).words
    assert "Vendi score" in told
    assert "7.50 real 9.25 3.50 12 / 30" in told


def test_usual_scores_are_not_told_twice(scores):
    names = [row.name for row in further(scores)]
    assert "precision" not in names
    assert not any("memorization" in name or "reconstruction" in name for name in names)
    scores["memorization"]["nn_ratio"] = record(0.9) | {"estimator": "median"}
    assert "memorization nn ratio" in [row.name for row in further(scores)]


def test_failures_stand_with_their_reasons(folders, scores):
    view = sheet(scores, shown(folders, "real"), shown(folders, "synthetic"))
    assert [one.title for one in view.groups] == [
        "Asked for, not seen",
        "Unlike any real image",
        "Close to each other",
    ]
    absent, far, repeat = (one.images[0] for one in view.groups)
    assert absent.score == "hernia: probability 0.040"
    assert absent.verdict == "95 % of real images with it lie above 0.310"
    assert absent.other is None
    assert far.other is not None
    assert (far.beyond, repeat.beyond) == (False, True)
    assert repeat.other_is == "other synthetic"
    assert (view.shown, view.beyond) == (3, 2)


def test_failures_without_files_limits_or_known_reasons(folders, scores):
    real, made = shown(folders, "real"), shown(folders, "synthetic")
    scores["failures"] = [
        failure("far", 999, 9.0, 1.0),  # no such image
        failure("far", 1, 9.0, 1.0, other="gone.png") | {"limit": None, "beyond": None},
        failure("new-reason", 2, 0.5, 0.1),
        "no mapping",
    ]
    view = sheet(scores, real, made)
    assert [one.title for one in view.groups] == ["Unlike any real image", "New-reason"]
    assert view.groups[0].images[0].verdict == "too few real images for a limit"
    assert view.groups[0].images[0].other is None
    scores["failures"] = [failure("far", 1, 9.0, 1.0)] * 100
    assert sheet(scores, real, made).shown == MOST
    assert sheet({}, real, made).groups == ()


def test_histogram_and_limit_are_drawn_and_told(folders, scores):
    real, made = shown(folders, "real"), shown(folders, "synthetic")
    found = neighbours(scores, real, made)
    assert found.chart is not None
    assert ">limit</text>" in found.chart
    assert "synthetic images: half lie below a distance between 2.00 and 3.00" in found.chart
    assert "1.0 % of the synthetic images lie below it" in found.below
    for damage in ({"edges": [0.0, 1.0]}, {"synthetic": []}, {"held_out": ["x"] * 4}):
        hurt = {"memorization": scores["memorization"] | {"histogram": damage}}
        assert neighbours(hurt, real, made).chart is None
    empty = histogram_chart([0, 1], [("a", [0], True)], limit=None, name="n", title="t")
    assert "a: no images" in empty


def test_pairs_of_the_copy_rate_are_shown(folders, scores):
    real, made = shown(folders, "real"), shown(folders, "synthetic")
    pair = scores["memorization"]["pairs"][0] | {"correlation": 0.987, "flagged": True}
    scores["metrics"]["copy-rate"] = record(0.1, details={"pairs": [pair]})
    pairs = neighbours(scores, real, made).correlated
    assert [(one.score, one.flagged) for one in pairs] == [("correlation 0.987", True)]
    old = {"synthetic": 3, "train": 5, "correlation": 0.9}  # older scores have row numbers
    scores["metrics"]["copy-rate"] = record(0.1, details={"pairs": [old]})
    assert neighbours(scores, real, made).correlated == ()


def test_the_curve_starts_at_real_images_alone(scores):
    curve = utility_curve(scores)
    assert [share for share, _ in curve] == [0.0, 0.5, 1.0]
    assert [dot[0] for _, dot in curve] == [0.8, 0.83, 0.85]
    assert utility_view(scores).curve is not None
    del scores["utility"]["curve"][1]
    assert utility_view(scores).curve is None  # two points are what the dots show
    scores["utility"]["curve"] += [{"alpha": None}, "x", {"alpha": 2.0, "arm": "not trained"}]
    assert len(utility_curve(scores)) == 2


def test_a_curve_is_told_in_words():
    points = [(0.0, (0.8, None)), (1.0, (0.85, (0.8, 0.9)))]
    chart = share_chart(points, base=0.8, name="shares", title="curve")
    assert "0.00 times: 0.800; 1.00 times: 0.850 (0.800 to 0.900)" in chart


@pytest.mark.parametrize("without", [*NEWER, "everything"])
def test_older_scores_still_make_a_page(tmp_path, folders, scores, without):
    for name in NEWER if without == "everything" else (without,):
        scores.pop(name, None)
    if without == "everything":
        del scores["memorization"]["histogram"], scores["utility"]["curve"]
    told = outline(write_report(tmp_path / "r.html", scores=scores, **folders)).words
    assert "rose from 0.52 before to 0.94 after" in told
    if without == "everything":
        assert "Not shown. The scores name no images." in told
        assert "Not shown. Groups of patients were not scored" in told


def test_values_in_words():
    assert [p_value(p) for p in (0.0004, 0.05, None, np.nan)] == ["< 0.001", "0.050", "–", "–"]
    assert told_point(point({"value": 0.5, "ci": [0.25, 0.75]})) == "0.500 (0.250 to 0.750)"
    assert told_point(point({"value": 0.5, "ci": None})) == "0.500"
    assert told_point(point({})) == "–"
    assert number(-0.0004, 3, sign=True) == number(0.0004, 3, sign=True) == "0.000"
