"""Edited real images: the region stays, the rows tell everything, the terms are carried."""

import json
import subprocess

import numpy as np
import pytest
import torch
from torch import nn

from sample.edit import Edit, box_mask, edit_batches, soft_edge
from sample.edit_run import edit_image
from sample.edit_source import EditRequest
from synth.config.schema import SampleSection
from synth.errors import SynthError, UsageError
from synth.families.base import Moments
from synth.images import grey_to_u8, load_grey, save_png
from synth.manifest import open_dataset, read_info, sha256_file

BOX = (4, 4, 12, 12)


@pytest.fixture
def family(exact_family, monkeypatch):
    """Latents are the pixels; so a picture can be encoded."""
    made = exact_family(0.1)
    monkeypatch.setattr(
        type(made),
        "encode_images",
        lambda _self, pixels: Moments(pixels, torch.zeros_like(pixels)),
        raising=False,
    )
    return made


@pytest.fixture
def request_of(tmp_path):
    def build(**values):
        basis = {
            "prompt": "small hernia",
            "strength": 0.6,
            "out": tmp_path / "edited",
            "sample_id": "tiny-002",
        }
        return EditRequest(**(basis | values))

    return build


def original(tiny_dataset, sample_id="tiny-002"):
    from synth.images import fit_square

    return grey_to_u8(fit_square(load_grey(tiny_dataset / f"images/000/{sample_id}.png"), 16))


def settings(**values):
    return SampleSection.model_validate({"batch": 4, "guidance": 1.0} | values)


def gradient():
    return np.tile(np.linspace(60, 200, 16).astype(np.uint8), (16, 1))


def variants(family, edit, *, seeds=range(4), **values):
    parts = edit_batches(family, edit, seeds=list(seeds), settings=settings(**values))
    return torch.cat([part.image_u8 for part in parts])[:, 0].numpy()


@pytest.mark.parametrize("solver", ["dpm++2m", "unipc", "heun", "ddim", "euler", "ddpm"])
@pytest.mark.parametrize("mask", [None, box_mask(BOX, 16)])
def test_strength_0_is_the_image_itself(family, solver, mask):
    image = gradient()
    made = variants(family, Edit(image, "x", 0.0, mask), solver=solver, steps=10)
    assert np.array_equal(made, np.stack([image] * 4))


@pytest.mark.parametrize("solver", ["dpm++2m", "unipc", "heun", "ddim", "euler", "ddpm"])
def test_outside_of_the_region_not_one_pixel_changes(family, solver):
    image, mask = gradient(), box_mask(BOX, 16)
    made = variants(family, Edit(image, "x", 0.8, mask), solver=solver, steps=10)
    assert (made[:, ~mask] == image[~mask]).all()
    assert (made[:, mask] != image[mask]).mean() > 0.5


@pytest.mark.parametrize("solver", ["dpm++2m", "unipc", "euler", "ddim"])
def test_a_flow_edits_too(exact_family, solver, monkeypatch):
    flow = exact_family(0.1, flow=True, shift=3.0)
    monkeypatch.setattr(
        type(flow), "encode_images", lambda _self, p: Moments(p, torch.zeros_like(p)), raising=False
    )
    image, mask = gradient(), box_mask(BOX, 16)
    assert np.array_equal(variants(flow, Edit(image, "x", 0.0))[0], image)
    made = variants(flow, Edit(image, "x", 0.8, mask), solver=solver, steps=10)
    assert (made[:, ~mask] == image[~mask]).all()


def test_strength_1_without_a_region_is_plain_generation(family):
    from sample.generate import generate_images

    made = variants(family, Edit(gradient(), "a text", 1.0))
    plain = generate_images(family, ["a text"] * 4, seeds=range(4), settings=settings())
    assert np.array_equal(made, torch.cat(list(plain))[:, 0].numpy())


def test_more_strength_keeps_less_of_the_image(family):
    image = gradient()
    distances = [
        np.abs(variants(family, Edit(image, "x", s)).astype(float) - image).mean()
        for s in (0.0, 0.2, 0.5, 1.0)
    ]
    assert distances == sorted(distances)
    assert distances[1] < distances[3] / 2


