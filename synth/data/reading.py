"""A decoded image and what the tables say of it -> a row, if the image is wanted and usable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from synth.data.convert import Converted
from synth.data.importers.base import Record
from synth.data.importers.index import Imported
from synth.data.inputs import Input
from synth.data.pseudonyms import Pseudonyms
from synth.data.rows import TextOptions, make_row, report_id
from synth.dicom import FLAGS, Identity, Unreadable
from synth.errors import UsageError

VIEWS = ("PA", "AP", "LATERAL")


@dataclass(frozen=True)
class Choice:
    """Which images are wanted.

    Attributes:
        require_report: refuse those about which no table or text says anything.
        exclude: refuse those with one of these flags (:data:`synth.dicom.flags.FLAGS`).
        views: refuse all but these views, unless empty.
    """

    require_report: bool = True
    exclude: tuple[str, ...] = ()
    views: tuple[str, ...] = ()

    def check_flags(self, flags: Sequence[str]) -> None:
        """Refuse an image with an unwanted flag.

        Raises:
            Unreadable: ``excluded_<flag>``.
        """
        for flag in self.exclude:
            if flag in flags:
                detail = f"it is flagged {flag}, and such images were not wanted"
                raise Unreadable(f"excluded_{flag}", detail)

    def check_view(self, view: str | None) -> None:
        """Refuse a view that was not asked for.

        Raises:
            Unreadable: ``excluded_view`` or ``excluded_view_unknown``.
        """
        if not self.views or view in self.views:
            return
        wanted = f"only {', '.join(self.views)} were wanted"
        if view is None:
            raise Unreadable("excluded_view_unknown", f"its view is not stated, and {wanted}")
        raise Unreadable("excluded_view", f"the view is {view}, and {wanted}")


@dataclass(frozen=True)
class Reader:
    """What turns a decoded image and what is known of it into a row."""

    imported: Imported
    pseudonyms: Pseudonyms
    text: TextOptions
    choice: Choice
    size: int

    def row(self, converted: Converted, sample_id: str) -> tuple[dict[str, Any], Record | None]:
        """The row of an image, and the record it comes from.

        Raises:
            Unreadable: the image is not decoded, not wanted, or its report cannot be used.
        """
        if converted.refusal is not None:
            raise converted.refusal
        self.choice.check_flags(converted.flags)
        record = self.imported.find(converted.item.name, converted.identity)
        if record is None and self.choice.require_report:
            raise Unreadable(
                "no_report",
                "no report has its accession number, study UID, path or name",
                "Add the report, or prepare without requiring one",
            )
        row = make_row(
            converted,
            record or Record(""),
            sample_id=sample_id,
            pseudonyms=self.pseudonyms,
            options=self.text,
            size=self.size,
            allow_empty=not self.choice.require_report,
        )
        self.choice.check_flags(row["flags"])  # those of the text too
        self.choice.check_view(row["view"])
        return row, record

    def ids_of(self, item: Input, identity: Identity) -> set[str]:
        """Ids of all records that mean an image, also where it cannot choose between them."""
        records = self.imported.claimed(item.name, identity)
        return {report_id(self.pseudonyms, record) for record in records}


def check_choice(choice: Choice) -> None:
    """Refuse flags and views that no image can have.

    Raises:
        UsageError: with the ones that exist.
    """
    for name, given, known in (
        ("flag", choice.exclude, tuple(FLAGS)),
        ("view", choice.views, VIEWS),
    ):
        for value in given:
            if value not in known:
                near = get_close_matches(value, known, 1)
                raise UsageError(
                    f"unknown {name}",
                    got=value,
                    expected=", ".join(known),
                    fix=f"Did you mean {near[0]}?" if near else "",
                )
