"""Whatever happens to the process, the disk or the files, a run goes on from what was whole."""

from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
import signal
import time
from collections import namedtuple
from pathlib import Path

import pytest
import torch

from synth.config import dump_config
from synth.errors import SynthError
from synth.families import load_family
from synth.manifest import read_jsonl, sha256_file
from synth.progress import Silent
from train import disk
from train import finish as finish_module
from train.checkpoint import Checkpoint, find_damage, load_latest, save_checkpoint
from train.folder import write_config
from train.loop import checkpoint_bytes
from train.run import fine_tune
from train.session import open_session

FILES = ("weights.safetensors", "ema.safetensors", "optimizer.safetensors")
posix = pytest.mark.skipif(os.name != "posix", reason="signals and forks are POSIX's")


def make(images: int) -> Checkpoint:
    tensors = {"w": torch.full((64,), float(images))}
    return Checkpoint(tensors, tensors, tensors, {"images_seen": images})


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def same_run(same_tensors):
    """Whether two runs hold bit-equal checkpoints after so many images."""

    def same(a: Path, b: Path, images: int) -> bool:
        return all(
            same_tensors(a / f"checkpoints/{images}" / name, b / f"checkpoints/{images}" / name)
            for name in FILES
        )

    return same


# a kill


@posix
@pytest.mark.parametrize(("keep", "replaces"), [(2, False), (1, True)])
def test_a_kill_before_any_file_operation_of_a_save(tmp_path, children, keep, replaces):
    script = Path(__file__).with_name("kill_saves.py")
    given = {"folder": str(tmp_path / "saves"), "keep": keep, "replaces": replaces}
    code = f"import runpy\nrunpy.run_path({str(script)!r}, init_globals={given!r})\n"
    child = children.start(code, tmp_path / "out")
    assert child.wait() == 0, child.text
    *deaths, end = [json.loads(line) for line in child.out.read_text().splitlines()]
    assert end["ended"] == len(deaths) > 40
    torn = [death["torn"] for death in deaths if "24" not in death["sound"]]
    # the damaged one steps aside only for a verified one: a single moment has neither
    assert torn == ([["24"]] * (len(torn) - 1) + [[]] if replaces else [[]] * len(torn))
    for death in deaths:
        assert death["latest"] in (16, 24)
        assert death["values"] == [death["latest"]]
        if "24" not in death["sound"]:  # nothing older goes before the newer was verified
            assert death["sound"] == ["8", "16"]
        else:  # what is pruned is whole until it is gone
            assert death["torn"] == []
        assert death["entries"] == ["16", "24"][-keep:] == death["sound_after"]
    assert {death["latest"] for death in deaths} == {16, 24}
    assert any(len(death["sound"]) == 3 for death in deaths)  # while pruning


@posix
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGKILL"])
def test_a_signal_ends_the_command_and_the_same_command_continues(
    tmp_path, make_config, children, same_run, name
):
    run, saved_by_itself = tmp_path / "run", 2
    config = make_config(run, steps=100_000, checkpoint_every=saved_by_itself, keep_checkpoints=1)
    (tmp_path / "config.yaml").write_text(dump_config(config))
    child = children.synth("train", tmp_path / "config.yaml", out=tmp_path / "out")
    try:
        _wait_for_steps(run, 4)
        with pytest.raises(SynthError, match="another process is training in this folder"):
            fine_tune(config)
    finally:
        os.kill(child.pid, signal.Signals[name])
        status = child.wait()
    (latest,) = (int(path) for path in names(run / "checkpoints") if path.isdigit())
    if name == "SIGKILL":
        assert status == -signal.SIGKILL
    else:
        assert status == 130
        assert f"stopped by {name} after {latest} images" in child.text
        assert "The same command continues." in child.text
        assert "Traceback" not in child.text
    steps = latest // 4 + 2
    fine_tune(make_config(run, steps=steps))
    fine_tune(make_config(tmp_path / "whole", steps=steps))
    assert same_run(run, tmp_path / "whole", 4 * steps)
    assert not [name for name in names(run / "checkpoints") if name.startswith(".")]


def _wait_for_steps(run: Path, count: int) -> None:
    log = run / "log.jsonl"
    for _ in range(3000):
        if log.is_file() and sum(row["kind"] == "step" for row in read_jsonl(log)) >= count:
            return
        time.sleep(0.02)
    raise TimeoutError(f"{run}: no {count} steps")


