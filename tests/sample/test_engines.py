"""Launchers: what they do when workers end, and that their datasets are those of one process."""

import os
import signal
import time

import pytest

from sample.engines import Ending, engine_for, generate_with_workers, parse_part, supervise
from sample.engines_local import LocalEngine, environment
from sample.run import generate_dataset
from sample.shards_work import Part
from synth.errors import Interrupted, SynthError, UsageError
from synth.progress import Silent


def with_sample(config, **values):
    sample = config.sample.model_copy(update=values)
    return config.model_copy(update={"sample": sample})


def contents(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
    found.pop(".lock", None)
    return found


class FakeWorker:
    def __init__(self, looks, ending):
        self.looks, self.end, self.stopped = looks, ending, False

    def ending(self):
        self.looks -= 1
        return self.end if self.looks < 0 or self.stopped else None

    def stop(self):
        self.stopped = True


class FakeEngine:
    """Workers that end as told, in the order they are started."""

    def __init__(self, *endings):
        self.endings, self.parts, self.workers, self.closed = list(endings), [], [], False

    def start(self, part):
        self.parts.append(part)
        self.workers.append(FakeWorker(*self.endings.pop(0)))
        return self.workers[-1]

    def close(self):
        self.closed = True


class Notes(Silent):
    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


DONE, DEATH = Ending("done"), Ending("death", "signal 9")


def test_all_workers_are_started_and_waited_for():
    engine = FakeEngine((1, DONE), (5, DONE), (0, DONE))
    supervise(engine, 3, Silent(), poll=0)
    assert engine.parts == [Part(0, 3), Part(1, 3), Part(2, 3)]
    assert all(worker.looks < 0 for worker in engine.workers)
    assert engine.closed


def test_another_worker_follows_one_that_died():
    engine, progress = FakeEngine((1, DEATH), (9, DONE), (2, DEATH), (1, DONE)), Notes()
    supervise(engine, 2, progress, poll=0)
    assert engine.parts == [Part(0, 2), Part(1, 2), Part(0, 2), Part(0, 2)]
    assert progress.notes == ["worker 0 died (signal 9): another one goes on"] * 2


def test_dying_again_and_again_is_an_error_and_stops_the_others():
    engine = FakeEngine((0, DEATH), (99, DONE), *[(0, DEATH)] * 6)
    with pytest.raises(SynthError, match=r"die again and again.*signal 9"):
        supervise(engine, 2, Silent(), poll=0)
    assert engine.workers[1].stopped
    assert engine.closed


def test_an_error_of_a_worker_is_told_and_stops_the_others():
    engine = FakeEngine((9, DONE), (1, Ending("error", "the disk is full")))
    with pytest.raises(SynthError, match="worker 1: the disk is full"):
        supervise(engine, 2, Silent(), poll=0)
    assert len(engine.parts) == 2
    assert engine.workers[0].stopped


def test_an_interrupt_stops_the_workers():
    engine = FakeEngine((9, DONE), (9, DONE))

    def look():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        supervise(engine, 2, Silent(), look=look, poll=0)
    assert all(worker.stopped for worker in engine.workers)
    assert engine.closed


def test_gpus_go_round_and_cores_are_shared():
    gpus = [environment(Part(n, 3), ["4", "GPU-7"], {})["CUDA_VISIBLE_DEVICES"] for n in range(3)]
    assert gpus == ["4", "GPU-7", "4"]
    share = environment(Part(0, 2), [], {"PATH": "/bin"})
    assert share["OMP_NUM_THREADS"] == str(max(1, (os.cpu_count() or 1) // 2))
    assert environment(Part(0, 2), [], {"OMP_NUM_THREADS": "5"})["OMP_NUM_THREADS"] == "5"


def test_one_process_needs_no_launcher(config):
    assert engine_for(config) is None
    assert engine_for(with_sample(config, engine="shared", workers=4)) is None
    assert isinstance(engine_for(with_sample(config, workers=2)), LocalEngine)


@pytest.mark.parametrize(("text", "part"), [("0/8", (0, 8)), ("7/8", (7, 8)), ("8/8", (0, 8))])
def test_a_part_is_a_number_of_an_array(text, part):
    assert parse_part(text) == Part(*part)


@pytest.mark.parametrize("text", ["", "3", "/8", "9/8", "0/0", "-1/8", "a/b", "1/2/3"])
def test_what_is_no_part_is_refused(text):
    with pytest.raises(UsageError, match="--shard"):
        parse_part(text)


@pytest.fixture
def real_model(config, tiny_pipeline):
    """Settings whose model a worker can load."""
    return with_sample(
        config, weights=str(tiny_pipeline), count=24, batch=2, shard=4, steps=2, device="cpu"
    )


class KillFirst(Notes):
    """Kills a worker once a shard is finished."""

    def __init__(self, engine):
        super().__init__()
        self.engine, self.victims = engine, []

    def update(self, done, total, text=""):
        if done and not self.victims:
            self.victims.append(self.engine.pids[0])
            os.kill(self.victims[0], signal.SIGKILL)


class Watched(LocalEngine):
    def __init__(self, config):
        super().__init__(config)
        self.pids = []

    def start(self, part):
        worker = super().start(part)
        self.pids.append(worker.pid)
        return worker


def test_two_processes_one_of_them_killed_make_the_dataset_of_one(real_model, tmp_path):
    alone = generate_dataset(with_sample(real_model, out=tmp_path / "alone" / "set")).out
    shared = with_sample(real_model, out=tmp_path / "shared" / "set", workers=2)
    engine = Watched(shared)
    progress = KillFirst(engine)
    summary = generate_with_workers(shared, engine, progress)
    assert (summary.made, summary.kept) == (24, 0)
    assert progress.notes == ["worker 0 died (signal 9): another one goes on"]
    assert len(engine.pids) == 3
    assert contents(summary.out) == contents(alone)


def test_a_workers_error_and_an_interrupt_reach_the_caller(real_model, tmp_path):
    broken = with_sample(real_model, out=tmp_path / "file" / "set", workers=1)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SynthError, match=r"worker \d: .*cannot write here"):
        generate_with_workers(broken, LocalEngine(broken))

    class Interrupting(Silent):
        def update(self, done, total, text=""):
            raise KeyboardInterrupt

    stopped = with_sample(real_model, out=tmp_path / "stopped" / "set", workers=1, count=500)
    engine = Watched(stopped)
    started = time.monotonic()
    with pytest.raises(Interrupted) as caught:
        generate_with_workers(stopped, engine, Interrupting())
    assert caught.value.exit_code == 130
    assert time.monotonic() - started < 60
    with pytest.raises(ProcessLookupError):
        os.kill(engine.pids[0], 0)
