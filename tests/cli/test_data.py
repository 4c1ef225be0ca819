import json

import numpy as np
import pytest

from synth.images import save_png
from synth.manifest import open_dataset


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    lines = ["image,report,patient_id"]
    for index in range(6):
        level = np.full((40, 40), 40 * index, dtype=np.uint8)
        level[:20] += 9
        save_png(folder / f"{index}.png", level)
        lines.append(f"{index}.png,IMPRESSION: Small left pleural effusion.,p{index}")
    (folder / "reports.csv").write_text("\n".join(lines))
    return folder


def test_prepare(synth, source, tmp_path):
    code, out, err = synth("prepare", source, tmp_path / "d", "--size", 32, "--workers", 1)
    assert code == 0, err
    assert "6 images in" in out
    assert "pleural_effusion" in out
    assert synth("verify", tmp_path / "d")[0] == 0


def test_prepare_exits_with_3_when_something_was_quarantined(synth, source, tmp_path):
    (source / "3.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    arguments = ["prepare", source, tmp_path / "d", "--size", 32, "--workers", 1, "--json"]
    code, out, err = synth(*arguments)
    assert code == 3, err
    account = json.loads(out)
    assert (account["inputs"], account["ok"], account["quarantined"]) == (6, 5, 1)
    assert synth(*arguments)[0] == 3  # the same again says the same


@pytest.mark.parametrize("splits", ["0.5,0.5", "a,b,c", "0.9,0.9,0.1", "-1,1,1"])
def test_splits_that_make_no_sense(synth, source, tmp_path, splits):
    code, _, err = synth("prepare", source, tmp_path / "d", f"--splits={splits}")
    assert code == 2
    assert err.startswith("error: --splits")
    assert not (tmp_path / "d").exists()


def test_a_source_that_is_not_there(synth, tmp_path):
    code, _, err = synth("prepare", tmp_path / "absent", tmp_path / "d")
    assert code in (1, 2)
    assert err.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in err


def test_skipped_files_are_counted_by_suffix(synth, source, tmp_path):
    for name in ("a.docx", "b.docx", "c.xml"):
        (source / name).write_bytes(b"x")
    code, out, err = synth("prepare", source, tmp_path / "d", "--size", 32, "--workers", 1)
    assert code == 0, err
    assert "3 files skipped (.docx 2, .xml 1)" in out


def test_the_users_own_key_is_made_and_named(synth, source, tmp_path, monkeypatch):
    def prepared(folder, *options):
        size = ("--size", 32, "--workers", 1)
        code, _, err = synth("prepare", source, tmp_path / folder, *size, *options)
        assert code == 0, err
        patients = {row.patient_id for row in open_dataset(tmp_path / folder).rows}
        return patients, str(key) in err.replace("\n", "")

    key = tmp_path / "data/synth/pseudonym.key"
    monkeypatch.delenv("SYNTH_KEY_FILE")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    first, named = prepared("first")
    assert named
    assert key.stat().st_size == 32
    assert prepared("again") == (first, True)
    assert prepared("json", "--json") == (first, True)
    assert prepared("file", "--key-file", key) == (first, False)
    others, named = prepared("words", "--secret", "pepper")
    assert not named
    assert others.isdisjoint(first)


def test_a_dry_run_tells_the_same_and_writes_nothing(synth, source, tmp_path):
    (source / "notes.docx").write_bytes(b"x")
    (source / "0.png").write_bytes(b"<html>")
    arguments = ["prepare", source, tmp_path / "d", "--size", 32, "--workers", 1]
    code, out, err = synth(*arguments, "--dry-run")
    assert code == 3, err
    assert "dry run, nothing was written: 5 images would be in" in out
    assert "html_instead_of_image 1" in out
    seen = json.loads(synth(*arguments, "--dry-run", "--json")[1])
    assert not (tmp_path / "d").exists()
    real = json.loads(synth(*arguments, "--json")[1])
    differs = {name for name in real if seen[name] != real[name]}
    assert differs == {"dry_run", "splits"}
    assert (real["splits"], seen["splits"]) == ({"train": 4, "test": 1}, {})


def test_every_option_reaches_the_dataset(synth, source, tmp_path):
    key = tmp_path / "key"
    key.write_bytes(b"0123456789abcdef")
    code, _, err = synth(
        *("prepare", source, tmp_path / "d", "--size", 32, "--workers", 1),
        *("--preset", "xrv", "--key-file", key, "--exclude", "not_chest"),
        *("--exclude", "burned_in_text", "--policy", "findings,full", "--comparisons", "keep"),
        *("--keep-raw-text", "--label-mode", "chexpert", "--no-near-duplicates"),
    )
    assert code == 0, err
    info = json.loads((tmp_path / "d/dataset.json").read_text())["preprocessing"]
    expected = {
        "preset": "xrv",
        "exclude": ["burned_in_text", "not_chest"],
        "views": [],
        "policy": ["findings", "full"],
        "drop_comparisons": False,
        "keep_raw_text": True,
        "label_mode": "chexpert",
        "near_duplicates": False,
    }
    assert {name: info[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--exclude", "burned_in"), "unknown flag"),
        (("--views", "PA,TOP"), "unknown view"),
        (("--policy", "summary"), "--policy: unknown section"),
        (("--policy", ","), "--policy: unknown section"),
        (("--terms", "absent.txt"), "terms of use is missing"),
    ],
)
def test_options_that_make_no_sense_are_refused_before_work_starts(
    synth, source, tmp_path, options, problem
):
    code, out, err = synth("prepare", source, tmp_path / "d", *options)
    assert code in (1, 2)
    assert problem in err
    assert "Traceback" not in err
    assert (out, (tmp_path / "d").exists()) == ("", False)


def test_a_code_is_one_line_however_many_files_have_it(synth, source, tmp_path):
    for index in range(40):
        (source / f"page{index}.dcm").write_bytes(b"<html>%d" % index)
    code, out, _ = synth("prepare", source, tmp_path / "d", "--size", 32, "--workers", 1)
    assert code == 3
    assert "40 quarantined (html_instead_of_image 40)" in out
    assert out.count("Check the download's credentials") == 1
