"""The bad inputs that an intake must survive, numbered as in the table of the specification.

Each case writes its files into a source folder and says what must become of them:

    ok              in the dataset
    ok:FLAG         in the dataset, with that warning
    CODE            a row of kind ``image`` with that code in ``quarantine.jsonl``
    KIND:CODE       a row of that kind: duplicate, skipped, table
    used            read as a table or text

The codes are those that the package has had from its start; where the table has other names:

    no_pixel_data -> no_pixels          truncated_pixels -> truncated, or too_large by the header
    too_many_pixels -> too_large        decompression_bomb -> too_large
    bad_image_module -> bad_header      missing_decoder -> unsupported_transfer_syntax
    archive_member -> archive           not_target_modality -> not_an_image, or excluded_<flag>

Not files of a source folder, or not to be provoked by one, and tested elsewhere:

    22 VOI LUT of 8 bits                        tests/dicom
    28, 29 decoders that hang, crash or hoard   tests/data/test_pool.py
    41 label lists                              tests/data/importers/test_padchest.py
    47 identifiers rounded by a spreadsheet     tests/data/importers/test_index.py
    49 files that vanish or change              tests/data/test_intake.py
    54 damaged weights                          tests/families
    55 empty folders, nothing usable            tests/data/test_prepare.py, test_accounting.py
    56 options that make no sense               tests/config, tests/cli, tests/data/test_prepare.py
    57 full and read-only disks                 tests/data/test_disk.py
    58 locale and clock                         tests/data/test_killed.py: times are never compared
"""

from __future__ import annotations

import gzip
import io
import json
import os
import socket
import struct
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from .broken_files import change, deflate, grey, png, png_header, syntax
from .conftest import picture, write_dicom

GOOD = 200


class Folder:
    """A source folder that grows, with what is expected of each of its paths."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.expected: dict[str, str] = {}
        self.reports: list[dict[str, str]] = []
        self.shared = 0
        path.mkdir()

    def put(self, name: str, content: bytes, outcome: str, report: str | None = "Clear.") -> None:
        """A file, with a report unless it is ``None``."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self.expect(name, outcome, report)

    def dicom(self, name: str, outcome: str, report: str | None = "Clear.", **tags: Any) -> Path:
        """A readable DICOM file but for these tags; ``None`` leaves a tag out."""
        path = self.path / name
        array = tags.pop("array", None)
        write_dicom(path, picture(name) if array is None else array, 1, 1)
        number = len(self.expected)
        own = {"PatientID": f"P{number}", "AccessionNumber": f"X{number}", "StudyInstanceUID": ""}
        change(path, **(own | tags))
        self.expect(name, outcome, report)
        return path

    def expect(self, name: str, outcome: str, report: str | None = None) -> None:
        assert name not in self.expected, name
        self.expected[name] = outcome
        if report is not None:
            self.reports.append({"image": name, "report": report, "patient_id": f"P-{name}"})

    def finish(self) -> dict[str, str]:
        """Write the reports; returns path -> outcome."""
        lines = "".join(json.dumps(row) + "\n" for row in self.reports)
        self.put("all.jsonl", lines.encode(), "used", None)
        return self.expected


