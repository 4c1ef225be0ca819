"""Measure the rule labeller against Indiana/OpenI's human MeSH codes.

    python benchmarks/labeller_openi.py NLMCXR_reports.tgz [--split even|odd|all] [--errors FINDING]

The archive is the one that Open-i distributes (https://openi.nlm.nih.gov/faq, CC BY-NC-ND 4.0; it
also lies in the torchxrayvision wheel); nothing of it is stored here. The rules were developed on
reports with an even uId alone, so figures on the odd ones are honest.

Text is FINDINGS + IMPRESSION, truth the human ``major`` codes by their first term, and a label of 1
counts as positive. Reports coded "no indexing" are left out. The coders saw the image and the whole
text, and code less than is said, so a precision of 1 is out of reach.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import tarfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from synth.text import RuleLabeler

# What is scored: name -> (labels of ours, first terms of MeSH codes)
SCORED: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "cardiomegaly": (("cardiomegaly",), ("cardiomegaly",)),
    "atelectasis": (("atelectasis",), ("pulmonary atelectasis",)),
    "pleural_effusion": (("pleural_effusion",), ("pleural effusion",)),
    "pneumothorax": (("pneumothorax",), ("pneumothorax",)),
    "edema": (("edema",), ("pulmonary edema",)),
    "emphysema": (("emphysema",), ("emphysema", "pulmonary emphysema")),
    "fracture": (("fracture",), ("fractures, bone",)),
    "hernia": (("hernia",), ("hernia, hiatal",)),
    "nodule or mass": (("nodule", "mass"), ("nodule", "mass")),
    "pneumonia": (("pneumonia",), ("pneumonia",)),
    "consolidation": (("consolidation",), ("consolidation",)),
}
SPLITS = {"even": (0,), "odd": (1,), "all": (0, 1)}
REPEATS = 5


@dataclass(frozen=True)
class Report:
    """One report: its number, the text that is labelled and the coders' first terms."""

    number: int
    text: str
    codes: frozenset[str]


@dataclass(frozen=True)
class Score:
    """Counts of one finding over all reports."""

    hit: int
    wrong: int
    missed: int

    @property
    def precision(self) -> float:
        """Of those labelled, how many are coded; NaN when none is labelled."""
        return _ratio(self.hit, self.hit + self.wrong)

    @property
    def recall(self) -> float:
        """Of those coded, how many are labelled; NaN when none is coded."""
        return _ratio(self.hit, self.hit + self.missed)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return _ratio(2 * self.hit, 2 * self.hit + self.wrong + self.missed)


def read_reports(archive: Path, split: str) -> Iterator[Report]:
    """The reports of a split that the coders indexed; others are not even parsed."""
    with tarfile.open(archive) as tar:
        for member in tar:
            number = re.search(r"(\d+)\.xml$", member.name)
            if not number or int(number[1]) % 2 not in SPLITS[split]:
                continue
            stream = tar.extractfile(member)
            if stream is None:
                continue
            root = ET.fromstring(stream.read())
            codes = {(code.text or "").split("/")[0].strip().lower() for code in root.iter("major")}
            if "no indexing" in codes:
                continue
            parts = {part.get("Label", ""): part.text or "" for part in root.iter("AbstractText")}
            text = "\n".join(
                f"{name}: {parts[name]}" for name in ("FINDINGS", "IMPRESSION") if parts.get(name)
            )
            yield Report(int(number[1]), text, frozenset(codes))


def score(
    reports: list[Report], labels: list[dict[str, int | None]]
) -> tuple[dict[str, Score], dict[str, list[tuple[str, int]]]]:
    """Counts by finding, and the reports behind every error as ("wrong" or "missed", index)."""
    scores, errors = {}, {}
    for name, (ours, theirs) in SCORED.items():
        pairs = [
            (any(values[key] == 1 for key in ours), not report.codes.isdisjoint(theirs))
            for report, values in zip(reports, labels, strict=True)
        ]
        scores[name] = Score(
            hit=pairs.count((True, True)),
            wrong=pairs.count((True, False)),
            missed=pairs.count((False, True)),
        )
        errors[name] = [
            ("wrong" if said else "missed", index)
            for index, (said, coded) in enumerate(pairs)
            if said != coded
        ]
    return scores, errors


def rate(reports: list[Report]) -> tuple[float, float]:
    """Reports labelled a second of processor time and of wall time: medians, one process."""
    labeler = RuleLabeler()
    processor, wall = [], []
    for _ in range(REPEATS):
        start, clock = time.process_time(), time.perf_counter()
        for report in reports:
            labeler.label(report.text)
        processor.append(len(reports) / (time.process_time() - start))
        wall.append(len(reports) / (time.perf_counter() - clock))
    return statistics.median(processor), statistics.median(wall)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def _print_errors(
    name: str, reports: list[Report], errors: list[tuple[str, int]], labeler: RuleLabeler
) -> None:
    for kind, index in errors:
        report = reports[index]
        found = labeler.label(report.text).evidence
        print(f"\n-- {kind} {report.number}: {', '.join(sorted(report.codes))}\n{report.text}")
        for key in SCORED[name][0]:
            for item in found.get(key, ()):
                print(f"   {key} [{report.text[item.start : item.end]}] {item.rule}")


def main() -> int:
    """Print a table, or JSON; 0 where the bars are met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archive", type=Path, help="NLMCXR_reports.tgz, or the folder it is in")
    parser.add_argument("--split", choices=sorted(SPLITS), default="even")
    parser.add_argument("--errors", choices=sorted(SCORED), help="show this finding's errors")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    archive = arguments.archive
    archive = archive / "NLMCXR_reports.tgz" if archive.is_dir() else archive
    if not archive.is_file() or not tarfile.is_tarfile(archive):
        parser.error(f"{archive}: expected the archive of the reports, NLMCXR_reports.tgz")
    reports = list(read_reports(archive, arguments.split))
    labeler = RuleLabeler()
    scores, errors = score(reports, [labeler.label(report.text).values for report in reports])
    if arguments.errors:
        _print_errors(arguments.errors, reports, errors[arguments.errors], labeler)
        return 0
    macro = {
        name: statistics.fmean(getattr(item, name) for item in scores.values())
        for name in ("precision", "recall", "f1")
    }
    processor, wall = rate(reports)
    if arguments.json:
        rows = {
            name: {"precision": s.precision, "recall": s.recall, "f1": s.f1}
            for name, s in scores.items()
        }
        facts = {"reports": len(reports), "split": arguments.split, "findings": rows}
        speed = {"reports_per_cpu_second": processor, "reports_per_second": wall}
        print(json.dumps(facts | {"macro": macro} | speed, indent=2))
    else:
        print(f"{len(reports)} reports, {arguments.split} uIds; {labeler.name}")
        print(f"{'':18}coded  hit wrong missed  precision recall    F1")
        for name, s in scores.items():
            counts = f"{s.hit + s.missed:5} {s.hit:4} {s.wrong:5} {s.missed:6}"
            print(f"{name:18}{counts}      {s.precision:.3f}  {s.recall:.3f} {s.f1:.3f}")
        print(f"{'macro':45}{macro['precision']:.3f}  {macro['recall']:.3f} {macro['f1']:.3f}")
        print(f"{processor:.0f} reports a second of processor time, {wall:.0f} of wall time")
    return 0 if macro["f1"] >= 0.87 and macro["recall"] >= 0.93 and processor >= 3000 else 1


if __name__ == "__main__":
    sys.exit(main())
