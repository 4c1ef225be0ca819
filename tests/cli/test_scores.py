import io

import pytest
from rich.console import Console

from metrics.compare import Comparison, Row
from metrics.records import Floor, Record, Scores
from synth.cli.diff import markdown
from synth.cli.scores import score_tables


def draw(scores: dict) -> str:
    console = Console(width=140, record=True, file=io.StringIO())
    for item in score_tables(scores):
        console.print(item)
    return console.export_text()


@pytest.fixture
def scores() -> dict:
    record = Record(
        value=12.345,
        se=1.0,
        ci=(10.25, 14.5),
        n_real=96,
        n_synthetic=160,
        estimator="plain",
        seed=0,
        higher_is_better=False,
        floor=Floor(value=3.21, n=48, synthetic_at_same_n=14.75),
    )
    finding = {"auroc": 0.913, "ci": [0.88, 0.95], "n_positive": 20, "n_negative": 140}
    fidelity = {
        "macro": {"auroc": 0.901, "ci": [0.85, 0.94], "findings": 1, "real_auroc": 0.987},
        "findings": {"hernia": {**finding, "real_auroc": 0.987}},
    }
    before = {"macro": {"auroc": 0.512}, "findings": {"hernia": {"auroc": 0.498}}}
    arm = {"macro_auroc": 0.777, "ci": [0.7, 0.8], "n_train": 280, "delta": None, "findings": {}}
    return Scores(
        metrics={"fd_pixel": record},
        label_fidelity=fidelity,
        label_fidelity_before=before,
        memorization={"auc": record.to_json(), "pairs": []},
        utility={"arms": {"real": arm, "real+synthetic": {**arm, "delta": 0.021}}},
        reconstruction={"psnr": record.to_json()},
        not_computed=(),
        warnings=("few images",),
        provenance={},
    ).to_json()


def test_every_part_is_shown(scores):
    text = draw(scores)
    line = next(line for line in text.splitlines() if "fd_pixel" in line)
    assert line.split() == [
        *("fd_pixel", "12.3", "10.2", "–", "14.5", "96", "/", "160", "14.8", "3.21")
    ]
    hernia = next(line for line in text.splitlines() if "hernia" in line)
    assert hernia.split()[:3] == ["hernia", "0.498", "0.913"]  # before, after
    assert "0.987" in hernia
    assert "20 / 140" in hernia
    macro = next(line for line in text.splitlines() if "macro" in line and "AUROC" not in line)
    assert macro.split()[:3] == ["macro", "0.512", "0.901"]
    assert "real+synthetic" in text
    assert "0.021" in text
    assert "12.3 dB" in text
    assert "warning: few images" in text


def test_parts_that_were_not_scored_are_left_out(scores):
    empty = dict.fromkeys(scores, None) | {"not_computed": [{"what": "utility", "why": "no train"}]}
    assert draw(empty).strip() == "not computed: utility: no train"


def test_no_before(scores):
    text = draw({**scores, "label_fidelity_before": None})
    hernia = next(line for line in text.splitlines() if "hernia" in line)
    assert hernia.split()[:3] == ["hernia", "–", "0.913"]


def test_nonsense_is_not_an_error():
    assert score_tables({"metrics": [1], "label_fidelity": 3, "warnings": "x"}) == []


def test_a_small_distance_is_not_shown_as_zero() -> None:
    kernel = {"value": 2.9e-4, "ci": [1e-4, 4e-4], "floor": {"value": 3e-5}}
    group = {"kd": kernel, "p_holm": 2e-5, "n_real": 30, "n_synthetic": 20}
    scores = {"metrics": {"kd_pixel": kernel}, "per_finding": {"edema": group}}
    fidelity, findings = score_tables(scores)
    shown = ["2.9e−04", "1.0e−04 – 4.0e−04"]
    assert [next(iter(column.cells)) for column in fidelity.columns][1:3] == shown
    assert next(iter(fidelity.columns[5].cells)) == "3.0e−05"
    cells = [next(iter(column.cells)) for column in findings.columns]
    assert cells[1:5] == [*shown, "3.0e−05", "< 0.001"]


def test_findings_and_subgroups_have_a_table_of_their_own() -> None:
    kernel = {"value": 0.1234, "ci": [0.1, 0.2], "floor": {"value": 0.01}}
    group = {"kd": kernel, "p_holm": 0.04, "n_real": 30, "n_synthetic": 20}
    scores = {"per_finding": {"edema": group}, "per_subgroup": {"sex": {"F": group}}}
    (found,) = score_tables(scores)
    assert list(found.columns[0].cells) == ["edema", "sex F"]
    assert list(found.columns[4].cells) == ["0.040", "0.040"]
    assert list(found.columns[6].cells) == ["30 / 20", "30 / 20"]


def test_further_utility_has_a_table_a_kind() -> None:
    def spread(value: float) -> dict:
        return {"value": value, "ci": [value - 0.1, value + 0.1], "delta": 0.0, "delta_ci": None}

    ways = ("report_to_image", "image_to_report")
    found = {
        name: spread(value) for name, value in (("r1", 0.2), ("r5", 0.6), ("median_rank", 3.0))
    }
    chance = {"r1": 0.05, "r5": 0.25, "median_rank": 11.0}
    arm = {"macro_auroc": 0.8, "ci": [0.7, 0.9], "n_train": 30, "delta": 0.0, "delta_ci": None}
    drawn = {name: spread(0.5) for name in ("dice", "sensitivity", "false_alarms")}
    scores = {
        "probe": {"extractor": "random-conv-s0@64", "arms": {"real": arm}},
        "retrieval": {
            "n_test": 105,
            "n_test_reports": 53,
            "chance": dict.fromkeys(ways, chance),
            "arms": {"real": {"n_train": 30, **dict.fromkeys(ways, found)}},
        },
        "segmentation": {"arms": {"real": {"n_train": 30, **drawn}}},
    }
    probe, retrieval, segmentation = score_tables(scores)
    assert "Probe: logistic regression on frozen random-conv-s0@64" in str(probe.title)
    assert "105 images and 53 reports" in str(retrieval.title)
    assert list(retrieval.columns[0].cells) == ["chance", "real"] * 2
    assert list(retrieval.columns[1].cells) == ["image"] * 2 + ["report"] * 2
    assert list(retrieval.columns[3].cells) == ["0.250", "0.600"] * 2
    assert list(retrieval.columns[7].cells) == ["11.0", "3.00"] * 2
    assert [next(iter(column.cells)) for column in segmentation.columns] == [
        *("real", "30", "0.500", "0.400 – 0.600", "0.000", "", "0.500", "0.500")
    ]


def test_a_small_difference_is_not_shown_as_zero() -> None:
    row = Row("kd_pixel", 2.9e-4, 6e-5, -2.3e-4, (-4e-4, -1e-4), "second", p=3e-5)
    found = Comparison("0123", (row,), (), (), ())
    (line,) = [line for line in markdown(found, "a", "b").splitlines() if "kd_pixel" in line]
    assert line == (
        "| kd_pixel | 2.9e−04 | 6.0e−05 | −2.3e−04 | −4.0e−04 – −1.0e−04 | < 0.001 | no | second |"
    )
    without = Comparison("0123", (Row("kd_pixel", 0.5, 0.5, 0.0, None, ""),), (), (), ())
    assert "| 0.500 | 0.500 | 0.000 | – | – | no |" in markdown(without, "a", "b")
