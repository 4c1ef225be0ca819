import pytest

from synth.data.importers.index import index_records
from synth.data.inputs import scan
from synth.dicom import Identity, Unreadable
from synth.errors import SynthError

NOBODY = Identity()


def index(tmp_path, **files):
    for name, content in files.items():
        path = tmp_path / name.replace("__", ".").replace("_in_", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return index_records(scan(tmp_path))


def test_by_accession_study_path_and_name(tmp_path):
    found = index(
        tmp_path,
        a__csv="accession_number,study_uid,image,report\n007,1.2.3,,one\n,,x/y.png,two\n,,z.png,three\n",
        z__png=b"",
    )
    assert found.find("any.dcm", Identity(accession="007")).text == "one"
    assert found.find("any.dcm", Identity(study="1.2.3")).text == "one"
    assert found.find("any.dcm", Identity(accession="7")) is None
    assert found.find("x/y.png", NOBODY).text == "two"
    assert found.find("w/y.png", NOBODY) is None
    assert found.find("z.png", NOBODY).text == "three"
    assert found.used == {"a.csv"}
    assert found.sources == ()
    assert found.source_of(found.all[0]) == "folder"
    assert [record.where for record in found.all] == ["a.csv:2", "a.csv:3", "a.csv:4"]


def test_texts_beside_by_accession_and_by_folder(tmp_path):
    found = index(tmp_path, a_in_x__txt="one", ACC7__txt="two", b_in_s1__txt="three")
    assert found.find("a/x.png", NOBODY).text == "one"
    assert found.find("q/1.dcm", Identity(accession="ACC7")).text == "two"
    assert found.find("b/s1/view.png", NOBODY).text == "three"


def test_a_bare_name_that_two_images_have_identifies_none(tmp_path):
    found = index(
        tmp_path, a_in_1__png=b"", b_in_1__png=b"", t__csv="image,report\n1.png,one\nb/1.png,two\n"
    )
    assert found.find("a/1.png", NOBODY) is None
    assert found.find("b/1.png", NOBODY).text == "two"


def test_two_reports_are_not_guessed_between(tmp_path):
    found = index(tmp_path, t__csv="accession,report\n7,one\n7,two\n8,same\n8,same\n")
    with pytest.raises(Unreadable, match="ambiguous_report: 2 different reports"):
        found.find("1.dcm", Identity(accession="7"))
    assert len(found.claimed("1.dcm", Identity(accession="7"))) == 2
    assert found.find("1.dcm", Identity(accession="8")).text == "same"


def test_the_row_of_an_image_beats_the_others_of_its_study(tmp_path):
    table = "study_uid,image,edema\n1.2,a.png,1\n1.2,b.png,0\n"
    found = index(tmp_path, t__csv=table, a__png=b"", b__png=b"")
    study = Identity(study="1.2")
    assert found.find("a.png", study).labels == {"edema": "1"}
    assert found.find("b.png", study).labels == {"edema": "0"}
    with pytest.raises(Unreadable, match="rows with different labels"):
        found.find("c.png", study)


@pytest.mark.parametrize("cell", ["1.23E+30", "8e+21", "2.05367E+37"])
def test_rounded_identifiers_are_an_error(tmp_path, cell):
    with pytest.raises(SynthError, match=r"t\.csv:3: .*rounded"):
        index(tmp_path, t__csv=f"accession,report\n7,x\n{cell},y\n")


@pytest.mark.parametrize("cell", ["12e30", "1.2.840.10008", "5e1", "A+B"])
def test_other_identifiers_are_not_mistaken_for_rounded_ones(tmp_path, cell):
    assert len(index(tmp_path, t__csv=f"accession,report\n{cell},y\n").all) == 1


def test_broken_tables_do_not_stop_the_others(tmp_path):
    found = index(
        tmp_path,
        a__csv='accession,report\n1,one\n2,"open\n3,three\n',
        b__csv="accession,report\n4,four\n",
        c__csv__gz=b"not gzip",
        d__jsonl='{"image": "x", "report": "y"}\n{oops\n',
        e__csv="a,b\n1,2\n",
        f__txt="x" * 16_000_001,
    )
    assert [record.text for record in found.all] == ["one", "four", "y"]
    problems = {(problem.where, problem.code) for problem in found.problems}
    assert problems == {
        ("a.csv:3", "table_unreadable"),
        ("c.csv.gz", "table_unreadable"),
        ("d.jsonl:2", "table_unreadable"),
        ("f.txt", "text_unreadable"),
    }
    assert str(tmp_path) not in "".join(problem.detail for problem in found.problems)
    assert [item.name for item in found.unknown] == ["e.csv"]
    assert found.notes == (
        "table not understood, skipped: e.csv (none of its 2 columns is named accession_number, "
        "study_uid, image or another identifier; none report, findings, impression or a finding's "
        "name)",
    )


def test_equal_texts_are_kept_once(tmp_path):
    long = "Clear lungs. " * 50
    found = index(tmp_path, t__csv=f"image,report,edema\na,{long},1\nb,{long},1\n")
    one, two = found.all
    assert one.text is two.text
    assert one.labels is two.labels
