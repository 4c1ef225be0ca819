from __future__ import annotations

import builtins
import re
import sys
import types

import pytest

from synth.errors import Unavailable, UsageError
from synth.manifest import read_jsonl
from train.log import Log, Watch
from train.run import fine_tune, fit
from train.tracker import NoTracker, TensorBoard, open_tracker


class Writer:
    """Stands for ``SummaryWriter``: what was asked of every one that was made."""

    made: list[Writer]

    def __init__(self, log_dir, purge_step=None) -> None:
        self.log_dir, self.purge_step = log_dir, purge_step
        self.scalars, self.images, self.closed = [], [], False
        Writer.made.append(self)

    def add_scalar(self, name, value, step):
        self.scalars.append((name, value, step))

    def add_image(self, name, image, step, dataformats):
        assert dataformats == "HW"
        assert image.ndim == 2
        assert 0.0 <= image.min() <= image.max() <= 1.0
        self.images.append((name, step))

    def close(self):
        self.closed = True


@pytest.fixture
def tensorboard(monkeypatch):
    Writer.made = []
    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    return Writer.made


def test_a_run_is_tracked_as_it_is_logged(tensorboard, make_config, tmp_path):
    fine_tune(make_config(tmp_path, steps=2, validate_every=1, tracker="tensorboard"))
    (writer,) = tensorboard
    assert writer.log_dir == str(tmp_path / "tensorboard")
    assert writer.closed
    assert writer.images == [("preview", 0), ("preview", 8)]
    rows = list(read_jsonl(tmp_path / "log.jsonl"))
    tracked = {(name, step): value for name, value, step in writer.scalars}
    for row in rows:
        seen = row["images_seen"]
        if row["kind"] == "step":
            for name in ("loss", "lr", "grad_norm", "seconds"):
                assert tracked.pop((f"train/{name}", seen)) == row[name]
        else:
            for name in ("loss", "loss_ema"):
                assert tracked.pop((f"validation/{name}", seen)) == row[name]
            for finding, facts in row["by_finding"].items():
                name = f"validation_by_finding/{finding}"
                assert tracked.pop((name, seen)) == facts["loss_ema"]
    assert tracked == {}


def test_a_resumed_run_replaces_what_it_repeats(tensorboard, make_config, tmp_path):
    config = make_config(tmp_path, steps=3, checkpoint_every=1, tracker="tensorboard")
    steps = fit(config)
    next(steps)
    steps.close()
    assert tensorboard[-1].closed
    fine_tune(config)
    assert [writer.purge_step for writer in tensorboard] == [None, 5]  # four images are kept
    assert min(step for _, _, step in tensorboard[-1].scalars) == 8


def test_without_the_extra_the_error_names_it(monkeypatch, make_config, tmp_path):
    real = builtins.__import__

    def missing(name, *args, **kwargs):
        if name.startswith(("tensorboard", "torch.utils.tensorboard")):
            raise ModuleNotFoundError(name)
        return real(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(Unavailable, match=r"medical-image-synthesis\[tensorboard\]"):
        fine_tune(make_config(tmp_path, tracker="tensorboard"))


def test_names():
    assert isinstance(open_tracker("none", None), NoTracker)
    with pytest.raises(UsageError, match="unknown tracker"):
        open_tracker("abacus", None)


def test_the_tracker_may_change_when_a_run_goes_on(tensorboard, make_config, tmp_path):
    fine_tune(make_config(tmp_path, steps=1))
    fine_tune(make_config(tmp_path, steps=2, tracker="tensorboard"))
    assert tensorboard[0].purge_step == 5


def test_a_process_that_writes_no_log_tracks_nothing(tensorboard, tmp_path):
    log = Log(None, TensorBoard(tmp_path, Writer))
    log.write("step", images_seen=1, loss=1.0, lr=1.0, grad_norm=1.0, seconds=1.0)
    log.close()
    assert tensorboard == []


def test_the_shown_loss_and_speed_are_means_of_the_last_steps():
    watch = Watch()
    assert watch.words(1.0, 0.5, 4) == "loss 1.0000, 8.0 images/s"
    assert watch.words(3.0, 1.5, 4) == "loss 2.0000, 4.0 images/s"
    for _ in range(20):
        words = watch.words(5.0, 2.0, 4)
    assert words == "loss 5.0000, 2.0 images/s"


def test_the_progress_display_is_told(make_config, tmp_path):
    shown = []

    class Display:
        def stage(self, text): ...
        def note(self, text): ...
        def update(self, done, total, text=""):
            shown.append((done, total, text))

    fine_tune(make_config(tmp_path, steps=2), Display())
    done, total, text = shown[-1]
    assert (done, total) == (2, 2)
    assert re.fullmatch(r"loss \d\.\d{4}, \d+\.\d images/s", text)
