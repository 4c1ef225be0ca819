"""The page for everybody: screen readers, keyboards, phones, both colour schemes, and its size."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from report_pages import failure, outline

from metrics.report import write_report
from metrics.report_images import MOST_FINDINGS, OPEN_FINDINGS
from synth.images import save_png
from synth.manifest import DatasetInfo, Row, SyntheticRow, append_jsonl, write_json

CSS = files("metrics").joinpath("templates/report.css").read_text("utf-8")
VERDICT = files("metrics").joinpath("templates/verdict.css").read_text("utf-8")
TEXT = ("ink", "muted", "after", "before", "real")
MOST_BYTES = 15_000_000


class Structure(HTMLParser):
    """What assistive technology goes by."""

    def __init__(self) -> None:
        super().__init__()
        self.headings: list[int] = []
        self.images: list[dict[str, str | None]] = []
        self.cells: list[dict[str, str | None]] = []
        self.charts: list[dict[str, str | None]] = []
        self.regions: list[dict[str, str | None]] = []
        self.count: dict[str, int] = {}
        self.first_link: dict[str, str | None] | None = None
        self.parents: list[str] = []
        self.loose: list[str] = []  # tables and charts outside a box that scrolls by itself

    def handle_starttag(self, tag, attrs):
        held = dict(attrs)
        self.count[tag] = self.count.get(tag, 0) + 1
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))
        for name, kept in (("img", self.images), ("th", self.cells), ("svg", self.charts)):
            if tag == name:
                kept.append(held)
        if held.get("class") == "scroll":
            self.regions.append(held)
        if tag in ("table", "svg") and "scroll" not in self.parents:
            self.loose.append(tag)
        if tag == "a" and self.first_link is None:
            self.first_link = held
        if tag not in ("meta", "img", "br", "path", "use"):
            self.parents.append(held.get("class") or tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        self.parents.pop()


def structure(path: Path) -> Structure:
    found = Structure()
    found.feed(path.read_text("utf-8"))
    return found


def test_headings_landmarks_tables_and_images_are_named(tmp_path, folders, scores):
    path = write_report(tmp_path / "r.html", scores=scores, **folders)
    page = structure(path)
    assert page.headings.count(1) == 1
    assert page.headings[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(page.headings))
    assert [page.count[tag] for tag in ("header", "nav", "main", "footer")] == [1, 1, 1, 1]
    assert page.count["caption"] == page.count["table"] > 8
    assert all(cell.get("scope") in ("col", "row") for cell in page.cells)
    assert all(image.get("alt") for image in page.images)
    assert len(page.images) > 20
    html = path.read_text("utf-8")
    assert '<html lang="en">' in html
    sections = re.findall(r'<section id="(\w+)" aria-labelledby="([\w-]+)"', html)
    assert len(sections) > 10
    for section, title in sections:
        assert f'<h2 id="{title}">' in html, section


def test_charts_speak_and_have_captions(tmp_path, folders, scores):
    path = write_report(tmp_path / "r.html", scores=scores, **folders)
    page, html = structure(path), path.read_text("utf-8")
    assert len(page.charts) == 9
    for chart in page.charts:
        assert chart["role"] == "img"
        assert f'<title id="{chart["aria-labelledby"]}">' in html
        told = re.search(rf'<desc id="{chart["aria-describedby"]}">(.+?)</desc>', html)
        assert told
        assert re.search(r"\d", told.group(1))  # its numbers, not only its name
    charts = re.findall(r'<figure class="chart">.*?</figure>', html, re.DOTALL)
    assert len(charts) == 9
    assert all(re.search(r"<figcaption>\w", chart) for chart in charts)
    assert "hernia: 0.310 (0.290 to 0.330), differs; nodule: 0.040" in html


def test_keyboards_reach_everything(tmp_path, folders, scores):
    path = write_report(tmp_path / "r.html", scores=scores, **folders)
    page = structure(path)
    assert page.first_link == {"class": "skip", "href": "#content"}
    assert "content" in outline(path).ids
    assert len(page.regions) > 12
    for region in page.regions:
        assert region["tabindex"] == "0"
        assert region["role"] in ("region", "group")
        assert region["aria-label"]
    labels = [region["aria-label"] for region in page.regions]
    assert len(labels) == len(set(labels))
    assert page.loose == []  # on a phone, tables and charts scroll inside their box
    assert ":focus-visible" in CSS
    assert "outline: none" not in CSS.replace("main:focus { outline: none; }", "")


def colours(block: str) -> dict[str, str]:
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    levels = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one: str, two: str) -> float:
    low, high = sorted((luminance(one), luminance(two)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_itself():
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)  # WebAIM's example


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
def test_text_stands_out_in_every_scheme(scheme):
    start = {"light": ":root", "dark": "@media (prefers-color-scheme", "print": "@media print"}
    block = CSS[CSS.index(start[scheme]) :]
    found = colours(block[: block.index("}")])
    for text in TEXT:
        for ground in ("paper", "card", "tint"):
            assert contrast(found[text], found[ground]) >= 4.5, (text, ground)
    assert contrast(found["warn-ink"], found["warn"]) >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_states_of_the_verdict_stand_out(scheme):
    start = ":root" if scheme == "light" else "@media (prefers-color-scheme"
    found = [colours(sheet[sheet.index(start) :].partition("}")[0]) for sheet in (CSS, VERDICT)]
    assert set(found[1]) == {"fault", "doubt", "unknown", "sound"}
    for state, colour in found[1].items():
        for ground in ("card", "paper"):
            assert contrast(colour, found[0][ground]) >= 4.5, (state, ground)


def test_paper_is_no_phone_and_cuts_no_figure():
    phone, paper = CSS.split("@media screen and (max-width")[1], CSS.split("@media print")[1]
    assert "max-width: 760px" not in CSS.split("@media screen")[0]  # A4 is narrower than that
    assert phone.index(".pair") < phone.index("@media print")
    kept = re.search(r"([^}]*)\{ break-inside: avoid; \}", paper)
    assert kept
    whole = {name.strip() for name in kept.group(1).split(",")}
    assert {".chart", "tr", ".shot", ".sheet figure", ".neighbours figure", ".lesson"} <= whole
    assert ".scroll { overflow: visible; }" in paper  # nothing can be scrolled on paper


def many(folder: Path, findings: list[str], *, synthetic: bool, size: int) -> Path:
    """A dataset of noise, which no PNG makes smaller, of many findings and long texts."""
    rng = np.random.default_rng(synthetic)
    rows: list[Row] = []
    for index in range(4 * len(findings)):
        name = f"images/{index:05d}.png"
        save_png(folder / name, rng.integers(0, 256, (size, size), dtype=np.uint8))
        row = {
            "file_name": name,
            "sample_id": f"x-{index:05d}",
            "text_used": f"{findings[index % len(findings)]} " + "and no other finding " * 40,
            "labels": {findings[index % len(findings)]: 1},
            "width": size,
            "height": size,
            "split": "train",
        }
        if synthetic:
            row |= {"synthetic": True, "seed": index, "prompt_hash": "p", "weights_sha256": "w"}
            row |= {"config_sha256": "c", "solver": "ddim", "steps": 2, "guidance": 1.0}
        rows.append((SyntheticRow if synthetic else Row).model_validate(row))
    append_jsonl(folder / "metadata.jsonl", rows)
    info = {"name": folder.name, "synthetic": synthetic, "size": size, "findings": findings}
    write_json(folder / "dataset.json", DatasetInfo.model_validate(info))
    return folder


def test_large_galleries_stay_small_and_are_folded(tmp_path, folders, scores):
    findings = [f"finding_{number:02d}" for number in range(MOST_FINDINGS + 6)]
    real = many(tmp_path / "real", findings, synthetic=False, size=200)
    made = many(tmp_path / "made", findings, synthetic=True, size=200)
    pair = {"synthetic_id": "a", "real_id": "b", "distance": 1.0, "correlation": 0.9}
    pairs = [
        pair | {"synthetic": f"images/{n:05d}.png", "real": f"images/{n:05d}.png"}
        for n in range(100)
    ]
    scores["memorization"]["pairs"] = pairs
    scores["metrics"]["copy-rate"] = scores["metrics"]["precision"] | {"details": {"pairs": pairs}}
    scores["failures"] = [
        failure("copy", 0, 0.5, 1.0) | {"synthetic": one["synthetic"], "other": one["real"]}
        for one in pairs
    ]
    one = scores["per_finding"]["hernia"]
    scores["per_finding"] = dict.fromkeys([f"f{number}" for number in range(200)], one)
    scores["warnings"] = ["something that is wrong with the data, at length"] * 500
    rng = np.random.default_rng(0)
    for seen in (0, 160):
        preview = rng.integers(0, 256, (1000, 1000), dtype=np.uint8)
        save_png(folders["run"] / "previews" / f"{seen}.png", preview)
    (folders["cohort"] / "README.txt").write_text("a long story " * 100_000)
    page = {**folders, "real": real, "synthetic": made, "before": None}
    path = write_report(tmp_path / "r.html", scores=scores, **page)
    assert path.stat().st_size < MOST_BYTES
    html = path.read_text("utf-8")
    assert "… (the rest is in README.txt)" in html
    assert f"{MOST_FINDINGS - OPEN_FINDINGS} more findings" in html
    assert "6 more common findings are not pictured" in html
    opened = html[: html.index("<summary>")]
    assert opened.count('class="group"') == OPEN_FINDINGS
    assert html.count('class="group"') == MOST_FINDINGS
    assert html.count("<img") == html.count('loading="lazy"') < 300
    assert "140 more are in the table" in html  # of 200 findings, 60 are drawn


def test_no_reference_leads_outside(tmp_path, folders, scores):
    html = write_report(tmp_path / "r.html", scores=scores, **folders).read_text("utf-8")
    plain = re.sub(r"base64,[^\"]+", "", html)
    assert not re.search(r"https?:|//|@import|url\((?!#)|<(script|link|iframe|object|embed)", plain)
