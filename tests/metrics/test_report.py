from __future__ import annotations

import copy
import json
import re
import shutil

import numpy as np
import pytest
from report_pages import ATTACK, arm, fidelity, outline, record, write_synthetic

from metrics.report import write_report
from metrics.report_fidelity import best_gain
from metrics.report_images import SIDE, embed, gallery
from metrics.report_plan import plan_counts
from metrics.report_sets import ShownSet
from metrics.report_values import interval, number, part, sentence, shortened
from synth.errors import SynthError
from synth.images import save_png
from synth.manifest import open_dataset


def test_whole_page_is_one_offline_file(tmp_path, folders, scores):
    path = write_report(tmp_path / "new" / "report.html", scores=scores, **folders)
    assert path == tmp_path / "new" / "report.html"
    page, text = outline(path), path.read_text("utf-8")
    assert text.startswith("<!DOCTYPE html>")
    plain = re.sub(r"base64,[^\"]+", "", text)
    assert not re.search(r"https?:|//|@import|url\((?!#)", plain)
    assert {tag for tag in page.tags if tag in ("script", "link", "iframe", "object")} == set()
    assert all(uri.startswith("data:image/png;base64,") for uri in page.images)
    assert len(page.images) > 20
    assert path.stat().st_size < 1_000_000


def test_sources_and_their_terms_are_on_the_page(tmp_path, folders, scores):
    scores["provenance"]["sources"] = [{"name": "tests", "title": "The Test Collection"}]
    words = outline(write_report(tmp_path / "r.html", scores=scores, **folders)).words
    assert "The Test Collection example.org/tests CC-BY-NC-4.0 yes no Doe et al. 2020" in words
    assert "made by the tests" in words
    assert "{'" not in words  # no structure is shown as Python writes it


def test_ids_are_unique_and_links_lead_somewhere(tmp_path, folders, scores):
    page = outline(write_report(tmp_path / "r.html", scores=scores, **folders))
    assert len(page.ids) == len(set(page.ids))
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    assert page.tags.count("svg") == 9


def test_page_tells_the_numbers(tmp_path, folders, scores):
    words = outline(write_report(tmp_path / "r.html", scores=scores, **folders)).words
    assert "hernia, goes from 3 real training images to 24" in words
    assert "rose from 0.52 before to 0.94 after" in words
    assert "fine-tuned on 14 training images from a dataset of 24 real images of 12 pat" in words
    for figure in ("18.2 to 27.9", "20.5 (N 5)", "23.8", "0.875", "+0.050", "1 min 15 s", "33.4"):
        assert figure in words
    assert "0.5000 → 0.4000" in words
    assert "Only 14 synthetic images." in words
    assert "Its weights are not here." in words
    assert "numpy 9.9.9" in words
    assert "protocol: fingerprint 0123456789abcdef protocol: ingest.size 32" in words
    assert "protocol: records" not in words
    assert "seed: 7" in words
    assert "lie 1.75 from their nearest training image at the closest and 3.25" in words
    assert "What fine-tuning taught: hernia" in words


def test_other_peoples_text_is_escaped(tmp_path, folders, scores):
    scores["warnings"] = [ATTACK]
    path = write_report(tmp_path / "r.html", scores=scores, **folders)
    text = path.read_text("utf-8")
    assert "<script" not in text
    assert "<b>use" not in text
    assert outline(path).words.count(ATTACK) >= 2  # a warning and a caption
    assert "Free to <b>use</b>." in outline(path).words


@pytest.mark.parametrize("phantom", [True, False])
def test_phantom_banner(tmp_path, tiny_dataset, scores, phantom):
    made = write_synthetic(tmp_path / "made", tiny_dataset, level=9, phantom=phantom)
    nothing = {"run": None, "cohort": None, "before": None}
    path = write_report(
        tmp_path / "r.html", scores=scores, real=tiny_dataset, synthetic=made, **nothing
    )
    assert ("Phantom data." in outline(path).words) is phantom


def test_missing_parts_say_why(tmp_path, folders):
    scores = {
        "metrics": {},
        "label_fidelity": None,
        "label_fidelity_before": None,
        "memorization": None,
        "utility": None,
        "reconstruction": None,
        "not_computed": [{"what": "utility", "why": "switched off"}],
        "warnings": [],
        "provenance": {},
    }
    bare = {**folders, "run": None, "cohort": None, "before": None}
    words = outline(write_report(tmp_path / "r.html", scores=scores, **bare)).words
    assert "Not shown. Switched off." in words
    assert "Not shown. Label fidelity was not computed" in words
    assert "Not shown. Nearest training images were not computed." in words
    assert "Not shown. The page was made without a run folder." in words
    assert "The evaluation gave no warnings." in words


def test_empty_scores_and_an_empty_run_make_a_page(tmp_path, folders):
    empty = tmp_path / "empty"
    empty.mkdir()
    page = write_report(tmp_path / "r.html", scores={}, **{**folders, "run": empty})
    assert "holds no training log and no previews" in outline(page).words


