import json
import subprocess
from pathlib import Path

import pytest
from filelock import FileLock
from PIL import Image

from sample.run import generate_dataset
from synth.errors import Interrupted, SynthError, UsageError
from synth.manifest import open_dataset, sha256_file


def with_sample(config, **values):
    sample = config.sample.model_copy(update=values)
    return config.model_copy(update={"sample": sample})


def contents(folder: Path):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in files
        if not path.name.startswith(".")
    }


class StopAfter:
    """A progress that presses Ctrl-C once so many images are done."""

    def __init__(self, images=None):
        self.images, self.notes, self.counts = images, [], []

    def stage(self, text):
        pass

    def note(self, text):
        self.notes.append(text)

    def update(self, done, total, text=""):
        self.counts.append((done, total))
        if self.images is not None and done >= self.images:
            raise KeyboardInterrupt


@pytest.fixture
def made(config, family):
    summary = generate_dataset(config, family=family)
    return summary.out


def test_summary_and_layout(config, family):
    summary = generate_dataset(config, family=family)
    assert (summary.made, summary.kept, summary.flagged) == (22, 0, 0)
    assert summary.out == config.run.out / "synthetic"
    assert summary.images_per_second > 0
    json.dumps(summary.to_json())
    names = {path.name for path in summary.out.iterdir() if not path.name.startswith(".")}
    assert names == {
        "README.md",
        "SHA256SUMS",
        "dataset.json",
        "images",
        "metadata.jsonl",
        "previews.png",
    }


def test_rows_say_everything_about_their_image(made, config, family, tiny_dataset):
    dataset = open_dataset(made)
    real = {row.sample_id: row for row in open_dataset(tiny_dataset).rows}
    assert [row.sample_id for row in dataset.rows] == [f"syn-{i:06d}" for i in range(22)]
    for row in dataset.rows:
        source = real[row.source_sample_id]
        assert row.synthetic
        assert row.split == "train"
        assert (row.text, row.labels) == (source.text_used, source.labels)
        assert row.source == f"synthetic from {source.sample_id}"
        assert row.label_source == "conditioned"
        assert row.patient_id is None
        assert row.filters == {"finite": True, "not_constant": True, "not_duplicate": True}
        assert (row.solver, row.steps, row.guidance, row.batch) == ("dpm++2m", 4, 2.0, 8)
        assert row.weights_sha256 == family.weights_sha256
        assert row.sha256 == sha256_file(dataset.path(row))
        assert (row.width, row.height) == (16, 16)
    assert len({row.seed for row in dataset.rows}) == 22
    assert len({row.config_sha256 for row in dataset.rows}) == 1


def test_every_png_says_that_it_is_synthetic(made):
    for row in open_dataset(made).rows:
        with Image.open(made / row.file_name) as image:
            assert image.mode == "L"
            assert image.text["Synthetic"] == "YES"
            assert image.text["SampleID"] == row.sample_id
    with Image.open(made / "previews.png") as sheet:
        assert sheet.text["Synthetic"] == "YES"
        assert sheet.size == (5 * 18 - 2, 16)


def test_dataset_facts_are_carried(made, config, family):
    info = json.loads((made / "dataset.json").read_text())
    assert info["synthetic"] is True
    assert info["complete"] is True
    assert info["terms"] == ["made by the tests"]
    assert [source["title"] for source in info["sources"]] == ["The Test Collection"]
    assert info["counts"] == {"images": 22, "train": 22, "flagged": 0}
    assert info["findings"] == ["cardiomegaly", "hernia", "nodule"]
    assert info["sampling"]["weights_sha256"] == family.weights_sha256
    assert info["versions"]["diffusers"]
    for finding in info["plan"]["findings"]:
        assert finding["total"] == finding["real"] + finding["planned"]


def test_options_that_are_off_leave_no_trace(made):
    """A dataset of plain settings stays the same, byte for byte, when new options come."""
    recorded = json.loads((made / "dataset.json").read_text())["sampling"]
    assert list(recorded) == [
        *("solver", "steps", "guidance", "size", "precision", "seed", "images", "plan"),
        *("weights_sha256", "plan_sha256"),
    ]
    assert open_dataset(made).rows[0].config_sha256.startswith("78e6256feaa3")


