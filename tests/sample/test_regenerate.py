"""One image made again from its row alone: the same bits, or a clear word on why not."""

import json
import shutil

import numpy as np
import pytest
import torch

from sample.edit_run import edit_image
from sample.edit_source import EditRequest
from sample.regenerate import neighbours, regenerate
from sample.run import generate_dataset
from sample.verdict import TOLERANCE, save
from synth.config.schema import Config, ModelSection
from synth.errors import SynthError, UsageError
from synth.families import load_family
from synth.images import grey_to_u8, load_grey, save_png
from synth.manifest import open_dataset, sha256_file


def with_sample(config, **values):
    return config.model_copy(update={"sample": config.sample.model_copy(update=values)})


@pytest.fixture(scope="module")
def diffusion(tiny_pipeline):
    """A real family: convolutions, attention, texts of one and two windows."""
    model = ModelSection(weights=str(tiny_pipeline))
    return load_family(model, device=torch.device("cpu"), dtype=torch.float32)


@pytest.fixture(scope="module")
def made(diffusion, tiny_dataset, tmp_path_factory):
    """A dataset of six images in batches of four, with guidance, its interval and rescale."""
    config = Config.model_validate(
        {
            "run": {"out": tmp_path_factory.mktemp("made") / "run", "seed": 3},
            "data": {"dataset": tiny_dataset},
            "sample": {
                "count": 6,
                "batch": 4,
                "steps": 3,
                "guidance": 2.0,
                "guidance_interval": [0.1, 0.9],
                "guidance_rescale": 0.3,
                "solver": "ddpm",
            },
        }
    )
    return generate_dataset(config, family=diffusion).out


@pytest.fixture
def copy(made, tmp_path):
    shutil.copytree(made, tmp_path / "set")
    return tmp_path / "set"


def table(folder):
    return [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]


def rewrite(folder, rows):
    lines = [json.dumps(row) + "\n" for row in rows]
    (folder / "metadata.jsonl").write_text("".join(lines))


def test_every_image_is_the_same_bit_for_bit(made, diffusion):
    for row in open_dataset(made).rows:
        again = regenerate(made, row.sample_id, Config(), family=diffusion)
        assert (again.verdict, again.largest, again.notes) == ("identical", 0, ())
        assert again.file_same


def test_the_file_written_is_the_datasets_own(made, diffusion, tmp_path):
    row = open_dataset(made).rows[4]
    again = regenerate(made, row.sample_id, Config(), family=diffusion)
    save(again, tmp_path / "a.png")
    assert sha256_file(tmp_path / "a.png") == row.sha256
    with pytest.raises(SynthError, match="there already"):
        save(again, tmp_path / "a.png")


def test_without_its_neighbours_it_is_within_the_tolerance(copy, diffusion):
    rewrite(copy, table(copy)[2:3])
    again = regenerate(copy, "syn-000002", Config(), family=diffusion)
    assert again.verdict in ("identical", "within tolerance")
    assert again.tolerance == TOLERANCE["fp32"] == 2


def test_another_batch_shape_stays_within_the_tolerance(copy, diffusion):
    rows = table(copy)
    rewrite(copy, [{**row, "batch": 1, "batch_index": 0} for row in rows])
    for row in rows:
        again = regenerate(copy, row["sample_id"], Config(), family=diffusion)
        assert again.largest <= TOLERANCE["fp32"]


def test_a_tampered_image_is_told(copy, diffusion):
    path = copy / open_dataset(copy).rows[1].file_name
    image = grey_to_u8(load_grey(path))
    image[3, 3] += 40
    save_png(path, image)
    rows = table(copy)
    rows[1] |= {"sha256": sha256_file(path), "pixel_sha256": "0" * 64}
    rewrite(copy, rows)
    again = regenerate(copy, "syn-000001", Config(), family=diffusion)
    assert (again.verdict, again.largest, again.file_same) == ("different", 40, False)


def test_a_damaged_file_is_told_and_the_row_still_verifies(copy, diffusion):
    rows = open_dataset(copy).rows
    (copy / rows[0].file_name).write_bytes(b"\x89PNG")
    (copy / rows[1].file_name).unlink()
    for row, word in zip(rows, ("damaged", "missing"), strict=False):
        again = regenerate(copy, row.sample_id, Config(), family=diffusion)
        assert again.verdict == "identical"
        assert again.notes == (f"{row.file_name} is {word}",)


