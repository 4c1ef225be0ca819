import pytest

from synth.data.importers.base import Record
from synth.data.importers.folder import put_together, table_records, understand, why_not
from synth.data.importers.streams import read_head


def rows(tmp_path, content, name="t.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    head = read_head(path, name)
    columns = understand(head)
    return None if columns is None else list(table_records(head, columns))


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
    (row,) = rows(tmp_path, content)
    assert row.keys == {("accession", "007")}  # leading zeros stay
    assert row.text == "Clear\nlungs, normal."
    assert row.where == "t.csv:3"


def test_sections_in_columns_of_their_own(tmp_path):
    (row,) = rows(tmp_path, "filename,findings,impression,sex\nx.png,Clear.,Normal.,F\n")
    assert row.text == "FINDINGS: Clear.\n\nIMPRESSION: Normal."
    assert row.fields == {"sex": "F"}
    assert row.image == "x.png"


def test_label_columns(tmp_path):
    (row,) = rows(
        tmp_path, "Path,Age,Pleural Effusion,Cardiomegaly,No Finding\na.jpg,61,1.0,,0.0\n"
    )
    assert row.labels == {"pleural_effusion": "1.0", "cardiomegaly": "", "no_finding": "0.0"}


def test_official_splits(tmp_path):
    found = rows(tmp_path, "image,report,split\na,x,Train\nb,x,validate\nc,x,fold3\n")
    assert [row.fields["split"] for row in found] == ["train", "val", ""]


def test_jsonl(tmp_path):
    content = '{"image": "a.png", "report": "Clear."}\n\n{"image": "b.png", "report": null}\n'
    first, second = rows(tmp_path, content, "t.jsonl")
    assert (first.image, first.text) == ("a.png", "Clear.")
    assert ("file", "a.png") in first.keys
    assert second.text == ""


@pytest.mark.parametrize(
    ("content", "lacking"),
    [
        ("", "empty"),
        ("a,b\n1,2\n", "none of its 2 columns is named accession_number"),
        ("accession_number,size\n1,2\n", "is named report"),
        ("report\nx\n", "is named accession_number"),
    ],
)
def test_tables_of_something_else(tmp_path, content, lacking):
    assert rows(tmp_path, content) is None
    assert lacking in why_not(read_head(tmp_path / "t.csv", "t.csv"))


def test_a_table_without_header_is_not_quoted(tmp_path):
    assert rows(tmp_path, "Quorra,1961,pneumonia\n") is None
    assert "Quorra" not in why_not(read_head(tmp_path / "t.csv", "t.csv"))


def test_reports_and_labels_of_the_same_identifiers_are_put_together():
    keys = frozenset({("accession", "7")})
    report = Record("r.csv:2", keys, "Clear.", {"sex": "F"})
    labels = Record("l.csv:2", keys, "", {"age": "61", "sex": "M"}, {"edema": "1", "mass": ""})
    (both,) = put_together([labels, report])
    assert both.text == "Clear."
    assert both.labels == labels.labels
    assert both.fields["age"] == "61"
    again = Record("s.csv:2", keys, "Not clear.")
    assert len(put_together([labels, report, again])) == 2
    other = Record("m.csv:2", keys, "", {}, {"edema": "0"})
    assert len(put_together([labels, other])) == 2
    assert len(put_together([Record("a"), Record("b", text="x")])) == 2
