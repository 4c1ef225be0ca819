"""``croissant.json``: the export described for machines (Croissant 1.0 with its RAI vocabulary).

Written by hand: it is small, and the library for it brings rdflib and pandas along. The tests
validate it with that library. https://docs.mlcommons.org/croissant/docs/croissant-spec.html
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from synth.data.export.collection import Collection
from synth.data.export.columns import Kind
from synth.data.export.layout import Files, Layout
from synth.manifest import sha256_file
from synth.provenance import PROJECT, project_version

NAME = "croissant.json"
_TYPES: Mapping[Kind, str] = MappingProxyType(
    {
        "text": "sc:Text",
        "integer": "sc:Integer",
        "float": "sc:Float",
        "flag": "sc:Boolean",
        "label": "sc:Integer",
    }
)
_MEANINGS: Mapping[str, str] = MappingProxyType(
    {
        "synthetic": "Whether a generative model made the image.",
        "weight": "How much the image counts in training; a real one counts 1.",
        "split": "train, val or test; no patient is in two.",
        "text": "The scrubbed report, or the text that the image was made from.",
        "text_used": "The part of the text that conditions a model.",
        "source_sample_id": "The image whose text a synthetic image was made from.",
        "label_source": "Who labelled; `conditioned`: what the model was asked to show.",
        "nearest_real_distance": "To the nearest training image, in feature space.",
        "sha256": "Of the image file.",
    }
)
_CONTEXT: Mapping[str, Any] = MappingProxyType(
    {
        "@language": "en",
        "@vocab": "https://schema.org/",
        "citeAs": "cr:citeAs",
        "column": "cr:column",
        "conformsTo": "dct:conformsTo",
        "cr": "http://mlcommons.org/croissant/",
        "rai": "http://mlcommons.org/croissant/RAI/",
        "data": {"@id": "cr:data", "@type": "@json"},
        "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
        "dct": "http://purl.org/dc/terms/",
        "equivalentProperty": "cr:equivalentProperty",
        "examples": {"@id": "cr:examples", "@type": "@json"},
        "extract": "cr:extract",
        "field": "cr:field",
        "fileProperty": "cr:fileProperty",
        "fileObject": "cr:fileObject",
        "fileSet": "cr:fileSet",
        "format": "cr:format",
        "includes": "cr:includes",
        "isLiveDataset": "cr:isLiveDataset",
        "jsonPath": "cr:jsonPath",
        "key": "cr:key",
        "md5": "cr:md5",
        "parentField": "cr:parentField",
        "path": "cr:path",
        "recordSet": "cr:recordSet",
        "references": "cr:references",
        "regex": "cr:regex",
        "repeated": "cr:repeated",
        "replace": "cr:replace",
        "samplingRate": "cr:samplingRate",
        "sc": "https://schema.org/",
        "separator": "cr:separator",
        "source": "cr:source",
        "subField": "cr:subField",
        "transform": "cr:transform",
    }
)


def describe(collection: Collection, layout: Layout, folder: Path) -> dict[str, Any]:
    """The JSON-LD object.

    Args:
        collection: what was exported.
        layout: what the format says of its files.
        folder: where they lie; files that stand alone are hashed.
    """
    terms = collection.terms
    urls = [source.url for source in terms.sources if source.url]
    cited = [source.citation for source in terms.sources if source.citation]
    facts = {
        "@context": dict(_CONTEXT),
        "@type": "sc:Dataset",
        "conformsTo": [
            "http://mlcommons.org/croissant/1.0",
            "http://mlcommons.org/croissant/RAI/1.0",
        ],
        "name": collection.name,
        "description": _description(collection),
        "license": terms.licence,
        "usageInfo": " ".join(terms.lines) or "No terms were recorded.",
        "url": urls[0] if urls else f"urn:{PROJECT}:{collection.name}",
        "version": "1.0.0",
        "datePublished": "2000-01-01",
        "citeAs": "; ".join(cited) or f"{collection.name}, made with {PROJECT}",
        "creator": {"@type": "sc:Organization", "name": f"{PROJECT} {project_version()}"},
        "keywords": ["synthetic", "medical", "radiology"],
        **_responsible(collection),
        "distribution": [_distribution(files, folder) for files in layout.files],
    }
    records = [_records(files) for files in layout.files if files.table]
    return {**facts, "recordSet": records} if records else facts


def _description(collection: Collection) -> str:
    count, made = len(collection.items), collection.synthetic
    splits = ", ".join(f"{len(items)} {split}" for split, items in collection.splits.items())
    kind = "All are SYNTHETIC." if made == count else f"{made} of them are SYNTHETIC."
    person = " They show computer-made phantoms, not people." if collection.phantom else ""
    return f"{count} medical images ({splits}) with texts and labels. {kind}{person}"


def _responsible(collection: Collection) -> dict[str, Any]:
    """What the RAI vocabulary asks: where data and labels come from, and their limits."""
    titles = ", ".join(source.title for source in collection.terms.sources)
    tools = sorted({item.row.label_source for item in collection.items if item.row.label_source})
    person = (
        "None: computed phantoms."
        if collection.phantom
        else "De-identified; identifiers are pseudonyms. Synthetic images show no patient, but a "
        "model can repeat what it was trained on: see the distances to real images."
    )
    return {
        "rai:dataCollection": f"Sources: {titles or 'not named'}. Synthetic images were made by a "
        "diffusion model conditioned on text.",
        "rai:dataLimitations": "Labels of synthetic images say what was asked for, not what a "
        "reader saw. Not for diagnosis. Test on real images only.",
        "rai:dataBiases": "Those of the sources, which a generative model can amplify.",
        "rai:personalSensitiveInformation": person,
        "rai:dataUseCases": "Research on training with synthetic images.",
        "rai:machineAnnotationTools": tools,
    }


def _distribution(files: Files, folder: Path) -> dict[str, Any]:
    common = {"@id": files.name, "name": files.name, "encodingFormat": files.media_type}
    if "*" in files.pattern:
        return {"@type": "cr:FileSet", **common, "includes": files.pattern}
    path = folder / files.pattern
    return {
        "@type": "cr:FileObject",
        **common,
        "contentUrl": files.pattern,
        "contentSize": f"{path.stat().st_size} B",
        "sha256": sha256_file(path),
    }


def _records(files: Files) -> dict[str, Any]:
    source = "fileSet" if "*" in files.pattern else "fileObject"
    return {
        "@type": "cr:RecordSet",
        "@id": "images-table",
        "name": "images-table",
        "description": "One record an image.",
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"images-table/{name}",
                "name": f"images-table/{name}",
                "description": _meaning(name, kind),
                "dataType": _TYPES[kind],
                "source": {source: {"@id": files.name}, "extract": {"column": name}},
            }
            for name, kind in files.table.items()
        ],
    }


def _meaning(name: str, kind: Kind) -> str:
    if kind == "label":
        return f"{name}: 1 present, 0 absent, -1 uncertain, empty not stated."
    return _MEANINGS.get(name, name.replace("_", " "))
