import json

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def sets(tmp_path):
    """Folders a and b: 24 images of 32 pixels each."""
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for index in range(24):
            coarse = Image.fromarray(rng.random((8, 8)).astype(np.float32))
            smooth = np.asarray(coarse.resize((32, 32), Image.Resampling.BICUBIC)).clip(0, 1)
            grey = (smooth * 255).round().astype(np.uint8)
            Image.fromarray(grey).save(tmp_path / name / f"{index}.png")
    return tmp_path


FAST = ("metrics.classifier_steps=2", "metrics.bootstrap=10")


def test_two_plain_folders_need_no_configuration(synth, sets):
    code, out, _ = synth(
        *("evaluate", "--real", sets / "a", "--synthetic", sets / "b", "--train", sets / "b"),
        *("--metrics", "kd,vendi", "--metrics", "nn-auc", "--extractor", "pixel", "--json"),
        *("--store", sets / "store", "--out", sets / "run", *FAST),
    )
    assert code == 0
    scores = json.loads(out)
    assert set(scores["metrics"]) == {"kd_pixel", "vendi", "nn-auc"}
    assert scores["provenance"]["settings"]["classifier_steps"] == 2  # overrides still work
    assert scores["protocol"]["ingest"]["reading"].startswith("white 65535")
    assert json.loads((sets / "run" / "scores.json").read_text()) == scores
    assert len(list((sets / "store").iterdir())) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--metrics", "kdd"), "unknown metric"),
        (("--extractor", "pixl"), "Did you mean `pixel`"),
        (("--white", "-1"), "white must be a positive level"),
    ],
)
def test_wrong_requests_are_usage_errors(synth, sets, options, said):
    code, _, err = synth(
        "evaluate", "--real", sets / "a", "--synthetic", sets / "b", *options, *FAST
    )
    assert code == 2
    assert said in " ".join(err.split())


def test_compare_runs_and_refuse(synth, sets):
    base = ("evaluate", "--real", sets / "a", "--metrics", "kd", "--extractor", "pixel")
    for name, more in (("1", ()), ("2", ()), ("3", ("metrics.seed=1",))):
        code, _, _ = synth(*base, "--synthetic", sets / "b", "--out", sets / name, *more)
        assert code == 0
    code, out, _ = synth("evaluate", "compare", sets / "1", sets / "2" / "scores.json", "--json")
    assert code == 0
    assert json.loads(out)["rows"][0]["difference"] == 0.0
    for command in (("evaluate", "compare"), ("diff",)):
        code, _, err = synth(*command, sets / "1", sets / "3")
        assert code == 1
        assert "settings.seed: 0 and 1" in " ".join(err.split())


def test_diff_shows_a_table_and_writes_markdown(synth, sets):
    base = ("evaluate", "--real", sets / "a", "--metrics", "kd,prdc", "--extractor", "pixel")
    for name in ("a", "b"):
        synth(*base, "--synthetic", sets / name, "--out", sets / f"run-{name}", *FAST)
    page = sets / "diff.md"
    code, out, _ = synth("diff", sets / "run-a", sets / "run-b", "--out", page)
    assert code == 0
    assert "kd_pixel" in out
    lines = page.read_text().splitlines()
    assert lines[0].startswith("# ")
    (row,) = [line for line in lines if line.startswith("| kd_pixel |")]
    assert row.count("|") == 9
    assert " yes |" in row
    code, out, _ = synth("diff", sets / "run-a", sets / "run-b", "--json")
    (record,) = [row for row in json.loads(out)["rows"] if row["name"] == "kd_pixel"]
    assert record["paired"]
    code, _, err = synth("diff", sets / "run-a", sets / "nowhere")
    assert code == 1
    assert "no scores.json" in " ".join(err.split())


def test_doctor_says_what_it_found(synth, sets):
    code, out, _ = synth("evaluate", "doctor", "random-conv", sets / "a", "--json")
    found = json.loads(out)
    names = [item["check"] for item in found["checks"]]
    assert names[:3] == ["range of the images", "features", "batch size does not matter"]
    assert (code == 0) == found["ok"]
    code, _, err = synth("evaluate", "doctor", "hf:", sets / "a")
    assert code == 2
    assert "lacks its weights" in err


def test_features_of_shards_merge(synth, sets):
    for name in ("a", "b"):
        code, out, _ = synth(
            *("evaluate", "features", sets / name, "--extractor", "pixel"),
            *("--out", sets / f"{name}.npz", "--json"),
        )
        assert code == 0
        assert json.loads(out)["images"] == 24
    code, out, _ = synth(
        "evaluate", "merge", sets / "all.npz", sets / "a.npz", sets / "b.npz", "--json"
    )
    assert json.loads(out)["images"] == 48
    with np.load(sets / "all.npz") as file:
        assert {"mu", "sigma", "n", "extractor"} <= set(file.files)
        assert file["sigma"].shape == (256, 256)
    code, out, _ = synth(
        *("evaluate", "--real", sets / "all.npz", "--synthetic", sets / "b", "--json"),
        *("--extractor", "pixel"),
    )
    assert json.loads(out)["metrics"]["fd_pixel"]["n_real"] == 48


@pytest.mark.parametrize("name", ["doctor", "compare", "features", "merge"])
def test_each_has_an_example_and_json(synth, name):
    code, out, _ = synth("evaluate", name, "--help")
    assert code == 0
    assert f"synth evaluate {name}" in " ".join(out.split())
    assert "Example:" in out
    assert "--json" in out


def test_help_of_evaluate_names_them(synth):
    code, out, _ = synth("evaluate", "--help")
    assert code == 0
    assert "doctor | compare | features | merge" in " ".join(out.split())