def test_the_card_says_synthetic_and_shows_the_counts(made):
    card = (made / "README.md").read_text()
    assert "Every image in this folder is SYNTHETIC" in card
    assert "made by the tests" in card
    assert "| [The Test Collection](https://example.org/tests) | CC-BY-NC-4.0 | yes | no |" in card
    assert "| hernia | 3 |" in card


def test_checksums_are_verified_by_sha256sum(made):
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=made, check=True)


@pytest.mark.parametrize("count", [1, 22])
@pytest.mark.parametrize("way", ["imagefolder", "folder"])
def test_hugging_face_datasets_loads_the_folder(config, family, tmp_path, way, count):
    from datasets import load_dataset

    made = generate_dataset(with_sample(config, count=count), family=family).out
    names = ("imagefolder",) if way == "imagefolder" else (str(made),)
    more = {"data_dir": str(made)} if way == "imagefolder" else {}
    loaded = load_dataset(*names, split="train", cache_dir=str(tmp_path / "cache"), **more)
    assert len(loaded) == count
    first = loaded[0]
    assert first["image"].size == (16, 16)
    assert first["synthetic"] is True
    assert first["labels"]["hernia"] in (0, 1, -1, None)


def test_an_interrupted_run_continues_to_the_same_files(config, family, tmp_path):
    whole = generate_dataset(with_sample(config, out=tmp_path / "a" / "set"), family=family).out
    stopped = with_sample(config, out=tmp_path / "b" / "set")
    with pytest.raises(Interrupted, match=r"stopped after 8 of 22 images.*same command") as caught:
        generate_dataset(stopped, StopAfter(8), family=family)
    assert caught.value.exit_code == 130
    assert json.loads((stopped.sample.out / "dataset.json").read_text())["complete"] is False
    summary = generate_dataset(stopped, family=family)
    assert (summary.made, summary.kept) == (14, 8)
    assert contents(summary.out) == contents(whole)


def test_a_kill_in_the_middle_of_a_batch_continues_to_the_same_files(config, family, tmp_path):
    whole = generate_dataset(with_sample(config, out=tmp_path / "a" / "set"), family=family).out
    torn = with_sample(config, out=tmp_path / "b" / "set")
    with pytest.raises(Interrupted):
        generate_dataset(torn, StopAfter(16), family=family)
    table = torn.sample.out / "metadata.jsonl"
    lines = table.read_bytes().splitlines(keepends=True)
    table.write_bytes(b"".join(lines[:11]) + lines[11][:40])
    assert generate_dataset(torn, family=family).kept == 11
    assert contents(torn.sample.out) == contents(whole)


def test_a_finished_dataset_is_left_alone(made, config, family):
    before = {path: path.stat().st_mtime_ns for path in made.rglob("*.*")}
    family.passes = 0
    summary = generate_dataset(config, family=family)
    assert (summary.made, summary.kept, family.passes) == (0, 22, 0)
    assert {path: path.stat().st_mtime_ns for path in made.rglob("*.*")} == before


def test_damaged_and_missing_images_are_made_again(made, config, family):
    before = contents(made)
    (made / "images/00000/syn-000003.png").write_bytes(b"\x89PNG")
    (made / "images/00000/syn-000020.png").unlink()
    progress = StopAfter()
    summary = generate_dataset(config, progress, family=family)
    assert (summary.made, summary.kept) == (2, 20)
    assert "2 images are missing or damaged" in progress.notes[0]
    assert contents(made) == before


def test_another_batch_size_gives_the_same_images_but_for_rounding(config, family, tmp_path):
    from synth.images import load_grey

    folders = [
        generate_dataset(
            with_sample(config, batch=batch, out=tmp_path / str(batch)), family=family
        ).out
        for batch in (3, 8)
    ]
    for name in (row.file_name for row in open_dataset(folders[0]).rows):
        first, second = (load_grey(folder / name) for folder in folders)
        assert abs(first - second).max() <= 1.001 / 255