@pytest.mark.parametrize("solver", ["dpm++2m", "euler", "ddim", "heun"])
def test_the_source_is_noised_to_the_level_at_which_the_solver_goes_on(exact_family, solver):
    """With the true distribution as source, the result has its standard deviation, at any step."""
    from sample.solve import Source, solve

    family = exact_family(0.5)
    cond = family.encode_prompts(["t"] * 40)
    mean = cond.tokens[..., None]
    noise = torch.randn(40, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    for strength in (0.3, 0.7):
        made = solve(
            family,
            cond,
            seeds=range(40),
            size=16,
            steps=100 if solver in ("ddim", "euler") else 20,
            guidance=1.0,
            solver=solver,
            source=Source(mean + 0.5 * noise, strength),
        )
        assert float(made.mean()) == pytest.approx(float(mean[0]), abs=0.02)
        assert float(made.std()) == pytest.approx(0.5, rel=0.07)


def test_variants_do_not_depend_on_how_many_there_are(family):
    edit = Edit(gradient(), "x", 0.7)
    four = variants(family, edit, seeds=range(4))
    assert np.array_equal(variants(family, edit, seeds=range(6))[:4], four)
    assert len({image.tobytes() for image in four}) == 4


def test_the_edge_is_soft_inside_the_region_alone():
    mask = box_mask((2, 0, 14, 16), 16)
    share = soft_edge(mask, 4).numpy()
    assert (share[~mask] == 0).all()
    assert share[8].tolist()[1:8] == [0, 0.25, 0.5, 0.75, 1, 1, 1]
    assert share[0, 8] == 1  # the border of the image is no edge


def test_rows_name_source_region_and_strength(config, family, request_of, tiny_dataset):
    done = edit_image(config, request_of(box=BOX, count=3), family=family)
    assert (done.made, done.flagged, len(done.sample_ids)) == (3, 0, 3)
    dataset = open_dataset(done.out)
    source = next(r for r in open_dataset(tiny_dataset).rows if r.sample_id == "tiny-002")
    assert [row.sample_id for row in dataset.rows] == list(done.sample_ids)
    for row in dataset.rows:
        assert row.synthetic
        assert (row.split, row.patient_id) == (source.split, source.patient_id)
        assert (row.view, row.sex, row.age_band) == (source.view, source.sex, source.age_band)
        assert (row.source_sample_id, row.source_sha256) == ("tiny-002", source.sha256)
        assert (row.text_used, row.strength) == ("small hernia", 0.6)
        assert row.labels == source.labels | {"hernia": 1}
        assert row.label_source.startswith("edited: source, rules")
        assert row.sha256 == sha256_file(dataset.path(row))
        assert row.filters == {"finite": True, "not_constant": True, "not_duplicate": True}
        region = load_grey(done.out / row.mask) > 0.5
        assert np.array_equal(region, box_mask(BOX, 16))
        assert len(row.mask_sha256) == 64
        image = grey_to_u8(load_grey(dataset.path(row)))
        assert (image[~region] == original(tiny_dataset)[~region]).all()
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=done.out, check=True)


def test_terms_of_the_real_image_are_carried(config, family, request_of, tiny_dataset):
    done = edit_image(config, request_of(), family=family)
    info, real = read_info(done.out), read_info(tiny_dataset)
    assert (info.terms, info.sources) == (real.terms, real.sources)
    card = (done.out / "README.md").read_text()
    assert "still shows the patient" in card
    assert "made by the tests" in card
    assert "The Test Collection" in card


def test_the_same_edit_again_changes_nothing_and_another_adds(config, family, request_of):
    done = edit_image(config, request_of(count=2), family=family)
    before = {path: path.stat().st_mtime_ns for path in done.out.rglob("*.*")}
    family.passes = 0
    again = edit_image(config, request_of(count=2), family=family)
    assert (again.made, family.passes, again.sample_ids) == (0, 0, done.sample_ids)
    assert {path: path.stat().st_mtime_ns for path in done.out.rglob("*.*")} == before
    edit_image(config, request_of(strength=0.3), family=family)
    assert len(open_dataset(done.out).rows) == 3
    assert read_info(done.out).counts == {"images": 3}
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=done.out, check=True)


def test_a_killed_edit_is_finished_by_the_same_command(config, family, request_of, monkeypatch):
    done = edit_image(config, request_of(), family=family)

    def killed(*_args, **_options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("sample.edit_run.finish_folder", killed)
        with pytest.raises(KeyboardInterrupt):
            edit_image(config, request_of(strength=0.3), family=family)
    assert edit_image(config, request_of(strength=0.3), family=family).made == 0
    assert read_info(done.out).counts == {"images": 2}
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=done.out, check=True)


def test_variants_that_do_not_differ_are_reported(config, family, request_of):
    done = edit_image(config, request_of(strength=0.0, count=3), family=family)
    assert (done.made, done.flagged) == (3, 2)
    filters = [row.filters["not_duplicate"] for row in open_dataset(done.out).rows]
    assert filters == [True, False, False]


