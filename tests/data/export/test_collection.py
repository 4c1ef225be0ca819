"""Merging, weights, splits, and what does not leave."""

import json
import shutil

import pandas as pd
import pytest

from synth.data.export.collection import collect
from synth.data.export.run import export_dataset
from synth.errors import SynthError, UsageError
from synth.manifest import append_jsonl


def rewrite(source, folder, change):
    """A copy of a dataset whose rows were changed."""
    shutil.copytree(source, folder)
    lines = (source / "metadata.jsonl").read_text("utf-8").splitlines()
    (folder / "metadata.jsonl").unlink()
    append_jsonl(folder / "metadata.jsonl", [change(json.loads(line)) for line in lines])
    return folder


def test_merged_real_before_synthetic_in_every_split(made, tiny_dataset):
    both = collect(made, name="x", merge=tiny_dataset)
    assert [item.row.synthetic for item in both.splits["train"]] == [False] * 14 + [True] * 7
    assert {name: len(items) for name, items in both.splits.items()} == {
        "train": 21,
        "val": 4,
        "test": 6,
    }
    assert both.synthetic == 7
    assert both.findings == ("cardiomegaly", "hernia", "nodule")


def test_the_order_of_the_arguments_does_not_matter(made, tiny_dataset):
    one = collect(made, name="x", merge=tiny_dataset)
    other = collect(tiny_dataset, name="x", merge=made)
    assert [item.row for item in one.items] == [item.row for item in other.items]


@pytest.mark.parametrize(("weight", "value"), [("equal", 2.0), ("0.25", 0.25), (1.0, 1.0), (0, 0)])
def test_weights(made, tiny_dataset, weight, value):
    both = collect(made, name="x", merge=tiny_dataset, weight=weight)
    assert {item.weight for item in both.items if item.row.synthetic} == {value}
    assert {item.weight for item in both.items if not item.row.synthetic} == {1.0}


@pytest.mark.parametrize("weight", ["-1", "nan", "inf", "half", "1e400"])
def test_impossible_weights(made, tiny_dataset, weight):
    with pytest.raises(UsageError, match="no such weight"):
        collect(made, name="x", merge=tiny_dataset, weight=weight)


def test_equal_weights_need_both_kinds(made):
    with pytest.raises(UsageError, match=r"got 0 real, 7 synthetic.*--merge"):
        collect(made, name="x", weight="equal")


def test_splits_are_chosen(tiny_dataset):
    held_out = collect(tiny_dataset, name="x", splits=("val", "test"))
    assert {item.row.split for item in held_out.items} == {"val", "test"}


def test_a_split_without_images_is_refused(made):
    with pytest.raises(UsageError, match="no image in these splits"):
        collect(made, name="x", splits=("test",))


def test_merging_with_itself_is_refused(made):
    with pytest.raises(UsageError, match="cannot be merged with itself"):
        collect(made, name="x", merge=made)


def test_the_same_name_in_both_is_refused(made, tmp_path):
    copy = shutil.copytree(made, tmp_path / "copy")
    with pytest.raises(SynthError, match=r"both datasets have an image of this name.*syn-000000"):
        collect(made, name="x", merge=copy)


def test_a_name_twice_is_refused(made, tmp_path):
    broken = rewrite(made, tmp_path / "broken", lambda row: row | {"sample_id": "one"})
    with pytest.raises(SynthError, match="same sample_id"):
        collect(broken, name="x")


def test_a_patient_in_two_splits_is_refused(tiny_dataset, tmp_path):
    broken = rewrite(
        tiny_dataset,
        tmp_path / "broken",
        lambda row: row | {"patient_id": "p00" if row["sample_id"] == "tiny-023" else None},
    )
    fine = collect(broken, name="x")
    assert len(fine.items) == 24
    broken = rewrite(tiny_dataset, tmp_path / "b2", lambda row: row | {"patient_id": "p00"})
    with pytest.raises(SynthError, match=r"a patient is in two splits.*p00"):
        collect(broken, name="x")


def test_a_synthetic_image_from_a_held_out_text_is_refused(made, tiny_dataset, tmp_path):
    leaking = rewrite(
        made, tmp_path / "leaking", lambda row: row | {"source_sample_id": "tiny-023"}
    )
    with pytest.raises(SynthError, match=r"held-out.*tiny-023 in test"):
        collect(leaking, name="x", merge=tiny_dataset)


def test_an_unfinished_dataset_is_refused(change_terms):
    with pytest.raises(SynthError, match=r"not finished.*continues"):
        collect(change_terms("half", complete=False), name="x")
    assert collect(change_terms("whole", complete=True), name="x").items


@pytest.mark.parametrize("name", ["../../secret.png", "/etc/passwd"])
def test_a_manifest_cannot_point_elsewhere(made, tmp_path, name):
    broken = rewrite(made, tmp_path / "broken", lambda row: row | {"file_name": name})
    with pytest.raises(SynthError, match="outside the dataset"):
        collect(broken, name="x")


def test_a_missing_image_is_named(made, tmp_path):
    broken = shutil.copytree(made, tmp_path / "broken")
    (broken / "images/00000/syn-000002.png").unlink()
    with pytest.raises(SynthError, match=r"syn-000002.png: image file is missing"):
        export_dataset(broken, tmp_path / "out", to="monai")
    assert not (tmp_path / "out").exists()


def test_only_known_columns_leave(tiny_dataset, tmp_path):
    """What a row holds beyond the list, such as the text before scrubbing, stays."""
    secret = "Mrs Jane Doe, 555-0199"
    rich = rewrite(
        tiny_dataset,
        tmp_path / "rich",
        lambda row: row | {"text_raw": secret, "mrn": secret, "preprocessing": {"from": secret}},
    )
    for to in ("parquet", "webdataset", "monai", "chexpert", "imagefolder"):
        export_dataset(rich, tmp_path / to, to=to)
        for path in (tmp_path / to).rglob("*"):
            assert not path.is_file() or b"Jane Doe" not in path.read_bytes()


def test_a_finding_named_like_a_column_is_refused(tiny_dataset, tmp_path):
    odd = rewrite(tiny_dataset, tmp_path / "odd", lambda row: row | {"labels": {"weight": 1}})
    with pytest.raises(SynthError, match=r"names of other columns.*weight"):
        export_dataset(odd, tmp_path / "out", to="parquet")


def test_rejected_checks_are_in_the_table(made, tmp_path):
    export_dataset(made, tmp_path / "out", to="monai")
    table = pd.read_csv(tmp_path / "out" / "metadata.csv").set_index("sample_id")
    assert table.loc["syn-000003", "qc_flags"] == "not_duplicate"
    assert table["qc_flags"].isna().sum() == 6
    assert table.loc["syn-000001", "seed"] == 2**53 + 1
    assert set(table["synthetic"]) == {True}
    assert set(table["generator_version"]) == {"0.1.0"}
