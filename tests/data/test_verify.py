import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from synth.data.verify import verify_dataset
from synth.errors import SynthError


@pytest.fixture
def dataset(tiny_dataset, tmp_path) -> Path:
    return Path(shutil.copytree(tiny_dataset, tmp_path / "dataset"))


def rows(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]


def rewrite(folder: Path, changed: list[dict]) -> None:
    """Change the table and forget its sums, which would report every change once more."""
    text = "".join(json.dumps(row) + "\n" for row in changed)
    (folder / "metadata.jsonl").write_text(text)
    (folder / "SHA256SUMS").write_text("")


def kinds(folder: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for problem in verify_dataset(folder).problems:
        found.setdefault(problem.kind, []).append(f"{problem.where}: {problem.problem}")
    return found


def test_a_whole_dataset_has_no_problem(tiny_dataset):
    found = verify_dataset(tiny_dataset)
    assert found.problems == ()
    assert found.images == 24
    assert found.to_json()["ok"] is True


def test_nothing_is_written(dataset):
    before = {path: path.stat().st_mtime_ns for path in dataset.rglob("*")}
    verify_dataset(dataset)
    assert {path: path.stat().st_mtime_ns for path in dataset.rglob("*")} == before


def test_a_folder_without_a_table_is_an_error(tmp_path):
    with pytest.raises(SynthError, match=r"no metadata\.jsonl"):
        verify_dataset(tmp_path)


def test_a_changed_image_is_found(dataset):
    path = dataset / rows(dataset)[3]["file_name"]
    Image.new("L", (32, 32), 7).save(path)
    assert list(kinds(dataset)) == ["hash"]


def test_a_truncated_image_is_found(dataset):
    path = dataset / rows(dataset)[3]["file_name"]
    path.write_bytes(path.read_bytes()[:200])
    found = kinds(dataset)
    assert set(found) == {"hash", "image"}
    assert "cannot be decoded" in found["image"][0]


def test_a_missing_image_is_found(dataset):
    (dataset / rows(dataset)[3]["file_name"]).unlink()
    assert list(kinds(dataset)) == ["file"]


def test_a_colour_image_of_another_size_is_found(dataset):
    path = dataset / rows(dataset)[0]["file_name"]
    Image.new("RGB", (16, 32)).save(path)
    found = kinds(dataset)["image"]
    assert any("16×32" in text for text in found)
    assert any("3 channels" in text for text in found)


def test_a_file_that_no_row_describes_is_found(dataset):
    (dataset / "images" / "000" / "stray.png").write_bytes(b"")
    assert kinds(dataset) == {"extra": ["images/000/stray.png: no row describes this file"]}


def test_a_patient_in_two_splits_is_found(dataset):
    table = rows(dataset)
    table[0]["split"] = "test"
    rewrite(dataset, table)
    (text,) = kinds(dataset)["split"]
    assert "p00" in text
    assert "test, train" in text


@pytest.mark.parametrize("value", [2, -2, True, 1.0, "1"])
def test_a_label_of_another_value_is_found(dataset, value):
    table = rows(dataset)
    table[2]["labels"]["hernia"] = value
    rewrite(dataset, table)
    (text,) = kinds(dataset)["label"]
    assert text.startswith("metadata.jsonl:3: `hernia` is")


def test_every_bad_row_is_found(dataset):
    table = rows(dataset)
    table[1]["split"] = "holdout"
    del table[2]["sample_id"]
    rewrite(dataset, table)
    with (dataset / "metadata.jsonl").open("a") as file:
        file.write("{not json\n[1]\n")
    found = kinds(dataset)["schema"]
    assert [text.split(": ")[0] for text in found] == [
        "metadata.jsonl:2",
        "metadata.jsonl:3",
        "metadata.jsonl:25",
        "metadata.jsonl:26",
    ]


def test_a_row_given_twice_is_found(dataset):
    table = rows(dataset)
    rewrite(dataset, [*table, table[0]])
    found = kinds(dataset)
    assert len(found["duplicate"]) == 2  # its name and its file
    assert "says 24 images, the table has 25" in found["info"][0]


@pytest.mark.parametrize("name", ["../outside.png", "/etc/hostname"])
def test_a_file_outside_the_dataset_is_found(dataset, name):
    (dataset.parent / "outside.png").write_bytes(b"")
    table = rows(dataset)
    table[0]["file_name"] = name
    rewrite(dataset, table)
    assert "outside the dataset" in kinds(dataset)["file"][0]


def test_a_row_without_a_hash_is_found(dataset):
    table = rows(dataset)
    table[0]["sha256"] = ""
    rewrite(dataset, table)
    assert "no sha256" in kinds(dataset)["hash"][0]


def test_a_changed_table_differs_from_the_sums(dataset):
    with (dataset / "metadata.jsonl").open("a") as file:
        file.write("\n")
    assert kinds(dataset) == {"hash": ["metadata.jsonl: differs from SHA256SUMS"]}


def test_an_unfinished_dataset_is_found(dataset):
    (dataset / "SHA256SUMS").unlink()
    (dataset / "dataset.json").unlink()
    found = kinds(dataset)
    assert "not finished" in found["file"][0]
    assert found["info"] == ["dataset.json: is missing"]


def test_a_finding_that_no_row_labels_is_found(dataset):
    table = rows(dataset)
    for row in table:
        del row["labels"]["hernia"]
    rewrite(dataset, table)
    assert "no row labels: hernia" in kinds(dataset)["info"][0]


def test_an_empty_table_is_found(dataset):
    rewrite(dataset, [])
    shutil.rmtree(dataset / "images")
    assert verify_dataset(dataset).problems


def edit_info(folder: Path, **changes) -> None:
    path = folder / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_held_out_image_in_training_is_found(dataset):
    table = rows(dataset)
    for row in table:
        row["official_split"] = row["split"]
    table[-1]["official_split"] = "train"  # held out further than its source does: no leak
    rewrite(dataset, table)
    assert kinds(dataset) == {}
    for row in table[:2]:
        row["official_split"] = "test"
    rewrite(dataset, table)
    found = kinds(dataset)["split"]
    assert [text.split(": ")[0] for text in found] == ["metadata.jsonl:1", "metadata.jsonl:2"]
    assert "holds it out for test, but it is in train" in found[0]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("flags", "burned_in_text"),
        ("flags", [1]),
        ("phash", "xyz"),
        ("phash", "ABCD" * 16),
        ("official_split", "validate"),
        ("attributes", {"nodule": "left"}),
    ],
)
def test_new_fields_are_checked(dataset, field, value):
    table = rows(dataset)
    table[4][field] = value
    rewrite(dataset, table)
    found = kinds(dataset)
    assert f"`{field}" in found["schema"][0]
    assert found["schema"][0].startswith("metadata.jsonl:5")


