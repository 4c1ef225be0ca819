import json
import shutil


def test_a_whole_dataset(synth, tiny_dataset):
    code, out, _ = synth("verify", tiny_dataset)
    assert code == 0
    assert "24 images, no problems" in out


def test_problems_exit_with_1(synth, tiny_dataset, tmp_path):
    broken = shutil.copytree(tiny_dataset, tmp_path / "dataset")
    (broken / "images/000/tiny-003.png").write_bytes(b"")
    code, out, _ = synth("verify", broken, "--json")
    answer = json.loads(out)
    assert code == 1
    assert answer["ok"] is False
    assert {item["kind"] for item in answer["problems"]} == {"hash", "image"}
    code, out, _ = synth("verify", broken)
    assert code == 1
    assert "2 problems in 24 images" in out
