import csv
from pathlib import PurePosixPath

import pytest

from synth.data.importers.padchest import IMPORTER
from synth.data.importers.padchest_terms import NAMES, NORMAL, OPENS, SILENT, read_terms
from synth.data.rows import parse_label
from synth.dicom import Identity
from synth.text import FINDING_NAMES

HEADER = (
    ",ImageID,ImageDir,StudyDate_DICOM,StudyID,PatientID,PatientBirth,PatientSex_DICOM,"
    "ViewPosition_DICOM,Projection,MethodProjection,Pediatric,Modality_DICOM,Manufacturer_DICOM,"
    "PhotometricInterpretation_DICOM,PixelRepresentation_DICOM,PixelAspectRatio_DICOM,"
    "SpatialResolution_DICOM,BitsStored_DICOM,WindowCenter_DICOM,WindowWidth_DICOM,Rows_DICOM,"
    "Columns_DICOM,XRayTubeCurrent_DICOM,Exposure_DICOM,ExposureInuAs_DICOM,ExposureTime,"
    "RelativeXRayExposure_DICOM,ReportID,Report,MethodLabel,Labels,Localizations,"
    "LabelsLocalizationsBySentence,labelCUIS,LocalizationsCUIS"
)
COLUMNS = HEADER.split(",")
ID = "20536686640136348236148679891455886468_k6ga"


