"""``synth edit`` and ``synth regenerate``, from the command line to the folder and back."""

import json

import pytest
import yaml

from synth.manifest import open_dataset


@pytest.fixture
def config(tmp_path, tiny_dataset, tiny_pipeline):
    path = tmp_path / "config.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "run": {"out": str(tmp_path / "run")},
                "data": {"dataset": str(tiny_dataset)},
                "sample": {
                    "weights": str(tiny_pipeline),
                    "count": 3,
                    "batch": 2,
                    "steps": 2,
                    "device": "cpu",
                },
            }
        )
    )
    return path


def ask(config, out, *more):
    text = ("--prompt", "large nodule", "--sample-id", "tiny-001", "--out", out)
    return ("edit", config, *text, *more)


def test_an_edit_is_a_dataset_that_verifies(synth, config, tmp_path):
    out = tmp_path / "edited"
    code, printed, err = synth(
        *ask(config, out, "--box", "2,2,20,20", "--label", "hernia=0", "--count", "2", "--json")
    )
    assert code == 0, err
    answer = json.loads(printed)
    assert (answer["made"], len(answer["sample_ids"])) == (2, 2)
    row = open_dataset(out).rows[0]
    assert (row.strength, row.labels["nodule"], row.labels["hernia"]) == (0.6, 1, 0)
    assert row.mask.startswith("masks/")
    code, _, err = synth("verify", out)
    assert code == 0, err
    code, printed, _ = synth(*ask(config, out, "--box", "2,2,20,20", "--count", "2"))
    assert code == 0
    assert "0 images made, 2 kept" in " ".join(printed.split())
    code, printed, err = synth(
        "regenerate", out, answer["sample_ids"][1], "--run", config, "--json"
    )
    assert code == 0, err
    assert json.loads(printed)["verdict"] == "identical"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--box", "1,2,3"), "not a box inside"),
        (("--box", "a,b,c,d"), "not a box"),
        (("--label", "hernia"), "not a label"),
        (("--strength", "2"), "--strength"),
        (("--box", "1,1,2,2", "--mask", "m.png"), "not both"),
    ],
)
def test_wrong_requests_are_one_line(synth, config, tmp_path, more, words):
    code, _, err = synth(*ask(config, tmp_path / "edited", *more))
    assert code == 2
    assert words in " ".join(err.split())
    assert not (tmp_path / "edited").exists()


def test_an_image_comes_again_and_a_changed_one_is_an_error(synth, config, tmp_path, tiny_pipeline):
    assert synth("sample", config)[0] == 0
    made = tmp_path / "run" / "synthetic"
    again = ("regenerate", made, "syn-000001")
    code, printed, err = synth(*again, "--weights", tiny_pipeline, "--out", tmp_path / "a.png")
    assert code == 0, err
    assert "identical, every pixel" in printed
    row = open_dataset(made).rows[1]
    assert (tmp_path / "a.png").read_bytes() == (made / row.file_name).read_bytes()

    code, _, err = synth(*again)
    assert code == 1
    assert "the weights that made the dataset are not known" in " ".join(err.split())
    code, _, err = synth(*again, "--weights", tmp_path / "none")
    assert code == 1
    assert "no such weights folder" in " ".join(err.split())

    table = made / "metadata.jsonl"
    table.write_text(table.read_text().replace(f'"seed": {row.seed}', '"seed": 1'))
    code, printed, _ = synth(*again, "--run", config, "--json")
    assert code == 1
    assert json.loads(printed)["verdict"] == "different"
    code, _, err = synth("regenerate", made, "syn-00001", "--run", config)
    assert code == 2
    assert "no image of this id" in " ".join(err.split())


@pytest.mark.parametrize("command", ["edit", "regenerate"])
def test_help_has_an_example(synth, command):
    code, printed, _ = synth(command, "--help")
    assert code == 0
    assert f"Example: synth {command}" in " ".join(printed.split())
