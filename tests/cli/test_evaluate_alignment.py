"""``synth evaluate --metrics alignment``, from folders to tables, by a tiny random CLIP."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dual_encoders import clip_folder
from paired_datasets import FINDINGS, paired_dataset

from metrics import image_text_alignment
from metrics.alignment import MEANINGS
from metrics.extract import features_of
from metrics.ingest import open_images
from metrics.pairs import pairs
from synth.extractors.open import open_extractor
from synth.extractors.text_side import joint

RECORDS = (
    *("cosine", "report_to_image_r1", "image_to_report_r1"),
    *("report_to_image_r5", "image_to_report_r5", "matched_auc"),
)


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("aligned")
    paired_dataset(root / "real")
    paired_dataset(root / "made", synthetic=True, longer=3)
    paired_dataset(root / "mute", synthetic=True, words=False)
    clip_folder(root / "clip")
    return root


def ask(sets: Path, *more: Any, made: str = "made", extractor: str = "hf:clip") -> tuple[Any, ...]:
    extractor = extractor.replace("hf:", f"hf:{sets}/")
    return (
        *("evaluate", "--real", sets / "real", "--synthetic", sets / made),
        *("--metrics", "alignment", "--extractor", extractor, "metrics.bootstrap=20", *more),
    )


@pytest.fixture
def scores(sets: Path, synth: Any) -> dict[str, Any]:
    code, out, err = synth(*ask(sets, "--out", sets / "run", "--json"))
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


def missing(scores: dict[str, Any]) -> set[str]:
    """What of the alignment was not computed."""
    return {what for item in scores["not_computed"] if "alignment" in (what := item["what"])}


def test_every_record_is_what_the_functions_say(sets: Path, scores: dict[str, Any]) -> None:
    section = scores["alignment"]
    assert set(section) == {*RECORDS, "negation", "texts"}
    assert scores["metrics"] == {}
    assert missing(scores) == set()
    both = joint(open_extractor(f"hf:{sets / 'clip'}"), named="clip")

    def side(name: str) -> dict[str, Any]:
        images = open_images(sets / name, 32)
        words = [str(picture.row and picture.row.text_used) for picture in images.pictures]
        return {
            "images": features_of(both.images, images).values,
            "texts": both.texts(words).values,
            "words": words,
            "labels": images.columns(FINDINGS),
            "groups": images.groups,
        }

    expected = image_text_alignment(**side("made"), real=pairs(**side("real"))).records
    for name in RECORDS:
        record = section[name]
        assert record["value"] == pytest.approx(expected[name].value, abs=1e-6), name
        assert record["floor"]["value"] == pytest.approx(expected[name].floor.value, abs=1e-6)
        assert record["extractor"] == both.images.id
        assert both.texts.id in record["preprocessing"]
        assert record["fingerprint"]
        assert (record["n_real"], record["n_synthetic"]) == (40, 40)
    assert section["cosine"]["meaning"] == MEANINGS["cosine"]


def test_truncated_texts_are_counted(scores: dict[str, Any]) -> None:
    section = scores["alignment"]
    assert section["texts"]["limit"] == 16
    assert section["texts"]["synthetic"]["truncated"] == 3
    assert section["texts"]["real"]["truncated"] == 0
    for name in RECORDS:
        assert section[name]["details"]["truncated"] == 3
        assert section[name]["details"]["real_truncated"] == 0
        assert "3 synthetic and 0 real texts are longer than 16 tokens" in section[name]["note"]
    assert section["negation"]["truncated"] == 0


def test_negation_of_each_finding(scores: dict[str, Any]) -> None:
    negation = scores["alignment"]["negation"]
    assert set(negation["findings"]) == set(FINDINGS)
    for row in negation["findings"].values():
        assert (row["n_positive"], row["n_negative"]) == (20, 20)
        assert row["p"] <= row["p_holm"] <= 1
        for name in ("auroc", "balanced_accuracy"):
            assert 0 <= row[name]["value"] <= 1
            assert row[name]["fingerprint"]
    # 20 real patients show a nodule or not in turns, and each of them both kinds of hernia.
    assert negation["findings"]["nodule"]["auroc"]["floor"]["n"] == 40
    assert "fingerprint" in negation["macro"]


def test_it_is_in_the_protocol_and_compares(
    sets: Path, scores: dict[str, Any], synth: Any, tmp_path: Path
) -> None:
    records = scores["protocol"]["records"]
    assert {f"alignment.{name}" for name in RECORDS} <= set(records)
    assert "alignment.negation.findings.nodule.auroc" in records
    other = tmp_path / "other"
    paired_dataset(sets / "again", synthetic=True)
    try:
        synth(*ask(sets, "--out", other, made="again"))
        code, out, err = synth("diff", sets / "run", other, "--json", "--out", tmp_path / "d.md")
        assert code == 0, err
        found = json.loads(out)
    finally:
        shutil.rmtree(sets / "again")
    rows = {row["name"]: row for row in found["rows"]}
    assert rows["alignment.cosine"]["paired"]
    assert rows["alignment.negation.findings.nodule.auroc"]["p_holm"] is not None
    assert rows["alignment.matched_auc"]["p_holm"] is None
    assert any("synthetic texts of the two runs differ" in note for note in found["notes"])
    page = (tmp_path / "d.md").read_text()
    assert "## Image-text alignment" in page
    assert "| cosine |" in page
    assert "| negation nodule auroc |" in page


def test_other_weights_do_not_compare(
    sets: Path, scores: dict[str, Any], synth: Any, tmp_path: Path
) -> None:
    assert scores
    clip_folder(tmp_path / "clip", seed=8)
    base = [f"hf:{tmp_path}/clip" if str(part).startswith("hf:") else part for part in ask(sets)]
    code, _, err = synth(*base, "--out", tmp_path / "run")
    assert code == 0, err
    code, _, err = synth("diff", sets / "run", tmp_path / "run")
    assert code == 1
    assert "scored by different protocols" in " ".join(err.split())


def test_the_tables(sets: Path, synth: Any) -> None:
    code, out, _ = synth(*ask(sets))
    text = " ".join(out.split())
    assert code == 0
    assert "Image-text alignment, beside real images and reports" in text
    assert "matched auc" in text
    assert "Negation" in text
    assert "nodule" in text


@pytest.mark.parametrize(
    ("made", "extractor", "why"),
    [
        ("made", "random-conv", "no extractor with a text side: give --extractor hf:FOLDER"),
        ("made", "hf:bare", "the model's own tokenizer beside its weights"),
        ("mute", "hf:clip", "rows need `text_used`"),
    ],
)
def test_what_cannot_be_said_has_a_reason(
    sets: Path, synth: Any, made: str, extractor: str, why: str
) -> None:
    if extractor == "hf:bare" and not (sets / "bare").exists():
        clip_folder(sets / "bare", tokenizer=False)
    code, out, _ = synth(*ask(sets, "--json", made=made, extractor=extractor))
    found = json.loads(out)
    assert code == 0
    assert any(item["what"] == "alignment" and why in item["why"] for item in found["not_computed"])
    section = found["alignment"]
    if made == "mute":  # negation pairs need labels alone
        assert set(section) == {"negation", "texts"}
        assert section["texts"]["synthetic"] is None
    else:
        assert section is None


def test_the_first_that_reads_texts_scores(sets: Path, synth: Any) -> None:
    extra = ("--extractor", f"hf:{sets / 'clip'}", "--json")
    code, out, _ = synth(*ask(sets, *extra, extractor="pixel"))
    found = json.loads(out)
    assert code == 0
    assert found["alignment"]["cosine"]["extractor"].startswith("hf-clip-")
    assert missing(found) == set()


def test_folders_without_texts_are_no_error(sets: Path, synth: Any, tmp_path: Path) -> None:
    for name in ("real", "made"):
        shutil.copytree(sets / name / "images", tmp_path / name)
    code, out, _ = synth(
        *("evaluate", "--real", tmp_path / "real", "--synthetic", tmp_path / "made", "--json"),
        *("--metrics", "alignment", "--extractor", f"hf:{sets / 'clip'}"),
    )
    found = json.loads(out)
    assert code == 0
    assert found["alignment"] is None
    assert missing(found) == {"alignment", "alignment: negation"}


def test_real_images_without_texts_leave_no_ceiling(sets: Path, synth: Any, tmp_path: Path) -> None:
    paired_dataset(tmp_path / "real", words=False)
    code, out, _ = synth(
        *("evaluate", "--real", tmp_path / "real", "--synthetic", sets / "made", "--json"),
        *("--metrics", "alignment", "--extractor", f"hf:{sets / 'clip'}"),
    )
    found = json.loads(out)
    assert code == 0
    assert found["alignment"]["cosine"]["floor"] is None
    assert np.isfinite(found["alignment"]["cosine"]["value"])
    assert found["alignment"]["negation"]["macro"]["floor"] is not None
    assert missing(found) == {"alignment of real pairs"}
