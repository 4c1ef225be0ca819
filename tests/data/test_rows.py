import hashlib
from pathlib import Path

import pytest

from synth.data.convert import Converted
from synth.data.importers.base import Record
from synth.data.inputs import Input
from synth.data.pseudonyms import Pseudonyms
from synth.data.rows import TextOptions, make_row, parse_label, patient_of, report_id
from synth.dicom import Identity, Unreadable
from synth.text import RuleLabeler

OPTIONS = TextOptions(("impression", "findings", "full"), True, RuleLabeler())
PSEUDONYMS = Pseudonyms(b"k" * 32)


NOBODY = Identity()


def image(name: str = "a/b.png", identity: Identity = NOBODY, **facts) -> Converted:
    item = Input(Path(name), name, "raster")
    flags = ("view_unknown", "excess_bytes")
    return Converted(item, None, b"png", facts, {"voi": "none"}, identity, flags, "0f" * 32)


def row(record: Record, converted: Converted | None = None, options: TextOptions = OPTIONS):
    return make_row(
        converted or image(),
        record,
        sample_id="0123456789abcdef",
        pseudonyms=PSEUDONYMS,
        options=options,
        size=8,
        allow_empty=True,
    )


def test_everything_known_of_an_image_is_in_its_row():
    made = row(
        Record(
            "t.csv:2",
            frozenset((("file", "a/b.png"),)),
            "IMPRESSION: Small left pleural effusion.",
            {"patient": "12", "view": "LATERAL", "sex": "Female", "age": "061Y", "split": "val"},
            {"nodule": "1", "edema": "", "pleural_effusion": "-1"},
            "physician",
            source="padchest",
        )
    )
    assert made["flags"] == ["excess_bytes", "view_unknown"]
    assert made["phash"] == "0f" * 32
    assert made["sha256"] == hashlib.sha256(b"png").hexdigest()
    assert made["attributes"]["pleural_effusion"] == {"side": "left", "severity": "small"}
    assert (made["view"], made["sex"], made["age_band"]) == ("LATERAL", "F", "60-79")
    assert (made["source"], made["official_split"]) == ("padchest", "val")
    assert made["label_source"] == f"{OPTIONS.labeler.name}+physician"
    assert (made["labels"]["nodule"], made["labels"]["pleural_effusion"]) == (1, -1)
    assert "text_raw" not in made


def test_without_any_record_the_source_is_the_folder():
    made = row(Record(""))
    assert made["source"] == "folder"
    assert made["official_split"] is None
    assert made["attributes"] is None
    assert made["label_source"] == ""
    assert row(Record("", fields={"split": "validate"}))["official_split"] is None


def test_the_report_as_written_is_kept_only_if_asked_for():
    record = Record("", text="Seen by Dr. Fenwick on 03/14/2019. Small nodule.")
    assert "Fenwick" not in str(row(record))
    keeping = TextOptions(OPTIONS.policy, True, OPTIONS.labeler, keep_raw=True)
    assert row(record, options=keeping)["text_raw"] == record.text
    assert "Fenwick" not in row(record, options=keeping)["text"]


def test_warnings_about_the_text_become_flags():
    assert "phi_suspected" in row(Record("", text="MRN: 1234567. Small nodule."))["flags"]


@pytest.mark.parametrize(
    ("fields", "text", "expected"),
    [
        ({"language": "ES"}, "Nodulo pulmonar.", "es"),
        ({"language": "Spanish, I think"}, "Small nodule.", None),
        ({}, "Small nodule in the left lung.", None),
        ({}, "Die Lunge ist frei. Kein Erguss und kein Pneumothorax, das Herz ist normal.", "de"),
    ],
)
def test_language(fields, text, expected):
    assert row(Record("", text=text, fields=fields))["language"] == expected


def test_identifiers_of_the_table_are_taken_out_of_the_report():
    record = Record(
        "",
        frozenset((("accession", "zq-81"), ("study", "st#99x"), ("file", "small"))),
        "Quorra Zyx (hn/4711-b), ZQ-81, ST#99x: small nodule. ZYX, Quorra moved.",
        {"patient": "HN/4711-b", "name": "Zyx^Quorra"},
    )
    text = row(record)["text"]
    assert "mall nodule" in text
    for word in ("quorra", "zyx", "4711", "zq-81", "99x"):
        assert word not in text.lower()


@pytest.mark.parametrize(
    ("identity", "fields", "name", "expected"),
    [
        (Identity(patient="D"), {"patient": "T"}, "p10000032/x.png", "D"),
        (Identity(), {"patient": "T"}, "p10000032/x.png", "T"),
        (Identity(), {}, "p10/P10000032/s5/x.png", "10000032"),
        (Identity(), {}, "train/patient00042/study1/x.png", "patient00042"),
        (Identity(study="1.2"), {}, "any/x.png", "study:1.2"),
        (Identity(), {"study": "S9"}, "any/x.png", "study:S9"),
        (Identity(), {}, "any/x.png", "study:any/x.png"),
    ],
)
def test_the_patient_of_an_image(identity, fields, name, expected):
    assert patient_of(image(name, identity), Record("", fields=fields)) == expected


@pytest.mark.parametrize(
    ("keys", "together"),
    [
        ({("accession", "a1")}, True),
        ({("study", "s1"), ("file", "x")}, True),
        ({("text", "folder/a1"), ("text", "a1")}, True),
        ({("file", "x")}, False),
    ],
)
def test_images_of_one_report_are_one_study_and_one_patient(keys, together):
    record = Record("", frozenset(keys), "Small nodule.")
    first, second = (row(record, image(f"a1/{name}.png")) for name in "ab")
    assert (first["study_id"] == second["study_id"]) is together
    assert (first["patient_id"] == second["patient_id"]) is together


def test_a_changed_label_or_labeller_changes_the_id_of_a_report():
    record = Record("t:1", frozenset(), "x", labels={"nodule": "1"})
    ids = {
        report_id(PSEUDONYMS, record),
        report_id(PSEUDONYMS, Record("t:9", frozenset(), "x", labels={"nodule": "1"})),
        report_id(PSEUDONYMS, Record("t:1", frozenset(), "x", labels={"nodule": "0"})),
        report_id(PSEUDONYMS, Record("t:1", frozenset(), "x", {}, {"nodule": "1"}, "rnn")),
    }
    assert len(ids) == 3  # where it stands does not count


def test_a_bad_label_is_not_quoted():
    with pytest.raises(Unreadable) as caught:
        parse_label("nodule", "Jane Doe")
    assert caught.value.code == "bad_label"
    assert "nodule" in caught.value.detail
    assert "Jane" not in f"{caught.value.detail} {caught.value.remedy}"
