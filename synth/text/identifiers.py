"""What identifies a person in a report: the rules that :func:`synth.text.scrub.scrub` applies.

Marks that a de-identification tool left behind are among them: they are the strongest trigger of
memorisation in report-conditioned models ("The Devil is in the Prompts", arXiv:2502.07516).
"""

from __future__ import annotations

import re
from typing import NamedTuple

# Rules that remove marks of an earlier de-identification, not identifiers.
_MARK_RULES = "name_mark bracket_mark tag_mark underscore_mark asterisk_mark date_mark x_mark"
MARKS = frozenset(_MARK_RULES.split())


class Rule(NamedTuple):
    """A pattern, what takes its place, and characters of which one must be there for it to hit."""

    name: str
    pattern: re.Pattern[str]
    replacement: str
    needs: str  # "" none, "0" any digit, else any of these characters


_MONTHS = (
    # full names in English, Spanish, German, Portuguese, French, Italian; accents optional
    r"jan(?:uary|uar|eiro|vier)?|feb(?:ruary|ruar|rero|braio)?|f[eé]v(?:rier|ereiro)?|"
    r"mar(?:ch|zo|ço|co|s)?|märz|maerz|apr(?:il|ile)?|abr(?:il)?|avril|may[o]?|mai(?:o)?|maggio|"
    r"june?|juni|junio|junho|juin|giugno|july?|juli|julio|julho|juillet|luglio|"
    r"aug(?:ust)?|ago(?:sto)?|ao[uû]t|sept?(?:ember|iembre|embre)?|setiembre|set(?:embro|tembre)?|"
    r"oct(?:ober|ubre|obre)?|okt(?:ober)?|out(?:ubro)?|ott(?:obre)?|"
    r"nov(?:ember|iembre|embro|embre)?|dec(?:ember|embre)?|d[eé]cembre|dez(?:ember|embro)?|"
    r"dic(?:iembre|embre)?|ene(?:ro)?|gen(?:naio)?"
)
_MONTH = rf"(?:{_MONTHS})\b\.?"
_YEAR = r"(?:19|20)\d\d"
_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_ON = r"(?:\b(?:on|dated|vom|am|del|de|em|du)[ ]+)?"

# A name is "Smith", "O'Brien", "van der Berg" or, in a report in capitals, "SMITH"; lengths are
# bounded so that no text makes the search slow.
_CAPITAL = r"(?-i:[A-ZÀ-ÖØ-ÞĀČĆĐĘŁŃŌŚŠŻŽ])"
_LOWER = r"(?-i:[a-zß-öø-ÿāčćđęłńōśšżž])"
_MIXED = rf"{_CAPITAL}(?:[^\W\d_]|['-]){{0,30}}{_LOWER}(?!\w)"
_AFTER_NAME = (
    r"(?!(?:at|on|by|and|or|in|of|for|to|is|was|has|had|from|via|with|who|the|a|an|no|about|"
    r"regarding|concerning|phone|telephone|immediately|after|before|am|pm|findings|impression|status|given|this|that|are|were)\b)"
)
_UPPER = rf"{_AFTER_NAME}{_CAPITAL}(?:{_CAPITAL}|['-]){{1,30}}(?!\w)"
_PARTICLE = r"(?-i:(?:von|van|der|den|zu|de|la|las|los|da|do|dos|das|del|di|y|e|bin|al|el|le)[ ])"
_PART = rf"(?:{_CAPITAL}\.|{_PARTICLE}{{0,3}}{_MIXED})"
_NAMES = (
    rf"(?:{_CAPITAL}\.?[ ]){{0,2}}(?:{_PARTICLE}{{0,3}}{_MIXED}(?:[ ]{{1,3}}{_PART}){{0,3}}|"
    rf"{_UPPER}(?:[ ]{{1,3}}(?:{_CAPITAL}\.|{_UPPER}))?)"
)
_DEGREES = (
    r"(?-i:M\.?D\.?|D\.?O\.?|Ph\.?D\.?|R\.?N\.?|N\.?P\.?|P\.?A\.?-?C?|F\.?R\.?C\.?R\.?)(?!\w)"
)
_QUALIFIED = rf"(?:,?[ ]?{_DEGREES}){{0,4}}"

