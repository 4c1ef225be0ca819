"""Imports only go down. Read from the source, so a lazy import inside a function counts too."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LEAVES = {
    *("config", "images", "dicom", "seeding", "manifest"),
    *("provenance", "errors", "registry", "progress", "cores", "masks"),
}
MIDDLE = ["families", "data", "text", "extractors", "diffusion"]
PACKAGES = ("synth", "train", "sample", "metrics")
SOURCES = sorted(path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(source: str) -> Iterator[str]:
    """Absolute module names that the source imports, under ``TYPE_CHECKING`` or not."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layer(module: str) -> int:
    """0 leaves, 1 nouns, 2 metrics, 3 sample, 4 train, 5 the command line and the public face."""
    parts = module.split(".")
    if parts[-1] == "__main__":  # a program of its own puts the parts together, as the CLI does
        return 5
    if parts[0] in ("metrics", "sample", "train"):
        return {"metrics": 2, "sample": 3, "train": 4}[parts[0]]
    if len(parts) == 1 or parts[1] == "cli":
        return 5
    if parts[1] in LEAVES:
        return 0
    if parts[1] in MIDDLE:
        return 1
    return 5  # a lazy public name of ``synth``: only the command line may use it


def upward(module: str, source: str) -> list[str]:
    ours = ("synth.", "train.", "sample.", "metrics.")
    return [
        name for name in imports(source) if name.startswith(ours) and layer(name) > layer(module)
    ]


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_imports_only_go_down(path):
    assert upward(module_of(path), path.read_text("utf-8")) == []


def test_the_whole_tree_is_read():
    found = {module_of(path).split(".")[0] for path in SOURCES}
    assert found == {"synth", "train", "sample", "metrics"}
    assert len(SOURCES) > 50


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("synth.data.prepare", "from train.run import fine_tune"),
        ("synth.images", "def f():\n    from synth.data import prepare"),
        ("metrics.run", "import sample.run"),
        ("sample.run", "from synth.cli import main"),
        ("metrics.prdc", "from synth import fit"),
    ],
)
def test_an_upward_import_is_seen(module, source):
    assert upward(module, source)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("train.run", "from sample.solve import solve"),
        ("synth.cli.model", "from train.run import fine_tune"),
        ("synth.data.prepare", "from synth.images import grid"),
        ("synth", "from train.run import fine_tune"),
    ],
)
def test_a_downward_import_is_allowed(module, source):
    assert not upward(module, source)


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_torchvision_is_never_imported(path):
    assert not any(name.split(".")[0] == "torchvision" for name in imports(path.read_text("utf-8")))


def test_torchvision_is_never_required():
    for name in ("pyproject.toml", "constraints.txt"):
        assert "torchvision" not in (ROOT / name).read_text("utf-8")