def test_a_smaller_batch_may_continue(config, family):
    with pytest.raises(Interrupted):
        generate_dataset(config, StopAfter(8), family=family)
    summary = generate_dataset(with_sample(config, batch=4), family=family)
    assert summary.made == 14
    rows = open_dataset(summary.out).rows
    assert [row.batch for row in rows] == [8] * 8 + [4] * 14


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 5}, "steps 4 there, 5 asked for"),
        ({"guidance": 3.0}, "guidance 2.0 there, 3.0 asked for"),
        ({"solver": "ddim"}, "solver dpm\\+\\+2m there, ddim asked for"),
        ({"count": 23}, "images 22 there, 23 asked for"),
    ],
)
def test_other_settings_are_refused_and_named(made, config, family, change, message):
    before = contents(made)
    with pytest.raises(SynthError, match=message):
        generate_dataset(with_sample(config, **change), family=family)
    assert contents(made) == before


def test_other_weights_are_refused_and_named(made, config, family):
    family.weights_sha256 = "b" * 64
    with pytest.raises(SynthError, match="weights_sha256 aaaaaaaaaaaa… there, bbbbbbbbbbbb… asked"):
        generate_dataset(config, family=family)


def test_a_strangers_folder_is_refused_untouched(config, family, tmp_path, tiny_dataset):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    with pytest.raises(SynthError, match="in use by something else"):
        generate_dataset(with_sample(config, out=mine), family=family)
    assert [path.name for path in mine.iterdir()] == ["thesis.txt"]
    with pytest.raises(SynthError, match="in use by something else"):
        generate_dataset(with_sample(config, out=tiny_dataset), family=family)
    with pytest.raises(SynthError, match="not a folder"):
        generate_dataset(with_sample(config, out=mine / "thesis.txt"), family=family)


def test_two_processes_do_not_write_one_folder(config, family):
    out = config.run.out / "synthetic"
    out.mkdir(parents=True)
    with FileLock(out / ".lock"), pytest.raises(SynthError, match="another process"):
        generate_dataset(config, family=family)


def test_a_run_without_weights_is_explained(config):
    with pytest.raises(SynthError, match=r"no trained weights.*synth train"):
        generate_dataset(config)
    assert not config.run.out.exists()


def test_an_impossible_plan_leaves_no_folder(config, family):
    plan = config.sample.plan.model_copy(update={"kind": "counts", "counts": {"hernai": 3}})
    with pytest.raises(UsageError, match="Did you mean `hernia`"):
        generate_dataset(with_sample(config, plan=plan), family=family)
    assert not config.run.out.exists()


def test_constant_and_repeated_images_are_flagged(config, family, monkeypatch):
    decode = family.decode_latents

    def broken(latents):
        pixels = decode(latents).clone()
        pixels[0], pixels[2] = -1.0, pixels[1]
        return pixels

    monkeypatch.setattr(family, "decode_latents", broken)
    progress = StopAfter()
    summary = generate_dataset(with_sample(config, count=8), progress, family=family)
    assert summary.flagged == 2
    assert "2 images failed a quality check" in progress.notes[-1]
    filters = [row.filters for row in open_dataset(summary.out).rows]
    assert filters[0] == {"finite": True, "not_constant": False, "not_duplicate": True}
    assert filters[2] == {"finite": True, "not_constant": True, "not_duplicate": False}


def test_a_model_of_nan_writes_nothing(config, family, monkeypatch):
    monkeypatch.setattr(family, "decode_latents", lambda latents: latents * float("nan"))
    with pytest.raises(SynthError, match="not finite"):
        generate_dataset(config, family=family)
    assert not (config.run.out / "synthetic" / "images").exists()


def test_cut_texts_are_counted(config, family, monkeypatch):
    monkeypatch.setattr(family, "truncated", lambda prompts: [0] * (len(prompts) - 1) + [7])
    progress = StopAfter()
    generate_dataset(config, progress, family=family)
    assert any("1 of" in note and "7 tokens" in note for note in progress.notes)


def test_progress_counts_images(config, family):
    progress = StopAfter()
    generate_dataset(config, progress, family=family)
    assert progress.counts == [(0, 22), (8, 22), (16, 22), (22, 22)]
