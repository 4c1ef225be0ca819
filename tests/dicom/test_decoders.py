import pytest
from pydicom.config import IGNORE
from pydicom.uid import UID, JPEG2000Lossless

from synth.dicom import Unreadable
from synth.dicom import decoders as module
from synth.dicom.decoders import check_decoder, decoder_table


def test_the_default_installation_decodes_all_but_jpeg_lossless():
    states = {item.uid: item for item in decoder_table()}
    base = "1.2.840.10008.1.2"
    works = (".1", ".2", ".1.99", ".5", ".4.50", ".4.80", ".4.81", ".4.90", ".4.91")
    assert {states[base + end].state for end in works} == {"works"}
    assert {states[base + end].state for end in (".4.201", ".4.203")} == {"installed"}
    assert "pyjpegls" in states[base + ".4.80"].plugins
    assert states[base + ".4.90"].plugins["pylibjpeg-openjpeg"][0].isdigit()
    lossless = states[base + ".4.70"]
    if lossless.state == "missing":  # the extra may be installed
        assert "jpeg-lossless" in lossless.install


def test_a_decoder_that_gives_other_pixels_is_broken(monkeypatch):
    real = module.pixel_array
    monkeypatch.setattr(module, "pixel_array", lambda dataset: real(dataset) // 2)
    states = {item.uid: item.state for item in decoder_table()}
    assert states[JPEG2000Lossless] == "broken"

    def explode(dataset):
        raise MemoryError

    monkeypatch.setattr(module, "pixel_array", explode)
    broken = {item.uid: item for item in decoder_table()}[JPEG2000Lossless]
    assert (broken.state, broken.note) == ("broken", "MemoryError")
    assert "openjpeg" in broken.install


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")  # pydicom's own look-up
@pytest.mark.parametrize("uid", ["1.2.840.10008.1.2.4.110", "1.2.3.4", "", "1.Doe^Jane"])
def test_unknown_syntaxes_are_refused(uid):
    with pytest.raises(Unreadable) as refusal:
        check_decoder(UID(uid, validation_mode=IGNORE))
    assert refusal.value.code == "unsupported_transfer_syntax"
    assert "dcmconv" in refusal.value.remedy
    assert "Doe" not in str(refusal.value)