def test_nulls_inside_parts_are_dashes(tmp_path, folders, scores):
    finding = scores["label_fidelity"]["findings"]["hernia"]
    scores["label_fidelity"]["findings"]["hernia"] = dict.fromkeys(finding)
    scores["label_fidelity_before"] = None
    scores["metrics"]["precision"] = record(None, note="too few images")
    scores["utility"]["arms"]["synthetic"] = dict.fromkeys(arm(0.5, 0.0))
    words = outline(write_report(tmp_path / "r.html", scores=scores, **folders)).words
    assert "Too few images." in words
    assert "nan" not in words.lower().split()
    assert "None" not in words.split()


def test_neighbours_in_another_folder_are_left_out(tmp_path, folders, scores):
    scores["memorization"]["pairs"][0]["real"] = "elsewhere/1.png"
    words = outline(write_report(tmp_path / "r.html", scores=scores, **folders)).words
    assert "nearest training images are not in the real dataset" in words


def test_same_inputs_give_the_same_bytes(tmp_path, folders, scores):
    one = write_report(tmp_path / "a.html", scores=scores, **folders).read_bytes()
    two = write_report(tmp_path / "b.html", scores=copy.deepcopy(scores), **folders).read_bytes()
    assert one == two


@pytest.mark.parametrize(
    ("folder", "problem"), [("gone", "no such folder"), ("cohort", "no images")]
)
def test_a_folder_without_images_is_an_error(tmp_path, folders, scores, folder, problem):
    with pytest.raises(SynthError, match=problem):
        write_report(tmp_path / "r.html", scores=scores, **{**folders, "real": tmp_path / folder})
    assert not (tmp_path / "r.html").exists()


def test_a_missing_image_is_an_error(tmp_path, folders, scores):
    shutil.rmtree(folders["synthetic"] / "images")
    with pytest.raises(SynthError, match="image file is missing"):
        write_report(tmp_path / "r.html", scores=scores, **folders)


def test_run_json_that_is_not_json_is_an_error(tmp_path, folders, scores):
    (folders["run"] / "run.json").write_text("{")
    with pytest.raises(SynthError, match="not valid JSON"):
        write_report(tmp_path / "r.html", scores=scores, **folders)


def test_gallery_shows_the_rarest_finding_first_beside_its_counterparts(folders):
    real, synthetic = open_dataset(folders["real"]), open_dataset(folders["synthetic"])
    groups = gallery(ShownSet(real), ShownSet(synthetic))
    counts = [group.n_real for group in groups]
    assert counts == sorted(counts)
    assert groups[0].title == "hernia"
    for group in groups:
        assert len(group.real) == len(group.synthetic) <= 3
        same = [a.text == b.text or b.text == ATTACK for a, b in zip(*_sides(group), strict=True)]
        assert all(same)


def _sides(group):
    return group.real, group.synthetic


def test_large_images_are_shrunk_and_keep_their_shape(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (512, 1024)).astype(np.uint8)
    save_png(tmp_path / "large.png", noise)
    shot = embed(tmp_path / "large.png", alt="noise")
    assert (shot.width, shot.height) == (SIDE, SIDE // 2)
    assert len(shot.uri) < 25_000


def test_counts_without_a_plan_come_from_the_rows(folders):
    info = folders["synthetic"] / "dataset.json"
    value = json.loads(info.read_text())
    del value["plan"]
    info.write_text(json.dumps(value))
    real, synthetic = open_dataset(folders["real"]), open_dataset(folders["synthetic"])
    for row in plan_counts(real, synthetic):
        assert row.real == sum(r.labels.get(row.finding) == 1 for r in real.split("train"))
        assert row.total == 2 * row.real  # every training row has one counterpart here


def test_best_gain_is_the_largest_and_never_a_loss(scores):
    best = best_gain(scores)
    assert best is not None
    assert (best.finding, best.before, best.after) == ("hernia", 0.52, 0.94)
    worse = {**scores, "label_fidelity": fidelity(0.1, 0.1)}
    assert best_gain(worse) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.93456, "0.935"),
        (1.0, "1.000"),
        (1234.5, "1,234"),
        (12.34, "12.3"),
        (-0.5, "−0.500"),
        (0, "0.000"),
        (0.00123, "0.0012"),
        (0.00001, "1.0e−05"),
        (None, "–"),
        (float("nan"), "–"),
        (True, "–"),
    ],
)
def test_numbers_for_people(value, text):
    assert number(value) == text


def test_values_that_are_missing_or_odd():
    assert interval([0.5, 1.0]) == "0.500 to 1.000"
    assert interval([0.5, None]) == interval(None) == "–"
    assert interval([1e-4, 4e-4]) == "1.0e−04 to 4.0e−04"
    assert interval([1e-4, 4e-4], sign=True) == "+1.0e−04 to +4.0e−04"
    assert interval([0.0, 0.0]) == "0.000 to 0.000"
    assert part({"a": [1]}, "a", "b") == {}
    assert shortened("one two three", 9) == "one two…"
    assert sentence("done!") == "Done!"
