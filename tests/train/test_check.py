from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from synth.errors import SynthError
from synth.manifest import open_dataset
from synth.progress import Silent
from train import check, duration
from train.check import look_ahead
from train.examples import prompt_of
from train.loop import Training
from train.memory import Storages, cost_of, free_memory
from train.needs import STEP, Memory, disk_of, fitting_micro_batch, memory_of, step_cost
from train.order import Order, sampling_probabilities
from train.pairs import Pair, first_pairs, split_text
from train.picture import write_sheet
from train.prospect import example_batch, one_micro_batch, open_prospect, parameter_groups
from train.run import fine_tune

CPU = torch.device("cpu")


@pytest.fixture
def prospect(make_config, tmp_path):
    def make(**options):
        config = make_config(tmp_path / "run", **options)
        return open_prospect(config, open_dataset(config.data.dataset))

    return make


def test_storages_count_what_is_alive():
    with Storages() as seen:
        a = torch.zeros(1000)  # 4000 bytes
        b = a + 1
        a.add_(b)  # in place: nothing new
        del b
        c = a[10:].view(-1)  # the same storage
    assert seen.peak == 8000
    assert seen.now == 4000
    assert c.numel() == 990


def test_cost_of_a_linear_layer_in_closed_form():
    layer = nn.Linear(64, 32, bias=False)

    def work(x):
        layer(x).sum().backward()

    cost = cost_of(work, layer.parameters(), lambda: torch.zeros(8, 64))
    assert cost.flops == 2 * 2 * 8 * 64 * 32  # forward, and the gradient of the weight
    output, gradient = 8 * 32 * 4, 64 * 32 * 4
    assert output <= cost.peak <= 2 * output + gradient + 64


@pytest.mark.parametrize("adapter", ["full", "lora"])
def test_the_peak_is_that_of_a_real_step(prospect, adapter):
    opened = prospect(batch=8, model={"adapter": adapter})
    memory = memory_of(opened)
    batch = example_batch(opened, CPU)
    one_micro_batch(opened, batch)  # gradients exist, as they do when the counted one runs
    with Storages() as seen:
        one_micro_batch(opened, batch)
    assert memory.passing[STEP] == pytest.approx(seen.peak, rel=0.02)
    numbers = sum(p.numel() for _, p in opened.trainable)
    assert memory.lasting["optimiser"] == 8 * numbers
    assert memory.lasting["gradients"] == memory.lasting["averages"] == 4 * numbers


def test_the_micro_batch_that_fits(prospect):
    opened = prospect(batch=8)
    peaks = {m: step_cost(prospect(batch=8, micro_batch=m)).peak for m in (8, 4)}
    memory = Memory({"weights": 1000}, {STEP: peaks[8], "encoding images": 500}, 0, 0, 0)
    assert fitting_micro_batch(opened, memory, math.inf) == 8
    assert fitting_micro_batch(opened, memory, 1000 + peaks[4]) == 4
    assert fitting_micro_batch(opened, memory, 1499) is None
    assert 1.5 * peaks[4] < peaks[8]
    assert step_cost(prospect(batch=8, model={"gradient_checkpointing": True})).peak < peaks[8]


def test_disk_is_what_a_run_leaves(make_config, tmp_path):
    config = make_config(tmp_path / "run", steps=3, checkpoint_every=1, keep_checkpoints=2)
    expected = disk_of(open_prospect(config, open_dataset(config.data.dataset)))
    fine_tune(config)

    def size(folder):
        return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())

    one = size(tmp_path / "run/checkpoints") / 2
    assert expected["checkpoints"][1] == pytest.approx(3 * one, rel=0.15)
    caches = expected["cached images"][1] + expected["cached texts"][1]
    assert expected["cached images"][0] == tmp_path / "run/cache"
    assert size(tmp_path / "run/cache") == pytest.approx(caches, rel=0.25)
    written = sum(f.stat().st_size for f in (tmp_path / "run/weights").rglob("*.safetensors"))
    assert expected["exported pipeline"][1] == pytest.approx(written, rel=0.1)


def test_groups_add_up_to_what_trains(prospect):
    for model in ({}, {"adapter": "lora"}, {"train_text_encoder": True, "conditions": ["view"]}):
        opened = prospect(model=model)
        groups = parameter_groups(opened)
        assert sum(groups.values()) == opened.numbers
        assert list(groups.values()) == sorted(groups.values(), reverse=True)
    assert "conditions beside the text" in groups
    assert any(name.startswith("text_encoder") for name in groups)


def test_pairs_are_the_first_that_a_run_presents(make_config, tmp_path):
    config = make_config(tmp_path, model={"conditions": ["view", "sex"]})
    dataset = open_dataset(config.data.dataset)
    opened = open_prospect(config, dataset)
    pairs = first_pairs(config, dataset, opened.family)
    rows = dataset.split("train")
    order = Order(sampling_probabilities([r.labels for r in rows], 0.0), seed=config.run.seed)
    assert [p.row for p in pairs] == [rows[order.row(i)] for i in range(len(pairs))]
    assert len(pairs) == 10
    assert pairs[0].text == prompt_of(pairs[0].row)
    assert pairs[0].conditions == {"view": pairs[0].row.view, "sex": pairs[0].row.sex}


