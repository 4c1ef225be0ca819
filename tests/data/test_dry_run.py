import json
from dataclasses import asdict

import pytest

from synth.data.dry_run import key_for_dry_run
from synth.data.prepare import prepare
from synth.errors import SynthError, UsageError
from synth.progress import Silent

from .conftest import SMALL, contents, picture, write_dicom


def everything(folder):
    return {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}


def test_a_clean_cohort_is_forecast_exactly_and_nothing_is_written(source, tmp_path):
    before = everything(tmp_path)
    seen = prepare(source, tmp_path / "out", dry_run=True, **SMALL)
    assert everything(tmp_path) == before
    real = prepare(source, tmp_path / "out", **SMALL)
    differs = {name for name, value in asdict(seen).items() if value != asdict(real)[name]}
    assert differs == {"dry_run", "splits", "phantom"}
    assert (seen.dry_run, seen.splits, seen.exit_code) == (True, {}, 0)


def test_it_ends_as_the_real_run_would(source, tmp_path, raster_source):
    out = tmp_path / "out"
    with pytest.raises(SynthError, match="does not exist"):
        prepare(tmp_path / "missing", out, dry_run=True)
    with pytest.raises(UsageError, match="inside"):
        prepare(source, source / "out", dry_run=True)
    for path in raster_source.glob("*.txt"):
        path.unlink()
    with pytest.raises(SynthError, match=r"no image could be used.*3 x no_report"):
        prepare(raster_source, out, dry_run=True)
    assert not out.exists()
    prepare(source, out, **SMALL)
    before = contents(out)
    with pytest.raises(UsageError, match="other options"):
        prepare(source, out, size=32, dry_run=True)
    assert prepare(source, out, dry_run=True, **SMALL).ok == 16
    assert contents(out) == before


def test_unwanted_views_are_counted(source, tmp_path):
    write_dicom(
        source / "x.dcm", picture("lateral"), 9, 9, ViewPosition="LL", AccessionNumber="ACC-5500"
    )
    seen = prepare(source, tmp_path / "out", dry_run=True, views=("PA",), **SMALL)
    assert seen.codes == {"excluded_view": 1}


def test_no_key_is_made_for_it(tmp_path, monkeypatch):
    monkeypatch.delenv("SYNTH_KEY_FILE", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    one, two = (key_for_dry_run("", None, Silent(), dataset=tmp_path / "out") for _ in range(2))
    assert one != two
    assert len(one) == 32
    assert not list(tmp_path.iterdir())
    with pytest.raises(SynthError, match="cannot be read"):
        key_for_dry_run("", tmp_path / "absent", Silent(), dataset=tmp_path / "out")


def test_a_summary_can_be_json(source, tmp_path):
    seen = prepare(source, tmp_path / "out", dry_run=True, **SMALL)
    assert json.loads(json.dumps(asdict(seen), default=str))["ok"] == 16
