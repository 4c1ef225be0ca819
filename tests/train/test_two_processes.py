"""Two processes on one machine, joined by gloo, are one process with the same batch."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from synth.config import dump_config
from synth.families import load_family
from synth.manifest import read_jsonl
from train.run import fine_tune

pytestmark = pytest.mark.skipif(os.name != "posix", reason="forks are POSIX's")
STEPS = 4
# what every process drew, in the order it drew it, and how many numbers it trains of its own
SPY = """
import json, os
from train import loop
fit = loop.fit
def watched(training, *rest):
    local = (getattr(p, "to_local", lambda p=p: p)() for _, p in training.trainable)
    with open(os.environ["DRAWN"] + ".held", "w") as file:
        print(sum(part.numel() for part in local), file=file)
    return fit(training, *rest)
loop.fit = watched
from train.batches import BatchMaker
draw = BatchMaker.draw
def spy(self, presentations):
    items = list(presentations)
    with open(os.environ["DRAWN"], "a") as file:
        for example, position in items:
            print(json.dumps([position, example.sample_id]), file=file)
    return draw(self, items)
BatchMaker.draw = spy
"""


@pytest.fixture
def together(tmp_path, children):
    """``synth train`` in two processes at once, as torchrun starts it."""

    def start(config):
        path = tmp_path / f"{config.run.out.name}.yaml"
        path.write_text(dump_config(config))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        return [
            children.synth(
                "train",
                path,
                out=tmp_path / f"{config.run.out.name}-{rank}.out",
                before=SPY,
                RANK=str(rank),
                LOCAL_RANK=str(rank),
                WORLD_SIZE="2",
                LOCAL_WORLD_SIZE="2",
                MASTER_ADDR="127.0.0.1",
                MASTER_PORT=str(port),
                DRAWN=str(tmp_path / f"{config.run.out.name}-{rank}.drawn"),
            )
            for rank in range(2)
        ]

    return start


def finish(processes) -> None:
    for process in processes:
        assert process.wait() == 0, process.text


def drawn(tmp_path: Path, name: str, rank: int) -> list[tuple[int, str]]:
    lines = (tmp_path / f"{name}-{rank}.drawn").read_text().splitlines()
    return [tuple(json.loads(line)) for line in lines]


def steps(run: Path) -> list[dict]:
    return [row for row in read_jsonl(run / "log.jsonl") if row["kind"] == "step"]


def assert_close(one: Path, other: Path, images: int) -> None:
    for name in ("weights", "ema"):
        file = f"checkpoints/{images}/{name}.safetensors"
        expected, got = load_file(one / file), load_file(other / file)
        assert expected.keys() == got.keys()
        for key, tensor in expected.items():
            torch.testing.assert_close(got[key], tensor, rtol=0, atol=1e-5, msg=f"{name} {key}")
    losses = [json.loads((run / "run.json").read_text())["validation"] for run in (one, other)]
    assert losses[1]["loss_ema"] == pytest.approx(losses[0]["loss_ema"], rel=1e-5)
    assert losses[1]["by_finding"].keys() == losses[0]["by_finding"].keys()
    for a, b in zip(steps(one), steps(other), strict=True):
        for key in ("loss", "grad_norm"):
            assert b[key] == pytest.approx(a[key], rel=1e-5)


@pytest.mark.parametrize(
    "model",
    [
        {},
        {"adapter": "lora", "rank": 2, "train_text_encoder": True},
        {"train_text_encoder": True},
    ],
    ids=["full", "lora and text encoder", "full and text encoder"],
)
def test_one_process_is_two_processes(tmp_path, make_config, together, model):
    settings = {"steps": STEPS, "micro_batch": 1, "caption_dropout": 0.3, "min_snr_gamma": 5.0}
    settings["optim"] = {"learning_rate": 1e-4, "schedule": "constant", "warmup_steps": 0}
    settings["ema"] = {"profiles": [0.05, 0.1]}
    one = fine_tune(make_config(tmp_path / "one", model=model, **settings)).folder
    finish(together(make_config(tmp_path / "two", model=model, **settings)))
    two = tmp_path / "two"
    assert_close(one, two, 4 * STEPS)
    facts = json.loads((two / "run.json").read_text())
    assert (facts["processes"], facts["images_seen"]) == (2, 4 * STEPS)
    first, second = drawn(tmp_path, "two", 0), drawn(tmp_path, "two", 1)
    assert [position for position, _ in first] == list(range(0, 4 * STEPS, 2))
    assert [position for position, _ in second] == list(range(1, 4 * STEPS, 2))
    fresh = make_config(tmp_path / "one", model=model, **settings)
    assert dict(first + second) == presented(fresh)
    moved = load_file(two / f"checkpoints/{4 * STEPS}/weights.safetensors")
    base = load_file(one / f"checkpoints/{4 * STEPS}/ema.safetensors")
    assert any((moved[key] - base[key]).abs().max() > 1e-5 for key in moved)  # it did train


def presented(config) -> dict[int, str]:
    """The sample at each position, from the order alone."""
    from synth.manifest import open_dataset
    from train.order import Order, sampling_probabilities

    rows = open_dataset(config.data.dataset).split("train")
    order = Order(sampling_probabilities([r.labels for r in rows], 0.0), seed=config.run.seed)
    return {p: rows[order.row(p)].sample_id for p in range(config.train.steps * config.train.batch)}


def test_a_run_may_change_its_number_of_processes(tmp_path, make_config, together):
    optim = {"learning_rate": 1e-4, "schedule": "constant", "warmup_steps": 0}

    def config(folder, count):
        return make_config(tmp_path / folder, steps=count, optim=optim)

    one = fine_tune(config("one", 3)).folder
    fine_tune(config("mixed", 1))
    finish(together(config("mixed", 2)))
    mixed = fine_tune(config("mixed", 3)).folder
    assert_close(one, mixed, 12)


def test_a_signal_to_one_process_stops_both_after_the_same_step(tmp_path, make_config, together):
    run = tmp_path / "run"
    processes = together(make_config(run, steps=100_000))
    try:
        for _ in range(3000):
            if (run / "log.jsonl").is_file() and len(steps(run)) >= 2:
                break
            time.sleep(0.02)
    finally:
        os.kill(processes[1].pid, signal.SIGTERM)
        codes = [process.wait() for process in processes]
    assert codes == [130, 130], processes[0].text
    (images,) = (int(path.name) for path in (run / "checkpoints").iterdir())
    assert f"stopped by a signal after {images} images" in processes[0].text
    assert f"stopped by SIGTERM after {images} images" in processes[1].text
    assert steps(run)[-1]["images_seen"] == images


def test_a_sharded_run_is_the_run_in_one_process(tmp_path, make_config, together):
    """FSDP2: half of every tensor a process; checkpoints are whole and go on either way."""
    settings = {"micro_batch": 1, "caption_dropout": 0.3, "ema": {"profiles": [0.05, 0.1]}}
    settings["optim"] = {"learning_rate": 1e-4, "schedule": "constant", "warmup_steps": 0}
    one = fine_tune(make_config(tmp_path / "one", steps=STEPS, **settings)).folder
    fine_tune(make_config(tmp_path / "two", steps=1, **settings))
    finish(together(make_config(tmp_path / "two", steps=3, sharding="fsdp2", **settings)))
    facts = json.loads((tmp_path / "two/run.json").read_text())
    assert (facts["processes"], facts["sharding"]) == (2, "fsdp2")
    held = [int((tmp_path / f"two-{rank}.drawn.held").read_text()) for rank in range(2)]
    assert sum(held) == facts["trainable_parameters"]
    assert max(held) < 0.6 * sum(held)
    exported = load_family(
        make_config(tmp_path, model={"weights": str(tmp_path / "two/weights")}).model,
        device=torch.device("cpu"),
        dtype=torch.float32,
    )
    averages = load_file(tmp_path / "two/checkpoints/12/ema.safetensors")
    assert all(torch.equal(p, averages[name]) for name, p in exported.trainable())
    two = fine_tune(make_config(tmp_path / "two", steps=STEPS, **settings)).folder
    assert_close(one, two, 4 * STEPS)
