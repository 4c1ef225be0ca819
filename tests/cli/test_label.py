import io
import json
import subprocess
import sys

import pytest

TEXT = "Small left effusion, possible pneumonia.\nNo pneumothorax."


@pytest.fixture
def stdin(monkeypatch):
    def feed(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))

    return feed


def lines(*rows: object) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def test_the_table_says_finding_value_and_rule(synth):
    code, out, err = synth("label", TEXT)
    assert (code, err) == (0, "")
    assert out.startswith("Small left effusion, possible pneumonia.\nNo pneumothorax.\n")
    rows = {
        line.split()[0]: line.split()
        for line in out.splitlines()
        if line[:2] == "  " and line.strip()
    }
    assert rows["pleural_effusion"][1:] == ["present", "effusion", "mention", "left,", "small"]
    assert rows["pneumonia"][1:] == ["uncertain", "pneumonia", "uncertain:possible"]
    assert rows["pneumothorax"][1:] == ["absent", "pneumothorax", "negated:no"]
    assert "other findings are not stated" in out


def test_on_a_terminal_the_evidence_is_highlighted():
    from rich.console import Console

    from synth.cli.label import _highlighted
    from synth.text import RuleLabeler

    console = Console(force_terminal=True, color_system="standard", width=100, file=io.StringIO())
    console.print(_highlighted(TEXT, RuleLabeler().label(TEXT)))
    drawn = console.file.getvalue()
    assert "\x1b[1;31meffusion\x1b[0m" in drawn
    assert "\x1b[33mpneumonia\x1b[0m" in drawn
    assert "\x1b[32mpneumothorax\x1b[0m" in drawn


def test_a_text_cannot_steer_the_terminal(synth):
    _, out, _ = synth("label", "Small \x1b[2Jeffusion \x1b]0;title\x07 [bold]x[/bold].")
    assert "\x1b" not in out
    assert "\x07" not in out
    assert "[bold]x[/bold]" in out


def test_stdin_and_json(synth, stdin):
    stdin(TEXT.encode())
    code, out, _ = synth("label", "-", "--json")
    facts = json.loads(out)
    assert code == 0
    assert facts["labeler"] == "rules-v2"
    assert facts["labels"]["pleural_effusion"] == 1
    assert facts["labels"]["hernia"] is None
    assert facts["attributes"]["pleural_effusion"] == {"side": "left", "severity": "small"}
    assert facts["evidence"][0] == {
        "finding": "pleural_effusion",
        "start": 11,
        "end": 19,
        "text": "effusion",
        "rule": "mention",
        "value": 1,
    }


@pytest.mark.parametrize("source", ["-", "file"])
def test_lines_in_lines_out(synth, stdin, tmp_path, source):
    rows = [{"id": "a", "text": TEXT}, {"id": 7, "text": ""}, {"id": "ü", "text": "Ödem? Hernia."}]
    data = b"\xef\xbb\xbf" + lines(rows[0]) + b"\n" + lines(*rows[1:])
    path = tmp_path / "in.jsonl"
    path.write_bytes(data)
    stdin(data)
    code, out, err = synth("label", "--jsonl", "-" if source == "-" else path)
    made = [json.loads(line) for line in out.splitlines()]
    assert (code, err) == (0, "")
    assert [row["id"] for row in made] == ["a", 7, "ü"]
    assert made[0]["labels"]["pneumonia"] == -1
    assert set(made[1]["labels"].values()) == {None}
    assert made[2]["labels"]["hernia"] == 1
    for row, given in zip(made, rows, strict=True):
        assert set(row) == {"id", "labels", "evidence", "attributes"}
        for item in row["evidence"]:
            assert given["text"][item["start"] : item["end"]] == item["text"]


def test_the_mode_decides(synth, stdin):
    stdin(lines({"id": 1, "text": "No nodule. Possible nodule. Nodule."}))
    _, out, _ = synth("label", "--jsonl", "-", "--mode", "chexpert")
    labels = json.loads(out)["labels"]
    assert len(labels) == 14
    assert labels["lung_lesion"] == -1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[1]", "not an object"),
        (b'{"id": 1}', "lacks text"),
        (b"{}", "lacks id and text"),
        (b'{"id": 1, "text": null}', "`text` is not a string"),
        (b'{"id": [1], "text": "x"}', "`id` is not a string or an integer"),
    ],
)
def test_a_bad_line_is_named(synth, tmp_path, line, message):
    path = tmp_path / "in.jsonl"
    path.write_bytes(lines({"id": 1, "text": "x"}) + b"\n" + line + b"\n")
    code, out, err = synth("label", "--jsonl", path)
    assert code == 1
    assert f"{path}:3" in err
    assert message in err
    assert err.count("\n") == 1
    assert all(json.loads(whole) for whole in out.splitlines())


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((), 2),
        (("x", "--jsonl", "-"), 2),
        (("--jsonl", "-", "--json"), 2),
        (("x", "--mode", "other"), 2),
        (("x", "--labeler", "ruls"), 2),
        (("--jsonl", "/no/such/file"), 1),
    ],
)
def test_wrong_requests(synth, arguments, code):
    got, _, err = synth("label", *arguments)
    assert got == code
    assert "Traceback" not in err


def test_it_starts_without_torch():
    program = (
        "import sys; from synth.cli import main; sys.argv = ['synth', 'label', 'Hernia.']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'diffusers', 'transformers', 'PIL'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
