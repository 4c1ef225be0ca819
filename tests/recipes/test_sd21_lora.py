"""The Stable Diffusion recipe, end to end on a random pipeline of the same kind saved to disk."""

import json
import sys
from pathlib import Path

import pytest

from synth.cli import main
from synth.manifest import open_dataset

RECIPE = Path(__file__).parents[2] / "configs" / "sd21_lora_512.yaml"


def synth(monkeypatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["synth", *(str(item) for item in arguments)])
    with pytest.raises(SystemExit) as caught:
        main()
    return int(caught.value.code or 0)


def test_train_then_sample(monkeypatch, capsys, tmp_path, tiny_pipeline, tiny_dataset):
    run = tmp_path / "run"
    small = [
        f"run.out={run}",
        f"model.weights={tiny_pipeline}",
        f"data={{dataset: {tiny_dataset}, size: 32}}",
        "model.rank=2",
        "model.alpha=2",
        *("train.steps=3", "train.batch=4", "train.micro_batch=2", "train.optim.warmup_steps=1"),
        *("train.checkpoint_every=2", "train.validate_every=3", "train.preview_every=3"),
        *("train.device=cpu", "train.precision=fp32", "train.log_every=1"),
        *("sample.count=6", "sample.batch=3", "sample.steps=3", "sample.previews=4"),
        *("sample.device=cpu", "sample.precision=fp32", "sample.plan={kind: mirror}"),
    ]
    assert synth(monkeypatch, "train", RECIPE, *small) == 0, capsys.readouterr().err
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in log if row["kind"] == "step"] == [1, 2, 3]
    assert (run / "weights" / "model_index.json").is_file()
    assert synth(monkeypatch, "sample", run) == 0, capsys.readouterr().err
    made = open_dataset(run / "synthetic")
    assert len(made.rows) == 6
    assert all(row.synthetic and row.width == 32 for row in made.rows)
    capsys.readouterr()
    assert synth(monkeypatch, "verify", run / "synthetic") == 0, capsys.readouterr().out
