import json
import os

import pytest
import yaml

from synth.cli.app import main


def answer(capsys, *words):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "environ", dict(os.environ))
        patch.setattr("sys.argv", ["synth", "plan", *map(str, words)])
        with pytest.raises(SystemExit) as stopped:
            main()
    return stopped.value.code or 0, capsys.readouterr()


@pytest.fixture
def path(config, tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    return file


def test_a_grid_is_shown_with_its_cells_and_written(path, tmp_path, capsys):
    wish = "sample.plan={kind: grid, grid: {finding: [hernia, nodule], each: 3}}"
    out = tmp_path / "list.jsonl"
    code, said = answer(capsys, path, wish, "--out", out)
    assert code == 0
    assert "22 images to make" in said.out
    assert "2 cells" in said.out
    assert len(out.read_text().splitlines()) == 22
    code, said = answer(capsys, path, wish, "--json")
    assert [cell["planned"] for cell in json.loads(said.out)["cells"]] == [3, 3]


def test_an_unknown_finding_is_explained(path, capsys):
    code, said = answer(capsys, path, "sample.plan={kind: counts, counts: {hernja: 3}}")
    assert code == 2
    assert "Did you mean `hernia`" in said.err