def test_a_model_of_nan_writes_no_image(config, family, request_of, monkeypatch):
    monkeypatch.setattr(family, "decode_latents", lambda latents: latents * float("nan"))
    with pytest.raises(SynthError, match="not finite"):
        edit_image(config, request_of(), family=family)
    assert not (request_of().out / "images").exists()


def test_an_image_file_and_a_mask_file(config, family, request_of, tmp_path, tiny_dataset):
    mask = box_mask(BOX, 16)
    save_png(tmp_path / "mask.png", mask.astype(np.uint8) * 255)
    image = tiny_dataset / "images/000/tiny-004.png"
    asked = request_of(sample_id=None, image=image, mask=tmp_path / "mask.png")
    done = edit_image(config, asked, family=family)
    row = open_dataset(done.out).rows[0]
    assert (row.source, row.source_sample_id, row.patient_id) == (
        "edited from tiny-004.png",
        None,
        None,
    )
    made = grey_to_u8(load_grey(done.out / row.file_name))
    assert (made[~mask] == original(tiny_dataset, "tiny-004")[~mask]).all()


def test_a_finding_is_removed(config, family, request_of, tiny_dataset):
    before = next(r for r in open_dataset(tiny_dataset).rows if r.sample_id == "tiny-005")
    assert before.labels["hernia"] == 1
    asked = request_of(sample_id="tiny-005", prompt="There is no hernia.", box=BOX)
    row = open_dataset(edit_image(config, asked, family=family).out).rows[0]
    assert row.labels == before.labels | {"hernia": 0}


def test_labels_the_user_says_win(config, family, request_of):
    done = edit_image(config, request_of(labels={"hernia": 0, "nodule": -1}), family=family)
    row = open_dataset(done.out).rows[0]
    assert (row.labels["hernia"], row.labels["nodule"]) == (0, -1)
    assert row.label_source.endswith(", user")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sample_id": None}, "either --sample-id or --image"),
        ({"sample_id": "tiny-02"}, "no image of this id"),
        ({"box": (1, 2, 30, 4)}, "not a box inside"),
        ({"box": (5, 5, 5, 9)}, "not a box inside"),
        ({"prompt": "  "}, "--prompt"),
        ({"strength": 1.1}, "--strength"),
        ({"labels": {"hernai": 1}}, "hernia"),
    ],
)
def test_wrong_requests_are_explained(config, family, request_of, change, message):
    with pytest.raises(UsageError, match=message):
        edit_image(config, request_of(**change), family=family)
    assert not request_of().out.exists()


def test_an_empty_mask_is_refused(config, family, request_of, tmp_path):
    save_png(tmp_path / "mask.png", np.zeros((16, 16), np.uint8))
    with pytest.raises(UsageError, match="marks nothing"):
        edit_image(config, request_of(mask=tmp_path / "mask.png"), family=family)


def test_a_strangers_folder_is_refused_untouched(config, family, request_of, tiny_dataset):
    before = sorted(tiny_dataset.rglob("*"))
    with pytest.raises(SynthError, match="in use by something else"):
        edit_image(config, request_of(out=tiny_dataset), family=family)
    assert sorted(tiny_dataset.rglob("*")) == before


def test_another_size_is_refused(config, family, request_of):
    edit_image(config, request_of(), family=family)
    larger = config.model_copy(update={"data": config.data.model_copy(update={"size": 24})})
    with pytest.raises(SynthError, match="another size"):
        edit_image(larger, request_of(), family=family)


def test_facts_are_json(config, family, request_of):
    done = edit_image(config, request_of(), family=family)
    assert json.loads(json.dumps(done.to_json()))["made"] == 1


def test_a_latent_that_touches_the_region_changes(family, monkeypatch):
    """A region of one pixel still frees the whole latent under it."""
    seen = []
    import sample.edit

    make = sample.edit.make_pixels

    def spy(*args, source, **options):
        seen.append(source.mask)
        return make(*args, source=source, **options)

    monkeypatch.setattr(sample.edit, "make_pixels", spy)
    monkeypatch.setattr(
        family,
        "encode_images",
        lambda pixels: Moments(nn.functional.avg_pool2d(pixels, 2), pixels),
    )
    monkeypatch.setattr(family, "latent_shape", lambda size: (1, size // 2, size // 2))
    monkeypatch.setattr(
        family, "decode_latents", lambda z: nn.functional.interpolate(z, scale_factor=2)
    )
    mask = box_mask((5, 5, 6, 6), 16)
    made = variants(family, Edit(gradient(), "x", 0.9, mask))
    assert seen[0].sum(dim=(1, 2, 3)).tolist() == [1, 1, 1, 1]
    assert (made[:, ~mask] == gradient()[~mask]).all()
