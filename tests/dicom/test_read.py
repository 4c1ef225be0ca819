import random
import zlib
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.filereader import read_file_meta_info
from pydicom.sequence import Sequence

from synth.dicom import DecodeLimits, Unreadable, age_band, read_grey
from synth.dicom.refusal import CODES
from synth.errors import UsageError
from synth.images import grey_to_u8

RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)

READ = {  # file of pydicom -> (shape, voi)
    "CT_small.dcm": ((128, 128), "percentiles 0.5 to 99.5"),
    "MR_small.dcm": ((64, 64), "window LINEAR 600/1600"),
    "MR_small_RLE.dcm": ((64, 64), "window LINEAR 600/1600"),
    "MR_small_bigendian.dcm": ((64, 64), "window LINEAR 600/1600"),
    "MR_small_implicit.dcm": ((64, 64), "window LINEAR 600/1600"),
    "MR_small_padded.dcm": ((64, 64), "window LINEAR 600/1600"),
    "J2K_pixelrep_mismatch.dcm": ((512, 512), "window LINEAR 40/100 (1 of 3)"),
    "image_dfl.dcm": ((512, 512), "full range 0 to 255"),
    "liver_1frame.dcm": ((512, 512), "full range 0 to 1"),
    "SC_rgb_jpeg.dcm": ((256, 256), "none"),  # colour in name only
    "MR_small_jp2klossless.dcm": ((64, 64), "window LINEAR 600/1600"),  # OpenJPEG, a dependency
    "rtdose.dcm": ((10, 10), "percentiles 0.5 to 99.5"),
}
REFUSED = {
    "MR_truncated.dcm": "truncated",
    "rtplan.dcm": "not_an_image",
    "test-SR.dcm": "not_an_image",
    "waveform_ecg.dcm": "not_an_image",
    "badVR.dcm": "bad_header",
    "README.txt": "not_dicom",
    "zipMR.gz": "not_dicom",
    "no_meta.dcm": "not_dicom",
    "SC_rgb_rle_16bit_2frame.dcm": "color_image",
    "SC_ybr_full_422_uncompressed.dcm": "color_image",
    "examples_palette.dcm": "color_image",
    "GDCMJ2K_TextGBR.dcm": "color_image",
}


@pytest.mark.parametrize("name", READ)
def test_pydicoms_files_that_convert(name):
    shape, voi = READ[name]
    image = read_grey(Path(get_testdata_file(name)))
    assert image.grey.shape == shape
    assert image.grey.dtype == np.float32
    assert image.grey.min() >= 0
    assert image.grey.max() <= 1
    assert image.steps["voi"] == voi


@pytest.mark.parametrize("name", REFUSED)
def test_pydicoms_files_that_are_refused(name):
    with pytest.raises(Unreadable) as refusal:
        read_grey(Path(get_testdata_file(name)))
    assert refusal.value.code == REFUSED[name]
    assert "\n" not in str(refusal.value)


def test_compressed_and_native_copies_agree():
    native = read_grey(Path(get_testdata_file("MR_small.dcm"))).grey
    for name in ("MR_small_RLE.dcm", "MR_small_bigendian.dcm", "MR_small_implicit.dcm"):
        np.testing.assert_array_equal(read_grey(Path(get_testdata_file(name))).grey, native)


def test_window_matches_pydicom_on_a_real_header():
    path = Path(get_testdata_file("MR_small.dcm"))
    from pydicom.pixels import apply_voi_lut

    dataset = dcmread(path)
    theirs = apply_voi_lut(dataset.pixel_array, dataset)
    low, high = -(2 ** (dataset.BitsStored - 1)), 2 ** (dataset.BitsStored - 1) - 1
    np.testing.assert_allclose(read_grey(path).grey, (theirs - low) / (high - low), atol=1e-6)


def test_full_range_of_12_bits(write_dicom):
    image = read_grey(write_dicom(RAMP, BitsStored=12, HighBit=11), voi="none")
    np.testing.assert_allclose(image.grey, RAMP / 4095, atol=1e-7)


