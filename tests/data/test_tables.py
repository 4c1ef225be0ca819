import pytest

from synth.data.tables import read_table
from synth.errors import SynthError


def table(tmp_path, content, name="t.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(path)


@pytest.mark.parametrize(
    "content",
    [
        'accession_number,report\n007,"Clear\nlungs, normal."\n',
        '\ufeffAccession Number;Report\r\n007;"Clear\nlungs, normal."\r\n',
        ' ACCESSION \t TEXT \n007\t"Clear\nlungs, normal."\n',
        'accession_number,report\n007,"Clear\nlungs, normal."\n'.encode("utf-16"),
    ],
)
def test_spellings_of_one_table(tmp_path, content):
    (row,) = table(tmp_path, content)
    assert row.accession == ("007",)  # leading zeros stay
    assert row.report == "Clear\nlungs, normal."


def test_sections_in_columns_of_their_own(tmp_path):
    (row,) = table(tmp_path, "filename,findings,impression,sex\nx.png,Clear.,Normal.,F\n")
    assert row.report == "FINDINGS: Clear.\n\nIMPRESSION: Normal."
    assert row.fields == {"sex": "F"}


def test_label_columns(tmp_path):
    (row,) = table(
        tmp_path, "Path,Age,Pleural Effusion,Cardiomegaly,No Finding\na.jpg,61,1.0,,0.0\n"
    )
    assert row.labels == {"pleural_effusion": "1.0", "cardiomegaly": "", "no_finding": "0.0"}


def test_jsonl(tmp_path):
    content = '{"image": "a.png", "report": "Clear."}\n\n{"image": "b.png", "report": null}\n'
    first, second = table(tmp_path, content, "t.jsonl")
    assert (first.file, first.report) == (("a.png",), "Clear.")
    assert second.report == ""
    with pytest.raises(SynthError, match=r"t\.jsonl:1"):
        table(tmp_path, "{oops\n", "t.jsonl")


@pytest.mark.parametrize(
    "content", ["", "a,b\n1,2\n", "accession_number,size\n1,2\n", "report\nx\n"]
)
def test_tables_of_something_else(tmp_path, content):
    assert table(tmp_path, content) is None


def test_latin_1_and_nul_bytes(tmp_path):
    (row,) = table(tmp_path, b"image,report\nx.png,\xc9panchement\0 gauche\n")
    assert row.report == "Épanchement gauche"
