import json

import pytest


@pytest.fixture(autouse=True)
def kernels(monkeypatch):
    """Probing kernels is tested where they live."""
    states = [("sdpa", "ok", "aten::sdpa"), ("xformers", "missing", "not installed")]
    monkeypatch.setattr("synth.families.attention.kernel_states", lambda: states, raising=False)


def test_json_says_what_this_machine_can_do(synth):
    code, out, _ = synth("doctor", "--json")
    found = json.loads(out)
    assert code == 0
    assert {"torch", "diffusers", "pydicom", "python"} <= set(found["versions"])
    assert found["system"]["cores"] >= 1
    assert found["devices"][0]["name"] == "cpu"
    assert found["attention"][0] == {"name": "sdpa", "state": "ok", "reason": "aten::sdpa"}
    by_uid = {item["uid"]: item for item in found["decoders"]}
    assert by_uid["1.2.840.10008.1.2.4.90"]["works"] is True  # JPEG 2000 lossless
    assert by_uid["1.2.840.10008.1.2.4.80"]["plugins"]  # JPEG-LS lossless
    assert by_uid["1.2.840.10008.1.2.5"]["works"] is True  # RLE
    assert by_uid["1.2.840.10008.1.2.4.80"]["plugins"]["pyjpegls"][0].isdigit()
    lossless = by_uid["1.2.840.10008.1.2.4.70"]
    assert lossless["works"] or "pip install" in lossless["install"]
    names = {"xformers", "adam8bit", "tensorboard", "export", "jpeg-lossless", "dev"}
    names |= {"onnx", "timm", "open-clip", "xrv", "inception"}
    assert {item["name"] for item in found["extras"]} == names


def test_a_person_reads_tables(synth):
    code, out, _ = synth("doctor")
    assert code == 0
    for word in ("Versions", "Machine", "Attention kernels", "DICOM", "pip install"):
        assert word in out
