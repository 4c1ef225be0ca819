"""Fixtures of the report's tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from report_pages import page_scores, write_run, write_synthetic


@pytest.fixture
def scores() -> dict[str, Any]:
    """Scores in which every part of the page has something to show."""
    return page_scores()


@pytest.fixture
def folders(tmp_path: Path, tiny_dataset: Path) -> dict[str, Path]:
    """A dataset, two synthetic ones, a run and a cohort."""
    cohort = tmp_path / "cohort"
    cohort.mkdir()
    (cohort / "terms.txt").write_text("Free to <b>use</b>.\n")
    (cohort / "README.txt").write_text("Twelve invented patients.\n")
    return {
        "real": tiny_dataset,
        "synthetic": write_synthetic(tmp_path / "synthetic", tiny_dataset, level=100),
        "before": write_synthetic(tmp_path / "before", tiny_dataset, level=30),
        "run": write_run(tmp_path / "run"),
        "cohort": cohort,
    }
