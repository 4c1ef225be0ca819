from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from synth.data.cache_store import TensorCache
from synth.families import load_family
from synth.manifest import Dataset, open_dataset
from synth.progress import Silent
from train.batches import Example
from train.example_table import ExampleTable
from train.examples import build_examples, cpu_at_once, even_parts

CPU = torch.device("cpu")


class Told(Silent):
    """Remembers the stages."""

    def __init__(self):
        self.stages = []

    def stage(self, text):
        self.stages.append(text)


def build(config, folder):
    told = Told()
    family = load_family(config.model, device=CPU, dtype=torch.float32)
    dataset = open_dataset(config.data.dataset)
    made = build_examples(config, dataset, family, folder=folder, device=CPU, progress=told)
    return made, told.stages


def test_only_what_the_caches_depend_on_encodes_again(tmp_path, make_config):
    cache = tmp_path / "cache"
    first, stages = build(make_config(tmp_path / "run"), cache)
    assert sorted(stages) == ["encoding images", "encoding texts"]
    same = make_config(
        tmp_path / "other",
        batch=2,
        steps=9,
        caption_dropout=0.5,
        min_snr_gamma=5.0,
        optim={"learning_rate": 1e-5},
        ema={"half_life": 0.2},
    )
    again, stages = build(same, cache)
    assert stages == []
    assert again.fingerprint == first.fingerprint
    other = make_config(tmp_path / "other", cache_dtype="fp16")
    assert sorted(build(other, cache)[1]) == ["encoding images", "encoding texts"]


def test_a_text_is_kept_once_and_shared(tmp_path, make_config):
    config, cache = make_config(tmp_path / "run"), tmp_path / "cache"
    made, _ = build(config, cache)
    rows = open_dataset(config.data.dataset).split("train", "val")
    distinct = {row.text_used or row.text for row in rows}
    assert made.prompts == len(distinct)
    assert len(TensorCache(cache / "texts")) == len(distinct) + 1  # and no prompt
    assert len(TensorCache(cache / "latents")) == len({row.sha256 for row in rows})


def test_cached_and_live_draw_the_same_batches(tmp_path, make_config):
    drawn = {}
    for cached in (True, False):
        made, stages = build(make_config(tmp_path / "run", cached=cached), tmp_path / f"{cached}")
        assert bool(stages) == cached
        assert (tmp_path / f"{cached}").exists() == cached
        drawn[cached] = made.batches.draw([(made.train[i], 7 + i) for i in (5, 0, 3, 4)])
    one, other = drawn[True], drawn[False]
    torch.testing.assert_close(one.x0, other.x0, atol=1e-4, rtol=0)
    torch.testing.assert_close(one.cond.tokens, other.cond.tokens, atol=1e-5, rtol=0)
    assert torch.equal(one.noise, other.noise)
    assert torch.equal(one.times, other.times)


def test_a_dataset_without_a_validation_split_trains(tmp_path, make_config):
    config = make_config(tmp_path / "run")
    dataset = open_dataset(config.data.dataset)
    only = Dataset(dataset.folder, dataset.info, dataset.split("train"))
    family = load_family(config.model, device=CPU, dtype=torch.float32)
    options = {"folder": tmp_path / "cache", "device": CPU, "progress": Silent()}
    made = build_examples(config, only, family, **options)
    assert (len(made.train), len(made.val)) == (len(only.rows), 0)


def test_a_table_gives_back_every_example():
    examples = [
        Example(f"id{i}", f"{i:032x}", f"{i % 3:032x}", (f"{i % 2:032x}",), (i % 4, -1))
        for i in range(20)
    ]
    table = ExampleTable(iter(examples))
    assert list(table) == examples
    assert table[3:9:2] == tuple(examples[3:9:2])
    assert table[-1] == examples[-1]
    with pytest.raises(IndexError):
        table[20]
    assert list(ExampleTable(iter(()))) == []


@pytest.mark.parametrize("count", range(2, 34))
def test_parts_are_even_bounded_and_never_of_one(count):
    parts = even_parts(torch.arange(count), 3)
    assert torch.equal(torch.cat(parts), torch.arange(count))
    assert {len(part) for part in parts} <= {2, 3}


def test_what_a_cpu_encodes_at_once():
    assert [cpu_at_once(size, 16) for size in (32, 64, 128, 256)] == [16, 12, 3, 3]
    assert cpu_at_once(1024, 1) == 1
    assert cpu_at_once(512, 2) == 2


TABLE = """
import sys, tracemalloc
from train.batches import Example
from train.example_table import ExampleTable
tracemalloc.start()
count = int(sys.argv[1])
table = ExampleTable(
    Example(f"patient{i:06d}-0", f"{i:032x}", f"{i // 2:032x}", (), (0, 1, -1))
    for i in range(count)
)
assert table[count - 1].latent_key == f"{count - 1:032x}"
print(tracemalloc.get_traced_memory()[0] // count)
"""


def test_an_example_takes_a_few_hundred_bytes():
    """240,000 of them are tens of megabytes; the tensors stay on disk."""
    run = subprocess.run(
        [sys.executable, "-c", TABLE, "20000"],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert int(run.stdout) < 320
