"""``prepare`` over public archives as they lie on disk, with phantom images."""

import gzip
import json

import numpy as np
import pytest
from PIL import Image

from synth.data.prepare import prepare
from synth.manifest import open_dataset, read_jsonl
from synth.seeding import numpy_rng

SMALL = {"size": 16, "splits": (0.5, 0.25, 0.25)}


def picture(path):
    noise = numpy_rng("layout", str(path.name)).random((24, 24)) * 0.5
    path.parent.mkdir(parents=True, exist_ok=True)
    image = ((noise + np.linspace(0, 0.5, 24)) * 255).astype(np.uint8)
    Image.fromarray(image).save(path)


def texts(out):
    return [path.read_bytes() for path in out.rglob("*") if path.is_file()]


@pytest.fixture
def mimic(tmp_path):
    folder = tmp_path / "mimic"
    metadata = ["dicom_id,subject_id,study_id,ViewPosition,Rows,Columns,StudyDate,StudyTime"]
    splits = ["dicom_id,study_id,subject_id,split"]
    labels = "Atelectasis,Cardiomegaly,Lung Lesion,Lung Opacity,Pleural Effusion,Pneumonia"
    chexpert = [f"subject_id,study_id,{labels}"]
    for index, split in enumerate(["train", "train", "validate", "test"]):
        patient, study = f"1000{index}032", f"5041{index}267"
        tree = folder / f"files/p10/p{patient}"
        picture(tree / f"s{study}/{index:08x}-image.jpg")
        tree.joinpath(f"s{study}.txt").write_text(
            "FINAL REPORT\n INDICATION: ___ year old\n\n IMPRESSION: \n\n Small pleural effusion."
        )
        metadata.append(f"{index:08x}-image,{patient},{study},PA,3056,2544,21800506,213014.5")
        splits.append(f"{index:08x}-image,{study},{patient},{split}")
        chexpert.append(f"{patient},{study},,-1.0,,,1.0,0.0")
    metadata.append("ffffffff-image,10009999,50419999,,3056,2544,21800506,1.5")
    for name, lines in (("metadata", metadata), ("split", splits), ("chexpert", chexpert)):
        path = folder / f"mimic-cxr-2.0.0-{name}.csv.gz"
        path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return folder


def test_mimic_cxr(mimic, tmp_path):
    out = tmp_path / "out"
    summary = prepare(mimic, out, **SMALL)
    assert (summary.ok, summary.quarantined) == (4, 0)
    rows = open_dataset(out).rows
    assert sorted(row.split for row in rows) == ["test", "train", "train", "val"]  # official
    for row in rows:
        assert row.text_used == "Small pleural effusion."
        assert row.view == "PA"
        assert row.labels["cardiomegaly"] == -1
        assert row.labels["pneumonia"] == 0
        assert row.labels["pleural_effusion"] == 1
        assert row.label_source.endswith("+chexpert-labeler")
        assert row.source == "mimic-cxr"
    info = json.loads((out / "dataset.json").read_text())
    assert "by credentialed users" in " ".join(info["terms"])
    quarantine = read_jsonl(out / "quarantine.jsonl")
    assert {(row["path"], row["code"]) for row in quarantine} == {
        ("mimic-cxr-2.0.0-metadata.csv.gz:6", "missing_file")
    }
    (out / "quarantine.jsonl").unlink()
    for identifier in (b"10000032", b"50410267", b"00000000-image"):
        assert not any(identifier in text for text in texts(out))


def test_mimic_cxr_again_does_nothing(mimic, tmp_path):
    out = tmp_path / "out"
    prepare(mimic, out, **SMALL)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert prepare(mimic, out, **SMALL).new == 0
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


XML = """<?xml version="1.0" encoding="utf-8"?>
<eCitation><uId id="CXR{uid}"/>
<AbstractText Label="FINDINGS">{findings}</AbstractText>
<AbstractText Label="IMPRESSION">{findings} XXXX.</AbstractText>
<MeSH><major>{code}</major></MeSH>{images}</eCitation>"""


@pytest.fixture
def openi(tmp_path):
    folder = tmp_path / "openi"
    (folder / "ecgen-radiology").mkdir(parents=True)
    cases = {1: ("normal", "Clear lungs."), 2: ("Scoliosis/mild", "Mild scoliosis.")}
    cases |= {3: ("Nodule", "Lung nodule."), 4: ("normal", "Without image.")}
    for uid, (code, findings) in cases.items():
        names = [f"CXR{uid}_IM-000{uid}-{view}001" for view in (1, 2)] if uid < 4 else []
        images = "".join(f'<parentImage id="{name}"/>' for name in names)
        for name in names:
            picture(folder / f"NLMCXR_png/{name}.png")
        text = XML.format(uid=uid, findings=findings, code=code, images=images)
        (folder / f"ecgen-radiology/{uid}.xml").write_text(text)
    return folder


def test_openi(openi, tmp_path):
    out = tmp_path / "out"
    summary = prepare(openi, out, **SMALL)
    assert (summary.ok, summary.quarantined) == (6, 0)
    rows = open_dataset(out).rows
    assert len({row.patient_id for row in rows}) == 3
    assert {row.text_used for row in rows} == {"Clear lungs.", "Mild scoliosis.", "Lung nodule."}
    by_text = {row.text_used: row for row in rows}
    assert by_text["Mild scoliosis."].labels["scoliosis"] == 1
    assert by_text["Clear lungs."].labels["no_finding"] == 1
    assert by_text["Lung nodule."].label_source.endswith("+human-mesh")
    assert all("XXXX" not in row.text for row in rows)
    info = json.loads((out / "dataset.json").read_text())
    assert "CC-BY-NC-ND-4.0" in json.dumps(info)
    quarantine = read_jsonl(out / "quarantine.jsonl")
    assert [(row["path"], row["code"]) for row in quarantine] == [
        ("ecgen-radiology/4.xml", "report_without_image")
    ]
