"""A disk that is full, over quota or read-only: one clear error, and the same command continues."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from synth.data import journal
from synth.data.prepare import prepare
from synth.data.writing import resumable
from synth.errors import SynthError

from .conftest import SMALL, contents

LIMITED = """
import resource, sys
from pathlib import Path
from synth.data.prepare import prepare
from synth.errors import SynthError
if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
    try:
        prepare(Path(sys.argv[1]), Path(sys.argv[2]), size=16, splits=(0.5, 0.25, 0.25))
    except SynthError as error:
        sys.exit(str(error))
"""


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only"),
        (errno.EIO, "does not work"),
    ],
)
def test_a_full_disk_ends_the_run_and_the_same_command_continues(
    source, tmp_path, monkeypatch, code, problem
):
    whole, out = tmp_path / "whole" / "set", tmp_path / "cut" / "set"
    prepare(source, whole, **SMALL)
    real, written = Path.write_bytes, []

    def full(path, content):
        if path.name.endswith(".png.tmp"):
            written.append(path)
            if len(written) > 5:
                real(path, content[: len(content) // 2])
                raise OSError(code, os.strerror(code), str(path))
        return real(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(SynthError, match=problem) as caught:
        prepare(source, out, **SMALL)
    assert "same command continues" in caught.value.fix
    assert caught.value.exit_code == 1
    assert not list(out.rglob("*.png.tmp"))
    monkeypatch.setattr(Path, "write_bytes", real)
    summary = prepare(source, out, **SMALL)
    assert summary.new == 11  # the other five were kept
    assert contents(out) == contents(whole)


@pytest.mark.parametrize("limit", [100, 400, 3000])
def test_files_that_may_not_grow(source, tmp_path, limit):
    whole, out = tmp_path / "whole" / "set", tmp_path / "cut" / "set"
    prepare(source, whole, **SMALL)
    words = [sys.executable, "-c", LIMITED, str(source), str(out), str(limit)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 1
    assert "larger than this system allows" in done.stderr
    assert "Traceback" not in done.stderr
    prepare(source, out, **SMALL)
    assert contents(out) == contents(whole)


def test_what_is_not_about_the_disk_stays_what_it_is(tmp_path):
    with pytest.raises(FileNotFoundError), resumable(tmp_path):
        (tmp_path / "missing").read_bytes()


def test_what_a_killed_run_left_is_swept_and_nothing_else(tmp_path):
    (tmp_path / "images/ab").mkdir(parents=True)
    left = [tmp_path / ".metadata.jsonl.17.tmp", tmp_path / "images/ab/.abc.png.tmp"]
    kept = [tmp_path / "thesis.tmp", tmp_path / ".profile", tmp_path / "images/ab/abc.png"]
    for path in (*left, *kept):
        path.write_bytes(b"x")
    journal.sweep(tmp_path)
    assert [path.exists() for path in left] == [False, False]
    assert all(path.exists() for path in kept)
