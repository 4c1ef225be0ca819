"""An export appears whole or not at all, is continued when stopped, and overwrites nothing."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock

from synth.data.export.folder import INFO as INFO_NAME
from synth.data.export.folder import LOCK, claimed, partial
from synth.data.export.layout import Options
from synth.data.export.run import export_dataset
from synth.errors import SynthError, UsageError
from synth.manifest import sha256_file

FORMATS = ("parquet", "webdataset", "monai", "chexpert", "dicom", "imagefolder")
INFO = {"export": {"identity": "a", "format": "monai", "of": "made"}}


def hashes(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256_file(path) for path in files}


class Stop(BaseException):
    """As hard an end as a process gives itself."""


@pytest.mark.parametrize("to", FORMATS)
def test_stopped_at_any_write_it_has_no_name_and_is_continued(made, tmp_path, monkeypatch, to):
    options = Options(shard=2)
    export_dataset(made, tmp_path / "whole" / "out", to=to, options=options)
    whole = hashes(tmp_path / "whole" / "out")
    fsync, left = os.fsync, 0

    def stop(descriptor):
        nonlocal left
        left -= 1
        if left == 0:
            raise Stop
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", stop)
    for writes in range(1, 100):
        out, left = tmp_path / str(writes) / "out", writes
        try:
            export_dataset(made, out, to=to, options=options)
        except Stop:
            if out.exists():  # stopped after it got its name
                assert hashes(out) == whole
                continue
            export_dataset(made, out, to=to, options=options)
            assert hashes(out) == whole
            assert not partial(out).exists()
        else:
            break
    assert writes > 8


@pytest.mark.parametrize("to", FORMATS)
def test_a_killed_export_leaves_nothing_under_its_name(made, tmp_path, to):
    """SIGKILL while an image is read; then the same call finishes."""
    out = tmp_path / "out"
    code = f"""
import os, signal, sys
from pathlib import Path
from synth.data.export.collection import Item
read, seen = Item.read, []
def killed(self):
    seen.append(self)
    if len(seen) == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return read(self)
Item.read = killed
from synth.data.export.run import export_dataset
export_dataset(Path({str(made)!r}), Path({str(out)!r}), to={to!r})
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[3])
    assert done.returncode == -signal.SIGKILL
    assert not out.exists()
    assert partial(out).is_dir()
    export_dataset(made, out, to=to)
    export_dataset(made, tmp_path / "whole" / "out", to=to)
    assert hashes(out) == hashes(tmp_path / "whole" / "out")
    assert not list(out.rglob(".*"))


def test_a_full_disk_is_one_clear_error(made, tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SynthError, match="the disk is full"):
        export_dataset(made, tmp_path / "out", to="monai")
    monkeypatch.undo()
    assert not (tmp_path / "out").exists()
    assert export_dataset(made, tmp_path / "out", to="monai").images == 7


@pytest.mark.parametrize("kind", ["finished", "stranger", "empty", "file", "broken link"])
def test_what_exists_is_refused(made, tmp_path, kind):
    out = tmp_path / "out"
    if kind == "finished":
        export_dataset(made, out, to="monai")
    elif kind == "file":
        out.write_text("mine")
    elif kind == "broken link":
        out.symlink_to(tmp_path / "nowhere")
    else:
        out.mkdir()
        if kind == "stranger":
            (out / "thesis.txt").write_text("mine")
    before = hashes(out) if out.is_dir() else None
    with pytest.raises(SynthError, match="nothing is overwritten"):
        export_dataset(made, out, to="monai")
    assert before is None or hashes(out) == before
    assert not partial(out).exists()


def test_another_stopped_export_is_left_alone(made, tmp_path):
    out = tmp_path / "out"
    with claimed(out, INFO) as folder:
        folder.put("a.txt", b"a")
    before = hashes(partial(out))
    with pytest.raises(SynthError, match="another export to this folder was stopped"):
        export_dataset(made, out, to="monai")
    assert hashes(partial(out)) == before


def test_a_strangers_folder_of_the_partial_name_is_left_alone(made, tmp_path):
    out = tmp_path / "out"
    partial(out).mkdir()
    for name in ("thesis.txt", INFO_NAME):
        (partial(out) / name).write_text("mine")
        with pytest.raises(SynthError, match="nothing is overwritten"):
            export_dataset(made, out, to="monai")
        assert (partial(out) / name).read_text() == "mine"
        (partial(out) / name).unlink()


def test_other_options_are_another_export(made, tmp_path, monkeypatch):
    out = tmp_path / "out"

    def stop(*_):
        raise Stop

    monkeypatch.setattr("synth.data.export.run._finish", stop)
    with pytest.raises(Stop):
        export_dataset(made, out, to="parquet", options=Options(shard=2))
    monkeypatch.undo()
    with pytest.raises(SynthError, match="another export"):
        export_dataset(made, out, to="parquet", options=Options(shard=3))
    summary = export_dataset(made, out, to="parquet", options=Options(shard=2))
    assert summary.kept >= 4


def test_two_processes_do_not_write_the_same_export(made, tmp_path):
    out = tmp_path / "out"
    partial(out).mkdir()
    with (
        FileLock(partial(out) / LOCK),
        pytest.raises(SynthError, match="another process is writing"),
    ):
        export_dataset(made, out, to="monai")


def test_a_name_taken_meanwhile_is_not_overwritten(tmp_path):
    out = tmp_path / "out"
    with claimed(out, INFO) as folder:
        folder.put("a.txt", b"a")
        out.mkdir()
        (out / "mine.txt").write_text("mine")
        with pytest.raises(SynthError, match="nothing is overwritten"):
            folder.publish(out)
    assert hashes(out).keys() == {"mine.txt"}


def test_an_export_does_not_lie_inside_a_dataset(made):
    with pytest.raises(UsageError, match="must not lie inside"):
        export_dataset(made, made / "out", to="monai")
    assert not (made / "out").exists()
    assert not partial(made / "out").exists()


def test_the_dataset_is_not_touched(made, tmp_path):
    before = hashes(made)
    times = {path: path.stat().st_mtime_ns for path in made.rglob("*")}
    for to in FORMATS:
        export_dataset(made, tmp_path / to, to=to)
    assert hashes(made) == before
    assert {path: path.stat().st_mtime_ns for path in made.rglob("*")} == times


@pytest.mark.parametrize("to", FORMATS)
def test_the_same_export_is_the_same_bytes(made, tmp_path, to):
    export_dataset(made, tmp_path / "a" / "out", to=to)
    time.sleep(0.01)
    export_dataset(made, tmp_path / "b" / "out", to=to)
    assert hashes(tmp_path / "a" / "out") == hashes(tmp_path / "b" / "out")


@pytest.mark.parametrize("to", FORMATS)
def test_checksums_cover_every_file(made, tmp_path, to):
    out = tmp_path / "out"
    export_dataset(made, out, to=to)
    lines = (out / "SHA256SUMS").read_text("utf-8").splitlines()
    listed = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    assert listed == {name: one for name, one in hashes(out).items() if name != "SHA256SUMS"}
    assert {"README.md", "croissant.json", "dataset.json"} <= set(listed)
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=out, check=True)