_SIGNED = (
    r"(?:(?:electronically|digitally)[ ]+)?"
    r"(?:(?:signed|dictated|transcribed|approved|reported|interpreted|verified|reviewed|"
    r"finalized|read)[ ]+by|firmado(?:[ ]+(?:electr[oó]nicamente[ ]+)?por)?|validado[ ]+por|"
    r"informado[ ]+por|assinado[ ]+(?:eletronicamente[ ]+)?por|laudado[ ]+por|befundet[ ]+von|"
    r"unterzeichnet[ ]+von|sign[eé][ ]+par)\b"
)
# A form's field and its value; the value ends with the line or where a section opens.
_FIELD = (
    r"patient(?:'s)?(?:[ ]+(?:name|id))?|name|mrn|medical[ ]+record[ ]+(?:number|no\.?)|"
    r"accession(?:[ ]+(?:number|no\.?|\#))?|dob|d\.o\.b\.?|date[ ]+of[ ]+(?:birth|exam|service)|"
    r"ssn|(?:home[ ]+)?address|account[ ]+(?:number|no\.?)|visit[ ]+(?:number|no\.?)|"
    r"(?:referring|ordering|attending|requesting|primary)[ ]+(?:physician|doctor|provider|md)|"
    r"attending|resident|radiologist|technologist|physician|provider|institution|facility|"
    r"(?:exam|study|report|dictation)[ ]+date|date(?:/time)?|"
    r"paciente|nombre(?:[ ]+del[ ]+paciente)?|apellidos?|fecha(?:[ ]+de[ ]+\w+)?|nhc|dni|"
    r"m[eé]dico(?:[ ]+\w+)?|radi[oó]logo|patientin|name[ ]+des[ ]+patienten|geburtsdatum|"
    r"geb\.?(?:[ ]*datum)?|datum|untersuchungsdatum|fallnummer|pat\.?-?(?:nr|id)\.?|"
    r"nome(?:[ ]+do[ ]+paciente)?|data(?:[ ]+(?:de|do)[ ]+\w+)?|prontu[aá]rio|cpf"
)
_SECTION_AHEAD = (
    r"[ ]+(?:findings|impression|conclusion|indication|history|clinical[ ]\w+|comparison|technique|"
    r"exam(?:ination)?|hallazgos|impresi[oó]n|informe|befund|beurteilung|achados|impress[aã]o|"
    r"laudo)[ ]*:"
)
_SENTENCE_AHEAD = r"\.[ ]+(?-i:[A-Z][a-z]+[ ][a-z])"
_REST_OF_LINE = rf"(?:(?!{_SECTION_AHEAD}|{_SENTENCE_AHEAD})[^\n]){{0,120}}"

# "Dr" is a title and "DR" digital radiography, "Mr" a title and "MR" magnetic resonance.
_NO_EXAMINATION = (
    r"(?!(?:chest|thorax|abdomen|pelvis|spine|brain|head|neck|knee|hip|imag\w+|angio\w*|scan|"
    r"exam\w*|stud\w+|views?|portable|pa|ap|lateral|two|system|detector|cholangio\w*|mammo\w*)\b)"
)
_DOCTOR = (
    r"(?:\b(?:dr|dra|prof)\.|\b(?:dr|dra|prof)\b(?!\.)|\b(?:doctora?|doutora?|professora?|profesora?|"
    r"dott\.|dottor|dottoressa|priv\.-doz\.))"
)
_PERSON = (
    r"(?:\b(?:mr|mrs|ms|sr|sra|srta|sig|mme)\.|\b(?-i:Mr|Mrs|Ms|Sr|Sra|Srta|Mme|Mlle|MRS)\b(?!\.)|"
    r"\b(?:miss|señora?|senhora?|frau|herrn?|monsieur|madame|signora?)\b|\bMR\b(?!\.))"
)
_MARK = r"(?:(?-i:X{3,}|x{4,})\b|_{3,}|\[\*\*[^\]]{0,200}\])"
_MARKED = rf"[ ]+{_MARK}(?:,?[ ]+{_MARK}){{0,3}}"
# A preposition whose date was marked, at the end of its clause: "dictated on ___."
DANGLING = re.compile(
    rf",?[ ](?:on|at|dated|from|since|of)(?=(?:[ /]{{1,3}}{_MARK}){{1,4}}(?:[ ]?[ap]\.?m\b)?[ ]*"
    r"(?:[.,;)]|$))",
    re.IGNORECASE | re.MULTILINE,
)

