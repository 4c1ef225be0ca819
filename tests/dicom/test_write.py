from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.sr.codedict import codes

from synth.dicom.read import read_grey
from synth.dicom.write import (
    LONG_TEXT,
    REGIONS,
    SyntheticFacts,
    make_uid,
    patient_id,
    plain_text,
    synthetic_image,
    to_bytes,
)
from synth.errors import UsageError

FACTS = SyntheticFacts(
    name="syn-000001",
    digest="d" * 64,
    text="größe: small nodule\nat the left base",
    derivation="SYNTHETIC: weights aaaa",
    version="0.1.0",
    model="weights aaaa",
    sex="F",
    view="PA",
)
DEEP = np.arange(65536, dtype=np.uint16).reshape(256, 256)
FLAT = np.arange(256, dtype=np.uint8)[:, None].repeat(3, 1)


def written(image=FLAT, facts=FACTS, **options):
    return dcmread(BytesIO(to_bytes(synthetic_image(image, facts, **options))))


@pytest.mark.parametrize("sop_class", ["sc", "dx"])
@pytest.mark.parametrize("image", [FLAT, DEEP, FLAT[:5, :1]], ids=["8 bit", "16 bit", "odd size"])
def test_pixels_come_back_bit_for_bit(image, sop_class, tmp_path):
    found = written(image, sop_class=sop_class)
    assert np.array_equal(found.pixel_array, image)
    assert found.pixel_array.dtype == image.dtype
    assert found.BitsStored == image.dtype.itemsize * 8
    path = tmp_path / "x.dcm"
    path.write_bytes(to_bytes(synthetic_image(image, FACTS, sop_class=sop_class)))
    grey = read_grey(path).grey  # this project's own reader: nothing inverted
    top = np.iinfo(image.dtype).max
    assert np.array_equal(np.rint(grey * top).astype(image.dtype), image)


@pytest.mark.parametrize("sop_class", ["sc", "dx"])
def test_it_says_that_it_is_synthetic(sop_class):
    found = written(sop_class=sop_class)
    assert found[0x0008, 0x001C].value == "YES"
    assert found[0x0008, 0x001C].VR == "CS"
    assert found.ImageType[0] == "DERIVED"
    assert found.PatientName == "SYNTHETIC^SYN-000001"
    assert "SYNTHETIC" in found.SeriesDescription
    assert found.DerivationDescription == FACTS.derivation
    (item,) = found.ContributingEquipmentSequence
    (code,) = item.PurposeOfReferenceCodeSequence
    assert (code.CodeValue, code.CodingSchemeDesignator) == ("109100", "DCM")
    assert item.Manufacturer == "medical-image-synthesis"


def test_secondary_capture_by_default():
    found = written()
    assert found.SOPClassUID.name == "Secondary Capture Image Storage"
    assert (found.Modality, found.ConversionType) == ("OT", "SYN")
    assert found.ImageType[1] == "SECONDARY"


def test_digital_x_ray_on_request():
    found = written(sop_class="dx")
    assert found.SOPClassUID.name == "Digital X-Ray Image Storage - For Presentation"
    assert (found.Modality, found.ViewPosition) == ("DX", "PA")
    assert found.PatientOrientation == ["L", "F"]
    assert found.PresentationLUTShape == "IDENTITY"


def test_digital_x_ray_needs_a_coded_body_part_without_sides():
    with pytest.raises(UsageError, match=r"side.*got HAND"):
        written(facts=replace(FACTS, body_part="HAND"), sop_class="dx")
    (region,) = written(sop_class="dx").AnatomicRegionSequence
    assert (region.CodeValue, region.CodeMeaning) == ("816094009", "Chest")


def test_regions_are_those_of_the_standard():
    """Codes and meanings as pydicom's copy of CID 4009 has them."""
    standard = {
        getattr(codes.cid4009, name).value: getattr(codes.cid4009, name).meaning
        for name in codes.cid4009.dir()
    }
    assert {value: meaning for value, _, meaning in REGIONS.values()}.items() <= standard.items()


