import json
import shutil
import subprocess

import pytest

from synth.errors import SynthError
from synth.manifest import (
    Row,
    SyntheticRow,
    append_jsonl,
    open_dataset,
    read_jsonl,
    sha256_file,
    sha256_text,
    write_bytes,
    write_json,
    write_sha256sums,
)


def ids(path):
    return [row["id"] for row in read_jsonl(path)]


def test_a_torn_last_line_is_skipped_then_cut(tmp_path):
    table = tmp_path / "t.jsonl"
    append_jsonl(table, [{"id": 1}, {"id": 2}])
    with table.open("ab") as file:
        file.write(b'{"id": 3, "text": "gr\xc3')  # cut inside a letter
    assert ids(table) == [1, 2]
    append_jsonl(table, [{"id": 4}])
    assert ids(table) == [1, 2, 4]
    assert table.read_bytes() == b'{"id": 1}\n{"id": 2}\n{"id": 4}\n'


def test_a_whole_last_line_without_its_newline_is_kept(tmp_path):
    table = tmp_path / "t.jsonl"
    table.write_bytes(b'{"id": 1}\n{"id": 2}')
    assert ids(table) == [1, 2]
    append_jsonl(table, [{"id": 3}])
    assert ids(table) == [1, 2, 3]


@pytest.mark.parametrize("length", [10, 65_530, 65_536, 200_000])
def test_lines_of_any_length_are_mended(tmp_path, length):
    table = tmp_path / "t.jsonl"
    append_jsonl(table, [{"id": 1}])
    with table.open("ab") as file:
        file.write(b'{"id": "' + b"x" * length)
    append_jsonl(table, [{"id": 2}])
    assert ids(table) == [1, 2]


def test_a_file_that_is_one_torn_line_starts_again(tmp_path):
    table = tmp_path / "t.jsonl"
    table.write_bytes(b'{"id')
    append_jsonl(table, [{"id": 1}])
    assert ids(table) == [1]


@pytest.mark.parametrize("line", [b"{oops}", b"[1, 2]", b"\xff\xfe"])
def test_damage_before_the_end_names_its_line(tmp_path, line):
    table = tmp_path / "t.jsonl"
    table.write_bytes(b'{"id": 1}\n' + line + b'\n{"id": 3}\n')
    with pytest.raises(SynthError, match=r"t\.jsonl:2: not a JSON"):
        list(read_jsonl(table))


def test_text_is_readable_utf8(tmp_path):
    table = tmp_path / "t.jsonl"
    append_jsonl(table, [{"text": "Erguß links"}])
    assert "Erguß".encode() in table.read_bytes()


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "info.json"
    write_bytes(path, b"old")

    def no_disk(descriptor):
        raise OSError("No space left on device")

    monkeypatch.setattr("synth.manifest.os.fsync", no_disk)
    with pytest.raises(OSError, match="No space"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"


def test_json_is_written_in_the_given_order(tmp_path):
    write_json(tmp_path / "deep" / "a.json", {"b": 1, "a": [2]})
    assert list(json.loads((tmp_path / "deep" / "a.json").read_text())) == ["b", "a"]


def test_checksums_are_those_of_sha256sum(tiny_dataset, tmp_path):
    folder = shutil.copytree(tiny_dataset, tmp_path / "copy")
    (folder / ".lock").touch()
    write_sha256sums(folder)
    assert ".lock" not in (folder / "SHA256SUMS").read_text()
    check = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
    subprocess.run(check, cwd=folder, check=True)
    (folder / "dataset.json").write_text("{}")
    assert subprocess.run(check, cwd=folder, capture_output=True, check=False).returncode == 1


def test_known_digests(tmp_path):
    # FIPS 180-2, appendix B.1: "abc"
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    write_bytes(tmp_path / "abc", b"abc")
    assert sha256_file(tmp_path / "abc") == sha256_text("abc") == known


def test_rows_come_back_as_they_were(tiny_dataset):
    dataset = open_dataset(tiny_dataset)
    assert len(dataset.rows) == 24
    assert dataset.findings == ("cardiomegaly", "hernia", "nodule")
    assert len(dataset.split("train")) == 14
    assert len(dataset.split("val", "test")) == 10
    assert all(sha256_file(dataset.path(row)) == row.sha256 for row in dataset.rows)
    labels = {label for row in dataset.rows for label in row.labels.values()}
    assert labels == {1, 0, -1, None}


def test_synthetic_rows_keep_their_provenance(tmp_path):
    row = SyntheticRow(
        file_name="a.png",
        sample_id="syn-0",
        split="train",
        labels={"mass": None},
        seed=2**62,
        prompt_hash="p",
        weights_sha256="w",
        config_sha256="c",
        solver="ddim",
        steps=3,
        guidance=1.5,
        own_field="kept",
    )
    append_jsonl(tmp_path / "metadata.jsonl", [row])
    read = open_dataset(tmp_path).rows[0]
    assert isinstance(read, SyntheticRow)
    assert read == row


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"sample_id": "a", "split": "train"}', r"metadata\.jsonl:1: bad value for `file_name`"),
        ('{"file_name": "a", "sample_id": "a", "split": "dev"}', "bad value for `split`"),
        (
            '{"file_name": "a", "sample_id": "a", "split": "train", "labels": {"mass": 2}}',
            r"bad value for `labels\.mass",
        ),
        ("", "no images"),
    ],
)
def test_wrong_tables_are_explained(tmp_path, line, message):
    (tmp_path / "metadata.jsonl").write_text(line + "\n")
    with pytest.raises(SynthError, match=message):
        open_dataset(tmp_path)


def test_a_folder_without_a_table(tmp_path):
    with pytest.raises(SynthError, match=r"no metadata\.jsonl.*synth prepare"):
        open_dataset(tmp_path)


@pytest.mark.parametrize("content", ["{", '{"name": "x", "phantom": "perhaps"}'])
def test_broken_facts_are_explained(tmp_path, content):
    row = Row(file_name="a.png", sample_id="a", split="train")
    append_jsonl(tmp_path / "metadata.jsonl", [row])
    (tmp_path / "dataset.json").write_text(content)
    with pytest.raises(SynthError, match=r"dataset\.json: bad value"):
        open_dataset(tmp_path)
