"""Which importer takes which file, when several sources and a hospital's tables share a folder."""

from synth.data.importers.index import index_records
from synth.data.importers.recognise import IMPORTERS, recognise
from synth.data.inputs import scan
from synth.dicom import Identity

CHEXPERT = (
    "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum,Cardiomegaly,"
    "Lung Opacity,Lung Lesion,Edema,Consolidation,Pneumonia,Atelectasis,Pneumothorax,"
    "Pleural Effusion,Pleural Other,Fracture,Support Devices\n"
)
KAGGLE = "uid,MeSH,Problems,image,indication,comparison,findings,impression\n"


def several(folder):
    (folder / "a").mkdir()
    path = "CheXpert-v1.0/train/patient00001/study1/view1_frontal.jpg"
    (folder / "a/labels.csv").write_text(f"{CHEXPERT}{path},Female,68,Frontal,AP" + ",1.0" * 14)
    (folder / "any name.csv").write_text(f"{KAGGLE}1,normal,normal,x,,,Clear.,\n")
    (folder / "projections.csv").write_text("uid,filename,projection\n1,1_IM-1-1.dcm.png,Frontal\n")
    (folder / "ours.csv").write_text("accession,report\n7,Ours.\n")
    (folder / "p10/p10000032").mkdir(parents=True)
    (folder / "p10/p10000032/s50414267.txt").write_text("IMPRESSION: MIMIC.")
    (folder / "beside.txt").write_text("Beside.")


def test_several_sources_under_one_folder(tmp_path):
    several(tmp_path)
    imported = index_records(scan(tmp_path))
    assert [source.name for source in imported.sources] == ["mimic-cxr", "chexpert", "openi"]
    expected = {
        "a/train/patient00001/study1/view1_frontal.jpg": "chexpert",
        "1_IM-1-1.dcm.png": "openi",
        "files/s50414267/x.jpg": "mimic-cxr",
        "beside.png": "folder",
    }
    for name, source in expected.items():
        assert imported.source_of(imported.find(name, Identity())) == source
    assert imported.find("1.dcm", Identity(accession="7")).text == "Ours."
    assert len(imported.all) == 5
    assert imported.notes[1:] == (
        "CheXpert: 1 table",
        "Indiana University chest X-rays (OpenI): 2 tables",
    )


def test_a_file_has_one_owner(tmp_path):
    several(tmp_path)
    found = recognise(scan(tmp_path))
    names = [head.name for one in found.found for head in one.own]
    names += [head.name for head in found.rest]
    assert len(names) == len(set(names))


def test_every_source_states_its_terms():
    names = [importer.source.name for importer in IMPORTERS]
    assert len(names) == len(set(names)) == 10
    for importer in IMPORTERS:
        source = importer.source
        assert source.name == source.name.lower()
        assert source.terms
        assert source.licence
        assert source.citation
        assert source.population
        assert source.url.startswith("https://")


def test_nothing_is_claimed_of_an_empty_or_foreign_folder(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    (tmp_path / "empty.csv").write_bytes(b"")
    (tmp_path / "x.xml").write_text("<annotation/>")
    (tmp_path / "y.json").write_text('{"train": []}')
    found = recognise(scan(tmp_path))
    assert found.found == ()
    assert {head.name for head in found.rest} == {"t.csv", "empty.csv"}
