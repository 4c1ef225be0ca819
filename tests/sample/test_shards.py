import json
import threading

import pytest
import torch

from sample.claims import Claims
from sample.run import generate_dataset
from sample.shards import Shards
from sample.shards_work import Part, Patience
from synth.errors import Interrupted, SynthError
from synth.manifest import open_dataset

QUICK = Patience(poll=0.01, stale=60)


def with_sample(config, **values):
    sample = config.sample.model_copy(update=values)
    return config.model_copy(update={"sample": sample})


def contents(folder):
    """Every file, hidden ones too, but for the lock."""
    files = (path for path in folder.rglob("*") if path.is_file())
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
    found.pop(".lock", None)
    return found


@pytest.fixture
def whole(config, tmp_path, family):
    """What one process makes of the configuration."""
    alone = with_sample(config, out=tmp_path / "alone" / "set")
    return contents(generate_dataset(alone, family=family).out)


@pytest.fixture
def shared(config, tmp_path):
    return with_sample(config, out=tmp_path / "shared" / "set", shard=8)


@pytest.fixture
def work(exact_family):
    """Be one worker."""

    def work(config, number=0, workers=1, progress=None, family=None):
        part = Part(number, workers)
        family = family or exact_family()
        return generate_dataset(config, progress, family=family, part=part, patience=QUICK)

    return work


class Stop:
    """A progress that presses Ctrl-C after so many updates."""

    def __init__(self, updates=None):
        self.left, self.notes = updates, []

    def stage(self, text):
        pass

    def note(self, text):
        self.notes.append(text)

    def update(self, done, total, text=""):
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt


@pytest.mark.parametrize("shard", [1, 8, 9, 100])
def test_shards_are_whole_batches_and_the_dataset_is_that_of_one_process(
    shared, whole, shard, work
):
    summary = work(with_sample(shared, shard=shard))
    assert (summary.made, summary.kept) == (22, 0)
    assert contents(summary.out) == whole


def test_workers_share_the_images_and_the_last_one_joins_them(shared, whole, work):
    made = {}

    def one(number):
        made[number] = work(shared, number, 3).made

    threads = [threading.Thread(target=one, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(made.values()) == 22
    assert contents(shared.sample.out) == whole


def test_a_worker_begins_at_its_part_and_then_helps(shared, whole, work):
    with pytest.raises(Interrupted) as caught:
        work(shared, 2, 3, Stop(1))
    assert caught.value.exit_code == 130
    folder = shared.sample.out / ".shards"
    assert {path.name for path in folder.glob("0*")} == {"00002.0.claim", "00002.0"}
    assert json.loads((shared.sample.out / "dataset.json").read_text())["complete"] is False
    assert work(shared, 0, 3).made == 16  # the 6 of the stopped worker's batch are kept
    assert contents(shared.sample.out) == whole


def test_one_process_goes_on_where_several_stopped_and_the_other_way_round(
    shared, whole, work, family
):
    with pytest.raises(Interrupted):
        work(shared, progress=Stop(2))
    assert generate_dataset(shared, family=family).kept == 8
    assert contents(shared.sample.out) == whole


def test_several_go_on_where_one_process_stopped(shared, whole, work, family):
    with pytest.raises(Interrupted):
        generate_dataset(shared, Stop(2), family=family)
    assert work(shared).kept == 16
    assert contents(shared.sample.out) == whole


def test_a_finished_dataset_is_left_alone(shared, work):
    work(shared)
    before = {path: path.stat().st_mtime_ns for path in shared.sample.out.rglob("*.*")}
    assert work(shared).made == 0
    assert {path: path.stat().st_mtime_ns for path in shared.sample.out.rglob("*.*")} == before


def test_damage_in_a_finished_shard_is_mended_when_it_is_joined(shared, whole, work):
    with pytest.raises(Interrupted):
        work(shared, progress=Stop(3))
    (shared.sample.out / ".shards/00000/images/00000/syn-000003.png").write_bytes(b"\x89PNG")
    work(shared)
    assert contents(shared.sample.out) == whole


def test_a_repetition_across_shards_is_made_again_as_one_process_would(
    shared, tmp_path, work, exact_family
):
    latents = []

    class Looking(exact_family):
        def decode_latents(self, given):
            latents.append(given.clone())
            return given

    class Repeating(exact_family):
        def decode_latents(self, given):
            pixels = given.clone()
            for place, value in enumerate(given):
                if any(torch.allclose(value, twin, atol=1e-4) for twin in twins):
                    pixels[place] = torch.linspace(-1, 1, 256).view(1, 16, 16)
            return pixels

    generate_dataset(with_sample(shared, out=tmp_path / "look"), family=Looking())
    twins = (latents[0][1], latents[1][2])  # images 1 and 10

    alone = generate_dataset(
        with_sample(shared, out=tmp_path / "a" / "set"), family=Repeating()
    ).out
    assert open_dataset(alone).rows[10].attempt == 1
    progress = Stop()
    work(shared, 1, 3, progress, family=Repeating())
    assert "shard 1 repeats an image of an earlier one: made again" in progress.notes
    assert contents(shared.sample.out) == contents(alone)


def test_a_worker_that_was_taken_over_gives_way(shared, whole, work, exact_family):
    out = shared.sample.out

    class Slow(exact_family):
        def decode_latents(self, latents):
            (out / ".shards/00000.1.claim").write_text('{"released": true}')
            return latents

    progress = Stop()
    wide = with_sample(shared, shard=16)
    work(wide, progress=progress, family=Slow())
    assert "shard 0 was taken over by another worker" in progress.notes
    assert contents(out) == whole


def test_workers_with_other_settings_are_refused(shared, work):
    with pytest.raises(Interrupted):
        work(shared, progress=Stop(1))
    with pytest.raises(SynthError, match="steps 4 there, 5 asked for"):
        work(with_sample(shared, steps=5))


def test_a_strangers_folder_is_refused_untouched(shared, work):
    shared.sample.out.mkdir(parents=True)
    (shared.sample.out / "thesis.txt").write_text("years of work")
    with pytest.raises(SynthError, match="in use by something else"):
        work(shared)
    assert [path.name for path in shared.sample.out.iterdir()] == ["thesis.txt"]


def test_a_damaged_record_of_shards_is_named(tmp_path):
    (tmp_path / ".shards").mkdir()
    (tmp_path / ".shards/work.json").write_text('{"shard": 0}')
    with pytest.raises(SynthError, match="not a record of shards"):
        Shards.of(tmp_path, 10)


def test_of_two_holders_one_commits(tmp_path):
    shards = Shards.begin(tmp_path, 20, size=8, batch=8)
    claims = Claims(shards.folder)
    first = claims.take(0)
    (shards.adopt(first) / "images").mkdir(parents=True)
    claims.release(first)
    second = claims.take(0)
    assert (shards.adopt(second) / "images").is_dir()
    (shards.folder / "00000.0/images").mkdir(parents=True)  # written by one that did not know yet
    assert shards.commit(second)
    assert not shards.commit(first)
