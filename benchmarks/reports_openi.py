"""How the report reader does on real reports: `python benchmarks/reports_openi.py PATH [--show N]`.

PATH is ``NLMCXR_reports.tgz``, the Indiana University reports as Open-i distributes them (3,955
XML files; CC BY-NC-ND 4.0). Nothing of them is written to disk. Printed are

- sections: how often FINDINGS and IMPRESSION come back exactly, by how headers are written
- scrubbing: what is removed apart from de-identification marks (these reports were scrubbed once
  already, so nearly every removal here is a false one)
- comparisons: how often the labels of a report change when comparisons with priors are dropped
- languages: what the detector takes these English reports for
- speed: reports a second on one core
"""

from __future__ import annotations

import argparse
import tarfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from xml.etree import ElementTree

from synth.text import RuleLabeler, read_report, scrub, split_sections
from synth.text.characters import plain_characters
from synth.text.identifiers import MARKS, RULES
from synth.text.language import language
from synth.text.prompts import clean

Report = tuple[str, str]  # findings, impression
Write = Callable[[str, str], str]

VARIANTS: dict[str, Write] = {
    "FINDINGS:": lambda f, i: f"FINDINGS: {f}\n\nIMPRESSION: {i}",
    "as MIMIC-CXR": lambda f, i: f" FINAL REPORT\n FINDINGS:\n \n {f}\n \n IMPRESSION:\n \n {i}\n",
    "Title case": lambda f, i: f"Findings: {f}\n\nImpression: {i}",
    "lower case": lambda f, i: f"findings: {f}\nimpression: {i}".lower(),
    "UPPER CASE": lambda f, i: f"FINDINGS: {f}\nIMPRESSION: {i}".upper(),
    "CRLF": lambda f, i: f"FINDINGS:\r\n{f}\r\n\r\nIMPRESSION:\r\n{i}\r\n",
    "CR only": lambda f, i: f"FINDINGS:\r{f}\r\rIMPRESSION:\r{i}\r",
    "own line": lambda f, i: f"FINDINGS\n{f}\nIMPRESSION\n{i}",
    "Own line": lambda f, i: f"Findings\n{f}\nImpression\n{i}",
    "own line, lower": lambda f, i: f"findings\n{f}\nimpression\n{i}".lower(),
    "no colon": lambda f, i: f"FINDINGS {f}\nIMPRESSION {i}",
    "No colon": lambda f, i: f"Findings {f}\nImpression {i}",
    "inline": lambda f, i: f"FINDINGS: {f} IMPRESSION: {i}",
    "Inline": lambda f, i: f"Findings: {f} Impression: {i}",
    "inline, lower": lambda f, i: f"findings: {f} impression: {i}".lower(),
    "inline, no colon": lambda f, i: f"FINDINGS {f} IMPRESSION {i}",
    "dash": lambda f, i: f"FINDINGS - {f}\nIMPRESSION - {i}",
    "Markdown": lambda f, i: f"**FINDINGS:** {f}\n\n**IMPRESSION:** {i}",
    "Spanish": lambda f, i: f"HALLAZGOS: {f}\nIMPRESIÓN: {i}",
    "German": lambda f, i: f"Befund: {f}\n\nBeurteilung: {i}",
    "Portuguese": lambda f, i: f"Achados:\n{f}\n\nImpressão:\n{i}",
}


def reports_of(archive: Path) -> list[dict[str, str]]:
    """Sections of every report by their label, in the archive's order."""
    reports = []
    with tarfile.open(archive) as files:
        for member in files:
            stream = files.extractfile(member) if member.name.endswith(".xml") else None
            if stream is not None:
                texts = ElementTree.parse(stream).iter("AbstractText")
                reports.append({str(t.get("Label")): (t.text or "").strip() for t in texts})
    return reports


def sections(reports: Sequence[Report]) -> None:
    """Print the rate of exact recovery, both sections and nothing else, per way of writing."""
    print(f"\nsections: exact, of {len(reports):,} reports with both")
    for name, write in VARIANTS.items():
        exact = 0
        for findings, impression in reports:
            report = write(findings, impression)
            found = split_sections(report)
            assert "".join(report[s.start : s.end] for s in found) == report
            said = [(s.name, s.text(report).strip().lower()) for s in found if s.name != "untitled"]
            exact += said == [("findings", findings.lower()), ("impression", impression.lower())]
        print(f"  {name:18} {exact / len(reports):.4f}   missed {len(reports) - exact}")


def removals(texts: Sequence[str], show: int) -> None:
    """Print what the rules take away that no mark of de-identification is."""
    taken: dict[str, list[str]] = defaultdict(list)
    for text in map(plain_characters, texts):
        for rule in RULES:
            if rule.name not in MARKS:
                taken[rule.name] += [match.group() for match in rule.pattern.finditer(text)]
            text = rule.pattern.sub(rule.replacement, text)
    marks = Counter[str]()
    for text in texts:
        marks.update({k: v for k, v in scrub(text).counts.items() if k in MARKS})
    print(f"\nscrubbing: marks {dict(marks)}")
    print(f"  other removals in {len(texts):,} reports: {sum(map(len, taken.values()))}")
    for name, found in taken.items():
        print(f"  {name:16} {len(found):5}   {found[:show]}")


def comparisons(texts: Sequence[str], show: int) -> None:
    """Print how often dropping comparisons changes the labels, and how."""
    labeler = RuleLabeler()
    changed, disagreeing, kinds = 0, 0, Counter[str]()
    for text in texts:
        kept = clean(scrub(text).text, drop_comparisons=False)
        dropped = clean(scrub(text).text)
        if kept == dropped:
            continue
        changed += 1
        before, after = labeler.label(kept).values, labeler.label(dropped).values
        different = {name for name in before if before[name] != after[name]} - {"no_finding"}
        disagreeing += bool(different)
        kinds.update(f"{before[name]} -> {after[name]}" for name in different)
        if different and show > 0:
            show -= 1
            print(f"  {sorted(different)}\n    - {kept}\n    + {dropped}")
    share = disagreeing / len(texts)
    print(f"\ncomparisons: prompt changed in {changed:,}, labels in {disagreeing} ({share:.2%})")
    print(f"  {dict(kinds)}")


def speed(texts: Sequence[str]) -> None:
    """Print reports a second, whole and by step."""
    print("\nspeed, reports a second")
    steps: dict[str, Callable[[str], object]] = {
        "read_report": read_report,
        "scrub": scrub,
        "split_sections": split_sections,
        "clean": clean,
        "label": RuleLabeler().label,
    }
    for name, step in steps.items():
        start = time.process_time()
        for text in texts:
            step(text)
        print(f"  {name:16} {len(texts) / (time.process_time() - start):8,.0f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("archive", type=Path, help="NLMCXR_reports.tgz")
    parser.add_argument("--show", type=int, default=0, help="examples to print of each kind")
    options = parser.parse_args()
    reports = reports_of(options.archive)
    pairs = [(r.get("FINDINGS", ""), r.get("IMPRESSION", "")) for r in reports]
    texts = [f"FINDINGS: {f}\n\nIMPRESSION: {i}" for f, i in pairs]
    whole = ["\n".join(f"{name}: {text}" for name, text in r.items()) for r in reports]
    print(f"{len(reports):,} reports")
    sections([(f, i) for f, i in pairs if f and i])
    removals(whole, options.show)
    comparisons(texts, options.show)
    print(f"\nlanguages: {dict(Counter(map(language, texts)))}")
    speed(texts)


if __name__ == "__main__":
    main()
