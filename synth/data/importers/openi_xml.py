"""One ``eCitation`` XML report, read without trusting it.

A document type declaration is refused where it stands: entities can expand without end or name
files of the machine (CWE-776, CWE-611), and no report needs one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from synth.dicom import Unreadable

_MOST_BYTES = 4_000_000  # real ones have 5,000


@dataclass(frozen=True)
class Citation:
    """One report.

    Attributes:
        uid: ``CXR1``.
        sections: ``findings``, ``impression``, … in lower case -> text.
        images: names of its images, without suffix.
        codes: MeSH codes given by people.
    """

    uid: str
    sections: Mapping[str, str]
    images: tuple[str, ...]
    codes: tuple[str, ...]


@dataclass
class _Collected:
    uid: str = ""
    sections: dict[str, str] = field(default_factory=dict)
    images: list[str] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)
    label: str = ""
    text: list[str] = field(default_factory=list)

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.text.clear()
        if name == "uId":
            self.uid = attributes.get("id", "")
        elif name == "AbstractText":
            self.label = attributes.get("Label", "").lower()
        elif name == "parentImage":
            self.images.append(attributes.get("id", ""))

    def end(self, name: str) -> None:
        text = "".join(self.text).strip()
        if name == "AbstractText":
            self.sections[self.label] = text
        elif name == "major":
            self.codes.append(text)
        self.text.clear()


def read_citation(path: Path) -> Citation:
    """Read one report.

    Raises:
        Unreadable: ``xml_refused``: damaged, too large, with a document type, or no eCitation.
    """
    found = _Collected()
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.StartElementHandler = found.start
    parser.EndElementHandler = found.end
    parser.CharacterDataHandler = found.text.append
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise Unreadable("xml_refused", "larger than any report", "Remove the file")
        parser.Parse(content, True)
    except expat.ExpatError as error:
        detail = f"damaged XML, line {error.lineno}"
        raise Unreadable("xml_refused", detail, "Copy the file again") from None
    except (LookupError, ValueError):  # of pyexpat, for what its XML declaration names
        detail = "an encoding that is not read"
        raise Unreadable("xml_refused", detail, "Save it as UTF-8") from None
    except OSError as error:
        raise Unreadable("xml_refused", f"cannot be read: {error.strerror}") from None
    if not found.uid:
        raise Unreadable("xml_refused", "no report number (uId)", "Copy the file again")
    return Citation(found.uid, found.sections, tuple(found.images), tuple(found.codes))


def _refuse_doctype(*_: object) -> None:
    raise Unreadable(
        "xml_refused", "has a document type declaration", "Remove it: reports have none"
    )
