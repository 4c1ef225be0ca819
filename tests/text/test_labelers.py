from importlib.metadata import EntryPoint

import pytest

from synth.errors import SynthError, UsageError
from synth.text import Labels, RuleLabeler, labelers


class Always:
    """A plug-in: says that every text has a hernia."""

    def __init__(self, mode: str) -> None:
        self.name = f"always-{mode}"

    def label(self, text: str) -> Labels:
        return Labels({"hernia": 1}, {})


def no_labeler(mode: str) -> int:
    return 3


@pytest.fixture
def plugged(monkeypatch):
    def plug(**entries: str) -> None:
        points = [EntryPoint(name, value, labelers.GROUP) for name, value in entries.items()]
        monkeypatch.setattr(labelers, "entry_points", lambda group: points)

    return plug


def test_the_rules_are_the_default():
    assert labelers.load_labeler() == RuleLabeler()
    assert labelers.load_labeler("rules", "chexpert").name == "rules-v2-chexpert"


def test_a_plug_in_is_found_by_name_and_told_the_mode(plugged):
    plugged(always=f"{__name__}:Always")
    assert labelers.labelers().names() == ("always", "rules")
    made = labelers.load_labeler("always", "chexpert")
    assert made.name == "always-chexpert"
    assert made.label("x").values == {"hernia": 1}


def test_nothing_of_a_plug_in_is_imported_before_its_use(plugged):
    plugged(broken="no_such_module:make")
    assert labelers.load_labeler().name == "rules-v2"
    with pytest.raises(SynthError, match="cannot be imported"):
        labelers.load_labeler("broken")


def test_a_plug_in_cannot_pass_itself_off_as_the_rules(plugged):
    plugged(rules=f"{__name__}:Always")
    assert labelers.load_labeler().name == "rules-v2"


def test_what_is_no_labeler_is_refused(plugged):
    plugged(three=f"{__name__}:no_labeler")
    with pytest.raises(SynthError, match="not a labeller"):
        labelers.load_labeler("three")


def test_an_unknown_name_is_refused():
    with pytest.raises(UsageError, match="Did you mean `rules`"):
        labelers.load_labeler("ruls")
