"""Identifiers planted wherever they can stand, and looked for in everything that comes out."""

from __future__ import annotations

import io
import json
import logging
import shutil
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pydicom import config, dcmread
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from synth.cli import main
from synth.manifest import open_dataset, read_jsonl

from .conftest import picture, write_dicom

TEXT = ("LO", "SH", "PN", "ST", "LT", "UT", "UC", "UR", "AE", "CS")
NUMBERS = ("DA", "TM", "DT", "AS", "IS", "DS", "UI")
# Read for what they say of the image; the next test fills those that come out with identifiers.
_TECHNICAL = """
SpecificCharacterSet SOPClassUID Modality BodyPartExamined ViewPosition PatientSex PatientAge
PhotometricInterpretation PresentationLUTShape NumberOfFrames RescaleSlope RescaleIntercept
RescaleType WindowCenter WindowWidth VOILUTFunction PixelSpacing ImagerPixelSpacing
PixelAspectRatio BurnedInAnnotation ImageType LossyImageCompression
"""
TECHNICAL = frozenset(_TECHNICAL.split())
NAME, PATIENT, ACCESSION = "Quorrazyx^Thessaly", "MRN-7710042", "ACCN77100"
PATH_WORDS = ("THESSALY", "QUORRAZYX")
WORDS = (  # besides one token a tag
    *("Quorrazyx", "Thessaly", "7710042", ACCESSION, "Saint Elsewhere", "Fenwickle", "Brandywyne"),
    *("03/14/2019", "20190314", "14 March 2019", "555-0142", "1961-02-03", "1 Elm Row"),
    *("table-only@example.org", "Comptonia", "PREAMBLEQX"),
)


@dataclass
class Planted:
    """Every token, and where it stands."""

    tokens: dict[str, str]

    def token(self, kind: str, where: str) -> str:
        """A new value, valid for the value representation."""
        number = len(self.tokens) + 1
        forms = {
            "CS": f"QX{number:05d}ZC",
            "AE": f"QX{number:05d}ZA",
            "UI": f"1.2.826.0.1.3680043.77.{number}.9",
            "DA": f"{1801 + number // 336:04d}{number // 28 % 12 + 1:02d}{number % 28 + 1:02d}",
            "TM": f"0143{number % 60:02d}.77{number:04d}",
            "DT": f"18{number % 90 + 10}0203014302.77{number:04d}",
            "AS": f"{number % 30 + 70:03d}Y",
            "IS": f"77{number:07d}",
            "DS": f"77.{number:07d}91",
            "UR": f"https://qx{number:05d}.example.org/",
            "PN": f"Qx{number:05d}zn^Jo",
        }
        value = forms.get(kind, f"Qx{number:05d}z{kind}")
        self.tokens[value.split("^")[0]] = where
        return value


def string_tags() -> Iterator[tuple[int, str, str]]:
    """(tag, VR, keyword) of the whole dictionary, without file meta and what decoding reads."""
    for tag, (vr, _, _, _, keyword) in DicomDictionary.items():
        if vr in (*TEXT, *NUMBERS) and keyword and tag >> 16 > 4 and keyword not in TECHNICAL:
            yield tag, vr, keyword