def test_with_neither_file_nor_digest_it_is_unverified(copy, diffusion):
    rows = table(copy)
    rows[0]["pixel_sha256"] = "0" * 64
    rewrite(copy, rows)
    (copy / rows[0]["file_name"]).unlink()
    again = regenerate(copy, "syn-000000", Config(), family=diffusion)
    assert (again.verdict, again.largest) == ("unverified", None)


def test_another_seed_or_text_is_another_image_and_versions_are_named(copy, diffusion):
    rows = table(copy)
    rows[0]["seed"] += 1
    rewrite(copy, rows)
    info = json.loads((copy / "dataset.json").read_text())
    info["versions"]["torch"] = "1.0"
    (copy / "dataset.json").write_text(json.dumps(info))
    again = regenerate(copy, "syn-000000", Config(), family=diffusion)
    assert again.verdict == "different"
    assert any(note.startswith("torch 1.0 then") for note in again.notes)


def test_other_weights_are_refused(copy, diffusion):
    rewrite(copy, [row | {"weights_sha256": "b" * 64} for row in table(copy)])
    with pytest.raises(SynthError, match=r"not the weights that made.*bbbbbbbbbbbb…"):
        regenerate(copy, "syn-000000", Config(), family=diffusion)


def test_missing_weights_are_told(made, tmp_path):
    config = Config.model_validate({"run": {"out": tmp_path / "gone"}})
    with pytest.raises(SynthError, match="no trained weights"):
        regenerate(made, "syn-000000", config)
    with pytest.raises(SynthError, match="no such weights folder"):
        regenerate(made, "syn-000000", with_sample(config, weights=str(tmp_path / "none")))


def test_unknown_and_real_images_are_refused(made, diffusion, tiny_dataset):
    with pytest.raises(UsageError, match="no image of this id"):
        regenerate(made, "syn-00001", Config(), family=diffusion)
    with pytest.raises(UsageError, match="only a synthetic image"):
        regenerate(tiny_dataset, "tiny-000", Config(), family=diffusion)


def test_neighbours_are_those_of_the_batch(made):
    dataset = open_dataset(made)
    ids = [[row.sample_id[-1] for row in neighbours(dataset, row)] for row in dataset.rows]
    assert ids == [list("0123")] * 4 + [list("45")] * 2


def test_an_image_of_a_later_attempt_is_made_alone(config, family, monkeypatch):
    decode, calls = family.decode_latents, []

    def broken(latents):
        pixels = decode(latents).clone()
        if not calls:
            pixels[2] = -1.0
        calls.append(1)
        return pixels

    with monkeypatch.context() as patch:
        patch.setattr(family, "decode_latents", broken)
        out = generate_dataset(config, family=family).out
    rows = open_dataset(out).rows
    assert rows[2].attempt == 1
    assert neighbours(open_dataset(out), rows[2]) == [rows[2]]
    for row in rows[:5]:
        assert regenerate(out, row.sample_id, config, family=family).verdict == "identical"


def test_an_edited_image_comes_again_from_its_source(diffusion, tiny_dataset, tmp_path):
    config = Config.model_validate(
        {
            "run": {"out": tmp_path / "run"},
            "data": {"dataset": tiny_dataset},
            "sample": {"batch": 2, "steps": 4, "guidance": 2.0},
        }
    )
    asked = EditRequest("a nodule", 0.7, tmp_path / "edited", sample_id="tiny-003", count=3)
    asked = EditRequest(**{**vars(asked), "box": (4, 4, 20, 20)})
    done = edit_image(config, asked, family=diffusion)
    for sample_id in done.sample_ids:
        again = regenerate(done.out, sample_id, config, family=diffusion)
        assert (again.verdict, again.file_same) == ("identical", True)
    first, other = done.sample_ids[0], tiny_dataset / "images/000/tiny-004.png"
    own = tiny_dataset / "images/000/tiny-003.png"
    elsewhere = config.model_copy(update={"data": config.data.model_copy(update={"size": 32})})
    assert regenerate(done.out, first, elsewhere, source=own, family=diffusion).largest == 0
    with pytest.raises(SynthError, match="not the real image"):
        regenerate(done.out, first, config, source=other, family=diffusion)
    with pytest.raises(SynthError, match=r"not there.*--source"):
        regenerate(done.out, first, config, source=tmp_path / "none.png", family=diffusion)


def test_the_answer_is_json(made, diffusion):
    again = regenerate(made, "syn-000000", Config(), family=diffusion)
    assert json.loads(json.dumps(again.to_json()))["verdict"] == "identical"
    assert isinstance(again.image_u8, np.ndarray)
