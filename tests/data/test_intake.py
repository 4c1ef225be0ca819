"""Refusals, copies and reports that come, change and go between two runs."""

import numpy as np
import pytest

import synth.data.intake as intake
from synth.data.prepare import prepare
from synth.data.quarantine import masked
from synth.dicom import Identity
from synth.errors import UsageError
from synth.manifest import open_dataset, read_jsonl
from synth.progress import Silent

from .conftest import SMALL, contents, picture, refused, write_dicom


class Notes(Silent):
    """Keeps what is said."""

    def __init__(self):
        self.lines, self.counts = [], []

    def note(self, text):
        self.lines.append(text)

    def update(self, done, total, text=""):
        self.counts.append((done, total, text))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("in/DOE_JANE/1.dcm", "in/[removed]/1.dcm"),
        ("in/doe-77/jane.DCM", "in/[removed]/[removed].DCM"),
        ("ACC-9/ACC-9.dcm", "[removed]/[removed].dcm"),
        ("x.jane", "[removed]"),
        ("1.2.3.4.5/p.dcm", "1.2.3.4.5/p.dcm"),
        ("Li/p.dcm", "Li/p.dcm"),
    ],
)
def test_path_parts_with_an_identifier_of_the_header_are_masked(name, expected):
    values = ("DOE", "JANE", "DOE^JANE", "Li", "1.2.3.4.5")
    assert masked(name, Identity(patient="doe-77", accession="ACC-9", values=values)) == expected


def test_masked_paths_are_the_same_in_every_run(source, tmp_path):
    good = source / "HOSP-770010/0/1.dcm"
    (source / "HOSP-770010/again.dcm").write_bytes(good.read_bytes())
    write_dicom(source / "HOSP-770011/Quorra-twin.dcm", picture(1, 1), 1, 1, Manufacturer="Other")
    write_dicom(source / "flat-Quorra.dcm", np.full((8, 8), 9, np.uint16), 2, 0)
    out = tmp_path / "out"
    prepare(source, out, **SMALL)
    first = (out / "quarantine.jsonl").read_bytes()
    for secret in (b"Quorra", b"HOSP-77", b"ACC-55"):
        assert secret not in first
    assert refused(out) == {
        "[removed]/again.dcm": "duplicate",
        "[removed]/[removed].dcm": "duplicate",
        "[removed].dcm": "flat_image",
    }
    prepare(source, out, **SMALL)
    assert (out / "quarantine.jsonl").read_bytes() == first


def test_a_file_that_vanishes_or_changes_while_it_is_read(source, tmp_path, monkeypatch):
    names = ("HOSP-770010/0/1.dcm", "HOSP-770011/0/1.dcm")
    bytes_of = {name: (source / name).read_bytes() for name in names}
    real = intake.convert_all

    def meddle(items, *args, **kwargs):
        (source / names[0]).unlink()
        (source / names[1]).write_bytes(bytes_of[names[1]] + b"\0")
        yield from real(items, *args, **kwargs)

    monkeypatch.setattr(intake, "convert_all", meddle)
    out = tmp_path / "out"
    summary = prepare(source, out, **SMALL)
    assert summary.codes == {"changed_during_read": 1, "io_error": 1}
    assert (summary.ok, summary.exit_code) == (14, 3)
    monkeypatch.setattr(intake, "convert_all", real)
    for name in names:
        (source / name).write_bytes(bytes_of[name])
    again = prepare(source, out, **SMALL)
    assert (again.ok, again.new, again.exit_code) == (16, 2, 0)


def test_a_file_that_cannot_be_read_is_refused(source, tmp_path, monkeypatch):
    real = intake.read_contents

    def gone(items, *args):
        (source / "HOSP-770010/0/1.dcm").unlink()
        return real(items, *args)

    monkeypatch.setattr(intake, "read_contents", gone)
    assert prepare(source, tmp_path / "out", **SMALL).codes == {"io_error": 1}


def test_images_with_unwanted_flags_and_views_are_refused(source, tmp_path):
    for study, tags in enumerate(
        (
            {"BurnedInAnnotation": "YES"},
            {"ViewPosition": "LL"},
            {"ViewPosition": ""},
        )
    ):
        accession = f"ACC-{study}"
        path = source / f"odd-{study}.dcm"
        write_dicom(path, picture("odd", study), 9, study, AccessionNumber=accession, **tags)
        with (source / "reports.csv").open("a") as file:
            file.write(f"\n{accession},Clear lungs.")
    chosen = {"exclude": ("burned_in_text",), "views": ("PA", "AP")}
    summary = prepare(source, tmp_path / "out", **chosen, **SMALL)
    assert (summary.ok, summary.reports_without_image) == (16, 0)
    expected = {"excluded_burned_in_text": 1, "excluded_view": 1, "excluded_view_unknown": 1}
    assert summary.codes == expected
    assert prepare(source, tmp_path / "all", **SMALL).ok == 19


def test_flags_and_views_that_do_not_exist_are_refused_before_anything_is_read(source, tmp_path):
    with pytest.raises(UsageError, match="Did you mean burned_in_text"):
        prepare(source, tmp_path / "out", exclude=("burned_in_txt",))
    with pytest.raises(UsageError, match="unknown view"):
        prepare(source, tmp_path / "out", views=("TOP",))
    assert not (tmp_path / "out").exists()


