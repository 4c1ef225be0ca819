"""Numbers compare only where they were made in the same way."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import Any

import pytest

from metrics.chosen import Choices
from metrics.compare import compare
from metrics.ingest import open_images
from metrics.protocol import differences, fingerprint, set_digest
from metrics.run import evaluate
from synth.config.schema import MetricsSection
from synth.data.images_in import Reading
from synth.errors import SynthError
from synth.manifest import open_dataset

KD = Choices(metrics=("kd", "prdc", "memorization"), extractors=("pixel",))


def scored(real: Path, synthetic: Path, choices: Choices = KD, **settings: Any) -> dict[str, Any]:
    section = MetricsSection(bootstrap=10, **settings)
    return evaluate(real=real, synthetic=synthetic, settings=section, choices=choices).to_json()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tiny_dataset: Path) -> dict[str, Path]:
    """Two synthetic sets of ten images from one generator."""
    root = tmp_path_factory.mktemp("made")
    rows = open_dataset(tiny_dataset).split("train")
    for name, part in (("a", rows[:10]), ("b", rows[4:14]), ("few", rows[:8])):
        (root / name).mkdir()
        for row in part:
            shutil.copy(tiny_dataset / row.file_name, root / name / f"{row.sample_id}.png")
    return {name: root / name for name in ("a", "b", "few")}


def test_two_generators_by_one_protocol_compare(tiny_dataset: Path, made: dict[str, Path]) -> None:
    one, two = scored(tiny_dataset, made["a"]), scored(tiny_dataset, made["b"])
    assert one["protocol"] == two["protocol"]
    assert len(one["protocol"]["fingerprint"]) == 16
    found = compare(one, two)
    rows = {row.name: row for row in found.rows}
    assert {"kd_pixel", "coverage", "memorization.auc"} <= set(rows)
    row, first, second = rows["kd_pixel"], one["metrics"]["kd_pixel"], two["metrics"]["kd_pixel"]
    assert row.difference == second["value"] - first["value"]
    assert row.paired
    assert row.ci is not None
    assert row.ci[0] < row.difference < row.ci[1]
    prints = {name: record["fingerprint"] for name, record in one["metrics"].items()}
    assert all(prints.values())
    assert prints["kd_pixel"] != prints["coverage"]
    assert one["memorization"]["auc"]["fingerprint"] == two["memorization"]["auc"]["fingerprint"]


@pytest.mark.parametrize(
    ("choices", "settings", "named"),
    [
        (Choices(metrics=KD.metrics, extractors=("random-conv",)), {}, "no metric in common|extr"),
        (KD, {"seed": 1}, "settings.seed: 0 and 1"),
        (KD, {"nearest_k": 3}, "settings.nearest_k: 5 and 3"),
        (
            Choices(metrics=KD.metrics, extractors=("pixel",), reading=Reading(white=4095)),
            {},
            "ingest.reading: white 65535.* and white 4095",
        ),
    ],
)
def test_another_protocol_is_refused_by_name(
    tiny_dataset: Path, made: dict[str, Path], choices: Choices, settings: Any, named: str
) -> None:
    one = scored(tiny_dataset, made["a"])
    two = scored(tiny_dataset, made["a"], choices, **settings)
    assert one["protocol"]["fingerprint"] != two["protocol"]["fingerprint"]
    with pytest.raises(SynthError, match=named):
        compare(one, two)


def test_another_n_or_reference_is_refused(tiny_dataset: Path, made: dict[str, Path]) -> None:
    one = scored(tiny_dataset, made["a"])
    with pytest.raises(SynthError, match="n_synthetic: 10 and 8"):
        compare(one, scored(tiny_dataset, made["few"]))
    with pytest.raises(SynthError, match=r"different protocols.*got real: "):
        compare(one, scored(made["b"], made["a"]))


def test_other_weights_of_one_name_are_refused(tiny_dataset: Path, made: dict[str, Path]) -> None:
    one = scored(tiny_dataset, made["a"])
    two = copy.deepcopy(one)
    two["protocol"]["records"]["kd_pixel"]["extractor_sha256"] = "ab"
    with pytest.raises(SynthError, match=r"records.kd_pixel.extractor_sha256:  and ab"):
        compare(one, two)


def test_metrics_of_one_run_alone_are_listed(tiny_dataset: Path, made: dict[str, Path]) -> None:
    less = Choices(metrics=("kd",), extractors=("pixel",))
    found = compare(scored(tiny_dataset, made["a"]), scored(tiny_dataset, made["b"], less))
    assert [row.name for row in found.rows] == ["kd_pixel"]
    assert "coverage" in found.only_in_one


def test_other_software_is_said_not_refused(tiny_dataset: Path, made: dict[str, Path]) -> None:
    one = scored(tiny_dataset, made["a"])
    two = copy.deepcopy(one)
    two["provenance"]["versions"]["numpy"] = "9.9"
    (note,) = compare(one, two).notes
    assert note.endswith("and 9.9")


def test_better_only_where_the_interval_leaves_zero() -> None:
    record = {"value": 0.5, "se": 0.01, "higher_is_better": True}
    protocol = {"fingerprint": "x", "records": {"coverage": {}}}

    def run(value: float, se: float | None = 0.01, higher: bool = True) -> dict[str, Any]:
        held = record | {"value": value, "se": se, "higher_is_better": higher}
        return {"metrics": {"coverage": held}, "protocol": protocol}

    def better(one: dict[str, Any], two: dict[str, Any]) -> str:
        return compare(one, two).rows[0].better

    assert better(run(0.5), run(0.6)) == "second"
    assert better(run(0.5, higher=False), run(0.6, higher=False)) == "first"
    assert better(run(0.5), run(0.51)) == ""
    assert better(run(0.5), run(0.6, None)) == ""


def test_scores_without_a_protocol_are_refused() -> None:
    with pytest.raises(SynthError, match="first run was scored without a protocol"):
        compare({"metrics": {}}, {"metrics": {}})


def test_fingerprints_of_equal_content_are_equal() -> None:
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})
    assert list(differences({"a": {"b": 1}, "c": 2}, {"a": {"b": 3}, "c": 2})) == ["a.b: 1 and 3"]


def test_the_digest_of_a_set_is_of_its_pixels(tmp_path: Path, tiny_dataset: Path) -> None:
    files = [tiny_dataset / row.file_name for row in open_dataset(tiny_dataset).rows[:4]]
    for name, order in (("a", files), ("b", files[::-1])):
        (tmp_path / name).mkdir()
        for index, file in enumerate(order):
            shutil.copy(file, tmp_path / name / f"{index}.png")
    one, two = (set_digest(open_images(tmp_path / name, 32)) for name in "ab")
    assert one == two
    assert one != set_digest(open_images(tmp_path / "a", 16))