class Words:
    """A family whose budget is five tokens, one a word."""

    def truncated(self, prompts):
        return [max(0, len(p.split()) - 5) for p in prompts]


@pytest.mark.parametrize("count", [0, 1, 4, 5, 6, 11])
def test_a_text_is_split_where_the_budget_ends(count):
    words = [f"w{i}" for i in range(count)]
    fits, cut = split_text(Words(), " ".join(words))
    assert (fits.split(), cut.split()) == (words[:5], words[5:])


def test_what_is_cut_is_said_and_drawn(make_config, tmp_path, monkeypatch):
    config = make_config(tmp_path / "run", batch=2)
    real = open_prospect

    def short(config, dataset):
        opened = real(config, dataset)
        monkeypatch.setattr(type(opened.family), "truncated", lambda self, p: Words().truncated(p))
        return opened

    monkeypatch.setattr(check, "open_prospect", short)
    outlook = look_ahead(config, Silent(), sheet=tmp_path / "sheet.png")
    assert outlook.cut.prompts > 0
    assert any(pair.cut for pair in outlook.pairs)
    for pair in outlook.pairs:
        assert f"{pair.text} {pair.cut}".split() == prompt_of(pair.row).split()
    assert not (tmp_path / "run").exists()
    assert outlook.to_json()["pairs"][0]["cut"] == outlook.pairs[0].cut
    drawn = np.asarray(Image.open(outlook.sheet))
    assert (drawn == 150).any()  # pale ink


def test_the_sheet_shows_the_very_pixels(tmp_path, make_config):
    rows = open_dataset(make_config(tmp_path).data.dataset).split("train")[:3]
    images = np.random.default_rng(0).integers(0, 255, (3, 32, 32), dtype=np.uint8)
    pairs = [Pair(row, "text", "", (), {}, 1) for row in rows]
    write_sheet(tmp_path / "s.png", pairs, images, 255 - images)
    sheet = np.asarray(Image.open(tmp_path / "s.png"))
    top, left, zoom = 2 * 12 + 17, 12, 8
    for index in range(3):
        x = left + index * (256 + 12)
        np.testing.assert_array_equal(
            sheet[top : top + 256 : zoom, x : x + 256 : zoom], images[index]
        )
        below = sheet[top + 256 : top + 512 : zoom, x : x + 256 : zoom]
        np.testing.assert_array_equal(below, 255 - images[index])


def test_a_place_that_cannot_be_written_is_one_clear_line(prospect, tmp_path):
    (tmp_path / "file").write_text("")
    opened = prospect()
    pairs = first_pairs(opened.config, opened.dataset, opened.family)
    cheap = Memory({}, {}, 0, 0, 0)
    with pytest.raises(SynthError, match="picture of the training pairs cannot be written"):
        check._draw(opened, cheap, pairs, tmp_path / "file/sheet.png")


def test_looking_changes_no_result(make_config, tmp_path, same_tensors):
    fine_tune(make_config(tmp_path / "a", steps=1))
    look_ahead(make_config(tmp_path / "b", steps=1), Silent())
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["check.png"]
    fine_tune(make_config(tmp_path / "b", steps=1))
    name = "checkpoints/4/weights.safetensors"
    assert same_tensors(tmp_path / "a" / name, tmp_path / "b" / name)


def test_time_is_measured_or_assumed_and_says_so(prospect, monkeypatch):
    opened = prospect(steps=100, batch=4)
    memory = memory_of(opened)
    gpu = duration.duration_of(opened, memory, None)
    assert gpu.step == memory.flops / 1e14
    assert gpu.parts["training"] == pytest.approx(100 * gpu.step)
    monkeypatch.setattr(duration, "CPU_FLOPS", 0.0)
    monkeypatch.setattr(duration, "cpu_rate", lambda: 5e10)
    slow = duration.duration_of(opened, memory, CPU)
    assert slow.basis == "at the 50 GFLOP/s of a matrix product here"
    monkeypatch.setattr(duration, "CPU_FLOPS", 2e11)
    real = duration.duration_of(opened, memory, CPU)
    assert real.basis == "measured"
    assert real.total > sum(real.parts.values()) * 0.99 > 0


def test_free_memory_of_this_machine():
    free = free_memory(CPU)
    assert free is None or 0 < free < 2**50
    assert free_memory(torch.device("meta")) is None


def test_training_needs_no_more_than_was_counted(prospect):
    """What the optimiser and averages really hold."""
    from accelerate import Accelerator

    opened = prospect(batch=2)
    memory = memory_of(opened)
    training = Training(opened.family, opened.config.train, Accelerator(cpu=True))
    one_micro_batch(opened, example_batch(opened, CPU))
    training.optimizer.step()
    content = training.checkpoint()
    held = sum(t.numel() * t.element_size() for t in content.optimizer.values() if t.ndim)
    assert held == memory.lasting["optimiser"]
    held = sum(t.numel() * t.element_size() for t in content.ema.values())
    assert held == memory.lasting["averages"]
