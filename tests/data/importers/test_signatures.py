"""Every published header belongs to exactly one source, and a hospital's own table to none."""

from importlib import import_module
from pathlib import Path

import pytest

from synth.data.importers.streams import TableHead, read_head
from synth.data.inputs import Inputs

SOURCES = (
    "chexpert",
    "chexpert_plus",
    "mimic_cxr",
    "nih",
    "openi",
    "padchest",
    "roco",
    "rsna",
    "siim",
    "vindr",
)
OBSERVATIONS = (
    "No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,Lung Lesion,Edema,"
    "Consolidation,Pneumonia,Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,"
    "Support Devices"
)
NIH = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)
VINDR = (
    "Aortic enlargement,Atelectasis,Calcification,Cardiomegaly,Clavicle fracture,Consolidation,"
    "Edema,Emphysema,Enlarged PA,ILD,Infiltration,Lung Opacity,Lung cavity,Lung cyst,"
    "Mediastinal shift,Nodule/Mass,Pleural effusion,Pleural thickening,Pneumothorax,"
    "Pulmonary fibrosis,Rib fracture,Other lesion,COPD,Lung tumor,Pneumonia,Tuberculosis"
)
UID = "1.2.276.0.7230010.3.1.4.8323329.6904.1517875201.850819"
TABLES = {  # source -> header and first row
    "chexpert": (
        f"Path,Sex,Age,Frontal/Lateral,AP/PA,{OBSERVATIONS}",
        "CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg,F,68,Frontal,AP,1.0",
    ),
    "chexpert_plus": (
        "path_to_image,path_to_dcm,frontal_lateral,ap_pa,deid_patient_id,"
        "patient_report_date_order,report,section_findings,section_impression,age,sex,race,split",
        "train/patient00001/study1/view1_frontal.jpg,,Frontal,AP,patient00001,1,Clear.,,,68,F,,train",
    ),
    "mimic_cxr": ("dicom_id,study_id,subject_id,split", "02aa,50414267,10000032,train"),
    "mimic_cxr labels": (f"subject_id,study_id,{OBSERVATIONS}", "10000032,50414267,1.0"),
    "nih": (NIH, "00000001_000.png,Cardiomegaly,0,1,57,M,PA,2682,2749,0.143,0.143"),
    "nih google": (
        f"{NIH},Fracture,Pneumothorax,Airspace opacity,Nodule or mass,Set Id",
        "00000001_000.png,Cardiomegaly,0,1,57,M,PA,2682,2749,0.143,0.143,NO,NO,NO,NO,test",
    ),
    "openi": (
        "uid,MeSH,Problems,image,indication,comparison,findings,impression",
        "1,normal,normal,Xray Chest PA and Lateral,Cough,None.,Clear.,Normal.",
    ),
    "padchest": (
        ",ImageID,ImageDir,StudyDate_DICOM,StudyID,PatientID,PatientBirth,PatientSex_DICOM,"
        "ViewPosition_DICOM,Projection,MethodProjection,Pediatric,Report,MethodLabel,Labels",
        "0,2_k.png,0,20140915,2,8,1930.0,F,PA,PA,x,No,sin hallazg,Physician,['normal']",
    ),
    "roco": ("ID,Caption", "ROCOv2_2023_train_000001,Chest X-ray."),
    "rsna": ("patientId,x,y,width,height,Target", "0004cfab-14fd,,,,,0"),
    "siim": ("ImageId, EncodedPixels", f"{UID}, -1"),
    "vindr": (
        "image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max",
        "50a418190bc3fb1ef1633bf9678929b3,No finding,14,R11,,,,",
    ),
    "vindr train": (f"image_id,rad_id,{VINDR},Other diseases,No finding", "50a4,R1,0"),
    "vindr test": (f"image_id,{VINDR},Other disease,No finding", "50a4,0"),
    "": ("accession_number,report,patient_id,age,sex", "A1,Clear.,7,58,F"),
    " labels": (f"Path,Patient ID,{OBSERVATIONS}", "a.png,7,1"),
    " images": ("image_id,patient_id,view,split", "a.png,7,PA,train"),
    " boxes": ("image_id,class_name,x_min,y_min,x_max,y_max", "a,car,1,2,3,4"),
    " captions": ("ID,Caption", "17,A view of the sea"),
    " masks": ("ImageId,EncodedPixels", "00003e153.jpg,264661 17"),
    " classes": ("patientId,class", "7,Normal"),
    " concepts": ("ID,CUIs", "17,C0040405"),
}


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    folder = tmp_path_factory.mktemp("heads")

    def head(name) -> TableHead:
        path = folder / f"{name.replace(' ', '_') or 'hospital'}.csv"
        path.write_text("\n".join(TABLES[name]) + "\n")
        return read_head(path, path.name)

    return head


@pytest.mark.parametrize("name", list(TABLES))
def test_exactly_its_source_claims_a_table(head, name, tmp_path):
    table = head(name)
    owners = [
        source
        for source in SOURCES
        if import_module(f"synth.data.importers.{source}").IMPORTER.claim(
            [table], Inputs(tmp_path, ())
        )
    ]
    assert owners == ([name.split(" ")[0]] if name.split(" ")[0] else [])


@pytest.mark.parametrize("source", SOURCES)
def test_a_source_claims_its_own_among_all(head, source, tmp_path):
    importer = import_module(f"synth.data.importers.{source}").IMPORTER
    claimed = importer.claim([head(name) for name in TABLES], Inputs(tmp_path, ()))
    expected = {name for name in TABLES if name.split(" ")[0] == source}
    companions = {  # nobody's alone, but this source's beside its main table
        "rsna": {" classes"},
        "vindr": {" boxes"},
    }.get(source, set())
    assert {table.name for table in claimed} == {head(name).name for name in expected | companions}
    assert importer.source.name
    assert importer.source.terms
    assert importer.source.url.startswith("https://")


def test_source_names_are_unique():
    names = [import_module(f"synth.data.importers.{name}").IMPORTER.source.name for name in SOURCES]
    assert len(set(names)) == len(SOURCES)


@pytest.mark.parametrize("source", SOURCES)
def test_the_documentation_tells_of_every_source(source):
    text = (Path(__file__).parents[3] / "docs/importers.md").read_text()
    facts = import_module(f"synth.data.importers.{source}").IMPORTER.source
    licence = next(
        line for line in text.split("## Licences")[1].splitlines() if facts.licence in line
    )
    cells = [cell.strip() for cell in licence.strip("|").split("|")]
    assert [cell.endswith("yes") for cell in cells[2:]] == [facts.redistribution, facts.commercial]
