import json
import os
from pathlib import Path

import pytest

from synth.data.importers.index import index_records
from synth.data.importers.openi import mesh_labels
from synth.data.inputs import scan
from synth.dicom import Identity

XML = """<?xml version="1.0" encoding="utf-8"?>
<eCitation>
   <meta type="rr"/>
   <uId id="CXR{uid}"/>
   <MedlineCitation><Article><Abstract>
      <AbstractText Label="COMPARISON">None.</AbstractText>
      <AbstractText Label="INDICATION">Chest pain &amp; XXXX.</AbstractText>
      <AbstractText Label="FINDINGS">{findings}</AbstractText>
      <AbstractText Label="IMPRESSION">No pneumothorax.</AbstractText>
   </Abstract></Article></MedlineCitation>
   <MeSH><major>{code}</major><automatic>sternotomy</automatic></MeSH>
   {images}
</eCitation>"""


def xml(folder, uid, images=(), code="normal", findings="Clear."):
    path = folder / "ecgen-radiology" / f"{uid}.xml"
    path.parent.mkdir(exist_ok=True)
    tags = "".join(
        f'<parentImage id="{name}"><figureId>F1</figureId></parentImage>' for name in images
    )
    path.write_text(XML.format(uid=uid, images=tags, code=code, findings=findings))


@pytest.fixture
def openi(tmp_path):
    xml(tmp_path, 1, ["CXR1_1_IM-0001-3001", "CXR1_1_IM-0001-4001"])
    xml(tmp_path, 2, ["CXR2_IM-0652-1001"], "Cardiomegaly/borderline", findings="")
    xml(tmp_path, 3)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "study"),
    [
        ("NLMCXR_png/CXR1_1_IM-0001-3001.png", "1"),
        ("NLMCXR_dcm/1/1_IM-0001-4001.dcm", "1"),
        ("images/images_normalized/2_IM-0652-1001.dcm.png", "2"),
        ("CXR2_IM-0652-1001.PNG", "2"),
    ],
)
def test_one_image_has_four_names(openi, name, study):
    found = index_records(scan(openi)).find(name, Identity(patient="9"))
    assert found.fields == {"patient": study, "study": study, "language": "en"}
    assert found.label_source == "human-mesh"


def test_sections_codes_and_reports_without_image(openi):
    imported = index_records(scan(openi))
    first, second, third = imported.all
    assert first.text == (
        "INDICATION: Chest pain & XXXX.\n\nCOMPARISON: None.\n\nFINDINGS: Clear.\n\n"
        "IMPRESSION: No pneumothorax."
    )
    assert first.labels == {"no_finding": "1"}
    assert len(first.keys) == 2
    assert "FINDINGS" not in second.text
    assert second.labels == {"cardiomegaly": "-1"}
    assert third.keys == frozenset()
    assert imported.notes == ("Indiana University chest X-rays (OpenI): 3 xml files",)
    assert imported.used == {f"ecgen-radiology/{n}.xml" for n in (1, 2, 3)}


BOMB = '<!DOCTYPE eCitation [<!ENTITY b "{}"><!ENTITY c "&b;&b;&b;">]>'.format("lol" * 50)
FILE = '<!DOCTYPE eCitation [<!ENTITY c SYSTEM "file:///etc/hostname">]>'


@pytest.mark.parametrize("doctype", [BOMB, FILE, "<!DOCTYPE eCitation>"])
def test_document_types_are_refused_and_the_rest_is_read(openi, doctype):
    evil = f"<?xml version='1.0'?>{doctype}<eCitation><uId id='CXR9'/><a>&c;</a></eCitation>"
    (openi / "ecgen-radiology/9.xml").write_text(evil)
    imported = index_records(scan(openi))
    assert len(imported.all) == 3
    (problem,) = imported.problems
    assert (problem.where, problem.code) == ("ecgen-radiology/9.xml", "xml_refused")
    assert "document type" in problem.detail


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        ("<eCitation><uId id='CXR9'/>", "damaged XML, line 1"),
        ("<eCitation></eCitation>", "no report number"),
        ("<eCitation>" + "x" * 4_000_000, "larger than any report"),
    ],
)
def test_damaged_reports_do_not_stop_the_others(openi, content, detail):
    (openi / "ecgen-radiology/9.xml").write_text(content)
    imported = index_records(scan(openi))
    assert len(imported.all) == 3
    assert detail in imported.problems[0].detail


