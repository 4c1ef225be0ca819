"""The same numbers, bit for bit, however often the training is stopped and whoever draws them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from synth.manifest import read_jsonl
from synth.progress import Silent
from synth.seeding import numpy_rng
from train import loop
from train.run import fine_tune, fit
from train.session import open_session

FILES = ("weights.safetensors", "ema.safetensors", "optimizer.safetensors")
EVERYTHING = {
    "micro_batch": 2,
    "caption_dropout": 0.3,
    "caption_variants": 2,
    "min_snr_gamma": 5.0,
    "times": {"density": "logit_normal", "shift": 2.0},
    "ema": {"profiles": [0.05, 0.1], "snapshot_every": 2},
    "keep_checkpoints": 1,
}
MODEL = {
    "prediction": "v_prediction",
    "zero_terminal_snr": True,
    "train_text_encoder": True,
    "rank": 2,
}


@pytest.fixture
def everything(make_config, tmp_path):
    """Every option at once, on an unnatural order; an epoch is 14 images, 3.5 steps."""

    def make(folder: str, adapter: str, **train):
        model = MODEL | {"adapter": adapter, "dora": adapter == "lora"}
        made = make_config(tmp_path / folder, model=model, **EVERYTHING, **train)
        data = made.data.model_copy(update={"balance": 0.5, "weights": {"nodule": 2.0}})
        return made.model_copy(update={"data": data})

    return make


def losses(run: Path) -> dict[int, float]:
    """Loss by images seen; a repeated step must say the same again."""
    found: dict[int, float] = {}
    for row in read_jsonl(run / "log.jsonl"):
        if row["kind"] == "step":
            assert found.setdefault(row["images_seen"], row["loss"]) == row["loss"]
    return found


@pytest.mark.parametrize("adapter", ["full", "lora"])
def test_everything_at_once_with_two_resumes_in_an_epoch(
    tmp_path, everything, same_tensors, adapter
):
    whole = fine_tune(everything("whole", adapter, steps=5))
    for steps in (1, 2, 4):  # two in the first epoch, one in the second
        fine_tune(everything("parts", adapter, steps=steps))
    parts = fine_tune(everything("parts", adapter, steps=5))
    for name in FILES:
        file = f"checkpoints/20/{name}"
        assert same_tensors(whole.folder / file, parts.folder / file)
    for width in ("0.05", "0.1"):
        file = f"ema/{width}-16.safetensors"
        assert same_tensors(whole.folder / file, parts.folder / file)
    assert losses(whole.folder) == losses(parts.folder)
    assert sorted(losses(whole.folder)) == [4, 8, 12, 16, 20]
    assert whole.facts["weights_sha256"] == parts.facts["weights_sha256"]
    assert whole.facts["validation"] == parts.facts["validation"]


def test_work_after_the_last_checkpoint_is_done_again_alike(tmp_path, make_config, same_tensors):
    def config(folder):
        return make_config(tmp_path / folder, checkpoint_every=2, batch=2, steps=7)

    fine_tune(config("whole"))
    for lost in (3, 3, 2):
        steps = fit(config("parts"))
        for _ in range(lost):
            next(steps)
        steps.close()
    fine_tune(config("parts"))
    rows = list(read_jsonl(tmp_path / "parts/log.jsonl"))
    assert [row["images_seen"] for row in rows if row["kind"] == "resume"] == [4, 8, 12]
    assert losses(tmp_path / "whole") == losses(tmp_path / "parts")
    for name in FILES:
        file = f"checkpoints/14/{name}"
        assert same_tensors(tmp_path / "whole" / file, tmp_path / "parts" / file)


class InTurn:
    """An order that is seen through."""

    def __init__(self, count: int) -> None:
        self.count = count

    def row(self, position: int) -> int:
        return position % self.count


def gradient(config, monkeypatch) -> tuple[torch.Tensor, float]:
    """Of the first step, before clipping, and its loss."""
    session = open_session(config, Silent())
    training, kept = session.training, []
    with monkeypatch.context() as patch:

        def keep(*_, **__):
            kept.extend(p.grad.flatten().clone() for _, p in training.trainable)

        patch.setattr(training.optimizer.optimizer, "step", keep)
        examples = session.examples
        order = InTurn(len(examples.train))
        step = next(loop.fit(training, examples.train, order, examples.batches))
    return torch.cat(kept), step.loss


@pytest.mark.parametrize("adapter", ["full", "lora"])
def test_a_batch_of_8_is_8_of_1_accumulated(tmp_path, everything, monkeypatch, adapter):
    def of(micro):
        config = everything(f"micro{micro}", adapter, batch=8)
        optim = config.train.optim.model_copy(update={"clip": 1e9})
        train = config.train.model_copy(update={"micro_batch": micro, "optim": optim})
        return gradient(config.model_copy(update={"train": train}), monkeypatch)

    whole, loss = of(8)
    for micro in (1, 4):
        parts, same_loss = of(micro)
        assert same_loss == pytest.approx(loss, rel=1e-6)
        assert float((parts - whole).norm() / whole.norm()) < 1e-5
    half = of(8)[0] / 2
    assert float((half - whole).norm() / whole.norm()) > 0.4  # what a mean of means would differ


def test_examples_are_drawn_alike_by_any_worker_in_any_order(tmp_path, everything):
    """A worker has its own mapped cache and its own generator, and knows no other's draws."""
    config = everything("one", "lora")
    model = config.model.model_copy(update={"train_text_encoder": False})
    config = config.model_copy(update={"model": model})
    one, other = (open_session(config, Silent()).examples for _ in range(2))
    items = [(one.train[i % len(one.train)], i) for i in range(20)]
    together = one.batches.draw(items)
    shuffled = numpy_rng("workers").permutation(20)
    for index in shuffled:
        maker = (one, other)[index % 2].batches
        alone = maker.draw([items[index]])
        for name in ("x0", "noise", "times"):
            expected = getattr(together, name)[index : index + 1]
            assert torch.equal(getattr(alone, name), expected)
        length = alone.cond.tokens.shape[1]
        assert torch.equal(alone.cond.tokens[0], together.cond.tokens[index, :length])


def test_a_worker_that_reads_ahead_changes_nothing(tmp_path, everything):
    """Uncached images are read by a thread while the step before is computed."""
    curves = []
    for ahead in (True, False):
        session = open_session(everything(f"ahead{ahead}", "lora", cached=False), Silent())
        training, examples = session.training, session.examples
        batches = examples.batches
        assert batches._reader
        if not ahead:
            batches._reader = None
        order = InTurn(len(examples.train))
        curves.append([s.loss for s in loop.fit(training, examples.train, order, batches)])
    assert curves[0] == curves[1]
    items = [(examples.train[i], i) for i in range(4)]
    batches = open_session(everything("last", "lora", cached=False), Silent()).examples.batches
    expected = batches.draw(items[2:])
    batches.announce(items[:2])
    assert torch.equal(batches.draw(items[2:]).noise, expected.noise)  # not what was announced


def test_a_run_folder_that_was_moved_goes_on_alike(tmp_path, make_config, same_tensors):
    fine_tune(make_config(tmp_path / "whole"))
    fine_tune(make_config(tmp_path / "first", steps=2))
    shutil.move(tmp_path / "first", tmp_path / "elsewhere")
    fine_tune(make_config(tmp_path / "elsewhere"))
    for name in FILES:
        file = f"checkpoints/16/{name}"
        assert same_tensors(tmp_path / "whole" / file, tmp_path / "elsewhere" / file)
    state = json.loads((tmp_path / "elsewhere/checkpoints/16/state.json").read_text())
    assert state["images_seen"] == 16
