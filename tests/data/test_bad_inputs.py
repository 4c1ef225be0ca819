"""The whole table of bad inputs with 200 good files in one folder."""

import json
import os
import stat
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from synth.data.quarantine import IMAGE_CODES, SKIPPED
from synth.dicom.refusal import CODES
from synth.manifest import open_dataset, read_jsonl

from .bad_inputs import GOOD, build
from .conftest import contents

UNKNOWABLE = {  # the pixels alone tell
    *("flat_image", "color_image", "corrupt_image", "truncated_image", "non_finite"),
    *("unsupported_format", "decode_failed"),
}


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    """(source, path -> outcome)."""
    source = tmp_path_factory.mktemp("bad") / "source"
    return source, build(source)


@pytest.fixture(scope="module")
def prepared(bad, tmp_path_factory):
    """The dataset, and what the command line said: (exit code, account, messages)."""
    out = tmp_path_factory.mktemp("prepared") / "out"
    before = snapshot(bad[0].parent)
    code, stdout, stderr = command(bad[0], out)
    assert snapshot(bad[0].parent) == before  # nothing was written but the dataset
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    return out, code, json.loads(stdout), stderr


def command(source, out, *options):
    """``synth prepare`` in a process of its own."""
    words = ["prepare", source, out, "--size", "16", "--workers", "2", "--json", *options]
    program = [sys.executable, "-c", "from synth.cli import main; main()", *map(str, words)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=200)
    return done.returncode, done.stdout, done.stderr


def snapshot(folder):
    """Every path with its kind, size and time of change; links are not followed."""
    found = {}
    for place, folders, names in os.walk(folder):
        for name in (*folders, *names):
            state = Path(place, name).lstat()
            found[place, name] = stat.S_IFMT(state.st_mode), state.st_size, state.st_mtime_ns
    return found


def test_all_good_files_are_prepared_and_the_exit_code_says_that_some_are_not(bad, prepared):
    out, code, account, stderr = prepared
    assert code == 3
    assert "Traceback" not in stderr
    usable = sum(outcome.startswith("ok") for outcome in bad[1].values())
    assert list(bad[1].values()).count("good") == GOOD
    assert account["ok"] == GOOD + usable == len(open_dataset(out).rows)
    assert account["inputs"] == account["ok"] + account["quarantined"] + account["duplicates"]
    used = sum(account["used"].values())
    assert account["files"] == len(bad[1])
    assert account["files"] == account["inputs"] + account["skipped"] + account["broken"] + used
    assert used == list(bad[1].values()).count("used")


def test_every_other_path_is_accounted_for_once_with_its_code(bad, prepared):
    rows = list(read_jsonl(prepared[0] / "quarantine.jsonl"))
    rows = [row for row in rows if row["kind"] not in ("report", "row")]
    assert max(Counter(row["path"] for row in rows).values()) == 1
    found = {
        row["path"]: row["code"] if row["kind"] == "image" else f"{row['kind']}:{row['code']}"
        for row in rows
    }
    lost = ("good", "ok", "used")
    expected = {
        name: outcome for name, outcome in bad[1].items() if outcome.split(":")[0] not in lost
    }
    assert found == expected


def test_lines_of_tables_without_image_are_listed(prepared):
    rows = read_jsonl(prepared[0] / "quarantine.jsonl")
    found = {row["path"]: row["code"] for row in rows if row["kind"] in ("report", "row")}
    assert found.pop("39-header.csv:2") == "missing_file"
    assert list(found.values()) == ["report_without_image"]


def test_warnings_are_in_the_rows(bad, tmp_path, prepared):
    wanted = Counter(
        outcome.partition(":")[2] for outcome in bad[1].values() if outcome.startswith("ok:")
    )
    found = Counter(flag for row in open_dataset(prepared[0]).rows for flag in row.flags)
    for flag, count in wanted.items():
        assert found[flag] >= count, flag


def test_codes_are_documented_and_say_what_to_do(prepared):
    for row in read_jsonl(prepared[0] / "quarantine.jsonl"):
        assert row["detail"]
        if row["kind"] == "image":
            assert row["code"] in {*CODES, *IMAGE_CODES}, row["code"]
            assert len(row["sha256"]) == 64
        if row["kind"] == "skipped":
            assert row["code"] in SKIPPED


def test_a_missing_decoder_is_summed_up_in_one_remedy(prepared):
    account = prepared[2]
    remedies = account["remedies"]["unsupported_transfer_syntax"]
    assert any("pip install" in remedy for remedy in remedies)
    assert set(account["remedies"]) <= {*account["codes"], *account["tables"]}


def test_again_nothing_is_new_and_no_byte_differs(bad, prepared):
    out = prepared[0]
    before = contents(out)
    code, stdout, stderr = command(bad[0], out)
    account = json.loads(stdout)
    assert (code, account["new"], account["updated"]) == (3, 0, 0)
    assert account["quarantined"] == prepared[2]["quarantined"]
    assert "Traceback" not in stderr
    assert contents(out) == before


def test_a_dry_run_knows_all_but_what_the_pixels_tell(bad, prepared, tmp_path):
    code, stdout, stderr = command(bad[0], tmp_path / "out", "--dry-run")
    seen, real = json.loads(stdout), prepared[2]
    assert (code, seen["dry_run"], list(tmp_path.iterdir())) == (3, True, [])
    assert "Traceback" not in stderr
    for name in ("inputs", "files", "skipped_codes", "used", "unused", "tables", "broken"):
        assert seen[name] == real[name], name
    for code in {*seen["codes"], *real["codes"]}:
        found, expected = seen["codes"].get(code, 0), real["codes"].get(code, 0)
        assert found <= expected if code in UNKNOWABLE else found == expected, code
    assert seen["quarantined"] < real["quarantined"]
    assert seen["duplicates"] == real["duplicates"] - 1  # other bytes, the same pixels
