from __future__ import annotations

import pytest
import torch

from synth.text import RuleLabeler
from train.batches import Example, _wording
from train.captions import variants

REPORT = (
    "Small left pleural effusion. Heart size is normal. No pneumothorax. "
    "Possible nodule in the right apex. It is 1.5 cm. Possible edema."
)


def test_variants_say_the_same_findings_in_the_reports_own_words():
    made = variants(REPORT, 8)
    assert len(made) == len(set(made)) == 8
    assert REPORT not in made
    words = set(REPORT.replace(".", " ").split())
    labeler = RuleLabeler()
    whole = {n: v for n, v in labeler.label(REPORT).values.items() if v in (1, -1)}
    for text in made:
        assert set(text.replace(".", " ").split()) <= words
        assert "nodule in the right apex. It is 1.5 cm." in text  # what leans stays behind
        said = labeler.label(text).values
        assert {n: v for n, v in said.items() if v in (1, -1)} == whole
    assert any("pneumothorax" not in text for text in made)  # absent findings may go unsaid


def test_variants_are_a_function_of_the_text():
    assert variants(REPORT, 3) == variants(REPORT, 8)[:3]


@pytest.mark.parametrize(
    "text", ["", "Clear lungs.", "no finding", "1.5 cm nodule", "...", "It is."]
)
def test_a_single_sentence_has_none(text):
    assert variants(text, 4) == ()


def test_wordings_take_turns():
    generator = torch.Generator().manual_seed(0)
    example = Example("s", "l", "a", ("b", "c"))
    drawn = [_wording(example, generator) for _ in range(900)]
    assert all(250 < drawn.count(key) < 350 for key in "abc")
    state = generator.get_state()
    assert _wording(Example("s", "l", "a"), generator) == "a"
    assert torch.equal(generator.get_state(), state)  # without variants nothing is drawn
