import json
from pathlib import Path

import pytest

from synth.data.prepare import prepare
from synth.data.verify import verify_dataset
from synth.errors import SynthError
from synth.images import save_png
from synth.manifest import open_dataset

from .conftest import picture

NIH = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]\n"
)


@pytest.fixture
def nih(tmp_path: Path) -> Path:
    """Forty patients of NIH ChestX-ray14 with one image each, the last ten in its test split."""
    folder, lines = tmp_path / "nih", []
    names = [f"{patient:08d}_000.png" for patient in range(1, 41)]
    for patient, name in enumerate(names, 1):
        save_png(folder / "images" / name, (picture("nih", patient) >> 4).astype("uint8"))
        lines.append(f"{name},Nodule,0,{patient},57,M,PA,2682,2749,0.143,0.143\n")
    (folder / "Data_Entry_2017_v2020.csv").write_text(NIH + "".join(lines))
    (folder / "train_val_list.txt").write_text("\n".join(names[:30]))
    (folder / "test_list.txt").write_text("\n".join(names[30:]))
    return folder


def test_a_named_source_brings_its_terms_and_splits(nih, tmp_path):
    (nih / "terms.txt").write_text("For this project only.\n")
    summary = prepare(nih, tmp_path / "out", size=16)
    dataset = open_dataset(tmp_path / "out")
    assert summary.ok == 40
    (source,) = dataset.info.sources
    assert (source.name, source.title) == ("nih-chestxray14", "NIH ChestX-ray14")
    assert source.licence
    assert source.citation
    assert {row.source for row in dataset.rows} == {"nih-chestxray14"}
    assert dataset.info.terms[0] == "For this project only."
    assert dataset.info.terms[1:] == [f"NIH ChestX-ray14: {term}" for term in source.terms]
    card = (tmp_path / "out/README.md").read_text()
    assert "| [NIH ChestX-ray14](https://nihcc.app.box.com/v/ChestXray-NIHCC) |" in card
    assert f"- NIH ChestX-ray14: {source.terms[0]}" in card
    for row in dataset.rows:
        assert (row.split == "test") is (row.official_split == "test")
    assert dataset.info.counts["test"] == 10
    assert dataset.info.counts["val"] > 0  # carved out of train
    assert verify_dataset(tmp_path / "out").problems == ()


def test_terms_stay_as_long_as_the_images_do(nih, tmp_path):
    out = tmp_path / "out"
    (nih / "terms.txt").write_text("For this project only.\n")
    prepare(nih, out, size=16)
    first = open_dataset(out).info
    hospital = tmp_path / "hospital"
    save_png(hospital / "1.png", (picture("own") >> 4).astype("uint8"))
    (hospital / "1.txt").write_text("Small nodule.")
    (hospital / "terms.txt").write_text("Ask the ethics board.")
    prepare(hospital, out, size=16)
    both = open_dataset(out).info
    assert both.sources == first.sources
    assert set(both.terms) == {*first.terms, "Ask the ethics board."}
    given = tmp_path / "given.txt"
    given.write_text("These alone.")
    prepare(hospital, out, size=16, terms=given)
    terms = open_dataset(out).info.terms
    assert terms[0] == "These alone."
    assert "Ask the ethics board." not in terms
    assert len(terms) == 1 + len(first.sources[0].terms)  # a named source's own still bind
    with pytest.raises(SynthError, match="terms of use is missing"):
        prepare(hospital, out, size=16, terms=tmp_path / "absent.txt")


def test_patients_in_two_official_splits_are_counted_and_held_out(nih, tmp_path):
    table = nih / "Data_Entry_2017_v2020.csv"
    table.write_text(
        table.read_text().replace(",0,31,57", ",0,1,57").replace(",0,2,57", ",0,32,57")
    )
    prepare(nih, tmp_path / "out", size=16)
    info = open_dataset(tmp_path / "out").info
    assert info.counts["patients_in_several_official_splits"] == 2
    assert info.counts["test"] == 12
    assert verify_dataset(tmp_path / "out").problems == ()


def test_flags_are_counted_in_facts_and_card(nih, tmp_path):
    for path in sorted((nih / "images").glob("*.png"))[:3]:
        path.rename(path.with_suffix(".jpg"))  # a PNG all the same
    prepare(nih, tmp_path / "out", size=16)
    info = json.loads((tmp_path / "out/dataset.json").read_text())
    rows = open_dataset(tmp_path / "out").rows
    for flag, count in info["flags"].items():
        assert count == sum(flag in row.flags for row in rows)
        assert f"| {flag} | {count} |" in (tmp_path / "out/README.md").read_text()
    assert info["flags"]
