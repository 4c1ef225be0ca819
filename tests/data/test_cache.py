from __future__ import annotations

import shutil

import pytest
import torch

from synth.data.cache import cache_latents, cache_texts, encoded_at_once, latent_key, text_key
from synth.data.cache_store import TensorCache
from synth.errors import SynthError
from synth.manifest import Dataset, open_dataset, sha256_file


@pytest.fixture
def calls():
    return []


def encode_images(calls):
    def encode(pixels):
        assert pixels.shape[1:] == (1, 16, 16)
        assert -1 <= pixels.min() < pixels.max() <= 1
        calls.append(len(pixels))
        return {"mean": pixels[:, 0], "std": pixels[:, 0].abs()}

    return encode


def encode_text(calls):
    def encode(text):
        calls.append(text)
        return {"tokens": torch.arange(len(text) + 1.0)[:, None], "pooled": torch.ones(2)}

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
    read = [again.read(key) for key in keys]
    assert all(entry.keys() == {"mean", "std"} for entry in read)
    assert all(torch.equal(entry["std"], entry["mean"].abs()) for entry in read)
    assert len({entry["mean"].numpy().tobytes() for entry in read}) == 24
    cache_latents(again, dataset, rows[:2], **{**options, "encoder_sha256": "f"})
    assert calls == [16, 8, 2]
    assert len(again) == 26


def test_texts_are_deduplicated_and_keep_their_length(tmp_path, calls):
    cache, encode = TensorCache(tmp_path), encode_text(calls)
    keys = cache_texts(cache, ["ab", "", "ab", "abc"], encoder_sha256="t", encode=encode)
    assert calls == ["ab", "", "abc"]
    assert keys[0] == keys[2] == text_key("ab", "t")
    for key, length in zip(keys, (3, 1, 3, 4), strict=True):
        entry = TensorCache(tmp_path).read(key)
        assert torch.equal(entry["tokens"], torch.arange(float(length))[:, None])
        assert torch.equal(entry["pooled"], torch.ones(2))


def test_a_key_holds_what_the_entry_depends_on_and_nothing_else():
    keys = [
        latent_key("a", "e", 16),
        latent_key("b", "e", 16),
        latent_key("a", "f", 16),
        latent_key("a", "e", 32),
        latent_key("a", "e", 16, "fp16"),
        text_key("a", "e"),
        text_key("b", "e"),
        text_key("a", "f"),
        text_key("a", "e", "fp16"),
    ]
    assert len({*keys}) == len(keys)
    assert all(len(bytes.fromhex(key)) == 16 for key in keys)
    # Caches made before must be found: these are not to change.
    assert keys[0] == "52f8943c7c9593e4293df56245ce9107"
    assert keys[5] == "09b9f38d7dba7c3ddc2dc2ef3d42f4ce"


def test_a_changed_image_is_encoded_again_and_one_that_is_not_the_named_is_refused(
    tmp_path, tiny_dataset, calls
):
    folder = tmp_path / "data"
    shutil.copytree(tiny_dataset, folder)
    dataset = open_dataset(folder)
    rows = dataset.rows[:4]
    options = {"size": 16, "encoder_sha256": "e", "encode": encode_images(calls)}
    cache = TensorCache(tmp_path / "cache")
    before = cache_latents(cache, dataset, rows, **options)
    shutil.copy(dataset.path(dataset.rows[5]), dataset.path(rows[1]))
    assert cache_latents(cache, dataset, rows, **options) == before  # what the table names is kept
    with pytest.raises(SynthError, match=r"not the one in metadata.jsonl"):
        cache_latents(TensorCache(tmp_path / "other"), dataset, rows, **options)
    new = rows[1].model_copy(update={"sha256": sha256_file(dataset.path(rows[1]))})
    after = cache_latents(cache, dataset, [rows[0], new, *rows[2:]], **options)
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False, True, True]
    assert calls == [4, 1]
    unnamed = Dataset(
        folder, dataset.info, tuple(r.model_copy(update={"sha256": ""}) for r in rows)
    )
    assert cache_latents(cache, unnamed, unnamed.rows, **options) == after  # hashed when not named
    assert calls == [4, 1]


def test_an_unreadable_image_ends_the_work_and_leaves_no_thread_or_claim(
    tmp_path, tiny_dataset, calls
):
    folder = tmp_path / "data"
    shutil.copytree(tiny_dataset, folder)
    dataset = open_dataset(folder)
    dataset.path(dataset.rows[20]).write_bytes(b"no image")
    options = {"size": 16, "encoder_sha256": "e", "encode": encode_images(calls)}
    cache = TensorCache(tmp_path / "cache")
    with pytest.raises(SynthError, match="not a readable image"):
        cache_latents(cache, dataset, dataset.rows, **options)
    assert not list((tmp_path / "cache").glob(".*"))
    shutil.copytree(tiny_dataset, folder, dirs_exist_ok=True)
    cache_latents(cache, dataset, dataset.rows, **options)
    assert len(cache) == 24


def test_half_precision_halves_the_disk_and_refuses_what_does_not_fit(tmp_path, tiny_dataset):
    dataset = open_dataset(tiny_dataset)
    options = {"size": 16, "encoder_sha256": "e", "encode": encode_images([])}
    sizes = {}
    for dtype in ("fp32", "fp16"):
        cache = TensorCache(tmp_path / dtype)
        keys = cache_latents(cache, dataset, dataset.rows, **options, dtype=dtype)
        sizes[dtype] = sum(p.stat().st_size for p in cache.folder.glob("*.safetensors"))
        sizes[dtype + " tensors"] = 24 * sum(t.nbytes for t in cache.read(keys[0]).values())
        assert sizes[dtype] - sizes[dtype + " tensors"] < 24 * 24 + 1024  # keys, checks, header
    assert sizes["fp16 tensors"] * 2 == sizes["fp32 tensors"] == 24 * 2 * 16 * 16 * 4
    with pytest.raises(SynthError, match=r"does not fit in half precision \(got 70000.0"):
        cache_texts(
            TensorCache(tmp_path / "big"),
            ["a"],
            encoder_sha256="t",
            encode=lambda text: {"tokens": torch.full((1, 2), 7e4)},
            dtype="fp16",
        )


@pytest.mark.parametrize(
    ("size", "images"), [(32, 16), (128, 16), (256, 16), (512, 4), (1024, 1), (4096, 1)]
)
def test_large_images_are_encoded_in_smaller_batches(size, images):
    assert encoded_at_once(size) == images