def test_flags_that_are_counted_wrong_are_found(dataset):
    table = rows(dataset)
    table[0]["flags"] = ["view_unknown"]
    rewrite(dataset, table)
    edit_info(dataset, flags={"view_unknown": 1})
    assert kinds(dataset) == {}
    edit_info(dataset, flags={"view_unknown": 2})
    assert "flags" in kinds(dataset)["info"][0]


def test_a_source_without_terms_is_found(dataset):
    table = rows(dataset)
    for row in table:
        row["source"] = "nih-chestxray14"
    rewrite(dataset, table)
    edit_info(dataset, made_by="synth prepare")
    assert "lacks the terms of the sources nih-chestxray14" in kinds(dataset)["info"][0]
    edit_info(dataset, sources=[{"name": "nih-chestxray14", "title": "NIH"}])
    assert kinds(dataset) == {}
    edit_info(dataset, sources=[{"title": "nameless"}])
    assert "sources.0.name" in kinds(dataset)["info"][0]


def test_look_alikes_that_are_not_there_are_found(dataset):
    first = rows(dataset)[0]["sample_id"]
    path = dataset / "near_duplicates.jsonl"
    path.write_text(json.dumps({"sample_ids": [first, "gone"], "distance": 1}) + "\n")
    assert kinds(dataset) == {"info": ["near_duplicates.jsonl: names 1 images that no row has"]}
