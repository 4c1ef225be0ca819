import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from synth.errors import SynthError
from synth.extractors.store import FeatureStore, StoreFacts
from synth.manifest import sha256_text

FACTS = StoreFacts("net-0123@32", "ab" * 32, "padded", "white 65535", 4)


def some(names: str, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {sha256_text(name): rng.normal(size=4).astype(np.float32) for name in names}


def test_rows_come_back_in_any_order_and_survive(tmp_path):
    first, second = some("abc"), some("de", seed=1)
    store = FeatureStore(tmp_path, FACTS)
    store.add(first)
    store.add(second)
    everything = first | second
    again = FeatureStore(tmp_path, FACTS)
    keys = [*reversed(everything), next(iter(first))]
    np.testing.assert_array_equal(again.rows(keys), np.stack([everything[key] for key in keys]))
    assert len(again) == 5
    assert again.missing([sha256_text("z"), *keys, sha256_text("z")]) == [sha256_text("z")]


def test_rows_are_mapped_not_loaded(tmp_path):
    store = FeatureStore(tmp_path, FACTS)
    store.add(some("abc"))
    assert all(isinstance(rows, np.memmap) for rows in store._rows)


def test_what_is_there_stays(tmp_path):
    store = FeatureStore(tmp_path, FACTS)
    store.add(some("a"))
    store.add(some("ab", seed=5))
    np.testing.assert_array_equal(store.rows([sha256_text("a")])[0], some("a")[sha256_text("a")])
    assert len(store) == 2
    files = sorted(path.name for path in store.folder.iterdir())
    store.add(some("ab"))  # nothing new: nothing written
    assert files == sorted(path.name for path in store.folder.iterdir())


def test_merging_shards_equals_one_pass(tmp_path):
    one, two, whole = (FeatureStore(tmp_path / name, FACTS) for name in ("1", "2", "3"))
    one.add(some("abc"))
    two.add(some("abcd"))
    whole.add(some("abcd"))
    assert one.merge(two) == 1
    keys = list(some("abcd"))
    np.testing.assert_array_equal(one.rows(keys), whole.rows(keys))


def test_another_process_is_seen_after_a_refresh(tmp_path):
    reader, writer = FeatureStore(tmp_path, FACTS), FeatureStore(tmp_path, FACTS)
    writer.add(some("a"))
    assert len(reader) == 0
    reader.refresh()
    assert len(reader) == 1


def test_rows_without_keys_do_not_count(tmp_path):
    store = FeatureStore(tmp_path, FACTS)
    store.add(some("abc"))
    for path in store.folder.glob("*.keys"):  # killed between the two files
        path.unlink()
    assert len(FeatureStore(tmp_path, FACTS)) == 0


def test_extractors_lie_apart_and_do_not_mix(tmp_path):
    store = FeatureStore(tmp_path, FACTS)
    store.add(some("abc"))
    for other in (
        replace(FACTS, reading="white 4095"),
        replace(FACTS, weights_sha256="cd" * 32),
        replace(FACTS, preprocessing="squashed"),
    ):
        apart = FeatureStore(tmp_path, other)
        assert len(apart) == 0
        with pytest.raises(SynthError, match="different extractors"):
            apart.merge(store)


def test_a_renamed_or_damaged_store_is_refused(tmp_path):
    store = FeatureStore(tmp_path, FACTS)
    store.add(some("abc"))
    facts: Path = store.folder / "facts.json"
    facts.write_text(json.dumps(json.loads(facts.read_text()) | {"dim": 5}))
    with pytest.raises(SynthError, match="dim 5 instead of 4"):
        FeatureStore(tmp_path, FACTS)
    facts.write_text("{")
    with pytest.raises(SynthError, match="damaged"):
        FeatureStore(tmp_path, FACTS)
    facts.unlink()
    next(store.folder.glob("*.npy")).write_bytes(b"\x93NUMPY")
    with pytest.raises(SynthError, match="damaged"):
        FeatureStore(tmp_path, FACTS)


def test_wrong_rows_and_absent_images_are_refused(tmp_path):
    store = FeatureStore(tmp_path, FACTS)
    with pytest.raises(SynthError, match="another length"):
        store.add({sha256_text("a"): np.zeros(5, np.float32)})
    with pytest.raises(SynthError, match="without features"):
        store.rows([sha256_text("a")])
