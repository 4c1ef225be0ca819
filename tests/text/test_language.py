import pytest

from synth.text.language import language


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("The lungs are clear. There is no pleural effusion.", "en"),
        ("Sin hallazgos patológicos en el tórax. No se observa derrame.", "es"),
        ("sin hallazg patolog . cambi cronic bas derech", "es"),  # stemmed, as in PadChest
        ("Kein Erguss, keine Infiltrate. Das Herz ist nicht vergrößert.", "de"),
        ("Sem derrame pleural. Pulmões sem alterações, coração normal.", "pt"),
        ("Pas d'épanchement pleural. Les poumons sont clairs et le coeur est normal.", "fr"),
        ("Non versamento pleurico. Il cuore è nei limiti, segni della fibrosi.", "it"),
        ("Geen pleuravocht. Het hart is niet vergroot, longen normaal.", "nl"),
        ("Лёгкие без очаговых изменений.", "ru"),
        ("両肺に異常なし。", "ja"),
        ("双肺未见异常。", "zh"),
        ("양측 폐에 이상 없음.", "ko"),
        ("الرئتان سليمتان", "ar"),
        ("Sin edema.", "es"),  # one word decides if it is a negation
        ("Kein Emphysem.", "de"),
        ("The Kein sign.", None),
        ("", None),
        ("Normal.", None),
        ("XXXX 12 %.", None),
        ("Pneumothorax. Cardiomegaly.", None),
    ],
)
def test_language(text, code):
    assert language(text) == code


def test_names_in_a_report_do_not_change_its_language():
    assert language("The lungs are clear. There is a Ghon focus. El Niño de la Cruz.") == "en"