@pytest.fixture
def write(tmp_path):
    """Writes rows of 36 columns, each a difference to an ordinary one."""
    plain = {
        "ImageDir": "0",
        "StudyDate_DICOM": "20140915",
        "StudyID": "20536686640136348236148679891455886468",
        "PatientID": "839860488694292331637988235681460987",
        "PatientBirth": "1930.0",
        "PatientSex_DICOM": "F",
        "Projection": "PA",
        "PixelAspectRatio_DICOM": "None",
        "Report": " sin hallazg patolog edad pacient .",
        "MethodLabel": "Physician",
        "Labels": "['normal']",
        "labelCUIS": "['C0034069' 'C0742362']",
    }

    def write(*rows):
        with (tmp_path / "PADCHEST.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(COLUMNS)
            for number, row in enumerate(rows):
                cells = plain | {"": str(number), "ImageID": f"{ID}{number}.png"} | row
                table.writerow([cells.get(column, "nan") for column in COLUMNS])

    return write


def present(labels):
    return {name for name, value in labels.items() if value == "1"}


def test_one_row(write, run_importer):
    assert len(COLUMNS) == 36
    write({})
    (record,) = run_importer(IMPORTER).records.values()
    assert record.image == f"0/{ID}0.png"
    assert record.text == "sin hallazg patolog edad pacient ."
    assert record.fields == {
        "patient": "839860488694292331637988235681460987",  # 36 digits, untouched
        "study": "20536686640136348236148679891455886468",
        "view": "PA",
        "sex": "F",
        "age": "84",
        "language": "es",
    }
    assert record.label_source == "physician"
    assert present(record.labels) == {"no_finding"}


def test_label_lists_with_stray_spaces_and_empty_strings(write, run_importer):
    write({"Labels": "[' pacemaker', '', 'pleural effusion ']", "MethodLabel": "RNN_model"})
    (record,) = run_importer(IMPORTER).records.values()
    assert present(record.labels) == {"pacemaker", "pleural_effusion"}
    assert record.labels["no_finding"] == record.labels["cardiomegaly"] == "0"
    assert record.label_source == "rnn"


@pytest.mark.parametrize("cell", ["nan", "", "[", "['a'", "{'normal': 1}", "[''] * 3", "['', '']"])
def test_rows_without_a_list_are_kept_without_labels(write, run_importer, cell):
    write({"Labels": cell}, {})
    found = run_importer(IMPORTER)
    first, second = found.records.values()
    assert first.labels == {}
    assert first.text
    assert second.labels
    assert found.problems == []


def test_literal_nan_and_none(write, run_importer):
    write(
        {
            "PatientSex_DICOM": "nan",
            "PatientBirth": "",
            "Report": "nan",
            "Projection": "AP_horizontal",
        },
        {"PatientSex_DICOM": "O", "PatientBirth": "nan", "Report": "None", "Projection": "UNK"},
    )
    first, second = run_importer(IMPORTER).records.values()
    assert first.text == second.text == ""
    assert first.fields.keys() == {"patient", "study", "view"}
    assert second.fields["sex"] == "O"


@pytest.mark.parametrize(
    ("term", "finding"),
    [
        ("pseudonodule", "nodule"),
        ("nipple shadow", "nodule"),
        ("callus rib fracture", "fracture"),
        ("subcutaneous emphysema", "emphysema"),
        ("pericardial effusion", "pleural_effusion"),
        ("mediastinal mass", "mass"),
        ("hilar congestion", "edema"),
        ("costophrenic angle blunting", "pleural_effusion"),
        ("minor fissure thickening", "pleural_thickening"),
        ("tuberculosis sequelae", "tuberculosis"),
    ],
)
def test_a_part_of_a_term_is_not_the_term(term, finding):
    assert read_terms([term])[finding] != "1"


@pytest.mark.parametrize(
    ("term", "findings"),
    [
        ("multiple nodules", {"nodule", "lung_lesion"}),
        ("hydropneumothorax", {"pneumothorax", "pleural_effusion"}),
        ("hiatal hernia", {"hernia"}),
        ("consolidation", {"consolidation", "lung_opacity"}),
        ("infiltrates", {"infiltration", "lung_opacity"}),
        ("pulmonary fibrosis", {"fibrosis"}),
        ("dai", {"pacemaker"}),
        ("rib fracture", {"fracture"}),
        ("COPD signs", {"copd"}),
        ("pericardial effusion", {"pericardial_effusion"}),
        ("subcutaneous emphysema", {"subcutaneous_emphysema"}),
        ("goiter", set()),
        (" rib fracture", {"fracture"}),
    ],
)
def test_terms(term, findings):
    assert present(read_terms([term])) == findings


def test_hints_leave_a_finding_open():
    labels = read_terms(["costophrenic angle blunting", "pulmonary fibrosis"])
    assert labels["pleural_effusion"] == ""
    assert labels["interstitial_pattern"] == ""
    assert labels["pneumothorax"] == "0"
    assert (
        read_terms(["costophrenic angle blunting", "pleural effusion"])["pleural_effusion"] == "1"
    )


@pytest.mark.parametrize(
    ("terms", "no_finding", "others"),
    [
        (["normal"], "1", {"0"}),
        (["normal", "unchanged"], "1", {"0"}),
        (["normal", "cardiomegaly"], "0", {"0", "1", ""}),
        (["goiter"], "0", {"0", ""}),
        (["cardiomegaly", "unchanged"], "0", {"1", ""}),  # what was there before is not listed
        (["normal", "exclude"], "", {""}),
    ],
)
def test_what_is_not_listed(terms, no_finding, others):
    labels = read_terms(terms)
    assert labels.pop("no_finding") == no_finding
    assert set(labels.values()) == others


@pytest.mark.parametrize("terms", [[], [""], ["unchanged"], ["exclude"], ["suboptimal study", ""]])
def test_lists_that_say_nothing(terms):
    assert read_terms(terms) == {}


def test_term_tables_are_sound():
    for term in [*NAMES, *OPENS]:
        assert term == term.strip()
        assert term not in SILENT | {NORMAL}
        assert not NAMES.get(term, frozenset()) & OPENS.get(term, frozenset()), term
    assert set(read_terms([NORMAL])) <= set(FINDING_NAMES)
    values = {value for term in NAMES for value in read_terms([term]).values()}
    assert {parse_label("x", value) for value in values} == {1, 0, None}


@pytest.mark.parametrize("folder", ["0/", "54/", ""])
def test_keys(write, run_importer, folder):
    write({})
    (record,) = run_importer(IMPORTER).records.values()
    path = PurePosixPath(f"{folder}{ID}0.PNG")
    assert set(IMPORTER.keys(path, Identity())) & record.keys
