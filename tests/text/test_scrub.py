import time

import pytest

from synth.text import scrub


@pytest.mark.parametrize(
    ("text", "clean", "rule"),
    [
        ("Seen on ___ again.", "Seen on again.", "underscore_mark"),
        ("XXXX opacity in the XXXX lung.", " opacity in the lung.", "x_mark"),
        ("Compared to [**2101-3-4**].", "Compared to.", "bracket_mark"),
        ("Radiograph of 2019-03-14.", "Radiograph of.", "date"),
        ("Compared to 03/14/2019.", "Compared to.", "date"),
        ("Read 14 March 2019.", "Read.", "date"),
        ("Read March 14, 2019.", "Read.", "date"),
        ("Called at 10:45 AM.", "Called at.", "time"),
        ("Call (555) 123-4567 now.", "Call now.", "phone"),
        ("Phone 555-0142.", ".", "phone"),
        ("MRN 12345.", ".", "record_number"),
        ("Number 0012345678 here.", "Number here.", "long_number"),
        ("Told Dr. Jane Smith of it.", "Told the physician of it.", "physician_name"),
        ("Mrs. O'Brien coughs.", "the patient coughs.", "person_name"),
        ("95-year-old woman.", "over 89-year-old woman.", "age_over_89"),
        ("Dictated by John Doe, MD\nEnd.", "\nEnd.", "signature"),
        ("Patient name: DOE, JANE\nClear.", "\nClear.", "header_field"),
        ("Write to a.b@c.org.", "Write to.", "email_or_url"),
    ],
)
def test_identifiers_go(text, clean, rule):
    scrubbed = scrub(text)
    assert scrubbed.text == clean
    assert scrubbed.counts[rule] == 1 or rule == "x_mark"


@pytest.mark.parametrize(
    "text",
    [
        "A 2.3 cm nodule, previously 1.5 cm, at T4/5.",
        "Fractures of ribs 6, 7 and 8.",
        "The tube tip lies 4 cm above the carina.",
        "A 75-year-old man. Two thirds (2/3) of the hemithorax.",
        "Dr. is a title; drainage continues.",
    ],
)
def test_clinical_numbers_and_words_stay(text):
    assert scrub(text).text == text
    assert scrub(text).counts == {}


def test_known_identifiers_go_as_whole_words_in_any_case():
    scrubbed = scrub("percival has a nodule; PERCIVALS stay.", known=["Percival", "xy"])
    assert scrubbed.text == " has a nodule; PERCIVALS stay."
    assert scrubbed.counts == {"known_identifier": 1}


def test_counts_add_up_over_rules_of_one_name():
    assert scrub("___ and ____ on 01/02/2003 and 2003-01-02").counts == {
        "underscore_mark": 2,
        "date": 2,
    }


def test_hostile_text_is_read_in_linear_time():
    start = time.perf_counter()
    for text in ("1" * 20_000 + "x", "1-" * 10_000 + "x", "A" * 20_000, "( " * 10_000):
        scrub(text)
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize(
    ("name", "text", "clean"),
    [
        ("LI", "Seen by Li and LI; li stays, Lithium too.", "Seen by and; li stays, Lithium too."),
        ("Wu", "Discussed with Wu.", "Discussed with."),
        ("No", "No edema. NO change.", "No edema. NO change."),  # a word of every report
        ("AN", "An opacity in an apex.", "An opacity in an apex."),
        ("NG", "NG tube, told Ng.", "NG tube, told."),  # an abbreviation: only as a name
        ("p1", "Grade p1.", "Grade p1."),
    ],
)
def test_two_letter_names_are_matched_by_case(name, text, clean):
    assert scrub(text, known=[name]).text == clean