def test_an_export_that_is_cut_short_leaves_the_one_before(tmp_path, make_config, monkeypatch):
    fine_tune(make_config(tmp_path, steps=1))
    before = {path: path.read_bytes() for path in (tmp_path / "weights").rglob("*.safetensors")}

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(finish_module, "put_in_place", killed)
        with pytest.raises(KeyboardInterrupt):
            fine_tune(make_config(tmp_path, steps=2))
    assert all(path.read_bytes() == content for path, content in before.items())
    result = fine_tune(make_config(tmp_path, steps=2))
    assert result.steps == 2
    assert any(path.read_bytes() != content for path, content in before.items())
    assert not [name for name in names(tmp_path) if "staging" in name]


# damaged files


def _flip(position: float):
    def damage(file: Path) -> None:
        content = bytearray(file.read_bytes())
        content[int(position * (len(content) - 1))] ^= 0x10
        file.write_bytes(content)

    damage.__name__ = f"flip at {position:.0%}"
    return damage


def half(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def zeros(file: Path) -> None:
    file.write_bytes(bytes(file.stat().st_size))


def one_more(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"\0")


def gone(file: Path) -> None:
    file.unlink()


def a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


DAMAGES = [half, empty, zeros, one_more, gone, a_folder, *map(_flip, (0.0, 0.01, 0.3, 0.7, 1.0))]


@pytest.mark.parametrize("name", [*FILES, "state.json", "manifest.json"])
def test_every_damage_to_every_file_falls_back(tmp_path, name):
    save_checkpoint(tmp_path, make(8), keep=9)
    sound = save_checkpoint(tmp_path, make(16), keep=9)
    for index, damage in enumerate(DAMAGES):
        broken = tmp_path / str(1000 + index)
        shutil.copytree(sound, broken)
        damage(broken / name)
        notes: list[str] = []
        latest = load_latest(tmp_path, notes.append)
        assert latest.state["images_seen"] == 16, damage.__name__
        assert len(notes) == 1
        assert f"{broken}: checkpoint skipped" in notes[0]
        shutil.rmtree(broken)


def test_any_flipped_bit_of_a_manifest_is_noticed(tmp_path):
    """Or else it changes nothing that the manifest says, such as a blank between two entries."""
    path = save_checkpoint(tmp_path, make(8), keep=1)
    manifest = path / "manifest.json"
    content = manifest.read_bytes()
    said = json.loads(content)
    noticed = 0
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 1 << position % 8
        manifest.write_bytes(changed)
        if find_damage(path):
            noticed += 1
        else:
            assert json.loads(changed) == said
    assert noticed > 0.7 * len(content)


def test_a_run_folder_survives_damage_to_its_other_files(tmp_path, make_config):
    config = make_config(tmp_path, steps=1)
    first = fine_tune(config)
    for damage in (half, zeros):
        damage(tmp_path / "run.json")
        assert fine_tune(config).facts["weights_sha256"] == first.facts["weights_sha256"]
    with (tmp_path / "log.jsonl").open("ab") as log:
        log.write(b'{"kind": "st')  # torn by a power cut
    fine_tune(make_config(tmp_path, steps=2))
    assert [r["step"] for r in read_jsonl(tmp_path / "log.jsonl") if r["kind"] == "step"] == [1, 2]
    saved = (tmp_path / "config.yaml").read_bytes()
    for damage in (half, empty, zeros):
        (tmp_path / "config.yaml").write_bytes(saved)
        damage(tmp_path / "config.yaml")
        with pytest.raises(SynthError, match=r"config.yaml: (not the configuration|the run was)"):
            fine_tune(make_config(tmp_path, steps=2))
    for size in range(0, saved.index(b"\nmetrics:"), 20):  # the last section may differ anyway
        (tmp_path / "config.yaml").write_bytes(saved[:size])
        with pytest.raises(SynthError, match=r"config.yaml: not the configuration"):
            write_config(make_config(tmp_path, steps=2))


def test_weights_that_changed_after_the_run_are_exported_again(tmp_path, make_config):
    config = make_config(tmp_path, steps=1, model={"adapter": "lora", "rank": 2})
    first = fine_tune(config)
    unet = tmp_path / "weights/unet/diffusion_pytorch_model.safetensors"
    (tmp_path / "weights/README.md").write_text("my own words")  # no reason to do anything
    for file in (
        unet,
        tmp_path / "weights/vae/config.json",
        tmp_path / "weights/pytorch_lora_weights.safetensors",
        tmp_path / "weights/SHA256SUMS",
    ):
        stamp = unet.stat().st_mtime_ns
        fine_tune(config)
        assert unet.stat().st_mtime_ns == stamp  # nothing is done to what is whole
        (gone if file.suffix == ".json" else _flip(0.9))(file)
        notes = Notes()
        again = fine_tune(config, notes)
        assert any("exporting again" in line and file.name in line for line in notes.lines)
        assert again.facts["weights_sha256"] == first.facts["weights_sha256"]
        listed = again.facts["weights_sums_sha256"]
        assert finish_module.find_change(tmp_path / "weights", listed) == ""


class Notes(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


def test_another_base_model_under_the_same_name_is_refused(tmp_path, make_config, tiny_pipeline):
    from safetensors.torch import load_file, save_file

    base = tmp_path / "base"
    shutil.copytree(tiny_pipeline, base)
    model = {"adapter": "lora", "rank": 2, "weights": str(base)}
    fine_tune(make_config(tmp_path / "run", steps=1, model=model))
    file = base / "unet/diffusion_pytorch_model.safetensors"
    save_file({name: tensor * 1.01 for name, tensor in load_file(file).items()}, file)
    with pytest.raises(SynthError, match="the base model is not the one this run began with"):
        fine_tune(make_config(tmp_path / "run", steps=2, model=model))


# a full disk


@posix
def test_a_full_disk_is_one_clear_error_and_the_same_command_continues(
    tmp_path, make_config, children, same_run
):
    run, longer = tmp_path / "run", make_config(tmp_path / "run", steps=2)
    fine_tune(make_config(run, steps=1))
    (tmp_path / "config.yaml").write_text(dump_config(longer))
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))"
    config = tmp_path / "config.yaml"
    child = children.synth("train", config, out=tmp_path / "out", before=limit)
    assert child.wait() == 1
    assert "a file would be larger than this process may write" in child.text
    assert "the same command continues" in child.text
    assert "Traceback" not in child.text
    assert "unexpected" not in child.text
    assert names(run / "checkpoints") == ["4"]
    assert not find_damage(run / "checkpoints/4")
    fine_tune(longer)
    fine_tune(make_config(tmp_path / "whole", steps=2))
    assert same_run(run, tmp_path / "whole", 8)


