"""Where sets lie, whether they are still the same, and which of their images can be shown."""

from __future__ import annotations

import io
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from metrics.chosen import Choices
from metrics.report_images import gallery
from metrics.report_sets import Named, names_sets, open_shown
from metrics.run import evaluate
from metrics.whereabouts import found_path, has_changed, set_facts, stored_path
from synth.config.schema import MetricsSection
from synth.errors import SynthError
from synth.images import save_png


def folder_of(path: Path, count: int = 12) -> Path:
    for index in range(count):
        image = np.random.default_rng(index).integers(0, 256, (16, 16)).astype(np.uint8)
        save_png(path / f"{index:02d}.png", image)
    return path


def shards(path: Path, *shards_of_names: tuple[str, ...]) -> Path:
    path.mkdir()
    for number, names in enumerate(shards_of_names):
        with tarfile.open(path / f"{number}.tar", "w") as tar:
            for name in names:
                save_png(path / "one.tmp.png", np.full((8, 8), 9 * number, np.uint8))
                content = (path / "one.tmp.png").read_bytes()
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
            (path / "one.tmp.png").unlink()
    return path


def facts_of(path: Path, beside: Path, **more: object) -> dict:
    return {"provenance": {"sets": {"real": set_facts(path, beside) | more}}}


@pytest.mark.parametrize(
    ("path", "out", "stored"),
    [
        ("/data/a/real", "/data/a/run", "../real"),
        ("/data/a/run/real", "/data/a/run", "real"),
        ("/data/a", "/data/a", "."),
        ("/data/real", "/home/me/run", "/data/real"),
        ("/data/real", None, "/data/real"),
    ],
)
def test_paths_are_relative_where_they_share_a_place(path, out, stored):
    found = stored_path(Path(path), None if out is None else Path(out))
    assert found == stored
    back = found_path({"path": found}, None if out is None else Path(out))
    assert back is not None
    assert back.resolve() == Path(path)


def test_a_linked_folder_of_scores_finds_its_sets(tmp_path):
    folder_of(tmp_path / "real")
    (tmp_path / "far" / "scratch").mkdir(parents=True)
    (tmp_path / "run").symlink_to(tmp_path / "far" / "scratch")
    facts = set_facts(tmp_path / "real", tmp_path / "run")
    found = found_path(facts, tmp_path / "run")
    assert found is not None
    assert found.resolve() == (tmp_path / "real").resolve()


def test_a_set_is_known_again_wherever_it_lies(tmp_path):
    one = folder_of(tmp_path / "one")
    facts = set_facts(one, tmp_path)
    two = Path(shutil.copytree(one, tmp_path / "deep" / "two"))
    assert not has_changed(two, facts)
    (two / "notes.txt").write_text("no image")
    assert not has_changed(two, facts)
    (two / "00.png").rename(two / "renamed.png")
    assert has_changed(two, facts)
    assert has_changed(folder_of(tmp_path / "fewer", 11), facts)
    assert not has_changed(tmp_path / "fewer", {"folder": "one"})  # older facts do not tell


def test_a_set_that_empties_itself_ends_no_evaluation(tmp_path):
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "0.png").symlink_to(tmp_path / "nowhere.png")
    assert set_facts(tmp_path / "links", None)["files_sha256"]
    assert set_facts(tmp_path / "gone", None)["files_sha256"] is None


def test_scores_do_not_depend_on_the_place(tmp_path):
    found = []
    for place in (tmp_path / "one", tmp_path / "two" / "deeper"):
        folder_of(place / "images")
        scores = evaluate(
            real=place / "images",
            synthetic=place / "images",
            settings=MetricsSection(),
            out=place / "run",
            choices=Choices(metrics=("kd",), extractors=("pixel",)),
        ).to_json()
        del scores["provenance"]["seconds"], scores["warnings"]  # these name the folder
        found.append(scores)
    assert found[0] == found[1]
    assert found[0]["provenance"]["sets"]["real"]["path"] == "../images"
    assert found[0]["provenance"]["reading"] == {"white": None, "preset": "dicom-voi"}
    assert names_sets(found[0])


def test_a_name_that_two_shards_share_is_not_guessed(tmp_path):
    packed = shards(tmp_path / "packed", ("a.png", "b.png"), ("b.png", "c.png"))
    sets = open_shown(facts_of(packed, tmp_path), beside=tmp_path, named=Named())
    assert sets.real.picture("b.png") is None
    a, c = sets.real.picture("a.png"), sets.real.picture("c.png")
    assert a is not None
    assert c is not None
    assert (a.grey().max(), c.grey().max()) == (0.0, np.float32(9 / 255))
    assert [row.file_name for row in sets.real.rows] == ["a.png", "c.png"]


def test_files_that_cannot_be_read_make_room_for_others(tmp_path):
    folder_of(tmp_path / "real")
    for name in ("00.png", "01.png", "07.png"):
        (tmp_path / "real" / name).write_bytes(b"no image")
    scores = facts_of(tmp_path / "real", tmp_path, images=9)
    sets = open_shown(scores, beside=tmp_path, named=Named(synthetic=tmp_path / "real"))
    (group,) = gallery(sets.real, sets.synthetic)
    assert (len(group.real), len(group.synthetic)) == (6, 6)
    assert (group.n_real, group.n_synthetic) == (9, 12)  # scored; and files, as none were scored


def test_only_what_is_named_must_be_there(tmp_path):
    folder_of(tmp_path / "real")
    scores = facts_of(tmp_path / "real", tmp_path)
    shutil.rmtree(tmp_path / "real")
    assert open_shown(scores, beside=tmp_path, named=Named()).real.why.startswith("Real images are")
    with pytest.raises(SynthError, match="no such folder"):
        open_shown(scores, beside=tmp_path, named=Named(real=tmp_path / "real"))
    broken = scores["provenance"]["sets"]["real"] | {"path": 3}
    sets = {"provenance": {"sets": {"real": broken}, "reading": {"white": "x", "preset": "?"}}}
    assert "do not say where they lie" in open_shown(sets, beside=None, named=Named()).real.why


def test_a_damaged_dataset_is_a_reason(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "metadata.jsonl").write_text("no json\n")
    scores = facts_of(tmp_path / "real", tmp_path)
    found = open_shown(scores, beside=tmp_path, named=Named()).real
    assert "not a JSON line" in found.why
    assert found.picture("metadata.jsonl") is None
