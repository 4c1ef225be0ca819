from pathlib import Path

import pytest

from synth.config import load_config
from synth.families import FAMILIES

CONFIGS = sorted((Path(__file__).parents[2] / "configs").rglob("*.yaml"))


def test_they_are_found():
    assert {"demo.yaml", "sd21_lora_512.yaml"} <= {path.name for path in CONFIGS}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_shipped_configuration_loads(path):
    config = load_config(path)
    assert config.model.family in FAMILIES.names()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_shipped_configuration_begins_with_its_command(path):
    head = path.read_text("utf-8").split("\n\n")[0]
    assert all(line.startswith("#") for line in head.splitlines())
    assert "synth " in head
