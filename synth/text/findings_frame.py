"""Findings of bones, diaphragm and chest wall; devices."""

from __future__ import annotations

from synth.text.wording import Finding

_SPINE = r"(?:(?:thoracic|thoracolumbar|lumbar|cervical|dorsal|mid thoracic|lower|upper) )*"

BONES: tuple[Finding, ...] = (
    Finding(
        "fracture",
        ("fractur", "broken"),
        (r"fractur(?:es?|ed)", r"broken (?:\w+ ){0,3}(?:ribs?|bones?|clavicles?|xxxx)"),
        unlike=(
            r"(?:catheter|wire|lead|screw|rod|stent|hardware|device|plate|tube|line)s? "
            r"(?:is |are )?(?:\w+ )?fractur(?:es?|ed)",
            r"fractur(?:ed?|e of the) (?:\w+ ){0,3}(?:catheter|wire|lead|screw|rod|stent|hardware|"
            r"sternotomy|plate)s?",
        ),
    ),
    Finding(
        "vertebral_compression",
        ("compress", "vertebra", "wedg"),
        (
            r"(?:vertebral (?:body )?)?(?:anterior )?compression (?:fractures?|deformit(?:y|ies))",
            r"vertebral (?:body )?(?:compression|collapse|wedging|height loss)",
            r"(?:anterior )?wedg(?:e|ing)(?: deformit(?:y|ies)| of)",
        ),
    ),
    Finding(
        "degenerative_spine",
        ("degenerat", "spond", "osteophyt", "spur", "disc", "disk", "dish"),
        (
            rf"degenerat(?:ive|ion)(?: \w+)?(?: changes?| disease| spurring| disc disease)?"
            rf"(?: (?:of|in|within|throughout|involving) (?:the )?{_SPINE}(?:spine|vertebra\w*))",
            r"degenerat(?:ive|ed) (?:\w+ ){0,3}(?:spine|dis[ck]s?)(?: disease)?",
            rf"{_SPINE}(?:spine|spinal|vertebral) (?:\w+ )?degenerat(?:ive|ion)(?: changes?)?",
            r"degenerative (?:changes?|disease)",
            r"spondylo(?:sis|tic)(?: changes?)?",
            r"osteophyt(?:es?|osis|ic)(?: \w+)?",
            r"(?:vertebral|spinal|spine|endplate|marginal) spurring",
            r"spurring (?:of|in) the (?:\w+ )?spine",
            r"spurring of (?:\w+ )?spine",
            r"dis[ck] space narrowing",
        ),
        unlike=(r"degenerative \w+ (?:of|in) the (?:\w+ )?(?:shoulder|knee|hip|joint)s?",),
    ),
    Finding(
        "scoliosis",
        ("scolio", "levo", "dextro", "kyphoscolio", "rotoscolio", "curvature"),
        (
            r"(?:levo|dextro|kypho|roto)?-?[ ]?scolio(?:sis|tic)",
            r"curvature of the (?:\w+ ){0,2}spine",
            r"(?:dextro|levo)(?:convex|curvature)(?: \w+)?",
        ),
    ),
    Finding("kyphosis", ("kypho",), (r"kypho(?:sis|tic|scolio(?:sis|tic))",)),
    Finding(
        "osteopenia",
        ("osteop", "deminerali", "bone"),
        (
            r"osteopen(?:ia|ic)",
            r"osteopor(?:osis|otic)",
            r"(?:bone |osseous )?deminerali[sz](?:ation|ed)",
        ),
    ),
)