_TOLD = (
    r"(?:(?:discussed|communicated|conveyed|relayed|reported|telephoned|called|given|phoned)[ ]"
    r"(?:with|by|to|via[ ]phone[ ]to)|notified|informed|emailed|paged|d/w)"
)
_TABLE: tuple[tuple[str, str, str, str], ...] = (
    ("name_mark", rf"{_DOCTOR}{_MARKED}", "the physician", "dDpP"),
    ("name_mark", rf"{_PERSON}{_MARKED}", "the patient", "mMsShHfF"),
    ("bracket_mark", r"\[\*\*[^\]]{0,200}\]", " ", "["),
    (
        "bracket_mark",
        r"[\[{(<]{1,2}(?:date|time|name|patient(?:[ ]name)?|person|doctor|physician|hospital|phone|"
        r"location|age|id|mrn|redacted|removed|deleted|anonymi[sz]ed|de-?identified|phi)"
        r"(?:[ _-]?\d{1,4})?[\]})>]{1,2}",
        " ",
        "[{(<",
    ),
    ("tag_mark", r"<(?!br>)(?-i:[A-Z][A-Z0-9_ -]{1,30})>", " ", "<"),
    ("underscore_mark", r"_{2,}(?:[ ]?/[ ]?_{2,})*", " ", "_"),
    ("asterisk_mark", r"\*{3,}", " ", "*"),
    ("date_mark", r"\bxx?[/-]xx?[/-]xx(?:xx)?\b", " ", "xX"),
    ("x_mark", r"\bx-x{4,}\b", "x-ray", "xX"),
    ("x_mark", r"\bx{3,}(?:/x{3,})*\b(?:[ ][ap]\.?m\b\.?)?", " ", "xX"),
    ("email_or_url", r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}", " ", "@"),
    ("email_or_url", r"\b(?:https?://|www\.)\S{1,500}", " ", "/w"),
    ("header_field", rf"^[ ]*(?:{_FIELD})[ ]*[:\#]{_REST_OF_LINE}", "", ":#"),
    (
        "signature",
        rf"^[ ]*{_SIGNED}(?=[ ]*[:\#]|[ ]+(?:{_DOCTOR}|{_CAPITAL})){_REST_OF_LINE}",
        "",
        "",
    ),
    (
        "signature",
        r"^[ ]*(?:(?:electronically|digitally)[ ]+signed|dictated|transcribed|gez\.)"
        rf"{_REST_OF_LINE}",
        "",
        "",
    ),
    (
        "signature",
        rf"\b{_SIGNED}[: ]{{1,3}}(?:{_DOCTOR}[ ]+)?{_NAMES}(?:,[ ]?{_NAMES})?{_QUALIFIED}",
        " ",
        "",
    ),
    (
        "physician_name",
        rf"{_DOCTOR}[ ]+{_NO_EXAMINATION}(?:(?:dr|med|habil)\.[ ]*){{0,3}}{_NAMES}{_QUALIFIED}",
        "the physician",
        "dDpP",
    ),
    (
        "physician_name",
        r"\b(?-i:dr|dra)\.[ ](?!(?:is|was|has|at|by|on|and|who|will|for|to|of|in|from|the)\b)"
        r"(?-i:[a-z][a-z'-]{1,30})",
        "the physician",
        "d",
    ),
    (
        "physician_name",
        rf"\b{_NAMES}(?:,[ ]*{_DEGREES}|[ ](?-i:MD|M\.D\.)(?!\w)){_QUALIFIED}",
        "the physician",
        "DNP",
    ),
    ("person_name", rf"{_PERSON}[ ]+{_NO_EXAMINATION}{_NAMES}", "the patient", "mMsShHfF"),
    (
        "person_name",
        rf"(?<=\bpatient ){_AFTER_NAME}(?!body\b)(?-i:[A-Z][a-z]{{1,30}}[ ][A-Z][a-z]{{1,30}})\b"
        r"(?![ ]+(?-i:[A-Z]))",
        " ",
        "",
    ),
    (
        "physician_name",
        rf"\b({_TOLD}[ ]){_AFTER_NAME}(?!emergency|medical|intensive|ordering|referring|primary)"
        r"(?-i:[A-Z][a-z'-]{1,30}[ ][A-Z][a-z'-]{1,30})\b(?![ ]+(?-i:[A-Z]))",
        r"\1the physician",
        "",
    ),
    (
        "record_number",
        r"\b(?:mrn|medical[ ]record(?:[ ](?:number|no\.?))?|accession(?:[ ](?:number|no\.?))?|"
        r"patient[ ]id|account[ ](?:number|no\.?)|nhc|dni|n[º°]?[ ]historia|prontu[aá]rio|"
        r"fallnummer|pat\.?-?nr\.?|pager|page)[ ]*(?:is[ ]*)?[:\#]*[ ]*"
        r"(?=[\w-]{0,20}\d{3})[\w-]{1,30}",
        " ",
        "0",
    ),
    ("uid", r"\b\d{1,20}(?:\.\d{1,40}){4,30}\b", " ", "0"),
    ("ssn", r"\b\d{3}-\d{2}-\d{4}\b", " ", "0"),
    ("date", rf"{_ON}\b{_YEAR}([-/.])(?:0?[1-9]|1[0-2])\1{_DAY}(?![\w-])", " ", "0"),
    ("date", rf"{_ON}\b{_DAY}([-/.])(?:0?[1-9]|1[0-2])\1(?:{_YEAR}|\d\d)\b(?!\.\d)", " ", "0"),
    ("date", rf"{_ON}\b(?:0?[1-9]|1[0-2])([-/.]){_DAY}\1(?:{_YEAR}|\d\d)\b(?!\.\d)", " ", "0"),
    (
        "date",
        rf"{_ON}\b{_DAY}(?:st|nd|rd|th|\.)?[ -]*(?:(?:of|de)[ ])?{_MONTH},?[ -]*(?:del?[ ])?"
        rf"(?:{_YEAR}|(?<=-)\d\d)\b",
        " ",
        "0",
    ),
    ("date", rf"{_ON}\b{_MONTH}[ ]+{_DAY}(?:st|nd|rd|th)?(?:,?[ ]+{_YEAR})\b", " ", "0"),
    (
        "date",
        r"\b(?:(?:in|since|from|of|on|dated)[ ]+)?(?-i:(?=[A-Z]))"
        rf"(?:{_MONTHS})\b\.?,?[ ]+{_YEAR}\b",
        " ",
        "0",
    ),
    (
        "date",
        rf"\b(?:on|dated|since|from|of|vom)[ ]+{_MONTH}[ ]+{_DAY}(?:st|nd|rd|th)?\b",
        " ",
        "0",
    ),
    ("date", rf"\b{_DAY}\.?[ ]+de[ ]+(?:{_MONTHS})\b", " ", "0"),
    ("date", rf"\b(?:on|dated|since|from|exam[ ]of)[ ]+(?:0?[1-9]|1[0-2])/{_DAY}\b(?!/)", " ", "0"),
    ("date", rf"\b(?:in|since|from|of|on|dated)[ ]+(?:0?[1-9]|1[0-2])/{_YEAR}\b", " ", "0"),
    (
        "time",
        r"(?:\bat[ ]+)?\b(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d)?"
        r"(?:[ ]*(?:[ap]m\b|[ap]\.m\.|uhr\b|h\b|hrs?\b|hours\b))?",
        " ",
        ":",
    ),
    ("time", r"\b(?:at[ ]+)?(?:[01]\d|2[0-3])[0-5]\d[ ]*(?:hours|hrs)\b", " ", "0"),
    (
        "phone",
        r"\b(?:phone|tel|telephone|tel[eé]fono|telefone|telefon|fax|ext|extension|pager|beeper)\b"
        r"\.?[: \#]*[\d(+][\d() /-]{2,20}\d",
        " ",
        "0",
    ),
    ("phone", r"(?:\+?\d{1,2}[ .-])?\(?\b\d{3}\)?[ .-]\d{3}[. -]\d{4}\b", " ", "0"),
    ("phone", r"(?<![\w.])\+\d{1,3}[ ()/-]{0,2}\d{1,5}(?:[ /-]?\d{2,5}){1,5}\b", " ", "+"),
    ("long_number", r"\b[A-Z]{0,6}-?(?=\d(?:-?\d){5})[\d-]{6,60}(?<=\d)[A-Z]?\b", " ", "0"),
    (
        "age_over_89",
        r"\b(?:9\d|1[0-4]\d)(?=[ -]+(?:years?|y\.?o\b|yrs?|años|anos|jahre|ans\b|anni)|"
        r"-?j[aä]hrig)",
        "over 89",
        "0",
    ),
)
RULES: tuple[Rule, ...] = tuple(
    Rule(name, re.compile(pattern, re.IGNORECASE | re.MULTILINE), replacement, needs)
    for name, pattern, replacement, needs in _TABLE
)

# Shapes that should not be left once the rules have run.
LEFTOVER = re.compile(
    r"\d{5,}|\w@\w|\b(?:mrn|ssn|dob|date of birth|passport|geburtsdatum|fecha de nacimiento|"
    r"data de nascimento)\b",
    re.IGNORECASE,
)
