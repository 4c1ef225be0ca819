import pytest

from synth.data.importers.index import index_records
from synth.data.inputs import scan
from synth.dicom import Identity

HEADER = (
    "path_to_image,path_to_dcm,frontal_lateral,ap_pa,deid_patient_id,patient_report_date_order,"
    "report,section_narrative,section_clinical_history,section_history,section_comparison,"
    "section_technique,section_procedure_comments,section_findings,section_impression,"
    "section_end_of_impression,section_summary,section_accession_number,age,sex,race,ethnicity,"
    "interpreter_needed,insurance_type,recent_bmi,deceased,split\n"
)
REPORT = '"NARRATIVE:\nCHEST, 1 VIEW\n\nIMPRESSION:\n1. ""Clear"" lungs."'
REST = "61.0,Female,Other,Unknown,,,,,"


@pytest.fixture
def imported(tmp_path):
    path = "train/patient42142/study5/view1_frontal.jpg"
    one = f"{path},train/x.dcm,Frontal,AP,patient42142,5,{REPORT}"
    two = "valid/patient64541/study1/view2_lateral.jpg,,Lateral,,patient64541,1,"
    rows = [
        f"{one},,,,,,,,Clear lungs.,,,,{REST}train",
        f"{two},,Cough.,,,,,No edema.,Normal.,,,,{REST}valid",
    ]
    (tmp_path / "df_chexpert_plus_240401.csv").write_text(HEADER + "\n".join(rows) + "\n")
    return index_records(scan(tmp_path))


@pytest.mark.parametrize(
    "path",
    [
        "PNG/train/patient42142/study5/view1_frontal.png",
        "DICOM/patient42142/study5/view1_frontal.dcm",
    ],
)
def test_the_suffix_on_disk_differs(imported, path):
    found = imported.find(path, Identity())
    assert found.text == 'NARRATIVE:\nCHEST, 1 VIEW\n\nIMPRESSION:\n1. "Clear" lungs.'
    assert found.fields == {
        "patient": "patient42142",
        "study": "patient42142/study5",
        "view": "AP",
        "sex": "Female",
        "age": "61.0",
        "split": "train",
        "language": "en",
    }
    assert imported.sources[0].name == "chexpert-plus"


def test_sections_stand_in_for_an_empty_report(imported):
    found = imported.find("valid/patient64541/study1/view2_lateral.png", Identity())
    assert found.text == "CLINICAL HISTORY: Cough.\n\nFINDINGS: No edema.\n\nIMPRESSION: Normal."
    assert found.fields["split"] == "val"
    assert found.fields["view"] == "LATERAL"