def fill(dataset: Dataset, planted: Planted) -> None:
    """Put a token of its own into every string tag, nested and private ones and overlays."""
    for tag, vr, keyword in string_tags():
        dataset.add_new(tag, vr, planted.token(vr, keyword))
    for group in range(0x6000, 0x6006, 2):
        for element, vr in ((0x22, "LO"), (0x1500, "LO"), (0x40, "CS"), (0x50, "LO")):
            dataset.add_new((group, element), vr, planted.token(vr, "overlay"))
        text = planted.token("LO", "overlay data").encode()
        dataset.add_new((group, 0x3000), "OB", text.ljust(-(-len(text) // 2) * 2, b"\0"))
    dataset.add_new((0x0009, 0x0010), "LO", planted.token("LO", "private creator"))
    for element, vr in enumerate((*TEXT, *NUMBERS), 0x1001):
        dataset.add_new((0x0009, element), vr, planted.token(vr, f"private {vr}"))
    raw = planted.token("LO", "private bytes").encode()
    dataset.add_new((0x0009, 0x1030), "UN", raw + b"\0" * (len(raw) % 2))
    dataset.OriginalAttributesSequence = Sequence([nested(planted, depth=3)])
    dataset.add_new((0x0009, 0x1040), "SQ", Sequence([nested(planted, depth=1)]))


def nested(planted: Planted, depth: int) -> Dataset:
    """An item with every kind of string, and items like it inside."""
    item = Dataset()
    item.PatientName = planted.token("PN", "nested name")
    item.PatientID = planted.token("LO", "nested id")
    item.AccessionNumber = planted.token("SH", "nested accession")
    item.PatientComments = planted.token("LT", "nested comments")
    item.StudyInstanceUID = planted.token("UI", "nested study")
    item.PersonAddress = planted.token("ST", "nested address")
    item.CodeMeaning = planted.token("LO", "nested meaning")
    if depth:
        item.ModifiedAttributesSequence = Sequence([nested(planted, depth - 1)])
    return item


REPORT = """\
PATIENT NAME: Thessaly Quorrazyx     MRN: MRN-7710042    DOB: 1961-02-03
ACCESSION: ACCN77100   Phone: (212) 555-0142
HISTORY: Ms. Quorrazyx, seen by Dr. Fenwickle at Saint Elsewhere on 03/14/2019.
COMPARISON: 14 March 2019.
FINDINGS: Small left pleural effusion. Thessaly Quorrazyx is rotated. Exam 20190314.
IMPRESSION: Small left pleural effusion. Discussed with Dr. Brandywyne at 555-0142, MRN 7710042.
Electronically signed by: Ann Fenwickle, MD on 03/14/2019 14:32
"""


@pytest.fixture(scope="module")
def planted() -> Planted:
    return Planted(dict.fromkeys(WORDS, "words"))


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory, planted: Planted) -> Path:
    """One patient's images under her own name, good, damaged and twice, and someone else's."""
    folder = tmp_path_factory.mktemp("deidentify") / "source"
    home = folder / "THESSALY_QUORRAZYX" / "MRN-7710042 1961-02-03"
    good = home / "Quorrazyx Thessaly ACCN77100.dcm"
    names = {"PatientName": NAME, "PatientID": PATIENT, "AccessionNumber": ACCESSION}
    names |= {"InstitutionName": "Saint Elsewhere", "PatientBirthDate": "19610203"}
    write_dicom(good, picture("planted"), 0, 0)
    dataset = dcmread(good)
    with config.disable_value_validation():
        fill(dataset, planted)
        for keyword, value in names.items():
            setattr(dataset, keyword, value)
        dataset.preamble = b"PREAMBLEQX".ljust(128, b"\0")
        dataset.file_meta.MediaStorageSOPInstanceUID = planted.token("UI", "file meta")
        dataset.file_meta.ImplementationVersionName = planted.token("SH", "file meta")
        dataset.file_meta.SourceApplicationEntityTitle = planted.token("AE", "file meta")
        dataset.save_as(good, enforce_file_format=True)
    shutil.copy(good, home / "Copy of Thessaly.dcm")
    (home / "Quorrazyx broken.dcm").write_bytes(good.read_bytes()[:-200])
    write_dicom(home / "Thessaly flat.dcm", np.full((8, 8), 9, np.uint16), 0, 0, **names)
    write_dicom(home / "Thessaly again.dcm", picture("planted"), 0, 0, **names)
    text = PngInfo()
    for key in ("Comment", "Author", "Thessaly"):
        text.add_text(key, planted.token("LO", "PNG text"), zip=key == "Author")
    text.add_itxt("Description", planted.token("LO", "PNG iTXt"))
    image = Image.fromarray((picture("png") >> 4).astype(np.uint8))
    exif = Image.Exif()
    exif[0x010E] = planted.token("LO", "EXIF description")
    image.save(folder / "0001.png", pnginfo=text, exif=exif)
    exif[0x013B] = planted.token("LO", "EXIF artist")
    comment = planted.token("LO", "JPEG comment")
    image.rotate(90).save(folder / "0002.jpg", exif=exif, comment=comment.encode())
    columns = "Accession_Number,image,report,PatientName,MRN,DOB,Phone,Address,email,Age,Sex"
    row = f'"{NAME}",{PATIENT},1961-02-03,555-0142,1 Elm Row,table-only@example.org,058Y,F'
    lines = [f'{ACCESSION},,"{REPORT}",{row}']
    for name in ("0001.png", "0002.jpg"):
        said = "Seen by Dr. Fenwickle 03/14/2019: thessaly is 58. QUORRAZYX moved. Small nodule."
        lines.append(f',{name},"{said}",{row}')
    (folder / "Comptonia reports.csv").write_text("\n".join([columns, *lines]))
    return folder


@pytest.fixture(scope="module")
def run(hospital: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The prepared dataset, and all that the commands and their libraries said."""
    out = tmp_path_factory.mktemp("deidentified") / "out"
    said = [command("prepare", hospital, out, "--size", "32", "--workers", "1")]
    said.append(command("prepare", hospital, out, "--size", "32", "--workers", "1", "--json"))
    said.append(command("prepare", hospital, out, "--size", "32", "--dry-run"))
    said.append(command("verify", out))
    return out, "\n".join(said)


def command(*arguments: object) -> str:
    """What the command line and every logger say."""
    shown, log = io.StringIO(), io.StringIO()
    handler = logging.StreamHandler(log)
    logging.getLogger().addHandler(handler)
    before = sys.argv
    sys.argv = ["synth", *(str(argument) for argument in arguments)]
    try:
        with redirect_stdout(shown), redirect_stderr(shown), pytest.raises(SystemExit) as caught:
            main()
    finally:
        sys.argv = before
        logging.getLogger().removeHandler(handler)
    assert caught.value.code in (0, 3), shown.getvalue()
    return shown.getvalue() + log.getvalue()


def leaks(planted: Planted, text: bytes) -> dict[str, str]:
    """The tokens that stand in the bytes, whatever their case, and where they come from."""
    low = text.lower()
    found = {}
    for token, where in planted.tokens.items():
        if token.lower().encode() in low:
            found[token] = where
    return found


def test_every_string_tag_is_planted(hospital, planted):
    good = next(hospital.rglob("Quorrazyx Thessaly*.dcm")).read_bytes()
    assert sum(1 for _ in string_tags()) >= 2500
    missing = {where for token, where in planted.tokens.items() if token.encode() not in good}
    named = {"PatientName", "PatientID", "AccessionNumber", "InstitutionName", "PatientBirthDate"}
    assert missing & {keyword for *_, keyword in string_tags()} == named  # these have real names


def test_the_patient_is_in_the_dataset(run):
    rows = open_dataset(run[0]).rows
    assert len(rows) == 3
    assert len({row.patient_id for row in rows}) == 1  # by the header, and by the table's MRN
    texts = {row.text_used for row in rows}
    assert any(text.startswith("Small left pleural effusion.") for text in texts)
    assert any(text.endswith("Small nodule.") for text in texts)
    assert all(row.age_band == "40-59" and row.sex == "F" for row in rows)
    codes = {row["code"] for row in read_jsonl(run[0] / "quarantine.jsonl")}
    assert codes == {"truncated", "flat_image", "duplicate"}


def test_no_planted_token_is_in_any_output_file(run, planted):
    out, _ = run
    files = [path for path in out.rglob("*") if path.is_file()]
    assert len(files) > 8
    for path in files:
        name = path.relative_to(out).as_posix()
        assert leaks(planted, name.encode()) == {}, name
        assert leaks(planted, path.read_bytes()) == {}, name
        if path.suffix in (".json", ".jsonl"):  # escapes hide nothing
            text = path.read_text("utf-8").splitlines()
            lines = ["".join(text)] if path.suffix == ".json" else text
            plain = json.dumps([json.loads(line) for line in lines], ensure_ascii=False)
            assert leaks(planted, plain.encode()) == {}, name


def test_pictures_carry_no_text(run):
    for path in run[0].rglob("*.png"):
        with Image.open(path) as image:
            image.load()
            assert image.info == {}, path
            assert not image.getexif(), path


def test_no_planted_token_is_said(run, planted):
    assert "Traceback" not in run[1]
    assert leaks(planted, run[1].encode()) == {}


@pytest.mark.parametrize(
    "value",
    [PATIENT, "QUORRAZYX", "CHEST QUORRAZYX", "MRN 7710042", "ACCN77100", "SAINT ELSEWHERE"],
)
def test_identifiers_in_technical_tags_do_not_come_through(tmp_path, value):
    names = {"PatientName": NAME, "PatientID": PATIENT, "AccessionNumber": ACCESSION}
    names |= {"InstitutionName": "Saint Elsewhere"}
    names |= dict.fromkeys(("Modality", "BodyPartExamined", "ViewPosition"), value)
    names |= dict.fromkeys(("PatientSex", "PatientAge", "BurnedInAnnotation"), value)
    with config.disable_value_validation():
        write_dicom(tmp_path / "source/1.dcm", picture(value), 1, 1, **names)
    (tmp_path / "source/1.txt").write_text("Small nodule.")
    command("prepare", tmp_path / "source", tmp_path / "out", "--size", "32", "--workers", "1")
    for path in (tmp_path / "out").rglob("*"):
        if path.is_file():
            content = path.read_bytes().lower()
            for word in (b"quorrazyx", b"7710042", b"accn77100", b"elsewhere"):
                assert word not in content, path


def test_an_ordinary_description_does_not_hide_the_body_part(tmp_path):
    tags = {"SeriesDescription": "CHEST", "InstitutionName": "CHEST", "BodyPartExamined": "CHEST"}
    write_dicom(tmp_path / "source/1.dcm", picture("chest"), 1, 1, **tags)
    (tmp_path / "source/1.txt").write_text("Small nodule.")
    command("prepare", tmp_path / "source", tmp_path / "out", "--size", "32", "--workers", "1")
    (row,) = read_jsonl(tmp_path / "out/metadata.jsonl")
    assert row["acquisition"]["body_part"] == "CHEST"
