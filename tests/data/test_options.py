import json

import pytest

from synth.data.options import PrepareOptions, claim_folder
from synth.data.prepare import prepare
from synth.errors import UsageError

from .conftest import SMALL

OPTIONS = PrepareOptions(
    size=16,
    seed=0,
    splits=(0.7, 0.1, 0.2),
    stratify=True,
    voi="auto",
    policy=("impression",),
    drop_comparisons=True,
    require_report=True,
    labeler="rules",
    pseudonyms="check",
)
NEW = ("preset", "views", "exclude", "label_mode", "keep_raw_text", "near_duplicates")


@pytest.fixture
def folders(tmp_path):
    (tmp_path / "source").mkdir()
    return tmp_path / "source", tmp_path / "out"


def test_the_same_options_continue(folders):
    claim_folder(*folders, OPTIONS)
    before = (folders[1] / "dataset.json").read_bytes()
    claim_folder(*folders, OPTIONS)
    assert (folders[1] / "dataset.json").read_bytes() == before


@pytest.mark.parametrize(
    "change",
    [
        {"preset": "chexpert"},
        {"views": ("PA",)},
        {"exclude": ("burned_in_text",)},
        {"label_mode": "chexpert"},
        {"keep_raw_text": True},
        {"near_duplicates": False},
        {"drop_comparisons": False},
        {"policy": ("findings",)},
        {"pseudonyms": "other"},
    ],
)
@pytest.mark.parametrize("old", [False, True])
def test_another_option_is_refused(folders, change, old):
    claim_folder(*folders, OPTIONS)
    if old:
        forget_new_options(folders[1])
    (name,) = change
    said = "another key of the pseudonyms" if name == "pseudonyms" else f"{name} .* -> "
    with pytest.raises(UsageError, match=said):
        claim_folder(*folders, OPTIONS.model_copy(update=change))


def forget_new_options(out):
    """What an earlier version wrote."""
    info = json.loads((out / "dataset.json").read_text())
    for name in NEW:
        del info["preprocessing"][name]
    (out / "dataset.json").write_text(json.dumps(info))


def test_a_dataset_of_an_earlier_version_continues(folders):
    claim_folder(*folders, OPTIONS)
    forget_new_options(folders[1])
    claim_folder(*folders, OPTIONS)


def test_rows_of_an_earlier_version_are_kept(source, tmp_path):
    out = tmp_path / "out"
    prepare(source, out, **SMALL)
    table = out / "metadata.jsonl"
    new = ("flags", "attributes", "phash", "official_split", "language")
    rows = [json.loads(line) for line in table.read_text().splitlines()]
    rows = [{key: value for key, value in row.items() if key not in new} for row in rows]
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    forget_new_options(out)
    again = prepare(source, out, **SMALL)
    assert (again.new, again.ok) == (0, 16)
    assert [json.loads(line) for line in table.read_text().splitlines()] == rows
