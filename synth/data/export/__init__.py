"""Datasets out: one file a format, each opened by its usual consumer in the tests.

A format is a function ``write(collection, folder, options, tick) -> Layout`` (see
:mod:`synth.data.export.layout`). It puts its files into a :class:`~synth.data.export.folder.Folder`
and says what it wrote; card, Croissant description, terms and checksums are the same for all.
"""

from __future__ import annotations

from synth.registry import Registry

FORMATS = Registry(
    "format",
    {
        "imagefolder": "synth.data.export.imagefolder:write",
        "parquet": "synth.data.export.parquet:write",
        "webdataset": "synth.data.export.webdataset:write",
        "monai": "synth.data.export.monai:write",
        "chexpert": "synth.data.export.chexpert:write",
        "dicom": "synth.data.export.dicom:write",
    },
)
