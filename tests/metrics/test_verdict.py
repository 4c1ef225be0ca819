"""The verdict line: planted faults are recognised by it, and honest sets are not accused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import planted_generators as planted
import pytest

from metrics.chosen import Choices
from metrics.markdown import scores_markdown
from metrics.report import write_report
from metrics.run import evaluate
from metrics.texture import texture_ratio
from metrics.verdict import verdict
from synth.config.schema import MetricsSection
from synth.errors import SynthError

SETTINGS = MetricsSection(bootstrap=200, classifier_steps=80, image_size=64, utility=None)


@pytest.fixture(scope="module")
def real(tmp_path_factory) -> tuple[Path, list[planted.Shown]]:
    shown = planted.phantoms(0, 130)
    folder = planted.write(tmp_path_factory.mktemp("planted") / "real", shown, real=True)
    return folder, [one for one in shown if one.split == "train"]


@pytest.fixture(scope="module")
def new() -> list[planted.Shown]:
    return planted.phantoms(1, 90)


@pytest.fixture
def scored(real, new, tmp_path):
    def score(generator: planted.Generator) -> dict:
        folder, train = real
        made = planted.write(tmp_path / "made", generator(train, new), real=False)
        scores = evaluate(real=folder, synthetic=made, settings=SETTINGS, out=tmp_path).to_json()
        page = write_report(
            tmp_path / "report.html",
            scores=scores,
            real=folder,
            synthetic=made,
            run=None,
            cohort=None,
            before=None,
        ).read_text("utf-8")
        assert scores["verdict"]["headline"] in page
        assert scores["verdict"]["headline"] in (tmp_path / "scores.md").read_text("utf-8")
        return scores

    return score


def states(scores: dict) -> dict[str, str]:
    return {line["topic"]: line["state"] for line in scores["verdict"]["lines"]}


def test_an_honest_generator_is_not_accused_and_forty_unseen_patients_do_not_acquit_it(scored):
    found = scored(planted.honest)
    assert set(states(found).values()) <= {"sound", "unknown"}
    assert states(found)["copying"] == states(found)["variety"] == "unknown"
    assert found["verdict"]["headline"].startswith("No fault was found, but these scores do not")
    why = {line["topic"]: line["why"] for line in found["verdict"]["lines"]}
    patients = found["memorization"]["share_closer"]["details"]["patients"]
    assert f"than the closest of {patients} unseen patients do" in why["copying"]
    recall = found["metrics"]["recall"]
    assert f"({recall['n_real']} a side)" in why["variety"]
    assert f"({recall['floor']['n']} a side)" in why["variety"]


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_other_honest_generators_are_not_accused_either(real, tmp_path, seed):
    folder, train = real
    made = planted.write(tmp_path, planted.honest(train, planted.phantoms(seed, 90)), real=False)
    asked = Choices(metrics=("prdc", "texture", "memorization"), extractors=("random-conv",))
    scores = evaluate(real=folder, synthetic=made, settings=SETTINGS, choices=asked).to_json()
    assert set(states(scores).values()) <= {"sound", "unknown"}
    by_topic = {line["topic"]: line["why"] for line in scores["verdict"]["lines"]}
    assert by_topic["labels"] == by_topic["usefulness"] == "it was not asked for"


@pytest.mark.parametrize(
    ("generator", "topic", "words"),
    [
        (planted.memorizer, "copying", "it copies training images"),
        (planted.copier_of_a_fifth, "copying", "training images"),
        (planted.mode_dropper, "variety", "it leaves out part of what real images show"),
        (planted.label_flipper, "labels", "its labels are wrong"),
        (planted.texture_blurrer, "likeness", "its images are smoother than real ones"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_each_planted_fault_is_the_one_named(scored, generator, topic, words):
    scores = scored(generator)
    found = states(scores)
    expected = {"doubt", "fault"} if generator is planted.copier_of_a_fifth else {"fault"}
    assert found[topic] in expected
    assert words in scores["verdict"]["headline"]
    others = {name for name, state in found.items() if state == "fault" and name != topic}
    assert others == set()


def test_the_same_scores_without_the_planted_evidence_name_nothing(scored):
    """The line rests on its evidence: without the record it is unknown, and never sound."""
    scores = scored(planted.texture_blurrer)
    for name in ("texture", "precision"):
        del scores["metrics"][name]
    scores["memorization"] = None
    scores["label_fidelity"] = None
    found = {line.topic: line.state for line in verdict(scores).lines}
    assert found["likeness"] == found["copying"] == found["labels"] == "unknown"


# ---------------------------------------------------------------- rules on written scores

WRONG = {"auroc": 0.3, "ci": [0.2, 0.4], "real_auroc": 0.9, "difference": 0, "p_holm": 0.001}
MANY = {"value": 0.2, "ci": [0.15, 0.25], "details": {"p": 1e-9, "expected": 0.01}}
FEW = {"value": 0.1, "ci": None, "details": {"p": 0.1, "expected": 0.048, "at_most": 0.3}}
OLD = {"value": 0.012, "ci": [0.002, 0.028], "n_real": 1000}  # of a version without p
GOOD = {
    "memorization": {
        "share_closer": {
            "value": 0.012,
            "ci": [0.002, 0.028],
            "details": {"p": 0.3, "expected": 0.01, "at_most": 0.028, "rank": 9, "patients": 950},
        },
        "nn_auc": {"value": 0.5, "ci": [0.45, 0.55]},
    },
    "metrics": {
        "texture": {"value": 1.0, "ci": [0.98, 1.02]},
        "precision": {
            "value": 0.9,
            "ci": [0.86, 0.94],
            "floor": {"value": 0.92, "n": 100, "synthetic_at_same_n": 0.9},
        },
        "coverage": {
            "value": 0.9,
            "ci": [0.86, 0.94],
            "floor": {"value": 0.92, "n": 100, "synthetic_at_same_n": 0.9},
        },
        "recall": {
            "value": 0.9,
            "ci": [0.86, 0.94],
            "floor": {"value": 0.92, "n": 100, "synthetic_at_same_n": 0.9},
        },
    },
    "label_fidelity": {
        "macro": {
            "auroc": 0.95,
            "ci": [0.94, 0.96],
            "real_auroc": 0.95,
            "difference": 0.0,
            "difference_ci": [-0.02, 0.02],
        },
        "findings": {"nodule": {"auroc": 0.9, "ci": [0.85, 0.95], "difference": 0, "p_holm": 1}},
    },
    "utility": {"arms": {"real+synthetic": {"delta": 0.01, "delta_ci": [0.002, 0.02]}}},
}


def changed(path: str, value: object) -> dict:
    scores = json.loads(json.dumps(GOOD))
    *keys, last = path.split(".")
    held = scores
    for key in keys:
        held = held[key]
    held[last] = value
    return scores


def test_nothing_found_is_said_so():
    found = verdict(GOOD)
    assert (found.state, found.unsafe) == ("sound", ())
    assert found.headline.startswith("No fault was found: for research it may be used")


@pytest.mark.parametrize(
    ("path", "value", "topic", "state"),
    [
        ("memorization.share_closer", MANY, "copying", "doubt"),
        ("memorization.share_closer.details.p", 0.001, "copying", "sound"),  # but not many
        ("memorization.share_closer.details.at_most", 0.031, "copying", "unknown"),
        ("memorization.share_closer", FEW, "copying", "unknown"),
        ("memorization.share_closer", OLD, "copying", "sound"),
        ("memorization.share_closer", OLD | {"ci": [0.002, 0.031]}, "copying", "unknown"),
        ("memorization.share_closer", OLD | {"value": 0.1, "ci": [0.08, 0.12]}, "copying", "doubt"),
        ("memorization.nn_auc", {"value": 0.7, "ci": [0.65, 0.75]}, "copying", "doubt"),
        ("memorization.nn_auc", {"value": 0.52, "ci": [0.51, 0.53]}, "copying", "sound"),
        ("memorization.share_closer", {"value": 0.01, "ci": None}, "copying", "unknown"),
        ("memorization", None, "copying", "unknown"),
        ("metrics.texture", {"value": 0.85, "ci": [0.83, 0.87]}, "likeness", "doubt"),
        ("metrics.texture", {"value": 0.7, "ci": [0.68, 0.72]}, "likeness", "fault"),
        ("metrics.texture", {"value": 0.7, "ci": [0.4, 1.1]}, "likeness", "unknown"),
        ("metrics.texture", {"value": 1.0, "ci": [0.89, 1.12]}, "likeness", "unknown"),
        ("metrics.texture", {"value": 1.4, "ci": [1.3, 1.5]}, "likeness", "fault"),
        ("metrics.precision.value", 0.7, "likeness", "doubt"),
        ("metrics.precision.value", 0.3, "likeness", "fault"),
        ("metrics.recall.value", 0.3, "variety", "fault"),
        ("metrics.recall.value", 0.84, "variety", "unknown"),
        ("metrics.precision.ci", [0.7, 1.0], "likeness", "unknown"),
        ("metrics.recall.value", 1.0, "variety", "sound"),
        ("metrics.recall.floor", None, "variety", "unknown"),
        ("metrics.coverage.value", 0.3, "variety", "fault"),
        ("metrics.recall.ci", [0.3, 1.0], "variety", "unknown"),
        ("label_fidelity.findings.nodule", WRONG, "labels", "fault"),
        ("label_fidelity.findings.nodule", WRONG | {"real_auroc": 0.6}, "labels", "sound"),
        ("label_fidelity.macro.difference_ci", [-0.3, 0.3], "labels", "unknown"),
        ("label_fidelity.macro.real_auroc", None, "labels", "unknown"),
        ("utility.arms.real+synthetic.delta_ci", [-0.01, 0.03], "usefulness", "unknown"),
        ("utility.arms.real+synthetic.delta_ci", [-0.03, -0.01], "usefulness", "doubt"),
    ],
)
def test_rules_ask_for_evidence_and_for_size(path, value, topic, state):
    found = {line.topic: line.state for line in verdict(changed(path, value)).lines}
    assert found.pop(topic) == state
    assert set(found.values()) == {"sound"}


def test_many_copies_near_training_images_are_a_fault_and_chance_among_few_patients_is_none():
    near = {"value": 0.7, "ci": [0.65, 0.75]}
    scores = changed("memorization.nn_auc", near)
    scores["memorization"]["share_closer"] = MANY
    assert verdict(scores).headline == "Do not use this set as it is: it copies training images."
    scores["memorization"]["share_closer"] = FEW
    assert verdict(scores).lines[0].state == "doubt"  # for the AUC alone
    # The interval of older versions, of twenty unseen images, by chance above one percent.
    scores["memorization"]["share_closer"] = {"value": 0.08, "ci": [0.06, 0.11], "n_real": 20}
    scores["memorization"]["nn_auc"] = {"value": 0.5, "ci": [0.4, 0.6]}
    assert verdict(scores).lines[0].state == "unknown"


def test_each_share_stands_beside_its_own_number_of_images():
    floor = {"value": 0.93, "n": 30, "synthetic_at_same_n": 0.85}
    scores = changed("metrics.recall.floor", floor)
    scores["metrics"]["recall"] |= {"value": 0.62, "n_real": 60, "n_synthetic": 60}
    line = next(line for line in verdict(scores).lines if line.topic == "variety")
    assert line.why.startswith(
        "62 % of real images lie among synthetic ones (60 a side); with real images in place of "
        "synthetic ones it is 93 % (30 a side), with as few synthetic ones 85 %."
    )
    assert line.state == "doubt"


def test_coverage_that_is_low_for_want_of_likeness_is_no_want_of_variety():
    scores = changed("metrics.coverage.value", 0.3)
    scores["metrics"]["precision"]["value"] = 0.3
    found = {line.topic: line.state for line in verdict(scores).lines}
    assert (found["likeness"], found["variety"]) == ("fault", "sound")


def test_a_finding_whose_images_are_copied_is_named():
    row = {"share": 0.4, "expected": 0.02, "patients": 40, "n_synthetic": 50, "p_holm": 1e-6}
    found = verdict(changed("memorization.by_finding", {"hiatal_hernia": row}))
    assert found.headline == (
        "Use it with care: images of hiatal hernia lie unusually close to training images."
    )
    assert "40 % lie closer" in found.unsafe[0].why
    for harmless in ({"share": 0.02}, {"p_holm": 0.2}):
        assert verdict(changed("memorization.by_finding", {"x": row | harmless})).state == "sound"


def test_faint_labels_are_named():
    row = {"auroc": 0.8, "ci": [0.75, 0.85], "difference": -0.1, "p_holm": 0.001}
    found = verdict(changed("label_fidelity.findings.nodule", row))
    assert found.headline == "Use it with care: its labels hold less than real ones."
    assert "Not all images show nodule" in found.unsafe[0].says
    gap = {**GOOD["label_fidelity"]["macro"], "difference": -0.2, "difference_ci": [-0.25, -0.15]}
    assert verdict(changed("label_fidelity.macro", gap)).state == "fault"


def test_no_scores_are_no_verdict():
    found = verdict({})
    assert found.state == "unknown"
    assert found.headline == "Nothing can be said of this set: nothing was measured."
    assert {line.why for line in found.lines} == {"it was not asked for"}


def test_markdown_shows_every_section_and_no_markup_of_others():
    scores = changed("warnings", ["<script>a|b</script>"])
    record = {"extractor": "", "extractor_sha256": "", "preprocessing": "", "estimator": "x"}
    record |= {"n_real": 1200, "n_synthetic": 5, "seed": 0, "value": 0.25, "ci": [0.2, 0.3]}
    floor = {"value": 0.11, "n": 600, "synthetic_at_same_n": 0.37}
    scores["something_new"] = {"deeper": {"still": record, "yet": record | {"floor": floor}}}
    spread = {"value": 0.5, "ci": [0.4, 0.6], "delta": 0.1, "delta_ci": None, "note": "few"}
    scores["segmentation"] = {"arms": {"real": {"dice": spread}}}
    scores["failures"] = [{"synthetic": "a.png", "reason": "far", "score": 2.0, "limit": 1.5}]
    text = scores_markdown(scores)
    assert "| real dice | 0.500 | 0.400 to 0.600 | +0.100 | few |" in text
    assert "| a.png | far | 2.00 | 1.50 |" in text
    assert "| value | 95 % interval | at floor's N | floor (real against real) | N " in text
    assert "| deeper still | 0.250 | 0.200 to 0.300 | – | – | 1,200 / 5 |" in text
    assert "| deeper yet | 0.250 | 0.200 to 0.300 | 0.370 | 0.110 (N 600) | 1,200 / 5 |" in text
    assert "| nodule |" in text
    assert "| real+synthetic |" not in text  # it has no AUROC here
    assert "<script" not in text
    assert "a\\|b" in text


# ---------------------------------------------------------------- texture


def grain(rng, count, scale):
    return np.clip(128 + rng.normal(0, scale, (count, 40, 40)), 0, 255).astype(np.uint8)


def test_texture_is_the_ratio_of_what_a_blur_takes():
    rng = np.random.default_rng(0)
    found = texture_ratio(real=grain(rng, 40, 20), synthetic=grain(rng, 40, 10))
    assert found.value == pytest.approx(0.5, abs=0.01)
    assert found.ci[0] < found.value < found.ci[1]
    assert found.floor.value == pytest.approx(1.0, abs=0.02)


def test_padding_does_not_count_and_one_grey_has_no_detail():
    rng = np.random.default_rng(0)
    images = grain(rng, 20, 20)
    padded = np.pad(images, ((0, 0), (30, 10), (0, 0)))
    assert texture_ratio(real=images, synthetic=padded).value == pytest.approx(1.0)
    flat = np.full_like(images, 90)
    assert texture_ratio(real=images, synthetic=flat).value < 1e-3


def test_the_texture_interval_covers_when_patients_repeat():
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(50):
        scales = np.exp(rng.normal(np.log(15), 0.2, 30))
        real = np.concatenate([grain(rng, 3, scale) for scale in scales])
        made = np.concatenate([grain(rng, 1, s) for s in np.exp(rng.normal(np.log(15), 0.2, 60))])
        groups = [f"p{at // 3}" for at in range(len(real))]
        low, high = texture_ratio(real=real, synthetic=made, real_groups=groups).ci
        covered += low <= 1.0 <= high
    assert covered >= 45


def test_texture_refuses_what_is_no_image():
    with pytest.raises(SynthError, match="8-bit grey"):
        texture_ratio(real=np.zeros((2, 8, 8)), synthetic=np.zeros((2, 8, 8), np.uint8))
    one = np.random.default_rng(0).integers(0, 255, (2, 8, 8), dtype=np.uint8)
    assert "withheld" in texture_ratio(real=one, synthetic=one).note
