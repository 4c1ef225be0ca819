import math
import sys

import pytest

from synth.errors import UsageError
from synth.progress import Progress, Silent
from synth.registry import Registry, did_you_mean


def test_a_name_gives_its_object():
    table = Registry("root", {"square": "math:sqrt", "e": "math:e"})
    assert table.get("square") is math.sqrt
    assert table.names() == ("e", "square")


def test_an_unknown_name_lists_and_suggests():
    table = Registry("family", {"sd": "math:e", "sdxl": "math:pi"})
    with pytest.raises(UsageError, match=r"unknown family \(got sdx; .*sd, sdxl.*Did you mean"):
        table.get("sdx")


def test_nothing_is_imported_before_its_name_is_used():
    Registry("module", {"lazy": "this:s"}).names()
    assert "this" not in sys.modules


def test_no_suggestion_when_nothing_is_close():
    assert did_you_mean("zzz", ["steps"]) == ""


def test_silent_is_a_progress():
    progress: Progress = Silent()
    progress.stage("a")
    progress.update(1, 2)
    progress.note("b")
