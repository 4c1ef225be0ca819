import json
from importlib.util import find_spec

import numpy as np
import pytest

from synth.data.export.monai import NOT_STATED
from synth.images import load_grey


@pytest.fixture
def datalist(merged):
    return json.loads((merged("monai") / "datalist.json").read_text("utf-8"))


def test_every_item_is_as_the_loader_takes_it(merged, datalist, expected):
    """The checks of ``monai.data.load_decathlon_datalist``, which joins paths to the list's own."""
    folder = merged("monai")
    assert {name: len(datalist[name]) for name in ("training", "validation", "test")} == {
        "training": 21,
        "validation": 4,
        "test": 6,
    }
    assert (datalist["numTraining"], datalist["numTest"]) == (21, 6)
    names = datalist["findings"]
    for item in (*datalist["training"], *datalist["validation"], *datalist["test"]):
        row, content = expected[item["sample_id"]]
        assert (folder / item["image"]).read_bytes() == content
        assert len(item["label"]) == len(item["label_mask"]) == len(names)
        assert all(isinstance(value, int) for value in item["label"])
        stated = dict(zip(names, item["label"], strict=True))
        assert {
            name: None if stated[name] == NOT_STATED else stated[name] for name in row.labels
        } == row.labels
        masked = dict(zip(names, item["label_mask"], strict=True))
        assert all(masked[name] == (row.labels[name] in (0, 1)) for name in row.labels)
        assert item["synthetic"] == row.synthetic
        text = {name: value for name, value in item.items() if isinstance(value, str)}
        taken_for_paths = [name for name, value in text.items() if (folder / value).exists()]
        assert taken_for_paths == ["image"]


def test_weights(datalist):
    assert {item["weight"] for item in datalist["training"] if item["synthetic"]} == {2.0}
    assert {item["weight"] for item in datalist["test"]} == {1.0}


@pytest.mark.skipif(find_spec("monai") is None, reason="MONAI is not installed")
@pytest.mark.filterwarnings("ignore")
def test_monai_opens_it(merged, expected):
    from monai.data import load_decathlon_datalist

    items = load_decathlon_datalist(str(merged("monai") / "datalist.json"), False, "training")
    assert len(items) == 21
    for item in items:
        row, _ = expected[item["sample_id"]]
        assert load_grey(item["image"]).shape == (row.height, row.width)
        assert np.asarray(item["label"]).shape == (3,)
