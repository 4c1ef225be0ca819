from __future__ import annotations

import copy
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metrics.report import write_report
from metrics.report_images import SIDE, embed, gallery
from metrics.report_plan import plan_counts
from metrics.report_summary import best_gain
from metrics.report_values import interval, number, part, sentence, shortened
from synth.errors import SynthError
from synth.images import save_png
from synth.manifest import DatasetInfo, SyntheticRow, append_jsonl, open_dataset, write_json

VOID = {"meta", "img", "br", "hr", "link", "input"}
ATTACK = "<script>alert('x')</script> hernia & nodule"


class Outline(HTMLParser):
    """Checks that tags nest, and collects what a browser would fetch, run or jump to."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.images: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            elif name in ("href", "xlink:href"):
                self.links.append(value)
            elif name == "src":
                self.images.append(value)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def outline(path: Path) -> Outline:
    found = Outline()
    found.feed(path.read_text("utf-8"))
    found.close()
    assert found.open == []
    return found


def record(value: float | None, **more: Any) -> dict[str, Any]:
    base = {"value": value, "se": None, "ci": None, "n_real": 10, "n_synthetic": 14, "note": ""}
    return base | {"higher_is_better": True, "meaning": "what it says", "floor": None} | more


def fidelity(hernia: float, nodule: float) -> dict[str, Any]:
    def finding(auroc: float) -> dict[str, Any]:
        real = {"real_auroc": 0.97, "real_ci": [0.9, 0.99]}
        return {"auroc": auroc, "ci": [auroc - 0.1, 1.0], "n_positive": 5, "n_negative": 9} | real

    macro = {"auroc": (hernia + nodule) / 2, "ci": [0.8, 1.0], "findings": ["hernia", "nodule"]}
    return {
        "macro": macro | {"real_auroc": 0.98, "real_ci": None},
        "findings": {"hernia": finding(hernia), "nodule": finding(nodule)},
    }


def arm(auroc: float, delta: float) -> dict[str, Any]:
    found = {"auroc": auroc, "ci": None, "n_positive": 3, "n_negative": 4, "delta": delta}
    return {"macro_auroc": auroc, "ci": [0.7, 0.9], "n_train": 14, "delta": delta} | {
        "delta_ci": [delta - 0.01, delta + 0.01],
        "findings": {"hernia": found | {"delta_ci": None}},
    }


@pytest.fixture
def scores() -> dict[str, Any]:
    floor = {"value": 20.5, "n": 5, "synthetic_at_same_n": 23.75}
    return {
        "schema_version": 1,
        "metrics": {
            "fd_classifier": record(22.31, ci=[18.2, 27.9], floor=floor, higher_is_better=False),
            "precision": record(0.875),
        },
        "label_fidelity": fidelity(0.94, 0.9),
        "label_fidelity_before": fidelity(0.52, 0.88),
        "memorization": {
            "auc": record(0.53, ci=[0.47, 0.59]),
            "share_closer": record(0.01),
            "quantiles": {
                "0%": {"synthetic": 1.25, "held_out": 1.75},
                "50%": {"synthetic": 3.5, "held_out": 3.25},
            },
            "pairs": [
                {
                    "synthetic": "images/00000/syn-000000.png",
                    "synthetic_id": "syn-000000",
                    "real": "images/000/tiny-000.png",
                    "real_id": "tiny-000",
                    "distance": 1.25,
                }
            ],
        },
        "utility": {
            "steps": 200,
            "n_test": 6,
            "n_test_patients": 3,
            "arms": {
                "real": arm(0.8, 0.0),
                "real+synthetic": arm(0.85, 0.05),
                "synthetic": arm(0.7, -0.1),
            },
        },
        "reconstruction": {"psnr": record(33.4)},
        "not_computed": [{"what": "fd_inception", "why": "its weights are not here"}],
        "warnings": ["only 14 synthetic images"],
        "provenance": {"judge": {"id": "judge-1"}, "versions": {"numpy": "9.9.9"}},
    }


def write_synthetic(folder: Path, real: Path, *, level: int, phantom: bool = True) -> Path:
    rows = []
    for index, source in enumerate(open_dataset(real).split("train")):
        name = f"images/00000/syn-{index:06d}.png"
        image = np.full((32, 32), level + index, dtype=np.uint8)
        save_png(folder / name, image)
        text = ATTACK if index == 0 else source.text_used
        rows.append(
            SyntheticRow.model_validate(
                source.model_dump()
                | {"file_name": name, "sample_id": f"syn-{index:06d}", "synthetic": True}
                | {"text": text, "text_used": text, "source_sample_id": source.sample_id}
                | {"seed": index, "prompt_hash": "p", "weights_sha256": "w", "config_sha256": "c"}
                | {"solver": "dpm++2m", "steps": 20, "guidance": 2.0, "patient_id": None}
            )
        )
    append_jsonl(folder / "metadata.jsonl", rows)
    counts = {"finding": "hernia", "real": 3, "planned": 21, "total": 24}
    extra = {"plan": {"kind": "balance", "target": 24, "findings": [counts], "notes": []}}
    info = {"name": "made", "synthetic": True, "phantom": phantom, "size": 32}
    write_json(folder / "dataset.json", DatasetInfo.model_validate(info | extra))
    return folder


def write_run(folder: Path) -> Path:
    rows: list[dict[str, Any]] = [{"kind": "validation", "images_seen": 0, "loss": 0.5}]
    rows += [{"kind": "step", "images_seen": 4 * n, "loss": 1 / n} for n in range(1, 41)]
    rows += [{"kind": "resume", "images_seen": 80}]
    rows += [{"kind": "validation", "images_seen": 160, "loss": 0.4, "loss_ema": 0.25}]
    append_jsonl(folder / "log.jsonl", rows)
    (folder / "config.yaml").write_text("run: {seed: 7}\nmodel: {weights: 'builtin:tiny'}\n")
    for seen in (0, 80, 160):
        save_png(folder / "previews" / f"{seen}.png", np.full((34, 68), seen, dtype=np.uint8))
    write_json(folder / "run.json", {"images_seen": 160, "seconds": 75.0, "device": "cpu"})
    return folder


@pytest.fixture
def folders(tmp_path: Path, tiny_dataset: Path) -> dict[str, Path]:
    cohort = tmp_path / "cohort"
    cohort.mkdir()
    (cohort / "terms.txt").write_text("Free to <b>use</b>.\n")
    (cohort / "README.txt").write_text("Twelve invented patients.\n")
    return {
        "real": tiny_dataset,
        "synthetic": write_synthetic(tmp_path / "synthetic", tiny_dataset, level=100),
        "before": write_synthetic(tmp_path / "before", tiny_dataset, level=30),
        "run": write_run(tmp_path / "run"),
        "cohort": cohort,
    }


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
    assert page.tags.count("svg") == 4


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


def test_a_folder_that_is_no_dataset_is_an_error(tmp_path, folders, scores):
    with pytest.raises(SynthError, match=r"no metadata.jsonl"):
        write_report(tmp_path / "r.html", scores=scores, **{**folders, "real": tmp_path})
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
    groups = gallery(real, synthetic)
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
    assert part({"a": [1]}, "a", "b") == {}
    assert shortened("one two three", 9) == "one two…"
    assert sentence("done!") == "Done!"