def test_a_disk_that_fills_while_exporting_keeps_the_weights_before(
    tmp_path, make_config, monkeypatch
):
    fine_tune(make_config(tmp_path, steps=1))
    before = sha256_file(tmp_path / "weights/SHA256SUMS")

    def full(folder, **_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder / "README.md"))

    with monkeypatch.context() as patch:
        patch.setattr(finish_module, "write_sha256sums", full)
        with pytest.raises(SynthError, match="no space left on the disk") as error:
            fine_tune(make_config(tmp_path, steps=2))
    assert "the same command continues" in error.value.fix
    assert sha256_file(tmp_path / "weights/SHA256SUMS") == before
    assert not [name for name in names(tmp_path) if "staging" in name]
    assert fine_tune(make_config(tmp_path, steps=2)).steps == 2


def test_only_a_full_disk_is_reported_as_one(tmp_path):
    rust = RuntimeError("Error while serializing: I/O error: No space left (os error 28)")
    with pytest.raises(SynthError, match="no space left on the disk"), disk.disk_errors(tmp_path):
        raise rust
    for other in (ValueError("os error 28"), PermissionError(errno.EACCES, "no"), KeyError("x")):
        with pytest.raises(type(other)), disk.disk_errors(tmp_path):
            raise other


Usage = namedtuple("Usage", "total used free")


def test_too_little_room_is_said_before_any_step(tmp_path, make_config, monkeypatch):
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda path: Usage(10**6, 0, 10**6))
    with pytest.raises(SynthError, match="not enough disk space for the run") as error:
        fine_tune(make_config(tmp_path))
    assert "(1000000 bytes) free" in error.value.got
    assert int(error.value.expected.split("(")[1].split()[0]) > 10**6
    assert not (tmp_path / "checkpoints").exists()
    assert not (tmp_path / "log.jsonl").exists()