@pytest.mark.parametrize(
    ("photometric", "shape", "inverted"),
    [
        ("MONOCHROME2", None, False),
        ("MONOCHROME2", "IDENTITY", False),
        ("MONOCHROME1", None, True),
        ("MONOCHROME1", "INVERSE", True),  # one statement, one inversion
        ("MONOCHROME1", "IDENTITY", True),
        ("MONOCHROME2", "INVERSE", True),
    ],
)
def test_polarity_is_applied_once_around_the_range(write_dicom, photometric, shape, inverted):
    tags = {"PresentationLUTShape": shape} if shape else {}
    content = RAMP // 2  # upper half of the range unused: inversion must not depend on the content
    path = write_dicom(
        content, BitsStored=12, HighBit=11, PhotometricInterpretation=photometric, **tags
    )
    image = read_grey(path, voi="none")
    expected = content / 4095
    np.testing.assert_allclose(image.grey, 1 - expected if inverted else expected, atol=1e-6)
    assert image.steps["polarity"].startswith("inverted once" if inverted else "kept")


def test_signed_16_bit_with_rescale(write_dicom):
    stored = np.linspace(-2000, 2000, 4096).astype(np.int16).reshape(64, 64)
    path = write_dicom(
        stored, RescaleSlope=2, RescaleIntercept=-100, WindowCenter=-100, WindowWidth=4001
    )
    image = read_grey(path)
    hounsfield = stored.astype(float) * 2 - 100
    expected = np.clip((hounsfield + 100.5) / 4000 + 0.5, 0, 1)
    np.testing.assert_allclose(image.grey, expected, atol=1e-6)
    assert image.steps["modality"] == "rescale 2 x + -100"


def test_overlay_bits_above_the_stored_ones_are_ignored(write_dicom):
    clean = read_grey(write_dicom(RAMP, BitsStored=12, HighBit=11), voi="none").grey
    dirty = read_grey(write_dicom(RAMP | 0xA000, BitsStored=12, HighBit=11), voi="none").grey
    np.testing.assert_array_equal(clean, dirty)


def _lut(entries, first, bits, vr="OW"):
    item = Dataset()
    item.add_new(0x00283002, "US", [len(entries) % 65536, first, bits])
    item.add_new(0x00283006, vr, entries.tobytes() if vr == "OW" else entries.tolist())
    return Sequence([item])


