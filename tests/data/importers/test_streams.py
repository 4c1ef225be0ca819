import gzip

import pytest

from synth.data.importers import streams
from synth.data.importers.streams import TableHead, read_head, read_text, stream, stream_cells
from synth.errors import SynthError


def write(tmp_path, content, name="t.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    "content",
    [
        'id,report\n007,"Clear\nlungs"\n',
        '\ufeffid;report\r\n007;"Clear\r\nlungs"\r\n',
        ' id \treport \n007\t"Clear\nlungs"\n',
        'id,report\r007,"Clear\rlungs"\r',
        'id,report\n007,"Clear\nlungs"'.encode("utf-16"),
        'id,report\n0\x0007,"Clear\nlungs"\n',
        '\n\nid,report\n,\n007,"Clear\nlungs"\n',
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_spellings_of_one_table(tmp_path, content, packed):
    content = content if isinstance(content, bytes) else content.encode()
    path = write(
        tmp_path, gzip.compress(content) if packed else content, "t.csv.gz" if packed else "t.csv"
    )
    assert read_head(path, "t").columns == ("id", "report")
    ((_, row),) = stream(path)
    assert row["id"] == "007"  # leading zeros stay
    assert row["report"].split() == ["Clear", "lungs"]


def test_latin_1_beyond_the_first_block(tmp_path):
    filler = "a,b\n" * 270_000
    path = write(tmp_path, ("x,y\n" + filler).encode() + "É,1\n".encode("latin-1"))
    *_, (_, row) = stream(path)
    assert row["x"] == "É"


def test_short_long_duplicate_and_unnamed_columns(tmp_path):
    path = write(tmp_path, ",a,a,b\n0,1,2,3\n5\n6,7,8,9,10\n")
    assert list(stream(path)) == [
        (2, {"": "0", "a": "1", "b": "3"}),
        (3, {"": "5", "a": "", "b": ""}),
        (4, {"": "6", "a": "7", "b": "9"}),
    ]
    plain = write(tmp_path, "a,b\n1\n2,3,4\n", "p.csv")
    assert [row for _, row in stream(plain)] == [{"a": "1", "b": ""}, {"a": "2", "b": "3"}]


def test_a_quote_that_is_never_closed_names_its_row(tmp_path):
    path = write(tmp_path, 'a,b\n1,"two\nlines"\n2,"open\n3,x\n4,y\n')
    rows = stream(path)
    assert next(rows) == (3, {"a": "1", "b": "two\nlines"})
    with pytest.raises(SynthError, match=r"t\.csv:4.*never closed"):
        next(rows)


def test_a_ten_megabyte_cell_passes_and_an_endless_line_does_not(tmp_path, monkeypatch):
    path = write(tmp_path, f"a,b\n1,{'x' * 10_000_000}\n")
    ((_, row),) = stream(path)
    assert len(row["b"]) == 10_000_000
    monkeypatch.setattr(streams, "_MOST_CHARACTERS", 1000)
    with pytest.raises(SynthError, match=r"t\.csv:2.*more than 1,000"):
        list(stream(path))


def test_a_download_that_broke_off(tmp_path):
    whole = gzip.compress(("a,b\n" + "1,2\n" * 50_000).encode())
    with pytest.raises(SynthError, match="not readable"):
        list(stream(write(tmp_path, whole[:-40], "t.csv.gz")))
    with pytest.raises(SynthError, match="not readable"):
        read_head(write(tmp_path, b"<html>log in</html>", "u.csv.gz"), "u.csv.gz")


def test_jsonl(tmp_path):
    path = write(
        tmp_path,
        '{"image": "a", "id": 12345678901234567890123}\n\n{"report": null, "image": "b"}\n[1]\n',
        "t.jsonl",
    )
    assert read_head(path, "t.jsonl").columns == ("image", "id", "report")
    (one, first), (three, second) = stream(path)
    assert (one, three) == (1, 3)
    assert first["id"] == "12345678901234567890123"
    assert second["report"] == ""
    deep = write(tmp_path, '{"a": 1}\n{oops\n', "u.jsonl")
    with pytest.raises(SynthError, match=r"u\.jsonl:2"):
        list(stream(deep))
    with pytest.raises(SynthError, match=r"v\.jsonl:1"):
        list(stream(write(tmp_path, "[" * 200_000, "v.jsonl")))


def test_malformed_headers_are_readable_as_cells(tmp_path):
    path = write(tmp_path, "a,b[x,y]\n1,2,3\n")
    assert list(stream_cells(path)) == [(1, ["a", "b[x", "y]"]), (2, ["1", "2", "3"])]


def test_columns_are_compared_as_rows_are_read(tmp_path):
    head = TableHead(tmp_path, "t", ("Path", "Sex"))
    assert head.has("Sex", "Path")
    assert not head.has("path")


def test_texts(tmp_path):
    assert read_text(write(tmp_path, "\ufeffÉpanchement".encode())) == "Épanchement"
    assert read_text(write(tmp_path, "Épanchement".encode("latin-1"))) == "Épanchement"
    assert read_text(write(tmp_path, "Épanchement".encode("utf-16"))) == "Épanchement"
    with pytest.raises(SynthError, match="longer than any report"):
        read_text(write(tmp_path, "x" * 16_000_001))
