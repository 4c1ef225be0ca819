"""Take out of a report what one image cannot show: comparison with an earlier image.

"Unchanged", "compared to the prior study", "interval increase in" go; the finding they speak of
stays, with its negation and its doubt. A sentence that only compares goes as a whole.
"""

from __future__ import annotations

import re

_STUDY = (
    r"(?:stud(?:y|ies)|exam(?:ination)?s?|radiographs?|films?|x-?rays?|chest x-?rays?|images?|"
    r"imaging|cts?|ct scans?|cxrs?|day|comparisons?|reports?)\b"
)
_PRIOR = (
    r"(?:(?:the |a |an |most |his |her ){0,3}(?:immediate(?:ly)? |recent |same[- ]day )?"
    rf"(?:preceding|prior|previous|earlier|last|comparison|old)s?\b(?: (?:\w+ ){{0,2}}?{_STUDY})?)"
)
_TO_PRIOR = (
    r"(?:(?:as |when )?(?:compared|in comparison|comparing|relative)(?: back)? (?:to|with)|since|"
    rf"from|than|as on|as in|versus|to|on|with) {_PRIOR}(?: (?:of|from|dated)(?=[ ]?(?:[.,;)]|$)))?"
)
# Named one by one: "cardiomegaly unchanged" ends in -ly too.
_DEGREE = (
    r"(?:(?:significantly|slightly|mildly|moderately|markedly|relatively|essentially|largely|"
    r"grossly|overall|fairly|generally|basically|minimally|substantially|appreciably|somewhat|"
    r"much|very|otherwise|now|again|also|slight|mild|likely|most|not|clearly|definitely|"
    r"considerably|roughly|approximately|little|more|further) ){0,3}"
)
_SAME = r"(?:unchanged|stable|similar|(?:un)?altered|no different|the same)"
_CHANGED = (
    r"(?:changed|increased|decreased|improved|worsened|progressed|enlarged in the interval|larger|"
    r"smaller|better|worse|more prominent|less prominent|more conspicuous|less conspicuous)"
)
_IN = r"(?: (?:in|with respect to) (?:appearance|size|extent|position|number|degree|severity))?"
_BE = r"(?:is|are|was|were|has|have|had|remains?|appears?|be)"
_AGAIN = r"(?: again| now| also| overall)?"
_QUALIFIERS = (
    r"(?:(?:significant|relevant|acute|appreciable|substantial|interval|short[- ]term|other|"
    r"definite|gross|major|marked|obvious|interim|further|visible|detectable) ){0,4}"
)
_WHOLE = (
    r"(?:(?:the )?(?:appearance of the |radiographic |portable )*(?:chest|exam(?:ination)?|study|"
    r"heart and lungs|appearance|findings|cardiopulmonary (?:appearance|status))"
    r"(?: (?:radiographs?|x-?rays?|films?|exam(?:ination)?|appearance|findings))?)"
)
_TRENDS = (
    r"(?:interval|unchanged|stable|stably|persistent|persisting|worsening|worsened|improving|"
    r"improved|increasing|decreasing|enlarging|resolving|new|newly|similar|recurrent)"
)
_END = r"(?=[ ]?[.,;)]|$)"