@pytest.mark.parametrize("kind", ["bytes", "words", "US"])
def test_8_bit_voi_lut_with_4096_entries(write_dicom, kind):
    entries = (np.arange(4096) * 255 // 4095).astype(np.uint8)
    lut = {
        "bytes": lambda: _lut(entries, 0, 8),
        "words": lambda: _lut(entries.astype("<u2"), 0, 8),
        "US": lambda: _lut(entries.astype("<u2"), 0, 8, "US"),
    }[kind]()
    image = read_grey(write_dicom(RAMP, BitsStored=12, HighBit=11, VOILUTSequence=lut))
    got = grey_to_u8(image.grey).ravel()[[0, 100, 255, 256, 2048, 4095]]
    assert got.tolist() == [0, 6, 15, 15, 127, 255]
    assert image.steps["voi"] == "LUT of 4096"


def test_modality_lut(write_dicom):
    lut = _lut((np.arange(4096)[::-1] * 16).astype("<u2"), 0, 16)
    image = read_grey(write_dicom(RAMP, ModalityLUTSequence=lut), voi="none")
    np.testing.assert_allclose(image.grey, RAMP[::-1, ::-1] * 16 / 65535, atol=1e-6)


@pytest.mark.parametrize(
    ("tags", "voi"),
    [
        ({"WindowCenter": 2048, "WindowWidth": 0}, "percentiles 0.5 to 99.5"),
        ({"WindowCenter": 90000, "WindowWidth": 10}, "percentiles 0.5 to 99.5"),
        ({"WindowCenter": 2048}, "percentiles 0.5 to 99.5"),
        (
            {"WindowCenter": [9e5, 2048], "WindowWidth": [1, 1000]},
            "window LINEAR 2048/1000 (2 of 2)",
        ),
        (
            {"WindowCenter": 2048, "WindowWidth": 0.5, "VOILUTFunction": "LINEAR_EXACT"},
            "percentiles 0.5 to 99.5",
        ),
        (
            {"WindowCenter": 2048, "WindowWidth": 900, "VOILUTFunction": "SIGMOID"},
            "window SIGMOID 2048/900",
        ),
    ],
)
def test_windows_that_cannot_be_meant_are_passed_over(write_dicom, tags, voi):
    step = np.where(RAMP < 2048, 0, 4095).astype(np.uint16)
    array = step if tags.get("WindowWidth") == 0.5 else RAMP
    image = read_grey(write_dicom(array, BitsStored=12, HighBit=11, **tags))
    if tags.get("WindowWidth") != 0.5:
        assert image.steps["voi"] == voi
    assert np.ptp(image.grey) > 0.9


def test_flat_image(write_dicom):
    with pytest.raises(Unreadable, match="flat_image"):
        read_grey(write_dicom(np.full((8, 8), 7, np.uint16)))


def test_budget_is_checked_before_decoding(write_dicom):
    with pytest.raises(Unreadable, match="too_large"):
        read_grey(write_dicom(RAMP), limits=DecodeLimits(pixels=4095))
    path = write_dicom(RAMP, Rows=65535, Columns=65535)
    with pytest.raises(Unreadable, match="too_large"):
        read_grey(path)
    path = write_dicom(RAMP, NumberOfFrames=2**31 - 1)
    with pytest.raises(Unreadable, match="too_large"):
        read_grey(path)


def test_deflated_bomb_is_refused_without_inflating_it(write_dicom):
    path = write_dicom(RAMP)
    dataset = dcmread(path)
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
    dataset.save_as(path)
    content = path.read_bytes()
    start = 132 + 12 + read_file_meta_info(path).FileMetaInformationGroupLength
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    bomb = packer.compress(bytes(60_000_000)) + packer.flush()
    path.write_bytes(content[:start] + bomb)
    with pytest.raises(Unreadable, match=r"too_large.*inflates"):
        read_grey(path, limits=DecodeLimits(pixels=1_000_000))


def test_unsupported_syntax_names_itself_and_the_command():
    with pytest.raises(Unreadable) as refusal:
        read_grey(Path(get_testdata_file("SC_rgb_jpeg_gdcm.dcm")))
    assert refusal.value.code == "unsupported_transfer_syntax"
    assert "1.2.840.10008.1.2.4.70" in refusal.value.detail
    assert "pip install" in refusal.value.remedy


@pytest.mark.parametrize(
    ("tags", "code"),
    [
        ({"Rows": 0}, "bad_header"),
        ({"Rows": None}, "bad_header"),
        ({"BitsStored": 20}, "bad_header"),
        ({"PhotometricInterpretation": None}, "bad_header"),
        ({"PhotometricInterpretation": "MONOCHROME9"}, "bad_header"),
        ({"PixelData": None}, "no_pixels"),
        ({"Rows": 65}, "truncated"),
    ],
)
def test_broken_headers(write_dicom, tags, code):
    with pytest.raises(Unreadable) as refusal:
        read_grey(write_dicom(RAMP, **tags))
    assert refusal.value.code == code


def test_other_files(tmp_path):
    cases = {"empty": b"", "prefix": bytes(128) + b"DICM", "text": b"hello" * 99}
    codes = {}
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(Unreadable) as refusal:
            read_grey(tmp_path / name)
        codes[name] = refusal.value.code
    assert codes == {"empty": "truncated", "prefix": "no_pixels", "text": "not_dicom"}
    with pytest.raises(Unreadable, match="io_error"):
        read_grey(tmp_path / "missing.dcm")


def test_every_truncation_is_refused_or_read(write_dicom, tmp_path):
    content = write_dicom(RAMP).read_bytes()
    for length in range(0, 900, 7):
        path = tmp_path / "cut.dcm"
        path.write_bytes(content[:length])
        with pytest.raises(Unreadable):
            read_grey(path)


def test_padding_is_left_out_of_percentiles(write_dicom):
    padded = RAMP.astype(np.int16)
    padded[:20] = -2000
    path = write_dicom(padded, PixelPaddingValue=-2000)
    image = read_grey(path)
    low, high = np.percentile(RAMP[20:], (0.5, 99.5))
    expected = np.clip((padded - low) / (high - low), 0, 1)
    np.testing.assert_allclose(image.grey, expected, atol=1e-6)
    assert image.steps["padding"] == "left out of percentiles"
    everything = read_grey(
        write_dicom(padded, PixelPaddingValue=-2000, PixelPaddingRangeLimit=9999)
    )
    assert everything.steps["padding"] == "none"  # such a header is not believed


def test_high_bit_above_the_stored_bits(write_dicom):
    path = write_dicom(RAMP << 4, BitsStored=12, HighBit=15)
    np.testing.assert_allclose(read_grey(path, voi="none").grey, RAMP / 4095, atol=1e-7)


@pytest.mark.parametrize("frames", [2, 5])
def test_the_middle_frame_is_taken(write_dicom, frames):
    stack = np.stack([RAMP + 7 * index for index in range(frames)])
    path = write_dicom(RAMP, NumberOfFrames=frames, PixelData=stack.tobytes())
    image = read_grey(path, voi="none")
    np.testing.assert_allclose(image.grey, stack[frames // 2] / 65535, atol=1e-7)
    assert image.steps["frame"] == f"{frames // 2 + 1} of {frames}"
    assert "multi_frame" in image.flags


def test_32_bit_pixels(write_dicom):
    array = RAMP.astype(np.uint32) * 1_000_003
    image = read_grey(write_dicom(array), voi="none")
    np.testing.assert_allclose(image.grey, array / (2**32 - 1), atol=1e-7)


def test_floating_point_pixels_are_refused_by_name(write_dicom):
    path = write_dicom(RAMP, PixelData=None, FloatPixelData=bytes(64 * 64 * 4), BitsAllocated=32)
    with pytest.raises(Unreadable, match=r"unsupported_format.*floating-point"):
        read_grey(path)


@pytest.mark.parametrize("uid", ["1.2.840.10008.1.2.4.110", "1.2.840.10008.1.2.4.103", "1.9.9.9"])
def test_transfer_syntaxes_that_nothing_decodes(write_dicom, uid):
    path = write_dicom(RAMP)
    path.write_bytes(_with_syntax(path.read_bytes(), uid))
    with pytest.raises(Unreadable, match=f"unsupported_transfer_syntax.*{uid}"):
        read_grey(path)


def _with_syntax(content, uid, old="1.2.840.10008.1.2.1"):
    """The same file under the name of another transfer syntax; both of its bytes are padded."""
    old, new = old.encode() + b"\0", uid.encode()
    place = content.index(b"UI" + len(old).to_bytes(2, "little") + old)
    new += b"\0" * (len(new) % 2)
    content = (
        content[: place + 2]
        + len(new).to_bytes(2, "little")
        + new
        + content[place + 4 + len(old) :]
    )
    group = content.index(b"\x02\x00\x00\x00UL\x04\x00") + 8
    length = int.from_bytes(content[group : group + 4], "little") + len(new) - len(old)
    return content[:group] + length.to_bytes(4, "little") + content[group + 4 :]


def test_encapsulated_pixels_under_a_native_syntax_are_refused(tmp_path):
    content = Path(get_testdata_file("MR_small_RLE.dcm")).read_bytes()
    path = tmp_path / "x.dcm"
    path.write_bytes(_with_syntax(content, "1.2.840.10008.1.2.1", old="1.2.840.10008.1.2.5"))
    with pytest.raises(Unreadable, match="bad_header: encapsulated"):
        read_grey(path)


def test_unknown_presets_are_usage_errors(write_dicom):
    with pytest.raises(UsageError, match=r"no such preset.*mimic-cxr-jpg"):
        read_grey(write_dicom(RAMP), preset="mimic")
    with pytest.raises(UsageError, match="no such VOI"):
        read_grey(write_dicom(RAMP), voi="always")


def test_mutated_files_are_read_or_refused(tmp_path):
    draw = random.Random(0)
    names = (
        "MR_small.dcm",
        "MR_small_RLE.dcm",
        "SC_rgb_small_odd_jpeg.dcm",
        "examples_palette.dcm",
    )
    contents = [Path(get_testdata_file(name)).read_bytes() for name in names]
    path, outcomes = tmp_path / "mutated.dcm", set()
    for _ in range(400):
        content = bytearray(draw.choice(contents))
        for _ in range(draw.randrange(1, 12)):
            content[draw.randrange(draw.choice((200, 1500, len(content))))] = draw.randrange(256)
        path.write_bytes(content)
        try:
            image = read_grey(path)
            assert np.isfinite(image.grey).all()
            outcomes.add("ok")
        except Unreadable as refusal:
            outcomes.add(refusal.code)
    assert {"ok", "bad_header"} <= outcomes <= {"ok", *CODES}


def test_facts_are_an_allow_list_and_identity_stays_apart(write_dicom):
    path = write_dicom(
        RAMP,
        PatientName="Doe^Jane",
        PatientID="H-123456",
        PatientAge="058Y",
        PatientSex="F",
        PatientBirthDate="19610203",
        AccessionNumber="ACC0009",
        InstitutionName="Saint Elsewhere",
        Manufacturer="Acme",
        StationName="ROOM7",
        StudyDate="20190314",
        ViewPosition="PA",
        ImagerPixelSpacing=[0.15, 0.15],
    )
    image = read_grey(path)
    shown = repr(image.facts) + repr(image.steps)
    for secret in (
        "Doe",
        "Jane",
        "H-123456",
        "1961",
        "ACC0009",
        "Elsewhere",
        "Acme",
        "ROOM7",
        "2019",
    ):
        assert secret not in shown
    assert image.facts["AgeBand"] == "40-59"
    assert image.facts["ViewPosition"] == "PA"
    assert image.facts["ImagerPixelSpacing"] == [0.15, 0.15]
    assert image.identity.accession == "ACC0009"
    assert {"Doe", "Jane", "H-123456", "Saint Elsewhere"} <= set(image.identity.values)
    assert "Jane" not in repr(image)


def test_a_name_in_a_coded_tag_is_dropped(write_dicom):
    image = read_grey(write_dicom(RAMP, BodyPartExamined="CHEST DOE", PatientName="Doe^Jane"))
    assert image.facts["BodyPartExamined"] is None
    image = read_grey(write_dicom(RAMP, BodyPartExamined="CHEST"))
    assert image.facts["BodyPartExamined"] == "CHEST"


@pytest.mark.parametrize(
    ("age", "band"),
    [
        ("058Y", "40-59"),
        ("59", "40-59"),
        ("006M", "0-19"),
        ("080Y", "80+"),
        ("155Y", None),
        ("", None),
    ],
)
def test_age_bands(age, band):
    assert age_band(age) == band


def _person(name):
    """A Person Identification Code Sequence item (PS3.3 10.1) inside a sequence of people."""
    code, person = Dataset(), Dataset()
    code.CodeValue, code.CodeMeaning = "STAFF-8812", name
    person.PersonIdentificationCodeSequence = Sequence([code])
    person.InstitutionName = "Elsewhere Annex"
    return person


def test_identity_has_every_value_of_a_tag_and_those_inside_sequences(write_dicom):
    request = Dataset()
    request.RequestingPhysician = "Okonjo^Abe"
    request.AccessionNumber = "ACC-INNER"
    request.ReasonForTheRequestedProcedure = "cough and fever"
    path = write_dicom(
        RAMP,
        PatientName="LI^WEI",
        OtherPatientNames=["Quimbly^Ann", "Tarrow^Ann"],
        OperatorsName=["Vex, Ida", "Morrow^Lee"],
        PhysiciansOfRecord=["Haldane^Ruth", "Wu^Bo"],
        OtherPatientIDs=["OLD-1234", "OLD-5678"],
        RequestAttributesSequence=Sequence([request]),
        OperatorIdentificationSequence=Sequence([_person("Nell Brandt")]),
    )
    values = set(read_grey(path).identity.values)
    assert {"Quimbly", "Tarrow", "Ann Quimbly", "Vex", "Ida", "Morrow", "Haldane"} <= values
    assert {"OLD-1234", "OLD-5678", "Okonjo", "ACC-INNER", "LI", "Wu", "Bo"} <= values
    assert {"STAFF-8812", "Nell Brandt", "Elsewhere Annex"} <= values
    assert not any(mark in value for value in values for mark in "[]'")
    assert "cough and fever" not in values


def test_a_two_letter_name_does_not_hide_a_view(write_dicom):
    image = read_grey(write_dicom(RAMP, PatientName="PA^Mina", ViewPosition="PA"))
    assert image.facts["ViewPosition"] == "PA"


def test_a_window_of_zero_is_ignored_and_said_to_be(write_dicom):
    path = write_dicom(RAMP, WindowCenter=0, WindowWidth=0)
    assert "window_ignored" in read_grey(path).flags
