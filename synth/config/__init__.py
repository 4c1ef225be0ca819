"""Configuration files: the strict schema and its loader. Imports no torch.

>>> from synth.config import parse_config
>>> parse_config({"train": {"steps": 10}}).train.steps
10
"""

from synth.config.load import (
    config_sha256,
    dump_config,
    load_config,
    parse_config,
    shipped_config,
)
from synth.config.schema import Config

__all__ = [
    "Config",
    "config_sha256",
    "dump_config",
    "load_config",
    "parse_config",
    "shipped_config",
]
