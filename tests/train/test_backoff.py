from __future__ import annotations

import gc
import weakref

import pytest
import torch

from synth.errors import SynthError
from synth.manifest import read_jsonl
from train import loop, run
from train.backoff import is_out_of_memory, next_micro, with_backoff
from train.run import fine_tune, fit

FILES = ("weights.safetensors", "ema.safetensors", "optimizer.safetensors")


class Small:
    """A device that holds the activations of ``room`` images, from a given call on."""

    def __init__(self, monkeypatch, room: int, *, error: Exception, calls: int = 0) -> None:
        self.room, self.error, self.calls = room, error, calls
        self.sizes: list[int] = []
        self.real = loop.batch_loss
        monkeypatch.setattr(loop, "batch_loss", self)

    def __call__(self, family, batch, gamma):
        self.sizes.append(len(batch.x0))
        if len(batch.x0) > self.room and len(self.sizes) > self.calls:
            raise self.error
        return self.real(family, batch, gamma)


CUDA = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
HOST = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried ...")


@pytest.mark.parametrize("error", [CUDA, HOST], ids=["cuda", "cpu"])
def test_weights_equal_those_of_the_smaller_micro_batch_bit_for_bit(
    make_config, tmp_path, same_tensors, monkeypatch, error
):
    train = {"steps": 3, "batch": 8}
    fine_tune(make_config(tmp_path / "two", **train, micro_batch=2))
    small = Small(monkeypatch, 2, error=error)
    fine_tune(make_config(tmp_path / "all", **train))
    assert small.sizes[:3] == [8, 4, 2]
    assert set(small.sizes[3:]) == {2}  # it does not try the large ones again
    for name in FILES:
        one, other = (tmp_path / run / "checkpoints/24" / name for run in ("two", "all"))
        assert same_tensors(one, other)


def test_half_a_step_done_is_not_kept(make_config, tmp_path, same_tensors, monkeypatch):
    train = {"steps": 2, "batch": 4, "micro_batch": 2}
    fine_tune(make_config(tmp_path / "one", **train | {"micro_batch": 1}))
    small = Small(monkeypatch, 1, error=CUDA, calls=1)  # the first half of the step fits
    fine_tune(make_config(tmp_path / "all", **train))
    assert small.sizes[:6] == [2, 2, 1, 1, 1, 1]
    for name in FILES:
        one, other = (tmp_path / run / "checkpoints/8" / name for run in ("one", "all"))
        assert same_tensors(one, other)


def test_it_is_said_logged_and_kept_over_a_resume(make_config, tmp_path, monkeypatch):
    notes = []

    class Notes:
        def stage(self, text): ...
        def update(self, done, total, text=""): ...
        def note(self, text):
            notes.append(text)

    config = make_config(tmp_path, steps=3, batch=4, checkpoint_every=1)
    small = Small(monkeypatch, 2, error=CUDA)
    steps = fit(config, Notes())
    assert next(steps).lowered_to == 2
    steps.close()
    assert [n for n in notes if "out of memory" in n] == [
        "step 1: out of memory, repeated and continued with train.micro_batch=2; "
        "the mathematics is the same"
    ]
    (row,) = [row for row in read_jsonl(tmp_path / "log.jsonl") if row["kind"] == "backoff"]
    assert row == {"kind": "backoff", "step": 1, "images_seen": 4, "micro_batch": 2}
    small.sizes.clear()
    fine_tune(config)
    assert set(small.sizes) == {2}


def test_one_image_that_does_not_fit_is_one_clear_line(make_config, tmp_path, monkeypatch):
    Small(monkeypatch, 0, error=CUDA)
    with pytest.raises(SynthError, match="out of memory with one image at a time") as caught:
        fine_tune(make_config(tmp_path, batch=4))
    assert "gradient_checkpointing" in caught.value.render()
    assert "CUDA out of memory" in caught.value.render()


def test_another_error_is_not_swallowed(make_config, tmp_path, monkeypatch):
    Small(monkeypatch, 0, error=RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes do not match"):
        fine_tune(make_config(tmp_path))


def test_several_processes_are_not_left_waiting():
    class Two(Optimizer):
        num_processes = 2

    def attempt(size):
        raise CUDA

    with pytest.raises(SynthError, match="out of memory in one of several processes"):
        with_backoff(attempt, 8, 8, Two(), Two())


class Optimizer:
    num_processes = 1
    device = torch.device("cpu")

    def zero_grad(self, *, set_to_none):
        assert set_to_none


def test_the_failed_attempt_is_released_before_the_next():
    alive: list[weakref.ref] = []

    def attempt(size):
        gc.disable()  # what only a collection would free is held on a device, too
        assert not any(ref() is not None for ref in alive)
        activations = torch.zeros(size)
        alive.append(weakref.ref(activations))
        if size > 1:
            raise torch.OutOfMemoryError("out of memory")
        return size

    try:
        assert with_backoff(attempt, 8, 8, Optimizer(), Optimizer()) == (1, 1)
    finally:
        gc.enable()
    assert len(alive) == 4


def test_micro_batches_always_divide():
    assert [next_micro(12, m) for m in (12, 6, 4, 3, 2)] == [6, 3, 2, 1, 1]
    assert next_micro(7, 7) == 1
    assert next_micro(48, 16) == 8


def test_what_counts_as_out_of_memory():
    assert is_out_of_memory(CUDA)
    assert is_out_of_memory(HOST)
    assert is_out_of_memory(RuntimeError("MPS backend out of memory (MPS allocated: ...)"))
    assert is_out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling ..."))
    assert not is_out_of_memory(RuntimeError("CUDA error: device-side assert triggered"))


def test_the_run_knows_the_row(make_config, tmp_path, monkeypatch):
    steps = []
    Small(monkeypatch, 2, error=CUDA)
    for step in run.fit(make_config(tmp_path, steps=2, batch=4)):
        steps.append(step.lowered_to)
    assert steps == [2, None]
