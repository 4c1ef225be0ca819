import resource
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import synth

ROOT = Path(__file__).parents[2]
HELP = "import sys; sys.argv = ['synth', '--help']; from synth.cli import main; main()"


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", synth.__all__)
def test_every_public_name_resolves(name):
    assert getattr(synth, name) is not None


def test_public_names():
    verbs = {"load_config", "load_family", "fit", "generate", "evaluate", "prepare"}
    assert set(synth.__all__) == verbs | {"__version__"}
    assert set(synth.__all__) <= set(dir(synth))
    assert callable(synth.fit)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'fitt'"):
        _ = synth.fitt


@pytest.mark.parametrize(
    "module",
    [
        "synth",
        "synth.cli",
        "synth.cli.data, synth.cli.model, synth.cli.score, synth.cli.demo, synth.cli.doctor",
        "synth.config",
        "synth.manifest",
        "synth.registry, synth.progress, synth.provenance, synth.errors, synth.seeding",
        "synth.families",
        "synth.data",
        "synth.dicom",
        "synth.text",
        "synth.diffusion",
        "synth.extractors",
        "train",
        "sample",
        "metrics",
    ],
)
def test_importing_a_package_does_not_import_torch(module):
    heavy = "('torch', 'diffusers', 'transformers', 'matplotlib')"
    code = f"import sys\nimport {module}\nprint([n for n in {heavy} if n in sys.modules])"
    done = python(code)
    assert done.stdout.strip() == "[]", done.stderr


def test_help_is_instant_and_imports_nothing_heavy():
    def once() -> float:
        """Seconds on a core of its own: what else the machine is doing is not ours to measure."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = python(HELP)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert done.returncode == 0, done.stderr
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    assert min(once() for _ in range(4)) < 0.5


def test_versions_name_the_project_without_importing_torch():
    code = "import sys\nfrom synth.provenance import versions\nprint(versions())\n"
    done = python(code + "print('torch' in sys.modules)")
    assert done.stdout.strip().endswith("False")
    assert "'torch': '" + metadata.version("torch") in done.stdout
    assert "medical-image-synthesis" in done.stdout


def test_the_change_log_knows_the_version():
    import tomllib

    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert f"version: {version}" in (ROOT / "CITATION.cff").read_text("utf-8")
