import os
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(find_spec("hatchling") is None, reason="hatchling not installed")


@pytest.fixture(scope="module")
def names(tmp_path_factory) -> set[str]:
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ}
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_packages_and_configurations_are_inside(names):
    for name in (
        "synth/__init__.py",
        "synth/py.typed",
        "synth/configs/demo.yaml",
        "synth/configs/sd21_lora_512.yaml",
        "train/__init__.py",
        "sample/run.py",
        "metrics/__init__.py",
    ):
        assert name in names


def test_the_builtin_pipeline_is_inside(names):
    on_disk = ROOT / "synth" / "families" / "builtin"
    wanted = {path.relative_to(ROOT).as_posix() for path in on_disk.rglob("*") if path.is_file()}
    assert wanted <= names


def test_nothing_else_is_inside(names):
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "synth",
        "train",
        "sample",
        "metrics",
    }