@pytest.mark.parametrize("adapter", ["full", "lora"])
def test_the_room_a_run_needs_is_what_it_takes(tmp_path, make_config, adapter):
    profiles = {"profiles": [0.05, 0.1]}
    model = {"adapter": adapter, "rank": 4}
    config = make_config(tmp_path, model=model, ema=profiles, steps=1)
    fine_tune(config)
    written = sum(path.stat().st_size for path in (tmp_path / "checkpoints/4").iterdir())
    needed = checkpoint_bytes(open_session(config, Silent()).training)
    assert written <= needed + 2000  # manifest and state
    assert needed < 1.3 * written


def test_room_is_counted_on_the_volume_where_the_folder_really_lies(tmp_path, monkeypatch):
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second volume")
    (tmp_path / "checkpoints").symlink_to(other)
    free = {other: 100, tmp_path: 1000}
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda path: Usage(0, 0, free[path]))
    disk.require_space([(tmp_path / "checkpoints/8", 100), (tmp_path / "a/b", 1000)])
    with pytest.raises(SynthError, match=rf"{other}: not enough"):
        disk.require_space([(tmp_path / "checkpoints/8", 101)])
    with pytest.raises(SynthError, match=rf"{tmp_path}: not enough"):  # both, together
        disk.require_space([(tmp_path / "a/b", 501), (tmp_path / "c", 500)])


# a malicious pickle


class Evil:
    """Creates a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


@pytest.fixture
def evil(tmp_path):
    """The bytes of a pickle, and whether one like it was loaded since."""
    marker = tmp_path / "loaded"
    content = pickle.dumps(Evil(marker))
    pickle.loads(content)
    assert marker.exists()  # it does what it should not
    marker.unlink()
    return content, marker


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_a_pickle_in_a_pipeline_folder_is_never_loaded(
    tmp_path, make_config, tiny_pipeline, evil, part
):
    content, marker = evil
    folder = tmp_path / "pipeline"
    shutil.copytree(tiny_pipeline, folder)
    name = "pytorch_model" if part == "text_encoder" else "diffusion_pytorch_model"
    model = make_config(tmp_path / "run", model={"weights": str(folder)}).model
    device, dtype = torch.device("cpu"), torch.float32
    (folder / part / f"{name}.bin").write_bytes(content)
    load_family(model, device=device, dtype=dtype)  # beside the safetensors
    (sound,) = (folder / part).glob("*.safetensors")
    sound.unlink()
    for _ in range(2):
        with pytest.raises(SynthError, match=f"cannot load the {part} of the pipeline"):
            load_family(model, device=device, dtype=dtype)  # instead of them
        torch.save({"weight": Evil(marker)}, folder / part / f"{name}.bin")
    assert not marker.exists()


@pytest.mark.parametrize("name", ["weights", "ema", "optimizer"])
def test_a_pickle_in_a_checkpoint_is_never_loaded(tmp_path, evil, name):
    content, marker = evil
    save_checkpoint(tmp_path, make(8), keep=9)
    path = save_checkpoint(tmp_path, make(16), keep=9)
    for suffix in ("pt", "bin", "pkl"):
        (path / f"{name}.{suffix}").write_bytes(content)
    assert load_latest(tmp_path, pytest.fail).state["images_seen"] == 16
    file = path / f"{name}.safetensors"
    file.write_bytes(content)
    manifest = json.loads((path / "manifest.json").read_text())
    facts = {"bytes": len(content), "sha256": sha256_file(file)}  # a manifest that vouches for it
    manifest["files"][file.name] = facts
    (path / "manifest.json").write_text(json.dumps(manifest))
    notes: list[str] = []
    assert load_latest(tmp_path, notes.append).state["images_seen"] == 8
    assert f"{name}.safetensors is not what a checkpoint holds" in notes[0]
    assert not marker.exists()


def test_a_pickle_in_a_cache_is_never_loaded(tmp_path, make_config, evil):
    content, marker = evil
    for folder in ("latents", "texts"):
        (tmp_path / "cache" / folder).mkdir(parents=True)
        (tmp_path / "cache" / folder / "00000-evil.safetensors").write_bytes(content)
        (tmp_path / "cache" / folder / "00000-evil.pt").write_bytes(content)
    fine_tune(make_config(tmp_path, steps=1))  # what is no shard is made again
    assert not marker.exists()
