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
    code, out, _ = synth("check", config, "--json")
    checks = found(out)
    assert code == 0, out
    assert json.loads(out)["ok"] is True
    assert "14 train, 4 val, 6 test; 3 findings" in checks["dataset"]["detail"]
    assert checks["weights"]["detail"] == str(tiny_pipeline)
    assert checks["train"]["detail"] == "7 steps of 4 = 28 images, 2.0 times each of 14"
    assert "10 images, counts; hernia 3 → 8" in checks["plan"]["detail"]
    assert list(config.parent.iterdir()) == [config]


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


def test_a_person_reads_a_table(synth, config):
    code, out, _ = synth("check", config)
    assert code == 0
    assert "dataset" in out
    assert "FAILED" not in out


def test_plan_shows_counts_before_and_after(synth, config):
    code, out, _ = synth("plan", config)
    row = next(line for line in out.splitlines() if "hernia" in line)
    assert code == 0
    assert row.split() == ["hernia", "3", "+5", "8"]
