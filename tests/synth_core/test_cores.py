import os

import pytest

from synth import cores


@pytest.mark.parametrize(
    ("quota", "count"),
    [("max 100000", 8), ("200000 100000", 2), ("150000 100000", 2), ("10000 100000", 1), ("", 8)],
)
def test_the_smaller_of_mask_and_quota(tmp_path, monkeypatch, quota, count):
    (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(cores, "CGROUP_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert cores.usable_cores() == count


def test_no_cgroup(tmp_path, monkeypatch):
    monkeypatch.setattr(cores, "CGROUP_QUOTA", tmp_path / "absent")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3}, raising=False)
    assert cores.usable_cores() == 2
