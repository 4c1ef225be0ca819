from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from synth.data.importers.base import Importer, Problem, Record
from synth.data.importers.streams import is_table, read_head
from synth.data.inputs import scan


@dataclass(frozen=True)
class Imported:
    """What an importer makes of a folder."""

    claimed: list[str]
    records: dict[str, Record]  # by promised image
    problems: list[Problem]


@pytest.fixture
def run_importer(tmp_path: Path) -> Callable[[Importer], Imported]:
    """Runs an importer over the test's folder, on its own."""

    def run(importer: Importer) -> Imported:
        inputs = scan(tmp_path)
        tables = [item for item in inputs.files if is_table(item.name)]
        own = importer.claim([read_head(item.path, item.name) for item in tables], inputs)
        found = list(importer.records(own, inputs)) if own else []
        records = [item for item in found if isinstance(item, Record)]
        problems = [item for item in found if isinstance(item, Problem)]
        by_image = {record.image: record for record in records}
        assert len(by_image) == len(records)  # one record an image
        return Imported([head.name for head in own], by_image, problems)

    return run
