"""The benchmark against human codes, on an archive made here."""

import importlib.util
import io
import sys
import tarfile
from pathlib import Path

import pytest

REPORT = """<eCitation><MedlineCitation><Article><Abstract>
<AbstractText Label="INDICATION">pneumothorax</AbstractText>
<AbstractText Label="FINDINGS">{findings}</AbstractText>
<AbstractText Label="IMPRESSION">{impression}</AbstractText>
</Abstract></Article></MedlineCitation><MeSH>{codes}</MeSH></eCitation>"""


def xml(findings: str, impression: str, *codes: str) -> bytes:
    majors = "".join(f"<major>{code}</major>" for code in codes)
    return REPORT.format(findings=findings, impression=impression, codes=majors).encode()


@pytest.fixture
def benchmark(monkeypatch):
    path = Path(__file__).parents[2] / "benchmarks" / "labeller_openi.py"
    spec = importlib.util.spec_from_file_location("labeller_openi", path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "labeller_openi", module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def archive(tmp_path):
    files = {
        "2.xml": xml("Large nodule.", "", "Nodule/lung", "Cardiomegaly/mild"),
        "4.xml": xml("No hernia.", "Mild cardiomegaly.", "Cardiomegaly"),
        "6.xml": xml("Edema.", "", "No Indexing"),
        "8.xml": xml("Possible mass.", "", "normal"),
        "3.xml": b"odd reports are not even parsed",
    }
    path = tmp_path / "reports.tgz"
    with tarfile.open(path, "w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(f"ecgen-radiology/{name}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def test_scores_are_counted_on_even_reports_alone(benchmark, archive):
    reports = list(benchmark.read_reports(archive, "even"))
    assert [report.number for report in reports] == [2, 4, 8]
    assert "INDICATION" not in reports[0].text
    labeler = benchmark.RuleLabeler()
    scores, errors = benchmark.score(reports, [labeler.label(r.text).values for r in reports])
    assert scores["cardiomegaly"] == benchmark.Score(hit=1, wrong=0, missed=1)
    assert scores["cardiomegaly"].f1 == pytest.approx(2 / 3)
    assert scores["nodule or mass"] == benchmark.Score(hit=1, wrong=0, missed=0)
    assert errors["cardiomegaly"] == [("missed", 0)]


def test_the_bars_decide_the_exit_code(benchmark, archive, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["labeller_openi.py", str(archive)])
    assert benchmark.main() == 1
    assert "macro" in capsys.readouterr().out
