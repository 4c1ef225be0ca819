from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from metrics.report_training import training
from synth.families import load_family
from synth.manifest import open_dataset, read_jsonl
from synth.progress import Silent
from train import preview
from train.batches import BatchMaker
from train.examples import build_examples
from train.loop import batch_loss
from train.preview import Preview, choose_previews, validation_losses, write_preview
from train.run import fine_tune

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def rows(tiny_dataset):
    return open_dataset(tiny_dataset).split("train")


def test_every_finding_has_its_own_preview(rows):
    chosen = choose_previews(rows)
    assert len({p.prompt for p in chosen}) == len(chosen) <= preview.PREVIEWS
    by_id = {row.sample_id: row for row in rows}
    for finding in ("cardiomegaly", "hernia", "nodule"):
        (one, *_) = [p for p in chosen if p.findings == (finding,)]  # alone: the clearest there is
        assert finding in one.prompt
        assert by_id[one.sample_id].labels[finding] == 1


def test_more_findings_than_previews_are_all_shown(rows):
    def row(i, finding):
        return rows[0].model_copy(
            update={"sample_id": f"x{i}", "text_used": f"text {i}", "labels": {finding: 1}}
        )

    many = [row(i, f"finding-{i % 14}") for i in range(70)]
    chosen = choose_previews(many)
    assert {p.findings for p in chosen} == {(f"finding-{i}",) for i in range(14)}
    few = choose_previews([row(i, "one") for i in range(70)])
    assert len(few) == preview.PREVIEWS
    assert len(choose_previews([row(i, f"f{i}") for i in range(70)])) == preview.MOST_PREVIEWS


def test_prompts_of_the_user_are_taken_as_they_are(rows):
    chosen = choose_previews(rows, ["b", "a"], ["view", "sex"])
    assert chosen == (Preview("b", facts=(-1, -1)), Preview("a", facts=(-1, -1)))
    first, *_ = choose_previews(rows, (), ["view", "sex"])
    (row,) = [row for row in rows if row.sample_id == first.sample_id]
    assert (("PA", "AP")[first.facts[0]], ("F", "M")[first.facts[1]]) == (row.view, row.sex)


def test_the_file_beside_names_what_each_image_shows(tiny_pipeline, make_config, rows, tmp_path):
    config = make_config(tmp_path)
    family = load_family(config.model, device=CPU, dtype=torch.float32)
    chosen = choose_previews(rows)[:5]

    def write(name, previews):
        path = tmp_path / name
        write_preview(family, previews, path, settings=config.sample, seed=3, size=32)
        return np.asarray(Image.open(path)), json.loads(path.with_suffix(".json").read_text())

    image, facts = write("0.png", chosen)
    assert image.shape == (2 * 32 + 2, 4 * 32 + 3 * 2)  # a row of four and a row of one
    assert facts["columns"] == 4
    assert [one["prompt"] for one in facts["images"]] == [p.prompt for p in chosen]
    assert [tuple(one["findings"]) for one in facts["images"]] == [p.findings for p in chosen]
    assert [one["sample_id"] for one in facts["images"]] == [p.sample_id for p in chosen]
    again, same = write("8.png", chosen)
    assert same == facts  # the same seeds
    np.testing.assert_array_equal(again, image)


def test_previews_have_the_conditions_of_their_rows(rows, make_config, tmp_path):
    config = make_config(tmp_path, model={"conditions": ["view"]})
    family = load_family(config.model, device=CPU, dtype=torch.float32)
    for _, parameter in family.trainable():
        if parameter.shape[0] == 3:  # of the three views
            parameter.data.normal_(generator=torch.Generator().manual_seed(1))
    one = choose_previews(rows, (), ["view"])[0]

    def image(name, **change):
        path = tmp_path / name
        previews = [replace(one, **change)]
        write_preview(family, previews, path, settings=config.sample, seed=3, size=32)
        return np.asarray(Image.open(path)).astype(int)

    assert abs(image("a.png", facts=(0,)) - image("b.png", facts=(1,))).max() > 0


class Setup:
    def __init__(self, config, folder) -> None:
        self.dataset = open_dataset(config.data.dataset)
        self.family = load_family(config.model, device=CPU, dtype=torch.float32)
        examples = build_examples(
            config, self.dataset, self.family, folder=folder, device=CPU, progress=Silent()
        )
        self.examples, self.batches = list(examples.train), examples.batches
        self.labels = {row.sample_id: row.labels for row in self.dataset.split("train")}

    def losses(self, **options):
        return validation_losses(self.family, self.examples, self.batches, batch=8, **options)


@pytest.fixture
def setup(make_config, tmp_path):
    return Setup(make_config(tmp_path), tmp_path / "cache")


def by_hand(setup: Setup, batches: BatchMaker, chosen) -> dict[str, float]:
    found = {}
    for i, example in enumerate(chosen):
        times = [(k + (i + 0.5) / len(chosen)) / 4 for k in range(4)]
        batch = batches.fixed([(example, time) for time in times])
        with torch.no_grad():
            found[example.sample_id] = float(batch_loss(setup.family, batch, None).mean())
    return found


def test_loss_by_finding_is_the_mean_over_its_images(setup):
    found = setup.losses(labels=setup.labels)
    of_image = by_hand(setup, setup.batches, setup.examples)
    assert found.loss == pytest.approx(sum(of_image.values()) / len(of_image), rel=1e-5)
    for finding, (loss, n) in found.by_finding.items():
        mine = [of_image[i] for i, labels in setup.labels.items() if labels[finding] == 1]
        assert n == len(mine)
        assert loss == pytest.approx(sum(mine) / n, rel=1e-5)
    assert list(found.by_finding) == ["cardiomegaly", "hernia", "nodule"]
    assert setup.losses().by_finding == {}


def test_a_rare_finding_is_looked_for_beyond_the_first_images(setup, monkeypatch):
    monkeypatch.setattr(preview, "VALIDATION_IMAGES", 2)
    monkeypatch.setattr(preview, "FINDING_IMAGES", 2)
    plain, found = setup.losses(), setup.losses(labels=setup.labels)
    assert found.loss == plain.loss  # bit for bit: the further images do not enter it
    counts = {name: n for name, (_, n) in found.by_finding.items()}
    present = {
        name: sum(labels[name] == 1 for labels in setup.labels.values())
        for name in ("cardiomegaly", "hernia", "nodule")
    }
    assert all(counts[name] >= min(2, present[name]) for name in present)
    assert sum(counts.values()) < sum(present.values())  # and not at all of them


def test_a_run_logs_and_keeps_the_loss_of_each_finding(make_config, tmp_path):
    result = fine_tune(make_config(tmp_path, steps=1))
    rows = [row for row in read_jsonl(tmp_path / "log.jsonl") if row["kind"] == "validation"]
    assert [row["images_seen"] for row in rows] == [0, 4]
    last = rows[-1]["by_finding"]
    assert set(last) == {"cardiomegaly", "hernia", "nodule"}
    assert last["cardiomegaly"].keys() == {"images", "loss", "loss_ema"}
    assert last["cardiomegaly"]["images"] == 2
    assert result.facts["validation"]["by_finding"] == last
    shown = dict(training(tmp_path, result.facts).facts)["validation loss, hardest findings"]
    hardest = max(last, key=lambda name: last[name]["loss_ema"])
    assert shown.startswith(f"{hardest} {last[hardest]['loss_ema']:.4f} (")
    assert shown.count("(n = ") == 3