def test_a_copy_whose_name_has_the_report_brings_the_image_in(raster_source, tmp_path):
    (raster_source / "a.png").write_bytes((raster_source / "i0.png").read_bytes())
    out = tmp_path / "out"
    summary = prepare(raster_source, out, **SMALL)
    assert (summary.ok, summary.duplicates, summary.quarantined) == (3, 1, 0)
    assert summary.reports_without_image == 0
    first = contents(out)
    assert prepare(raster_source, out, **SMALL).new == 0
    assert contents(out) == first


def test_copies_of_a_refused_file_are_refused_with_it(raster_source, tmp_path):
    for name in ("a.png", "b.png"):
        (raster_source / name).write_bytes(b"\x89PNG\r\n\x1a\n broken")
    assert prepare(raster_source, tmp_path / "out", **SMALL).codes == {"corrupt_image": 2}


def test_a_rival_report_that_comes_later_is_listed_and_the_first_one_stays(source, tmp_path):
    out = tmp_path / "out"
    prepare(source, out, **SMALL)
    rows = (out / "metadata.jsonl").read_bytes()
    with (source / "reports.csv").open("a") as file:
        file.write("\nACC-5500,Another text.\n")
    for _ in range(2):
        summary = prepare(source, out, **SMALL)
        assert (summary.ok, summary.new, summary.updated) == (16, 0, 0)
        assert summary.unused == {"ambiguous_report": 1}
        assert (out / "metadata.jsonl").read_bytes() == rows


def test_a_report_taken_away_does_not_make_later_runs_decode(source, tmp_path, monkeypatch):
    out = tmp_path / "out"
    table = source / "reports.csv"
    prepare(source, out, **SMALL)
    rows = (out / "metadata.jsonl").read_bytes()
    lines = table.read_text().split("ACC-5570,")
    table.write_text(lines[0] + "ACC-NONE,Of no image.\nACC-5571," + lines[1].split("ACC-5571,")[1])
    decoded = []
    real = intake.convert_all

    def spy(items, *args, **kwargs):
        decoded.extend(items)
        return real(items, *args, **kwargs)

    monkeypatch.setattr(intake, "convert_all", spy)
    summary = prepare(source, out, **SMALL)
    assert (summary.ok, summary.updated, summary.reports_without_image) == (16, 0, 1)
    assert decoded == []
    assert (out / "metadata.jsonl").read_bytes() == rows


def test_rows_that_promise_an_image_and_images_without_a_row(raster_source, tmp_path):
    (raster_source / "more.csv").write_text("image,report\nabsent.png,Clear.\n")
    (raster_source / "i0.txt").unlink()
    out = tmp_path / "out"
    summary = prepare(raster_source, out, require_report=False, **SMALL)
    assert summary.unused == {"missing_file": 1}
    assert (summary.ok, summary.without_record, summary.exit_code) == (3, 1, 0)
    assert refused(out, "row") == {"more.csv:2": "missing_file"}


def test_a_table_that_breaks_off_costs_its_rows_and_not_the_run(raster_source, tmp_path):
    broken = 'image,report\ni0.png,Small nodule.\ni1.png,"never closed\n'
    (raster_source / "broken.csv").write_text(broken)
    for path in raster_source.glob("*.txt"):
        path.unlink()
    summary = prepare(raster_source, tmp_path / "out", **SMALL)
    assert (summary.ok, summary.codes, summary.broken) == (1, {"no_report": 2}, 1)
    (row,) = (
        row for row in read_jsonl(tmp_path / "out/quarantine.jsonl") if row["kind"] == "table"
    )
    assert (row["path"], row["code"]) == ("broken.csv", "table_unreadable")
    assert row["detail"].startswith("line 3: ")


def test_progress_counts_by_outcome(source, tmp_path):
    (source / "copy.dcm").write_bytes((source / "HOSP-770010/0/1.dcm").read_bytes())
    write_dicom(source / "flat.dcm", np.full((8, 8), 9, np.uint16), 2, 0)
    progress = Notes()
    prepare(source, tmp_path / "out", progress=progress, **SMALL)
    assert progress.counts[-1] == (18, 18, "16 ok, 1 quarantined, 1 duplicates")


def test_many_refusals_of_one_kind_are_one_remedy(raster_source, tmp_path):
    for index in range(30):
        (raster_source / f"{index}.dcm").write_bytes(b"<html>%d" % index)
    summary = prepare(raster_source, tmp_path / "out", **SMALL)
    assert summary.codes == {"html_instead_of_image": 30}
    assert summary.remedies == {"html_instead_of_image": ["Check the download's credentials"]}


def test_what_is_kept_of_the_words_is_as_asked(raster_source, tmp_path):
    said = "IMPRESSION: Unchanged small nodule. Dr. Ann Fenwick."
    (raster_source / "i0.txt").write_text(said)
    prepare(raster_source, tmp_path / "raw", keep_raw_text=True, **SMALL)
    prepare(raster_source, tmp_path / "out", **SMALL)
    raw = {row.model_extra.get("text_raw") for row in open_dataset(tmp_path / "raw").rows}
    assert said in raw
    assert b"text_raw" not in (tmp_path / "out/metadata.jsonl").read_bytes()
    assert b"Fenwick" not in (tmp_path / "out/metadata.jsonl").read_bytes()