@pytest.mark.parametrize("view", ["LATERAL", None])
def test_digital_x_ray_needs_a_known_orientation(view):
    with pytest.raises(UsageError, match=r"orientation.*Secondary Capture"):
        written(facts=replace(FACTS, view=view), sop_class="dx")
    assert written(facts=replace(FACTS, view=view)).PatientOrientation in (None, "")


def test_uids_are_a_function_of_the_content():
    first, again = to_bytes(synthetic_image(FLAT, FACTS)), to_bytes(synthetic_image(FLAT, FACTS))
    assert first == again
    other = written(facts=replace(FACTS, digest="e" * 64))
    one = written()
    for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
        assert getattr(one, keyword) != getattr(other, keyword)
        assert getattr(one, keyword).startswith("2.25.")
        assert getattr(one, keyword).is_valid
    dx, deep = written(sop_class="dx"), written(DEEP)
    assert len({item.SOPInstanceUID for item in (one, dx, deep)}) == 3
    assert len({item.StudyInstanceUID for item in (one, dx, deep)}) == 1


def test_a_uid_by_hand():
    """PS3.5 B.2: the UUID as one decimal number behind 2.25."""
    uid = make_uid("a")
    assert uid == make_uid("a")
    assert 0 < int(uid.removeprefix("2.25.")) < 2**128
    assert len(uid) <= 64
    assert make_uid("ab", "c") != make_uid("a", "bc")


def test_no_identifier_and_no_date_of_today():
    content = to_bytes(synthetic_image(FLAT, FACTS))
    assert content[:128] == bytes(128)
    found = dcmread(BytesIO(content))
    dates = {element.value for element in found.iterall() if element.VR in ("DA", "DT")}
    assert dates == {"20000101", "20000101000000", ""} or dates == {"20000101", "20000101000000"}
    empty = ("PatientBirthDate", "AccessionNumber", "ReferringPhysicianName")
    assert all(not getattr(found, keyword) for keyword in empty)
    assert found.PatientIdentityRemoved == "YES"
    absent = ("InstitutionName", "DeviceSerialNumber", "StationName", "OperatorsName")
    assert all(keyword not in found for keyword in absent)
    assert all(not element.tag.is_private for element in found.iterall())


@pytest.mark.parametrize(
    ("name", "expected"),
    [("syn-000001", "SYN-000001"), ("a", "SYN-A"), ("SYN-7", "SYN-7")],
)
def test_patient_ids(name, expected):
    assert patient_id(name) == expected


@pytest.mark.parametrize("name", ["Doe^Jane", "../x", "a" * 200, "é", "a\\b", "a b"])
def test_patient_ids_are_harmless(name):
    found = patient_id(name)
    assert len(found) <= 64
    assert found.isascii()
    assert not set(found) & set("^\\/. \n")
    assert found != patient_id(name + "x")


def test_the_text_is_a_standard_field():
    assert written().ImageComments == "größe: small nodule\r\nat the left base"


def test_a_long_text_is_cut_and_says_so():
    found = written(facts=replace(FACTS, text="ä" * (LONG_TEXT + 1))).ImageComments
    assert len(found) == LONG_TEXT
    assert found.endswith("…")


def test_control_characters_do_not_get_in():
    assert plain_text("a\x00b\x1b[31mc\nd\te", 100) == "ab[31mc\r\nde"


@pytest.mark.parametrize("sex", ["F", "M", "O", "Unknown", None])
def test_sex(sex):
    assert written(facts=replace(FACTS, sex=sex)).PatientSex == (sex if sex in ("F", "M") else "")


def test_physical_size_is_not_claimed():
    assert "PixelSpacing" not in written()
    assert "PixelSpacing" not in written(sop_class="dx")
