"""DICOM: ``dicom/SYN-000001/ST0001/SE0001/IM0001.dcm``, synthetic images alone.

Real images are refused: a prepared image has lost the header it came with, and a new one would be
made up. The files themselves: :mod:`synth.dicom.write`.
"""

from __future__ import annotations

import re
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from synth.data.export.collection import Collection, Item
from synth.data.export.columns import columns_of
from synth.data.export.folder import Folder
from synth.data.export.layout import Bits, Files, Layout, Options, Tick
from synth.data.export.table import table_files, write_table
from synth.dicom.text_report import text_report
from synth.dicom.write import (
    LONG_TEXT,
    ORIENTATIONS,
    REGIONS,
    SyntheticFacts,
    patient_id,
    synthetic_image,
    to_bytes,
)
from synth.errors import Unavailable, UsageError
from synth.images import load_grey
from synth.manifest import SyntheticRow, sha256_text
from synth.provenance import PROJECT

_CODE = """\
import pandas as pd
from pydicom import dcmread

table = pd.read_csv("DIR/metadata.csv")
image = dcmread("DIR/" + table.file_name[0]).pixel_array
"""


def write(collection: Collection, folder: Folder, options: Options, tick: Tick) -> Layout:
    """Write one patient, study and series an image, and ``metadata.csv`` with splits and labels.

    Raises:
        UsageError: an image is real, or shall be Digital X-Ray and is not frontal.
        Unavailable: text reports are asked for and highdicom is not installed.
    """
    _check(collection, options)
    columns = columns_of(collection)
    places: dict[str, dict[str, str]] = {}
    cut = 0
    for item in collection.items:
        facts = _facts(item, options)
        study = f"dicom/{patient_id(facts.name)}/ST0001"
        name = f"{study}/SE0001/IM0001.dcm"
        report = f"{study}/SE0002/SR0001.dcm" if options.report else ""
        places[item.key] = {"file_name": name} | ({"report": report} if report else {})
        cut += len(facts.text) > LONG_TEXT
        if not folder.has(name) or (report and not folder.has(report)):
            dataset = _image(item, facts, options)
            folder.put(name, to_bytes(dataset))
            if report:
                folder.put(report, to_bytes(text_report(dataset, facts.text)))
        tick()
    write_table(folder, collection, columns, places)
    return Layout(
        files=(
            Files("dicom", "dicom/*/*/*/*.dcm", "application/dicom"),
            table_files(columns, places),
        ),
        code=_CODE,
        remarks=(
            "Every file says `SyntheticData` YES (0008,001C). UIDs are a function of the image: "
            "another export of it has the same ones. Pixel spacing is not known.",
        ),
        notes=(f"{cut} texts were cut to {LONG_TEXT} characters",) if cut else (),
    )


def _check(collection: Collection, options: Options) -> None:
    real = [item for item in collection.items if not isinstance(item.row, SyntheticRow)]
    if real:
        raise UsageError(
            "only synthetic images are written as DICOM: a prepared image has lost its header, "
            "and a new one would be made up",
            where=" + ".join(dict.fromkeys(item.dataset for item in real)),
            got=f"{len(real)} real images",
            fix="Pass on the original files of real images.",
        )
    turned = [
        item for item in collection.items if (item.row.view or options.view) not in ORIENTATIONS
    ]
    if options.sop_class == "dx" and turned:
        raise UsageError(
            "Digital X-Ray demands the patient's orientation, known for frontal views alone",
            where="--sop-class dx",
            got=f"{len(turned)} images of another or an unknown view, such as {turned[0].key}",
            fix="Add --view PA if that is what rows without a view show, or leave out "
            "--sop-class dx: Secondary Capture takes any view.",
        )
    if not re.fullmatch(r"[A-Z0-9 _]{1,16}", options.body_part):
        expected = "16 capitals, digits or _ at most (PS3.5 6.2, CS), such as CHEST"
        raise UsageError(
            "no such body part", where="--body-part", got=options.body_part, expected=expected
        )
    if options.sop_class == "dx" and options.body_part not in REGIONS:
        raise UsageError(
            "Digital X-Ray demands a coded body part, and its side, which is not known",
            where="--body-part",
            got=options.body_part,
            expected=", ".join(REGIONS),
            fix="Leave out --sop-class dx: Secondary Capture takes any part.",
        )
    if options.report and find_spec("highdicom") is None:
        raise Unavailable(
            "a Basic Text SR needs highdicom", fix="pip install 'medical-image-synthesis[export]'"
        )


def _facts(item: Item, options: Options) -> SyntheticFacts:
    row = item.row
    assert isinstance(row, SyntheticRow)  # _check saw to it
    version = item.info.versions.get(PROJECT, "unknown")
    words = "; ".join(
        (
            "SYNTHETIC: made by a generative model from text, shows no patient, not for diagnosis",
            f"weights sha256 {row.weights_sha256}",
            f"settings sha256 {row.config_sha256}",
            f"prompt sha256 {row.prompt_hash}",
            f"seed {row.seed}, attempt {row.attempt}",
            f"solver {row.solver}, {row.steps} steps, guidance {row.guidance:g}",
        )
    )
    view = row.view or options.view
    parts = (row.sample_id, row.sha256, row.text_used, words, options.body_part, view or "")
    return SyntheticFacts(
        name=row.sample_id,
        digest=sha256_text("\x1f".join((*parts, row.sex or "", version))),
        text=row.text_used,
        derivation=words,
        version=version,
        model=f"weights {row.weights_sha256[:16]}",
        sex=row.sex,
        view=view,
        body_part=options.body_part,
    )


def _image(item: Item, facts: SyntheticFacts, options: Options) -> Dataset:
    item.read()  # compares it with its hash
    stored = _levels(item, options.bits)
    return synthetic_image(stored, facts, sop_class=options.sop_class)


def _levels(item: Item, bits: Bits) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """The grey levels as integers; those of the file itself where its depth is kept."""
    deep = item.row.bit_depth > 8 if bits == "auto" else bits == "16"
    grey = load_grey(
        item.path
    )  # float32: exact to 0.01 of a level of 65,536, so rounding restores it
    levels: NDArray[np.float32] = np.rint(grey * np.float32(65535 if deep else 255))
    return levels.astype(np.uint16) if deep else levels.astype(np.uint8)
