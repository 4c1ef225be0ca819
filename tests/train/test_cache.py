from __future__ import annotations

import pytest
import torch

from synth.data.cache import TensorCache, cache_latents, cache_texts, latent_key, text_key
from synth.errors import SynthError
from synth.manifest import open_dataset


@pytest.fixture
def calls():
    return []


def encode_images(calls):
    def encode(pixels):
        assert pixels.shape[1:] == (1, 16, 16)
        assert -1 <= pixels.min() < pixels.max() <= 1
        calls.append(len(pixels))
        return {"mean": pixels.mean((1, 2, 3)), "std": pixels.std((1, 2, 3))}

    return encode


def test_latents_are_encoded_once_by_content(tmp_path, tiny_dataset, calls):
    dataset = open_dataset(tiny_dataset)
    options = {"size": 16, "encoder_sha256": "e", "encode": encode_images(calls)}
    rows = [*dataset.rows, dataset.rows[0]]
    keys = cache_latents(TensorCache(tmp_path), dataset, rows, **options)
    assert calls == [16, 8]
    assert keys[0] == keys[-1] == latent_key(rows[0].sha256, "e", 16)
    again = TensorCache(tmp_path)  # from disk
    assert cache_latents(again, dataset, rows, **options) == keys
    assert calls == [16, 8]
    assert again.read(keys[3]).keys() == {"mean", "std"}
    cache_latents(again, dataset, rows[:2], **{**options, "encoder_sha256": "f"})
    assert calls == [16, 8, 2]
    assert len(again) == 26


def test_texts_are_deduplicated_and_keep_their_length(tmp_path, calls):
    def encode(text):
        calls.append(text)
        return {"tokens": torch.arange(len(text) + 1.0)}

    cache = TensorCache(tmp_path)
    keys = cache_texts(cache, ["ab", "", "ab", "abc"], encoder_sha256="t", encode=encode)
    assert calls == ["ab", "", "abc"]
    assert keys[0] == keys[2] == text_key("ab", "t")
    assert [len(TensorCache(tmp_path).read(key)["tokens"]) for key in keys] == [3, 1, 3, 4]


def test_a_killed_run_keeps_whole_shards(tmp_path, monkeypatch, calls):
    monkeypatch.setattr("synth.data.cache.SHARD", 2)
    monkeypatch.setattr("synth.data.cache.BATCH", 1)

    def encode(text):
        if len(calls) == 3:
            raise KeyboardInterrupt
        calls.append(text)
        return {"tokens": torch.zeros(1)}

    with pytest.raises(KeyboardInterrupt):
        cache_texts(TensorCache(tmp_path), list("abcde"), encoder_sha256="t", encode=encode)
    assert len(TensorCache(tmp_path)) == 2


def test_a_damaged_shard_says_what_to_do(tmp_path):
    cache = TensorCache(tmp_path)
    cache.write({"k": {"x": torch.zeros(100)}})
    file = next(tmp_path.glob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(SynthError, match=r"damaged cache file.*made again"):
        TensorCache(tmp_path)
