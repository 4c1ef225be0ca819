"""Terms of use are carried, and what they forbid is refused."""

import json

import pytest

from synth.data.export.run import export_dataset
from synth.data.export.terms import agree
from synth.errors import UsageError
from synth.manifest import DatasetInfo, SourceTerms


def source(name, licence="CC0-1.0", **facts):
    known = {"title": name.title(), "redistribution": True, "commercial": True} | facts
    return SourceTerms(name=name, licence=licence, **known)


def info(name, *sources, terms=()):
    return DatasetInfo(name=name, sources=list(sources), terms=list(terms))


def test_every_condition_of_every_source_binds():
    first = source("a", "CC-BY-4.0", terms=["name the authors"])
    second = source("b", "CC-BY-NC-4.0", terms=["not for sale"], commercial=False)
    terms = agree([info("x", first, terms=["house rule"]), info("y", second)], local_use=False)
    assert terms.lines == ("house rule", "A: name the authors", "B: not for sale")
    assert terms.redistribution
    assert not terms.commercial
    assert terms.licence == "CC-BY-4.0; CC-BY-NC-4.0"


def test_data_that_may_not_be_passed_on():
    closed = source("closed", "DUA", redistribution=False, terms=["do not share the data"])
    with pytest.raises(UsageError, match=r"Closed.*forbid.*do not share the data.*--local-use"):
        agree([info("x", closed)], local_use=False)
    terms = agree([info("x", closed)], local_use=True)
    assert not terms.redistribution
    assert terms.local_use


def test_one_closed_source_closes_the_whole():
    with pytest.raises(UsageError, match="forbid passing these data on"):
        agree(
            [info("x", source("a")), info("y", source("b", redistribution=False))], local_use=False
        )


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (source("a", "CC-BY-SA-4.0"), source("b", "CC-BY-NC-4.0", commercial=False)),
        (source("a", "CC-BY-SA-4.0"), source("b", "GPL-3.0")),
        (source("a", "CC-BY-SA-4.0"), source("b", "DUA", redistribution=False)),
    ],
)
def test_share_alike_and_stricter_terms_exclude_each_other(first, second):
    for pair in ((first, second), (second, first)):
        datasets = [info("x", pair[0]), info("y", pair[1])]
        with pytest.raises(UsageError, match="exclude each other"):
            agree(datasets, local_use=False)
        assert not agree(datasets, local_use=True).redistribution


def test_share_alike_takes_freer_terms_and_its_own():
    alike = source("a", "CC-BY-SA-4.0")
    for other in (source("b", "CC-BY-4.0"), source("b", "CC-BY-SA-4.0")):
        assert agree([info("x", alike), info("y", other)], local_use=False).redistribution


@pytest.mark.parametrize("local_use", [False, True])
def test_two_records_of_one_source_must_agree(local_use):
    datasets = [info("x", source("a", "CC0-1.0")), info("y", source("a", "CC-BY-4.0"))]
    with pytest.raises(UsageError, match=r"different terms of A: `licence`.*'CC-BY-4.0'"):
        agree(datasets, local_use=local_use)


def test_terms_that_are_not_recorded_are_said_to_be_missing():
    assert not agree([info("x", source("a")), info("y")], local_use=False).recorded
    assert agree([info("x", terms=["mine"])], local_use=False).recorded


def test_nothing_is_written_where_terms_forbid_it(made, change_terms, tmp_path):
    stricter = source("hospital", "DUA", redistribution=False).model_dump()
    real = change_terms("real", sources=[stricter])
    with pytest.raises(UsageError, match="forbid passing"):
        export_dataset(made, tmp_path / "out", to="parquet", merge=real)
    assert [path.name for path in tmp_path.iterdir()] == ["real"]


@pytest.mark.parametrize("to", ["parquet", "webdataset", "monai", "chexpert", "imagefolder"])
def test_terms_are_in_card_facts_and_description(merged, to):
    folder = merged(to)
    card = (folder / "README.md").read_text("utf-8")
    facts = json.loads((folder / "dataset.json").read_text("utf-8"))
    described = json.loads((folder / "croissant.json").read_text("utf-8"))
    assert "not for sale" in card
    assert "https://example.org/tests" in card
    assert any("not for sale" in line for line in facts["terms"])
    assert facts["sources"][0]["licence"] == "CC-BY-NC-4.0"
    assert facts["export"]["redistribution"] is True
    assert facts["export"]["commercial"] is False
    assert described["license"] == "CC-BY-NC-4.0"
    assert "not for sale" in described["usageInfo"]


def test_local_use_is_written_down(made, change_terms, tmp_path):
    stricter = source("hospital", "DUA", redistribution=False).model_dump()
    real = change_terms("real", sources=[stricter])
    summary = export_dataset(made, tmp_path / "out", to="monai", merge=real, local_use=True)
    assert not summary.redistribution
    assert "Do not pass it on" in (tmp_path / "out" / "README.md").read_text("utf-8")
