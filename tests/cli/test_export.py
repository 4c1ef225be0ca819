import json

import numpy as np
import pytest
from pydicom import dcmread

from synth.images import save_png
from synth.manifest import SyntheticRow, append_jsonl


@pytest.fixture
def synthetic_dataset(tmp_path):
    """One synthetic image whose view is not recorded."""
    folder = tmp_path / "made"
    save_png(folder / "images" / "a.png", np.full((4, 4), 7, np.uint8))
    row = SyntheticRow(
        file_name="images/a.png",
        sample_id="syn-000000",
        split="train",
        seed=1,
        prompt_hash="",
        weights_sha256="a" * 64,
        config_sha256="b" * 64,
        solver="ddim",
        steps=2,
        guidance=1.0,
    )
    append_jsonl(folder / "metadata.jsonl", [row])
    return folder


def test_an_export_says_what_it_did(synth, tiny_dataset, tmp_path):
    out = tmp_path / "out"
    code, answer, _ = synth("export", tiny_dataset, "--to", "chexpert", "--out", out)
    assert code == 0
    assert "24 images (14 train, 4 val, 6 test), 0 of them synthetic" in answer
    assert "the export may be passed on under its terms; no commercial use" in answer
    assert (out / "train.csv").is_file()


def test_json(synth, tiny_dataset, tmp_path):
    out = tmp_path / "out"
    arguments = ["--to", "monai", "--out", out, "--split", "val,test", "--json"]
    code, answer, _ = synth("export", tiny_dataset, *arguments)
    facts = json.loads(answer)
    assert code == 0
    assert facts["splits"] == {"val": 4, "test": 6}
    assert facts["format"] == "monai"
    assert facts["out"] == str(out)


def test_an_existing_folder_is_refused(synth, tiny_dataset, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    code, out, err = synth("export", tiny_dataset, "--to", "monai", "--out", tmp_path)
    assert code == 1
    assert out == ""
    assert "nothing is overwritten" in err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--to", "zarr"], "zarr"),
        (["--to", "monai", "--shard-size", "5"], "monai has no shards"),
        (["--to", "parquet", "--sr"], "are for dicom"),
        (["--to", "parquet", "--split", "train,dev"], "no such split"),
        (["--to", "parquet", "--synthetic-weight", "-1"], "no such weight"),
        (["--to", "parquet", "--synthetic-weight", "equal"], "equal weights need"),
        (["--to", "dicom"], "only synthetic images"),
    ],
)
def test_wrong_requests_exit_with_2(synth, tiny_dataset, tmp_path, arguments, said):
    code, out, err = synth("export", tiny_dataset, "--out", tmp_path / "out", *arguments)
    assert code == 2
    assert out == ""
    assert said in err
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists()


def test_no_dataset_is_one_error(synth, tmp_path):
    code, _, err = synth("export", tmp_path / "no", "--to", "monai", "--out", tmp_path / "out")
    assert code == 1
    assert "not a dataset" in err


def test_dicom_options_are_handed_on(synth, synthetic_dataset, tmp_path):
    out = tmp_path / "out"
    wishes = ["--sop-class", "dx", "--view", "AP", "--bits", "16", "--body-part", "ABDOMEN"]
    code, _, err = synth("export", synthetic_dataset, "--to", "dicom", "--out", out, *wishes)
    assert code == 0, err
    (path,) = out.rglob("*.dcm")
    found = dcmread(path)
    stated = (found.Modality, found.ViewPosition, found.BitsStored, found.BodyPartExamined)
    assert stated == ("DX", "AP", 16, "ABDOMEN")