def build(path: Path) -> dict[str, str]:
    """200 good files and the bad ones; returns path -> outcome, the good ones ``good``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's, about the values that are meant to be wrong
        return _build(path)


def _build(path: Path) -> dict[str, str]:
    folder = Folder(path)
    for index in range(GOOD):
        name = f"good/{index % 7}/{index:03d}"
        if index % 2:
            folder.put(f"{name}.png", png(grey("good", index, side=24)), "good")
        else:
            folder.dicom(f"{name}.dcm", "good", array=picture("good", index, side=24))
    for part in (damaged, bombs, headers, pixels, odd_but_usable, people, tables, texts, special):
        part(folder)
    names(folder)
    containers(folder)
    return folder.finish()


def damaged(folder: Folder) -> None:
    """1 to 9: not an image, or not a whole one."""
    for suffix in ("dcm", "png", "jpg"):
        folder.put(f"01-empty.{suffix}", b"", "empty_file")
    folder.put("02-preamble.dcm", b"\0" * 128 + b"DICM", "no_pixels")
    jpeg = png(grey("jpeg"), format="JPEG")
    folder.put("03-jpeg.dcm", jpeg, "ok:extension_mismatch")
    folder.dicom("03-dicom.jpg", "ok:extension_mismatch")
    folder.dicom("03-no-suffix", "ok")
    folder.put("04-login.dcm", b"\n<!DOCTYPE html><html>log in", "html_instead_of_image")
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    folder.put("05-pointer.dcm", pointer, "lfs_pointer")
    folder.put("05-annex.png", b"/annex/objects/SHA256E-s9--0.png\n", "lfs_pointer")
    path = folder.dicom("06-short.dcm", "truncated")
    path.write_bytes(path.read_bytes()[:-2])
    path = folder.dicom("07-excess.dcm", "ok:excess_bytes")
    change(path, PixelData=picture("excess").tobytes() + bytes(64))
    whole = png(grey("cut"))
    folder.put("08-cut.png", whole[: len(whole) // 2], "truncated_image")
    folder.put("08-cut.jpg", png(grey("cut"), format="JPEG")[:-300], "truncated_image")
    broken = bytearray(png(grey("crc")))
    broken[broken.index(b"IDAT") + 6] ^= 0xFF
    folder.put("09-broken.png", bytes(broken), "corrupt_image")


def bombs(folder: Folder) -> None:
    """10 to 14, 17: more promised than may be decoded."""
    folder.put("10-bomb.png", png_header(20000, 20000), "too_large")
    folder.put("11-large.png", png_header(12000, 12000), "too_large")
    path = folder.dicom("12-deflated.dcm", "too_large")
    deflate(path, megabytes=600)
    folder.dicom("13-rle.dcm", "too_large", Rows=16384, Columns=16384)
    folder.dicom("14-rows.dcm", "too_large", Rows=65535, Columns=65535, PixelData=bytes(100))
    folder.dicom("14-short.dcm", "truncated", Rows=9000, Columns=9000, PixelData=bytes(100))
    two = np.stack([picture("frame", 0), picture("frame", 1)])
    path = folder.dicom("17-frames.dcm", "ok:multi_frame", array=two[0])
    change(path, NumberOfFrames=2, PixelData=two.tobytes())
    folder.dicom("17-many.dcm", "too_large", NumberOfFrames=2**31 - 1)


def headers(folder: Folder) -> None:
    """15, 16, 25 to 27: the header forbids decoding, or nearly."""
    folder.dicom("15-no-rows.dcm", "bad_header", Rows=None)
    folder.dicom("15-rows-0.dcm", "bad_header", Rows=0)
    folder.dicom("15-bits.dcm", "bad_header", BitsStored=17, HighBit=16)
    folder.dicom("16-photometric.dcm", "bad_header", PhotometricInterpretation=None)
    for name, uid in (
        ("25-private", "1.2.840.113619.5.2.99"),
        ("25-jpeg-xl", "1.2.840.10008.1.2.4.110"),
        ("25-video", "1.2.840.10008.1.2.4.102"),
        ("26-lossless", "1.2.840.10008.1.2.4.70"),
    ):
        path = folder.dicom(f"{name}.dcm", "unsupported_transfer_syntax")
        syntax(path, uid)
    path = folder.dicom("27-headerless.dcm", "ok:forced_read")
    content = path.read_bytes()
    length = struct.unpack("<I", content[140:144])[0]
    path.write_bytes(content[144 + length :])
    folder.put("27-noise.dcm", b"nonsense" * 99, "not_dicom")


def pixels(folder: Folder) -> None:
    """18 to 24, 53: colour, depth, polarity, windows, contrast."""
    same = np.repeat(grey("rgb")[..., None], 3, axis=2)
    colour = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
    deep = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
    folder.dicom("18-grey-rgb.dcm", "ok", PixelData=same.tobytes(), **colour, **deep)
    loud = same.copy()
    loud[..., 1] = 255 - loud[..., 1]
    folder.dicom("18-colour.dcm", "color_image", PixelData=loud.tobytes(), **colour, **deep)
    opaque = np.dstack([np.repeat(grey("rgba")[..., None], 3, 2), np.full((40, 40), 255, np.uint8)])
    folder.put("19-opaque.png", png(opaque), "ok")
    opaque[:9, :9, 3] = 40
    folder.put("19-transparent.png", png(opaque), "unsupported_format")
    folder.put("20-deep.png", png(picture("deep")), "ok")
    folder.dicom("21-mono1.dcm", "ok", PhotometricInterpretation="MONOCHROME1")
    both = {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"}
    folder.dicom("21-both.dcm", "ok", **both)
    folder.dicom("21-slope.dcm", "ok", RescaleSlope="-1", RescaleIntercept="4095")
    for width in ("0", "-5"):
        window = {"WindowWidth": width, "WindowCenter": "9"}
        folder.dicom(f"23-width{width}.dcm", "ok:window_ignored", **window)
    folder.dicom("24-flat.dcm", "flat_image", array=np.full((40, 40), 7, np.uint16))
    folder.put("24-black.png", png(np.zeros((40, 40), np.uint8)), "flat_image")
    folder.put("24-white.png", png(np.full((40, 40), 255, np.uint8)), "flat_image")
    floats = picture("nan").astype(np.float32)
    floats[3, 3] = np.nan
    folder.put("53-nan.tif", png(floats, format="TIFF"), "non_finite")
    buffer = io.BytesIO()
    np.save(buffer, np.array([object], dtype=object), allow_pickle=True)
    folder.put("53-pickle.npy", buffer.getvalue(), "unsupported_format")


def odd_but_usable(folder: Folder) -> None:
    """30 to 36: odd headers, other images than chest radiographs, copies."""
    path = folder.dicom("30-vr.dcm", "ok", SpecificCharacterSet="ISO_IR 999", Manufacturer="ACME")
    path.write_bytes(path.read_bytes().replace(b"ACME", b"\xff\xfe\x80\x81"))
    item = Dataset()
    item.add_new(0x00091001, "SQ", Sequence([Dataset()]))
    folder.dicom("30-nested.dcm", "ok", RequestAttributesSequence=Sequence([item]))
    folder.dicom("31-paths.dcm", "ok", PatientID="../../x/y", SOPInstanceUID="/etc/x")
    path = folder.dicom("32-program.dcm", "ok:polyglot_preamble")
    path.write_bytes(b"MZ" + path.read_bytes()[2:])
    folder.dicom("33-text.dcm", "ok:burned_in_text", BurnedInAnnotation="YES")
    capture = "1.2.840.10008.5.1.4.1.1.7"
    folder.dicom("33-screen.dcm", "ok:secondary_capture", SOPClassUID=capture, Modality="OT")
    gone = dict.fromkeys(("PixelData", "Rows", "Columns"))
    dose = "1.2.840.10008.5.1.4.1.1.88.67"
    folder.dicom("33-dose.dcm", "not_an_image", SOPClassUID=dose, Modality="SR", **gone)
    folder.dicom("33-hand.dcm", "ok:not_chest", BodyPartExamined="HAND")
    folder.dicom("34-lateral.dcm", "ok", ViewPosition="LL")
    folder.dicom("34-blank.dcm", "ok:view_unknown", ViewPosition="")
    for value in (["0", "0"], ["-1", "-1"]):
        name = f"35-spacing{value[0]}.dcm"
        folder.dicom(name, "ok:spacing_missing", PixelSpacing=value, ImagerPixelSpacing=None or "")
    square = "ok:non_square_pixels_resampled"
    folder.dicom("35-oblong.dcm", square, PixelSpacing=["0.2", "0.4"])
    original = (folder.path / "21-mono1.dcm").read_bytes()
    folder.put("36-copy.dcm", original, "duplicate:duplicate", None)
    twin = folder.dicom("36-twin.dcm", "duplicate:duplicate", array=picture("34-lateral.dcm"))
    assert twin.is_file()


def people(folder: Folder) -> None:
    """46: ages and sexes that are none."""
    for age in ("155Y", "-1"):
        folder.dicom(f"46-age{age}.dcm", "ok:age_out_of_range", PatientAge=age)
    folder.dicom("46-sex.dcm", "ok", PatientSex="UNKNOWN", PatientAge="")


def tables(folder: Folder) -> None:
    """37 to 40, 45: tables as they come."""
    encodings = {
        "bom": ("utf-8-sig", ",", "\n"),
        "crlf": ("utf-8", ",", "\r\n"),
        "semicolon": ("utf-8", ";", "\n"),
        "utf16": ("utf-16", ",", "\n"),
        "latin1": ("latin-1", ",", "\n"),
        "nul": ("utf-8", ",", "\0\n"),
    }
    for kind, (encoding, comma, end) in encodings.items():
        folder.put(f"38-{kind}.png", png(grey("table", kind)), "ok", None)
        header, row = f"image{comma}report", f"38-{kind}.png{comma}Café: clear."
        content = end.join((header, row, "")).encode(encoding)
        folder.put(f"38-{kind}.csv", content, "used", None)
    unreadable = "table:table_unreadable"
    folder.put("38-quote.csv", b'image,report\na.png,"never closed\n', unreadable, None)
    long = b"image,report\nb.png," + b"x" * 17_000_000 + b"\n"
    folder.put("38-cell.csv", long, unreadable, None)
    folder.put("37-lonely.png", png(grey("lonely")), "no_report", None)
    odd = b'"",image,image, report\n1,37-gone.png,twice.png,Clear.\n'
    folder.put("39-header.csv", odd, "used", None)
    folder.put("39-unknown.csv", b"height,weight\n1,2\n", "skipped:table_not_understood", None)
    folder.put("39-book.xlsx", b"PK\x03\x04", "skipped:table_not_understood", None)
    cells = ("1", "1.0", "True", "-1", "u", "0", "2", "0.5")
    rows = []
    for index, cell in enumerate(cells):
        name = f"40-cell{index}.png"
        outcome = "bad_label" if cell in ("2", "0.5") else "ok"
        folder.put(name, png(grey("cell", index)), outcome, None)
        rows.append(f"{name},{cell}")
    folder.put("40-labels.csv", ("image,Edema\n" + "\n".join(rows)).encode(), "used", None)
    folder.put("45-rivals.png", png(grey("rivals")), "ambiguous_report", "One text.")
    folder.reports.append({"image": "45-rivals.png", "report": "Another text."})
    folder.reports.append({"accession": "NOWHERE", "report": "Of no image."})


def texts(folder: Folder) -> None:
    """42 to 44: reports as they come."""
    reports = {
        "empty": ("", "empty_report"),
        "blank": ("___", "empty_report"),
        "long": ("Clear lungs. " * 16_000, "ok"),
        "binary": ("\x00\x01\x02 Clear lungs.", "empty_report"),
        "spanish": ("Sin hallazgos patológicos en el tórax.", "ok"),
        "rtf": (r"{\rtf1\ansi FINDINGS: Clear lungs.\par}", "ok:unwrapped"),
        "cr": ("FINDINGS:\rClear lungs.\r\fIMPRESSION:\tNormal.", "ok"),
        "person": ("Seen by Dr. Ann Fenwick, phone 555-867-5309. Clear lungs.", "ok"),
    }
    for name, (text, outcome) in reports.items():
        folder.put(f"42-{name}.png", png(grey("text", name)), outcome, None)
        folder.put(f"42-{name}.txt", text.encode(), "used", None)


def special(folder: Folder) -> None:
    """48: what is no file."""
    where = folder.path
    (where / "48-loop").symlink_to(where)
    (where / "48-broken.png").symlink_to(where / "nothing")
    (where / "48-linked.dcm").symlink_to(where / "21-mono1.dcm")
    os.mkfifo(where / "48-pipe.dcm")
    (where / "48-folder.dcm").mkdir()
    before = Path.cwd()
    os.chdir(where)  # the name of a socket may only be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("48-socket.png")
    os.chdir(before)
    for name in ("loop", "broken.png", "linked.dcm", "pipe.dcm", "folder.dcm", "socket.png"):
        folder.expect(f"48-{name}", "skipped:not_a_regular_file")
    folder.put("48-notes.docx", b"PK\x03\x04", "skipped:not_an_image", None)
    folder.put("README.txt", b"About this folder.", "skipped:documentation", None)
    folder.put("DICOMDIR", b"\0" * 128 + b"DICM", "skipped:dicomdir", None)
    folder.put(".DS_Store", b"x", "skipped:hidden", None)
    folder.put("48-still.dcm.part", b"x", "skipped:partial_file", None)
    folder.put("terms.txt", b"Phantom data.\n", "used", None)


def names(folder: Folder) -> None:
    """50: names."""
    for name in (
        *("50 with  spaces.png", "50-🫁.png", "50-a\nb.png", "50-CASE.png", "50-case.png"),
        *("CON.png", "-rf.png", "50-dots...png", "50/..d/x.png", "50-" + "n" * 248 + ".png"),
    ):
        hidden = "/." in name
        outcome = "skipped:hidden" if hidden else "ok"
        folder.put(name, png(grey("name", name)), outcome, None if hidden else "Clear.")
    raw = os.fsencode(folder.path) + b"/50-caf\xe9.png"
    with open(raw, "wb") as file:  # noqa: PTH123  a name that is not UTF-8
        file.write(png(grey("latin")))
    folder.expect("50-caf\\xe9.png", "ok", "Clear.")


def containers(folder: Folder) -> None:
    """51, 52: archives are not opened, other formats are read or refused."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("../../evil.dcm", b"x")
        archive.writestr("/etc/evil.dcm", b"x")
    folder.put("51-slip.zip", buffer.getvalue(), "archive", None)
    folder.put("51-zip.dcm", buffer.getvalue() + b"!", "archive", None)
    folder.put("51-tar.tgz", gzip.compress(b"tar", mtime=0), "archive", None)
    folder.put("51-seven.7z", b"7z\xbc\xaf'\x1c", "archive", None)
    image = (folder.path / "21-both.dcm").read_bytes()
    folder.put("52-image.dcm.gz", gzip.compress(image, mtime=0), "archive", None)
    folder.put("52-volume.nii", b"\x5c\x01" * 99, "unsupported_format")
    pages = [Image.fromarray(grey("page", index)) for index in range(2)]
    for name, kind in (("52-pages.tif", "TIFF"), ("52-moving.png", "PNG")):
        buffer = io.BytesIO()
        pages[0].save(buffer, format=kind, save_all=True, append_images=pages[1:])
        folder.put(name, buffer.getvalue(), "unsupported_format")
    folder.put("52-photo.webp", png(grey("webp"), format="WEBP", lossless=True), "ok")
    cmyk = Image.fromarray(grey("cmyk")).convert("CMYK")
    buffer = io.BytesIO()
    cmyk.save(buffer, format="JPEG")
    folder.put("52-cmyk.jpg", buffer.getvalue(), "unsupported_format")
    folder.put("52-progressive.jpg", png(grey("prog"), format="JPEG", progressive=True), "ok")
    turned = Image.Exif()
    turned[0x0112] = 6
    folder.put("52-turned.jpg", png(grey("exif"), format="JPEG", exif=turned.tobytes()), "ok")
