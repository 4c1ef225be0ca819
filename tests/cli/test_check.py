import json

import pytest


@pytest.fixture(autouse=True)
def kernels(monkeypatch):
    states = [("auto", "ok", "sdpa on cpu"), ("xformers", "unavailable", "not installed")]
    monkeypatch.setattr("synth.families.attention.kernel_states", lambda: states)


@pytest.fixture
def config(tmp_path, tiny_pipeline, tiny_dataset):
    path = tmp_path / "config.yaml"
    path.write_text(
        f"run: {{out: {tmp_path}/run}}\n"
        f"model: {{weights: {tiny_pipeline}}}\n"
        f"data: {{dataset: {tiny_dataset}}}\n"
        "train: {steps: 7, batch: 4, device: cpu}\n"
        "sample: {count: 10, plan: {kind: counts, counts: {hernia: 5}}}\n"
    )
    return path


def found(out: str) -> dict[str, dict]:
    return {item["name"]: item for item in json.loads(out)["checks"]}


def test_all_is_well_and_nothing_is_written(synth, config, tiny_pipeline):
    code, out, _ = synth("check", config, "--fast", "--json")
    checks = found(out)
    assert code == 0, out
    assert json.loads(out)["ok"] is True
    assert json.loads(out)["outlook"] is None
    assert "14 train, 4 val, 6 test; 3 findings" in checks["dataset"]["detail"]
    assert checks["weights"]["detail"] == str(tiny_pipeline)
    assert checks["train"]["detail"] == "7 steps of 4 = 28 images, 2.0 times each of 14"
    assert "10 images, counts; hernia 3 → 8" in checks["plan"]["detail"]
    assert list(config.parent.iterdir()) == [config]


def test_the_outlook_for_machines(synth, config, tmp_path):
    sheet = tmp_path / "pairs.png"
    code, out, _ = synth("check", config, "--sheet", sheet, "model.adapter=lora", "--json")
    checks, outlook = found(out), json.loads(out)["outlook"]
    assert code == 0, out
    assert set(outlook["trainable_by_group"]) == {"unet attention LoRA"}
    assert 0 < outlook["trainable_parameters"] < outlook["all_parameters"]
    assert outlook["memory"]["peak"] > sum(outlook["memory"]["lasting"].values()) > 0
    assert outlook["micro_batch"] == {"asked": 4, "fits": 4}
    assert outlook["seconds"]["basis"] == "measured"
    assert len(outlook["pairs"]) == 10
    assert outlook["pairs"][0]["text"].startswith("chest radiograph")
    assert sheet.read_bytes().startswith(b"\x89PNG")
    assert {"parameters", "memory", "disk", "time", "texts", "pairs"} <= set(checks)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.yaml", "pairs.png"]


def test_too_little_memory_fails_with_the_way_out(synth, config, monkeypatch):
    monkeypatch.setattr("train.check.free_memory", lambda device: 1000)
    code, out, _ = synth("check", config, "--json")
    assert code == 1
    assert "not even one image at a time fits" in found(out)["memory"]["detail"]
    assert "gradient_checkpointing" in found(out)["memory"]["detail"]


def test_every_failure_is_shown_at_once(synth, config, tmp_path):
    overrides = [
        f"model.weights={tmp_path}/absent",
        "model.attention=xformers",
        "train.device=cuda",
        "sample.plan.counts={hernai: 3}",
    ]
    code, out, _ = synth("check", config, *overrides, "--json")
    checks = found(out)
    assert code == 1
    assert {name for name, item in checks.items() if not item["ok"]} == {
        *("weights", "attention", "device", "plan"),
    }
    assert "not installed" in checks["attention"]["detail"]
    assert "Did you mean `hernia`?" in checks["plan"]["detail"]


def test_a_person_reads_tables(synth, config, tmp_path):
    code, out, _ = synth("check", config)
    assert code == 0
    for word in ("dataset", "What trains", "together, at the most", "cached images", "training"):
        assert word in out
    assert "FAILED" not in out
    assert (tmp_path / "run/check.png").is_file()
    code, out, _ = synth("check", config, "--fast")  # a picture in its folder is no run
    assert "(new)" in " ".join(out.split())


def test_plan_shows_counts_before_and_after(synth, config):
    code, out, _ = synth("plan", config)
    row = next(line for line in out.splitlines() if "hernia" in line)
    assert code == 0
    assert row.split() == ["hernia", "3", "+5", "8"]
