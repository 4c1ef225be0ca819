from pathlib import Path

import pytest
import yaml

from synth.config import config_sha256, dump_config, load_config, parse_config, shipped_config
from synth.errors import UsageError


def write(folder: Path, text: str, name: str = "config.yaml") -> Path:
    (folder / name).write_text(text)
    return folder / name


def problem(*args, **kwargs) -> str:
    with pytest.raises(UsageError) as caught:
        load_config(*args, **kwargs)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_sections_and_defaults(tmp_path):
    config = load_config(write(tmp_path, "train: {steps: 7, batch: 4}\nrun: {out: here}"))
    assert (config.train.steps, config.train.batch) == (7, 4)
    assert config.run.out == Path("here")
    assert config.sample.solver == "dpm++2m"


def test_no_file_gives_the_defaults():
    assert load_config(None) == parse_config({})
    assert load_config(None, ["metrics.bootstrap=3"]).metrics.bootstrap == 3


def test_an_empty_file_gives_the_defaults(tmp_path):
    assert load_config(write(tmp_path, "# nothing\n")) == parse_config({})


def test_every_error_is_named_at_once(tmp_path):
    text = "train: {stpes: 3, batch: 0, optim: {lr: 1}}\nsampel: {}\nsample: {solver: dmp}"
    message = problem(write(tmp_path, text))
    assert "5 problems" in message
    assert "train.stpes: unknown key. Did you mean `steps`?" in message
    assert "train.batch: input should be greater than 0 (got 0)" in message
    assert "train.optim.lr: unknown key. Known here: kind, learning_rate" in message
    assert "sampel: unknown key. Did you mean `sample`?" in message
    assert "sample.solver:" in message
    assert "'dmp'" in message


def test_one_error_stays_on_one_line(tmp_path):
    message = problem(write(tmp_path, "train: {steps: many}"))
    assert "\n" not in message
    assert "train.steps" in message


def test_rules_between_keys_name_their_section(tmp_path):
    path = write(tmp_path, "train: {batch: 10, micro_batch: 4}\nsample: {plan: {kind: balance}}")
    message = problem(path)
    assert "train: batch (10) must be a multiple of micro_batch (4)" in message
    assert "sample.plan: plan `balance` needs `target`" in message


def test_overrides_win_and_are_yaml(tmp_path):
    path = write(tmp_path, "train: {steps: 7}\nmetrics: {utility: null}")
    overrides = [
        "train.steps=9",
        "train.optim.learning_rate=3e-5",
        "sample.plan={kind: counts, counts: {hernia: 5}}",
        "metrics.utility.steps=2",
        "sample.out=null",
    ]
    config = load_config(path, overrides)
    assert config.train.steps == 9
    assert config.train.optim.learning_rate == 3e-5
    assert config.sample.plan.counts == {"hernia": 5}
    assert config.metrics.utility is not None
    assert config.metrics.utility.steps == 2


@pytest.mark.parametrize("bad", ["steps", "=3", "train.=3", ".steps=3"])
def test_a_malformed_override_is_refused(tmp_path, bad):
    assert "not an override" in problem(write(tmp_path, ""), [bad])


def test_an_unknown_override_is_refused(tmp_path):
    assert "Did you mean `steps`?" in problem(write(tmp_path, ""), ["train.step=3"])


def test_an_override_that_is_not_yaml_is_refused(tmp_path):
    assert "not valid YAML" in problem(write(tmp_path, ""), ["train.steps={"])


def test_base_is_merged_key_by_key_and_lists_replace(tmp_path):
    (tmp_path / "shared").mkdir()
    text = "train: {steps: 1, batch: 6, preview_prompts: [a, b]}\ndata: {dataset: d}"
    write(tmp_path / "shared", text, "parent.yaml")
    child = "base: shared/parent.yaml\ntrain: {steps: 2, preview_prompts: [c]}"
    config = load_config(write(tmp_path, child))
    assert (config.train.steps, config.train.batch) == (2, 6)
    assert config.train.preview_prompts == ("c",)
    assert config.data.dataset == Path("d")


def test_a_circle_of_bases_is_refused(tmp_path):
    write(tmp_path, "base: b.yaml", "a.yaml")
    write(tmp_path, "base: a.yaml", "b.yaml")
    assert "circle" in problem(tmp_path / "a.yaml")


def test_two_bases_are_refused(tmp_path):
    assert "one parent" in problem(write(tmp_path, "base: [a.yaml, b.yaml]"))


def test_a_missing_file_suggests_a_neighbour(tmp_path):
    write(tmp_path, "", "demo.yaml")
    assert "Did you mean `demo.yaml`?" in problem(tmp_path / "dmeo.yaml")


def test_a_folder_is_no_file(tmp_path):
    assert str(tmp_path) in problem(tmp_path)


@pytest.mark.parametrize("text", ["[1, 2]", "just words"])
def test_a_file_without_sections_is_refused(tmp_path, text):
    assert "mapping of sections" in problem(write(tmp_path, text))


@pytest.mark.parametrize("text", ["train: {steps: [}", "train: {steps: 1}\ntrain: {batch: 2}"])
def test_broken_yaml_is_refused_with_its_line(tmp_path, text):
    message = problem(write(tmp_path, text))
    assert "not valid YAML" in message
    assert "line" in message


def test_bytes_that_are_not_text_are_refused(tmp_path):
    (tmp_path / "c.yaml").write_bytes(b"\xff\xfe\x00\x81")
    assert "cannot be read as text" in problem(tmp_path / "c.yaml")


def test_a_key_that_is_not_a_word_is_refused(tmp_path):
    assert "must be a word" in problem(write(tmp_path, "1: {}"))


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-4", 1e-4), ("1.5E+3", 1500.0), ("-2", -2), (".5", 0.5), ("3.", 3.0), ("1e5", 1e5)],
)
def test_numbers_are_numbers(text, value):
    from synth.config.strict_yaml import StrictLoader

    loaded = yaml.load(text, Loader=StrictLoader)
    assert loaded == value
    assert type(loaded) is type(value)


@pytest.mark.parametrize("text", ["no", "on", "yes", "off", "1.2.3", "e5", "y"])
def test_words_are_words(text):
    from synth.config.strict_yaml import StrictLoader

    assert yaml.load(text, Loader=StrictLoader) == text


def test_the_dump_reads_back_equal(tmp_path):
    text = "train: {optim: {learning_rate: 1e-7}}\nmetrics: {utility: null}\nrun: {out: räum}"
    config = load_config(write(tmp_path, text))
    again = load_config(write(tmp_path, dump_config(config), "again.yaml"))
    assert again == config
    assert config_sha256(again) == config_sha256(config)


def test_the_hash_follows_the_settings_not_the_spelling(tmp_path):
    short = load_config(write(tmp_path, "train: {steps: 1000}"))  # 1000 is the default
    assert config_sha256(short) == config_sha256(load_config(None))
    assert config_sha256(load_config(None, ["train.steps=2"])) != config_sha256(short)


def test_a_shipped_configuration_is_found_by_name():
    assert load_config(shipped_config("demo")).model.weights == "builtin:tiny"
    with pytest.raises(UsageError, match="no shipped configuration"):
        shipped_config("absent")