FRAME: tuple[Finding, ...] = (
    Finding(
        "hernia",
        ("hernia", "hiat", "diaphragmatic", "paraesoph", "intrathoracic"),
        (
            r"(?:hiatal |hiatus |diaphragmatic |paraesophageal |morgagni |bochdalek )*hernias?",
            r"intrathoracic stomach",
        ),
        unlike=(
            r"(?:inguinal|ventral|umbilical|incisional|abdominal wall|disc|femoral) hernias?",
            r"(?:hiatal |ventral |inguinal )?hernia repair",
        ),
    ),
    Finding(
        "hemidiaphragm_elevation",
        ("elevat", "diaphragm", "hemidiaphragm", "eventrat"),
        (
            r"elevat(?:ed|ion)(?: of)?(?: the)? (?:\w+ ){0,3}(?:hemi)?-?diaphragms?",
            r"(?:hemi)?-?diaphragm(?:s|atic)? (?:is |are |remains )?(?:\w+ly )?elevat(?:ed|ion)",
            r"(?:diaphragmatic )?eventration",
        ),
    ),
    Finding(
        "subcutaneous_emphysema",
        ("subcutaneous", "soft", "surgical", "chest"),
        (r"(?:subcutaneous|soft[- ]tissue|surgical|chest wall) (?:\w+ )?(?:emphysema|air|gas)",),
    ),
    Finding(
        "pneumoperitoneum",
        ("pneumoperi", "free", "intraperitoneal", "subdiaphragmatic"),
        (
            r"pneumoperitoneum",
            r"(?:free|subdiaphragmatic|intraperitoneal) (?:\w+ )?(?:air|gas)",
        ),
    ),
)

DEVICES: tuple[Finding, ...] = (
    Finding(
        "pacemaker",
        (
            "pace",
            "pacing",
            "aicd",
            "icd",
            "defib",
            "dual",
            "single",
            "triple",
            "two",
            "three",
            "pulse",
            "pectoral",
            "cardiac",
            "rhythm",
        ),
        (
            r"(?:cardiac |permanent )?pace-?makers?(?: device| leads?| wires?| generator)?",
            r"pacers?(?: leads?| wires?)?",
            r"pacing (?:leads?|wires?|device)",
            r"(?:aicd|icd)",
            r"defibrillators?",
            r"(?:dual|single|triple|two|three)[- ](?:chamber|lead)(?: \w+)? (?:device|generator)",
            r"(?:pulse|pectoral) generator",
            r"(?:cardiac|rhythm) (?:conduction |management )?device",
        ),
        device=True,
    ),
    Finding(
        "support_devices",
        (
            "gastrost",
            "vp",
            "ventriculop",
            "tube",
            "endotrach",
            "et",
            "ett",
            "nasogast",
            "ng",
            "enteric",
            "feeding",
            "chest",
            "trache",
            "orogast",
            "og",
            "dobhoff",
            "pleural",
            "drain",
            "central",
            "picc",
            "subclav",
            "jugular",
            "ij",
            "dialysis",
            "swan",
            "venous",
            "catheter",
            "port",
            "mediport",
            "surgical",
            "ortho",
            "spinal",
            "monitor",
            "support",
            "shunt",
            "stent",
            "prosthe",
            "valve",
            "infusion",
            "intra-aort",
            "iabp",
            "lvad",
            "hemodialysis",
            "pigtail",
        ),
        (
            r"(?:vp|ventriculoperitoneal) shunt(?: tubing)?",
            r"(?:endotracheal|et|gastrostomy|nasogastric|ng|enteric|feeding|chest|tracheostomy|orogastric|og|"
            r"dobhoff|pleural|drainage|pigtail|thoracostomy|nasoenteric) "
            r"(?:tubes?|catheters?|drains?)",
            r"ett",
            r"(?:central (?:venous )?|picc |subclavian |jugular |ij |dialysis |swan-ganz |venous )"
            r"(?:access )?(?:lines?|catheters?)",
            r"picc",
            r"(?:hemodialysis |central venous )?catheters?",
            r"port-?a-?cath",
            r"(?:chest |infusion )ports?",
            r"mediport",
            r"(?:surgical|orthopedic|spinal fixation) hardware",
            r"(?:monitoring|support) devices?",
            r"tracheostomy",
            r"intra-?aortic balloon pump",
            r"(?:iabp|lvad)",
            r"(?:prosthetic (?:\w+ )?valves?|valve prosthes[ie]s)",
        ),
        device=True,
    ),
    Finding(
        "sternotomy",
        ("sternotom", "sternal"),
        (r"(?:median |midline )?sternotom(?:y|ies)(?: wires?)?", r"sternal wires?"),
        device=True,
    ),
)
