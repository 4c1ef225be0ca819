"""Texts in the space of the images: cut with their end token, and counted."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from dual_encoders import clip_folder, long_text

from synth.errors import SynthError, Unavailable
from synth.extractors.hf_text import cut
from synth.extractors.open import open_extractor
from synth.extractors.open_clip_text import cut as cut_open_clip
from synth.extractors.text_side import Joint, has_text_side, joint

KINDS = ("clip", "siglip", "roberta")
TEXTS = ["There is a small nodule.", "No acute finding.", "There is a small nodule."]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("dual")
    return {kind: clip_folder(root / kind, kind=kind) for kind in KINDS}


def opened(folder: Path) -> Joint:
    text = f"hf:{folder}"
    return joint(open_extractor(text), named=text)


@pytest.mark.parametrize("kind", KINDS)
def test_texts_lie_in_the_space_of_the_images(folders: dict[str, Path], kind: str) -> None:
    both = opened(folders[kind])
    found = both.texts(TEXTS)
    assert found.values.shape == (3, both.images.dim)
    assert found.values.dtype == torch.float32
    assert torch.equal(found.values[0], found.values[2])  # equal texts, equal rows
    assert found.truncated == (False, False, False)
    alone = torch.cat([both.texts([text]).values for text in TEXTS])
    torch.testing.assert_close(alone, found.values, rtol=1e-4, atol=1e-6)


def test_clip_is_equal_to_its_own_class(folders: dict[str, Path]) -> None:
    from transformers import AutoTokenizer, CLIPModel

    folder = folders["clip"]
    model = CLIPModel.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    texts = [*TEXTS, long_text(40)]
    given = tokenizer(texts, padding=True, truncation=True, max_length=16, return_tensors="pt")
    image_u8 = torch.randint(0, 256, (1, 1, 32, 32), dtype=torch.uint8)
    both = opened(folder)
    pixels = both.images.preprocess.network_input(  # type: ignore[attr-defined]
        both.images.preprocess.fit_u8(image_u8)  # type: ignore[attr-defined]
    )
    with torch.no_grad():
        expected = model(**given, pixel_values=pixels)
    words, image = both.texts(texts).values, both.images(image_u8)
    unit = torch.nn.functional.normalize
    torch.testing.assert_close(unit(words, dim=1), expected.text_embeds, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(unit(image, dim=1), expected.image_embeds, rtol=1e-4, atol=1e-5)


def test_siglip_pads_to_its_limit_without_a_mask(folders: dict[str, Path]) -> None:
    from transformers import AutoTokenizer, SiglipModel

    folder = folders["siglip"]
    model = SiglipModel.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(TEXTS, padding="max_length", max_length=16, return_tensors="pt").input_ids
    with torch.no_grad():
        expected = model.get_text_features(input_ids=ids)
    vector = expected if isinstance(expected, torch.Tensor) else expected.pooler_output
    torch.testing.assert_close(opened(folder).texts(TEXTS).values, vector, rtol=1e-4, atol=1e-5)


def test_a_long_text_is_cut_counted_and_keeps_its_end(folders: dict[str, Path]) -> None:
    from transformers import AutoTokenizer

    both, tokenizer = opened(folders["clip"]), AutoTokenizer.from_pretrained(folders["clip"])
    assert both.texts.limit == 16
    tokens = cut(tokenizer, long_text(40), 16)
    assert tokens.truncated
    assert len(tokens.ids) == 16
    assert tokens.ids[0] == tokenizer.bos_token_id
    assert tokens.ids[-1] == tokenizer.eos_token_id
    whole = tokenizer(long_text(40)).input_ids
    assert list(tokens.ids[:-1]) == whole[:15]
    exact = cut(tokenizer, long_text(14), 16)  # 14 tokens, start and end: it just fits
    assert (len(exact.ids), exact.truncated) == (16, False)
    found = both.texts([long_text(40), "nodule", long_text(14), long_text(15)])
    assert found.truncated == (True, False, False, True)
    # What is beyond the limit is not read, and what is before it is.
    same, other = long_text(40), "hernia " + long_text(40)
    rows = both.texts([same, same + " hernia", other]).values
    assert torch.equal(rows[0], rows[1])
    assert not torch.allclose(rows[0], rows[2], atol=1e-4)


def test_positions_that_padding_takes_are_not_read(folders: dict[str, Path]) -> None:
    both = opened(folders["roberta"])  # its first position is after that of padding
    assert both.texts.limit == 15
    assert both.texts([long_text(13), long_text(14)]).truncated == (False, True)


def test_a_tokenizer_that_ends_before_its_content_is_refused() -> None:
    def strange(text: str, *, add_special_tokens: bool, verbose: bool) -> Any:
        content = [ord(letter) for letter in text]
        return SimpleNamespace(input_ids=[*content[::-1], 0] if add_special_tokens else content)

    with pytest.raises(SynthError, match="cannot be cut"):
        cut(strange, "abcdefgh", 4)


def test_the_id_names_weights_limit_and_tokenizer(folders: dict[str, Path], tmp_path: Path) -> None:
    first, again = opened(folders["clip"]), opened(folders["clip"])
    first.texts([long_text(40)])  # what was read does not change what it is
    assert first.ids == again.ids == opened(folders["clip"]).ids
    assert "-text@16-" in first.texts.id
    other = opened(clip_folder(tmp_path / "more", words=("costophrenic",)))
    assert other.texts.id.rpartition("-")[2] != first.texts.id.rpartition("-")[2]


def test_a_model_without_its_tokenizer_is_no_text_side(tmp_path: Path) -> None:
    folder = clip_folder(tmp_path / "bare", tokenizer=False)
    extractor = open_extractor(f"hf:{folder}")  # the images alone need none
    assert has_text_side(extractor)
    with pytest.raises(SynthError, match="texts cannot be read") as caught:
        joint(extractor, named="bare")
    assert "tokenizer.json" in str(caught.value)


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    folder = clip_folder(tmp_path / "small", vocabulary=100)
    with pytest.raises(SynthError, match="texts cannot be read"):
        opened(folder)


def test_an_extractor_of_images_alone_has_none() -> None:
    extractor = open_extractor("pixel")
    assert not has_text_side(extractor)
    with pytest.raises(Unavailable, match="without a text side"):
        joint(extractor, named="pixel", where="here")


class OpenClip(torch.nn.Module):
    """A stand-in for a model of open_clip: images and tokens to three numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.arange(1.0, 4.0))
        self.visual = SimpleNamespace(preprocess_cfg={"size": (20, 20)})

    def encode_image(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels.mean(dim=(2, 3)) * self.weight

    def encode_text(self, ids: torch.Tensor) -> torch.Tensor:
        return torch.stack([ids.float().sum(1), ids.float().mean(1) + 1, ids[:, 1].float()], 1)


class SimpleTokenizer:
    """Letters between a start (1) and an end (2), padded with 0, as open_clip's are."""

    def __init__(self, context_length: int | None = 8, keeps_end: bool = True) -> None:
        self.keeps_end = keeps_end
        if context_length is not None:
            self.context_length = context_length

    def __call__(self, texts: list[str], context_length: int = 77) -> torch.Tensor:
        rows = torch.zeros(len(texts), context_length, dtype=torch.long)
        for row, text in enumerate(texts):
            ids = [1, *(ord(letter) for letter in text), 2]
            if len(ids) > context_length:
                ids = [*ids[: context_length - 1], 2 if self.keeps_end else ids[context_length - 1]]
            rows[row, : len(ids)] = torch.tensor(ids)
        return rows


def open_clip_with(monkeypatch: pytest.MonkeyPatch, tokenizer: Any) -> Joint:
    fake: Any = ModuleType("open_clip")
    fake.create_model_and_transforms = lambda name, pretrained: (OpenClip(), None, None)
    fake.get_tokenizer = lambda name: tokenizer
    fake.OPENAI_DATASET_MEAN, fake.OPENAI_DATASET_STD = (0.5,) * 3, (0.25,) * 3
    monkeypatch.setitem(sys.modules, "open_clip", fake)
    text = "open_clip:local-dir:model"
    return joint(open_extractor(text), named=text)


def test_open_clip_reads_at_its_own_length(monkeypatch: pytest.MonkeyPatch) -> None:
    both = open_clip_with(monkeypatch, SimpleTokenizer(8))
    found = both.texts(["abc", "abcdef", "abcdefg", "abcdefgh" * 9])
    assert found.truncated == (False, False, True, True)  # six letters, start and end: it fits
    assert torch.allclose(found.values.norm(dim=1), torch.ones(4))
    assert both.texts.limit == 8
    assert "-text-unit@8-" in both.texts.id
    longer = open_clip_with(monkeypatch, SimpleTokenizer(256))
    assert longer.texts(["abcdefgh" * 9]).truncated == (False,)
    assert longer.texts.id != both.texts.id


def test_open_clip_that_drops_the_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    both = open_clip_with(monkeypatch, SimpleTokenizer(8, keeps_end=False))
    assert both.texts(["abcdef"]).truncated == (False,)
    with pytest.raises(SynthError, match="lost its end token"):
        both.texts(["abcdefg"])
    with pytest.raises(SynthError, match="lost its end token"):
        cut_open_clip(SimpleTokenizer(8, keeps_end=False), "abcdefg", 8)


def test_open_clip_that_pads_with_its_end_or_drops_words_at_random() -> None:
    class EndsAll(SimpleTokenizer):
        eot_token_id = 2

        def __call__(self, texts: list[str], context_length: int = 77) -> torch.Tensor:
            rows = super().__call__(texts, context_length)
            return torch.where(rows == 0, 2, rows)

    found = [cut_open_clip(EndsAll(8), text, 8) for text in ("abc", "abcdef", "abcdefg")]
    assert [tokens.truncated for tokens in found] == [False, False, True]
    random = SimpleTokenizer(8)
    random.reduction_fn = object()  # type: ignore[attr-defined]
    assert not cut_open_clip(random, "abcdef", 8).truncated
    with pytest.raises(SynthError, match="words out at random"):
        cut_open_clip(random, "abcdefg", 8)


def test_open_clip_without_a_length_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SynthError, match="how many tokens"):
        open_clip_with(monkeypatch, SimpleTokenizer(None))
