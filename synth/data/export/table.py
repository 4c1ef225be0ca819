"""``metadata.csv``: every column of every image, for formats whose own files hold fewer."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

from synth.data.export.collection import Collection
from synth.data.export.columns import Kind, values_of
from synth.data.export.folder import Folder
from synth.data.export.layout import Files

TABLE = "metadata.csv"


def write_table(
    folder: Folder,
    collection: Collection,
    columns: Mapping[str, Kind],
    places: Mapping[str, Mapping[str, str]],
) -> None:
    """Write the table; ``places`` says for each item's key where the format put it."""
    extra = list(next(iter(places.values())))
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, [*extra, *columns], lineterminator="\n")
    writer.writeheader()
    for item in collection.items:
        writer.writerow({**places[item.key], **values_of(item, columns)})
    folder.put(TABLE, buffer.getvalue().encode())


def table_files(columns: Mapping[str, Kind], places: Mapping[str, Mapping[str, str]]) -> Files:
    """The table as Croissant describes it."""
    extra: dict[str, Kind] = dict.fromkeys(next(iter(places.values())), "text")
    return Files("table", TABLE, "text/csv", {**extra, **columns})