# (pattern, replacement), in order; case-insensitive, one sentence at a time, single-spaced.
_CLAUSES: tuple[tuple[str, str], ...] = (
    # whole sentences that only compare
    (
        r"^(?:(?:otherwise|overall|again|grossly|essentially),? )*(?:(?:there (?:has been|is|was)|"
        rf"with) )?no {_QUALIFIERS}changes?(?: is seen| seen| noted| identified)?"
        rf"(?:,? {_TO_PRIOR})?[.;]?$",
        "",
    ),
    (
        rf"^(?:(?:otherwise|overall|grossly|essentially|relatively|generally),? )*{_SAME} {_WHOLE}"
        rf"(?:,? {_TO_PRIOR})?[.;]?$",
        "",
    ),
    (rf"^{_DEGREE}{_SAME}(?: appearance)?{_IN}(?:,? {_TO_PRIOR})?[.;]?$", ""),
    (rf"^{_DEGREE}{_CHANGED}{_IN} {_TO_PRIOR}[.;]?$", ""),
    (rf"^comparison is made (?:to|with) {_PRIOR}[.;]?$", ""),
    (r"^interval (?:removal|extubation)[^.,;]*[.;]?$", ""),
    # the size of what every chest has: only the change is said
    (
        r"^(?:there (?:has been|is) )?(?:an? )?"
        r"(?:(?:slight|mild|moderate|marked|significant|further) ){0,3}"
        r"interval (?:increase|decrease|change) in (?:the )?(?:heart size|cardiac size|size of the "
        r"heart|lung volumes?)[.;]?$",
        "",
    ),
    (rf" without {_QUALIFIERS}change (?=of )", " "),
    # "no change in the effusion or nodule" -> "the effusion and nodule"
    (
        rf"\b(?:there (?:has been|is) )?(?:no|without) {_QUALIFIERS}(?:change|increase|decrease|"
        r"improvement|worsening|progression)s? (?:in|of)(?: (?:the )?(?:size|extent|appearance|"
        r"position)(?: of| and))*(?: the)? ",
        "\0",
    ),
    (rf",? (?:or|and|nor) {_QUALIFIERS}change{_END}", ""),
    (rf",? without {_QUALIFIERS}changes?(?: in \w+)?(?:,? {_TO_PRIOR})?(?! of){_END}", ""),
    # "which has increased in size since the prior study", "unchanged from prior"
    (
        rf",? (?:which |that |and )?(?:{_BE}{_AGAIN} )(?:been )?"
        rf"{_DEGREE}(?:{_SAME}|{_CHANGED}){_IN}"
        rf"(?:,? {_TO_PRIOR})?{_END}",
        "",
    ),
    (
        rf",? (?:(?:but|and|yet|though|although|both|all|each) ){{0,2}}{_DEGREE}{_SAME}{_IN}"
        rf"(?: {_TO_PRIOR})?{_END}",
        "",
    ),
    (r",? as before(?=[ ]?[.,;)]|$)", ""),
    (rf",? (?:and )?{_DEGREE}{_CHANGED}{_IN},? {_TO_PRIOR}{_END}", ""),
    (
        r",? ?\(?(?:as |when )?(?:compared|in comparison|comparing|relative)(?: back)? (?:to|with) "
        rf"{_PRIOR}(?: of| from| dated)?\)?,?",
        "",
    ),
    # the date that followed has been scrubbed: "in comparison with the study of"
    (
        r"(?:in comparison|as compared|compared|comparison is made) (?:to|with) (?:the |a )?"
        rf"(?:(?:prior|previous) )?{_STUDY}(?: of| from| dated)?[,.]?",
        "",
    ),
    (rf",? ?(?:since|from|than|as on|as in|versus) {_PRIOR}(?: (?:of|dated)(?=[ ]?[.,;]|$))?", ""),
    # what has gone is absent; what has come is there
    (
        r"\b(?:there (?:has been|is) )?(?:an? )?(?<!near-)(?<!near )(?<!partial )"
        r"(?:interval |complete ){1,2}(?:resolution|clearing) of "
        r"(?:the |previously |seen |noted |prior ){0,4}",
        "no ",
    ),
    (
        r"\b(?:there (?:has been|is) )?"
        r"(?:an? |slight |mild |moderate |marked |further |significant |some ){0,4}interval "
        r"(?:increase|decrease|improvement|worsening|progression|development|appearance|change|"
        r"enlargement|placement|reduction|accumulation)(?: in| of)"
        r"(?: (?:the )?(?:size|extent|degree|number|prominence)(?: and (?:size|extent|number))?"
        r" of)?"
        r"(?: the| a)?",
        "",
    ),
    (r"\b(?:there is )?re-?demonstration of (?:the |an? )?", ""),
    (
        r"\b(?:once )?again (?:is |are )?(?:seen|noted|demonstrated|identified) (?:is|are) ",
        "there is ",
    ),
    (r"\b(is|are|was|were) (?:once )?again (?=seen|noted|present|demonstrated|identified)", r"\1 "),
    (
        r"\b(?:previously|again|re-?) ?"
        r"(?:seen|noted|described|demonstrated|identified|visuali[sz]ed) ",
        "",
    ),
    # adjectives of change
    (rf",? (?:but|yet|though|although) {_DEGREE}{_SAME},? (?=[a-z])", " "),
    (rf"\b(normal|unremarkable|clear|chronic|enlarged|mild|small) and {_SAME} (?=[a-z])", r"\1 "),
    (rf"\b{_SAME}[- ]appearing ", ""),
    (rf"\b{_SAME} (?:appearance|position|configuration|size) of (?:the |an? )?", ""),
    (
        rf"\b{_DEGREE}{_SAME},? (?:and|but) (?=(?:normal|unremarkable|within|clear|not|mild|top))",
        "",
    ),
    (
        rf"\b(?<!no )(?:\b(?!not )\w+ly )?{_TRENDS}(?:,? (?:and|but|or) {_TRENDS}){{0,3}}"
        r"(?:,(?= ))? (?=[a-z\d])"
        r"(?!(?:is|are|in|from|since|york|and|or|to|for|as|on|at|with|when|compared|than|by|that|"
        r"suggesting|consistent|compatible|which|but)\b)",
        "",
    ),
    (r"\bno new (?=[a-z])", "no "),
)
_COMPILED = tuple((re.compile(pattern, re.IGNORECASE), new) for pattern, new in _CLAUSES)
# A sentence without any of these compares nothing and is left alone.
_TRIGGER = re.compile(
    r"\b(?:stabl|unchanged|similar|prior|previous|preceding|earlier|compar|interval|since|again|"
    r"change|persist|worse|improv|increas|decreas|enlarging|resolv|new|newly|re-?demonstrat|last|old|"
    r"larger|smaller|better|same|altered|progress|recurrent|as before)",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[^.;]*(?:[.;](?!\s|$)[^.;]*)*(?:[.;]+\s*|$)")
# What is left of "The cardiac silhouette is unchanged": of these words alone nothing is said.
_ANATOMY = re.compile(
    r"(?:(?:the|and|of|otherwise|is|are|in|appearance|position|contours?|size|shape|configuration|"
    r"heart|cardiac|cardio-?mediastinal|cardiomediastinum|mediastinal|mediastinum|hilar|hila|hilum|"
    r"silhouettes?|lungs?|volumes?|pulmonary|vasculature|vascularity|vascular|vessels|osseous|bony|"
    r"bones?|structures?|skeletal|thorax|thoracic|chest|exam|examination|study|aortic|aorta|"
    r"findings|visuali[sz]ed|remaining|cardiopulmonary|overall|there|has|been|an?|"
    r"this|these|it|they)(?:[ ,]+|$))+",
    re.IGNORECASE,
)


def drop_prior_comparisons(line: str) -> str:
    """Remove what one image cannot show from one line of text, keeping the findings.

    >>> drop_prior_comparisons("Unchanged small left effusion compared to the prior study.")
    'Small left effusion.'
    """
    if not _TRIGGER.search(line):
        return line
    line = re.sub(r"\s+", " ", line)
    return "".join(_without_comparison(sentence) for sentence in _SENTENCE.findall(line)).strip()


def _without_comparison(sentence: str) -> str:
    if not _TRIGGER.search(sentence):
        return sentence
    said = sentence.strip()
    left = said
    for pattern, replacement in _COMPILED:
        left = pattern.sub(replacement, left)
    if "\0" in left:  # a list under "no change in" is present, each item of it
        left = left.replace("\0", "").replace(" or ", " and ")
    if left == said:
        return sentence
    left = re.sub(r"\s+", " ", left)
    left = re.sub(r" +(?=[.,;])", "", left)
    left = re.sub(r"\ban? (?=[.,;]|$)", "", left).strip(" ,;")
    words = left.rstrip(".")
    if not words or _ANATOMY.fullmatch(words):
        return ""
    closed = left if left.endswith((".", ";")) or not said.endswith((".", ";")) else left + said[-1]
    capital = closed[0].upper() + closed[1:] if said[0].isupper() else closed
    return capital + " "