def test_the_kaggle_repack(tmp_path):
    (tmp_path / "indiana_reports.csv").write_text(
        "uid,MeSH,Problems,image,indication,comparison,findings,impression\n"
        "1,normal,normal,Xray Chest PA and Lateral,Cough,None.,Clear.,Normal chest x-XXXX.\n"
        "4,Opacity/lung/base/left;Pulmonary Atelectasis/mild,x,x,,,,\n"
    )
    (tmp_path / "indiana_projections.csv").write_text(
        "uid,filename,projection\n1,1_IM-0001-4001.dcm.png,Frontal\n1,1_IM-0001-3001.dcm.png,Lateral\n"
    )
    imported = index_records(scan(tmp_path))
    side = imported.find("images/images_normalized/1_IM-0001-3001.dcm.png", Identity())
    assert side.fields["view"] == "LATERAL"
    front = imported.find("images/images_normalized/1_IM-0001-4001.dcm.png", Identity())
    assert "view" not in front.fields
    assert front.text == side.text
    assert front.text.startswith("INDICATION: Cough\n\nCOMPARISON: None.\n\nFINDINGS: Clear.")
    assert imported.all[-1].labels == {"lung_opacity": "1", "atelectasis": "1"}
    assert len(imported.all) == 3


def test_xml_counts_where_the_repack_has_it_too(openi):
    (openi / "indiana_reports.csv").write_text(
        "uid,MeSH,Problems,image,indication,comparison,findings,impression\n1,normal,,,,,Other.,\n"
    )
    imported = index_records(scan(openi))
    assert len(imported.all) == 3
    assert "Other" not in imported.find("CXR1_1_IM-0001-3001.png", Identity()).text


def test_r2gen_annotation(tmp_path):
    entry = {
        "id": "CXR2384_IM-0942",
        "report": "the heart is normal .",
        "image_path": ["CXR2384_IM-0942/0.png", "CXR2384_IM-0942/1.png"],
        "split": "train",
    }
    path = tmp_path / "annotation.json"
    path.write_text(json.dumps({"train": [entry], "val": [], "test": []}))
    imported = index_records(scan(tmp_path))
    found = imported.find("images/CXR2384_IM-0942/1.png", Identity())
    assert found.text == "FINDINGS: the heart is normal ."
    assert found.fields["split"] == "train"
    path.write_text('{"train": [{"id": "CXR2384_IM-0942"')
    assert index_records(scan(tmp_path)).problems[0].code == "table_unreadable"


@pytest.mark.parametrize(
    ("codes", "labels"),
    [
        (["normal"], {"no_finding": "1"}),
        (["No Indexing"], {}),
        (["Opacity/breast"], {}),
        (["Subcutaneous Emphysema"], {"subcutaneous_emphysema": "1"}),
        (["Lung/hyperdistention/mild"], {"hyperinflation": "1"}),
        (["Cicatrix/humerus", "Diaphragm/flattened"], {}),
        (["Cardiac Shadow/enlarged/mild"], {"cardiomegaly": "1"}),
        (["Cardiomegaly/borderline", "Cardiomegaly/mild"], {"cardiomegaly": "1"}),
        (["Cardiomegaly/mild", "Cardiomegaly/borderline"], {"cardiomegaly": "1"}),
        (["Fractures, Bone/ribs/left", "Hernia, Hiatal"], {"fracture": "1", "hernia": "1"}),
    ],
)
def test_mesh_codes(codes, labels):
    assert mesh_labels(codes) == labels


@pytest.mark.parametrize("encoding", ["foo-8", "euc-jp"])
def test_an_encoding_that_is_not_read_is_a_problem(openi, encoding):
    bad = openi / "ecgen-radiology" / "9.xml"
    bad.write_text(f'<?xml version="1.0" encoding="{encoding}"?><eCitation><uId id="CXR9"/>')
    (problem,) = index_records(scan(openi)).problems
    assert (problem.where, problem.code) == ("ecgen-radiology/9.xml", "xml_refused")


@pytest.mark.parametrize("name", ["pipe.xml", "link.json"])
def test_what_is_no_regular_file_is_not_opened(openi, name, monkeypatch):
    if name == "pipe.xml":
        os.mkfifo(openi / name)  # opening it would wait for ever
        monkeypatch.setattr(Path, "open", _never(openi / name, Path.open))
    else:
        (openi / name).symlink_to("/nowhere")
    imported = index_records(scan(openi))
    assert name not in imported.used
    assert len(imported.all) == 3


def _never(path, real):
    def opened(self, *args, **options):
        assert self != path, "opened"
        return real(self, *args, **options)

    return opened
