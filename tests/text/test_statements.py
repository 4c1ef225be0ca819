import pytest

from synth.text import RuleLabeler
from synth.text.statements import ended, sentence_groups, stated


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        ("", []),
        ("One.", ["One."]),
        (
            "Small effusion. It is new. No edema.",
            ["Small effusion. It is new.", "No edema."],
        ),
        ("A 1.5 cm nodule. Heart normal", ["A 1.5 cm nodule.", "Heart normal"]),
        ("Edema; no effusion", ["Edema;", "no effusion"]),
        ("It is small. And round.", ["It is small. And round."]),
        ("Items follow. Itemised.", ["Items follow.", "Itemised."]),
    ],
)
def test_sentences_that_lean_stay_behind_the_one_before(text, groups):
    assert sentence_groups(text) == groups


def test_nothing_of_a_text_is_lost():
    text = "Mass of 2.3 cm. This is new! Is it edema? No; not at all."
    assert " ".join(sentence_groups(text)) == text


def test_stated_is_what_is_present_or_possible():
    labels = {"mass": 1, "edema": -1, "hernia": 0, "nodule": None, "no_finding": 1}
    assert stated(labels) == {("mass", 1), ("edema", -1)}
    assert stated(labels, (0,)) == {("hernia", 0)}
    read = RuleLabeler().label("Hernia. No edema. Possible mass.").values
    assert stated(read) == {("hernia", 1), ("mass", -1)}


def test_a_sentence_gets_its_full_stop_once():
    assert [ended(s) for s in ("a", "a.", "a;", "a?")] == ["a.", "a.", "a;", "a?"]
