"""Every recipe end to end on a tiny random pipeline of the same class saved to disk."""

import json
import sys
from pathlib import Path

import pytest
from cases import CASES
from transformers import CLIPTokenizer

from synth.cli import main
from synth.manifest import open_dataset

CONFIGS = Path(__file__).parents[2] / "configs"
RECIPES = {  # recipe -> its family's builder; None: the shared pipeline
    "sd21_lora_512": None,
    "sd15_roentgen_512": None,
    "sdxl_lora_1024": "sdxl",
    "sd35_medium_lora_512": "sd3",
    "pixart_sigma_full_512": "pixart",
    "sana_full_512": "sana",
}


def test_every_recipe_is_tested():
    assert {path.stem for path in CONFIGS.glob("*.yaml")} == {*RECIPES, "demo"}


@pytest.fixture(params=RECIPES.items(), ids=RECIPES)
def recipe(request, tiny_pipeline, tmp_path):
    """A recipe's path and a pipeline of its class."""
    name, family = request.param
    if family is None:
        return CONFIGS / f"{name}.yaml", tiny_pipeline
    case = next(case for case in CASES if case.name == family)
    tokenizer = CLIPTokenizer.from_pretrained(tiny_pipeline, subfolder="tokenizer")
    case.build(tmp_path / "pipeline", tokenizer)
    return CONFIGS / f"{name}.yaml", tmp_path / "pipeline"


def synth(monkeypatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["synth", *(str(item) for item in arguments)])
    with pytest.raises(SystemExit) as caught:
        main()
    return int(caught.value.code or 0)


def test_train_then_sample(monkeypatch, capsys, tmp_path, recipe, tiny_dataset):
    path, weights = recipe
    run = tmp_path / "run"
    small = [
        f"run.out={run}",
        f"model.weights={weights}",
        f"data={{dataset: {tiny_dataset}, size: 32}}",
        "train.optim.kind=adamw",  # the 8-bit one needs CUDA
        "model.rank=2",
        "model.alpha=2",
        *("train.steps=3", "train.batch=4", "train.micro_batch=2", "train.optim.warmup_steps=1"),
        *("train.checkpoint_every=2", "train.validate_every=3", "train.preview_every=3"),
        *("train.device=cpu", "train.precision=fp32", "train.log_every=1"),
        *("sample.count=6", "sample.batch=3", "sample.steps=3", "sample.previews=4"),
        *("sample.device=cpu", "sample.precision=fp32", "sample.plan={kind: mirror}"),
    ]
    assert synth(monkeypatch, "train", path, *small) == 0, capsys.readouterr().err
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in log if row["kind"] == "step"] == [1, 2, 3]
    assert (run / "weights" / "model_index.json").is_file()
    assert synth(monkeypatch, "sample", run) == 0, capsys.readouterr().err
    made = open_dataset(run / "synthetic")
    assert len(made.rows) == 6
    assert all(row.synthetic and row.width == 32 for row in made.rows)
    capsys.readouterr()
    assert synth(monkeypatch, "verify", run / "synthetic") == 0, capsys.readouterr().out
