"""The words that change what a mention means: negations, hedges, questions, ends of a scope.

The classes follow NegEx (Chapman et al. 2001, doi:10.1006/jbin.2001.1029) and pyConText (Chapman et
al. 2011, doi:10.1016/j.jbi.2011.03.011), which tells definite, probable and ambivalent statements
apart and counts a probable one with the definite ones:

    pseudo      only looks like a negation ("no change in")
    negate      absent
    improbable  absent in all likelihood ("unlikely")
    probable    present in all likelihood ("probable", "most consistent with"), or barely
                ("borderline enlargement")
    hedge       neither ("possible", "cannot exclude", "versus")
    ask         says nothing of this image ("rule out", "history of")
    stop        ends the reach of the cues on both sides
"""

from __future__ import annotations

from typing import Literal

Kind = Literal["pseudo", "negate", "improbable", "probable", "hedge", "ask", "stop"]
Direction = Literal["forward", "backward", "both", "none"]

SEEN = (
    r"(?:seen|identified|present|visuali[sz]ed|evident|appreciated|demonstrated|detected|noted|"
    r"apparent|observed|found|visible|shown|suggested|recogni[sz]ed|appreciable|discernible)"
)
_BE = r"(?:(?:is|are|was|were|has been|have been|had been|remains?|appears?)(?: now| since)? )"
_CHANGE = r"(?:change|increase|decrease|improvement|worsening|progression|difference)"
_AMOUNT = (
    r"(?:(?:significant|interval|acute|definite|appreciable|obvious|substantial|major|gross|"
    r"short[- ]term|radiographic|overall|further|relevant|marked|much|clear|visible|convincing|"
    r"important|real|other|great|evidence of|evidence for) )"
)
_UNLIKELY = r"(?:unlikely|doubtful|not likely|improbable|not suspected)"
_CANNOT = (
    r"(?:cannot|can not|can't|could not|couldn't|unable to|difficult to|hard to|impossible to|"
    r"does not|do not|not|inadequate to|insufficient to)"
)
_MAY = r"(?:may|might|could)"
# "Likely unchanged", "possible related": the hedge is about something else than presence.
_OF_ELSE = (
    r"(?! (?:unchanged|stable|related|due|secondary|increased|decreased|improved|larger|smaller))"
)

# What remains to be seen after "status post": a broken bone, what surgeons leave behind.
_LASTS = (
    r"(?:fractur|sternotom|pace|defib|placement|insertion|tube|catheter|picc|port|stent|tracheo|"
    r"valve|hardware)"
)

_WORDS = """
    no not nor never neither without with cannot can could may might must should would will is are
    was were be has have had do does did to and in if for as vs r s h hx near less very most while
    when where which there but yet other rule ruled look check free lack hard either rather instead
    aside apart felt thought highly eval gram clear
"""
_BEGINNINGS = """
    can't couldn't nearly almost partial incomplete largely partly mostly evaluat assess screen
    looking correlat sensitiv query histor risk status treat clinical concern previously please
    unable difficult impossible inadequate insufficient remain appear suspect possib question suspic
    worrisome suggest perhaps potential equivocal consider rais indeterminate uncertain unclear
    versus unlikely doubtful improbable probabl likely presum borderline favo absent absence resol
    negative denies clearing disappearance removal exclu fail however although though whereas except
    despite because persist differential
"""
# Every cue begins with one of these words, or with a word that begins like one of the others: a
# sentence is only searched from there.
FIRST_WORDS: tuple[str, ...] = tuple(_WORDS.split())
FIRST_BEGINNINGS: tuple[str, ...] = tuple(_BEGINNINGS.split())

# Where two could begin at the same word, the earlier in this table wins.
CUES: tuple[tuple[Kind, Direction, str], ...] = (
    (
        "pseudo",
        "none",
        rf"(?:no|without|with no) {_AMOUNT}{{0,3}}"
        rf"(?:{_CHANGE}(?! of\b)(?: in| from)?|changes (?:in|from|since)|"
        r"(?:resolution|clearing) of|absence of)",
    ),
    (
        "pseudo",
        "none",
        r"(?:has |have |had )?not (?:\w+ly )?"
        r"(?:changed|increased|decreased|improved|worsened|resolved|cleared|new|absent|without|"
        r"free of|clear of|the absence of|negative for)",
    ),
    (
        "pseudo",
        "none",
        r"(?:nearly|almost|partially|incompletely|near[- ]completely|largely|partly|mostly)"
        r"(?: \w+)? (?:resolved|cleared)|"
        r"(?:has|have|had) (?:nearly|almost|partially|incompletely|largely|partly|mostly)"
        r"(?: \w+)? (?:resolved|cleared)",
    ),
    (
        "pseudo",
        "none",
        r"(?:partial|incomplete|near[- ]complete|near[- ]total) (?:interval )?"
        r"(?:resolution|clearing) of",
    ),
    (
        "pseudo",
        "none",
        r"not only|no doubt|without (?:a )?doubt|no question|gram[- ]negative|"
        r"not (?:as )?(?:well|optimally|clearly as) (?:seen|demonstrated) (?:as|on)",
    ),
    (
        "ask",
        "forward",
        r"(?:to )?(?:rule[- ]?out|r/o)|"
        r"(?:evaluate|evaluation|eval|assess|assessment|screen|screening|check|look|looking|"
        r"correlat(?:e|ion)(?: clinically)?|sensitive|sensitivity) (?:for|of)|query|"
        r"(?:to|and|should|would) (?:further |better )?(?:exclude|identify|detect|confirm|"
        r"characterize|evaluate|assess|document)|"
        r"histor(?:y|ies) of|h/o|hx of|risks? (?:of|for)|"
        rf"(?:status[- ]post|s/p)(?! (?:[\w-]+ ){{0,4}}{_LASTS})|treated for|treatment (?:of|for)|"
        r"if (?:there (?:is|are|remains) )?(?:\w+ )?(?:\w+ )?(?:concern|suspicion|question|"
        r"suspected)(?: \w+)?(?: for| of)?|in case of|(?:clinical )?concern persists for|"
        r"for (?:follow-up|surveillance) of|previously described|please note that",
    ),
    (
        "ask",
        "backward",
        rf"{_MAY} not (?:always )?be {SEEN}|(?:if|when|where) clinically (?:suspected|indicated)",
    ),
    ("hedge", "forward", rf"{_CANNOT}(?: \w+ly)? (?:exclude|rule[- ]out)"),
    (
        "hedge",
        "backward",
        r"(?:cannot|can not|can't|could not) (?:\w+ly )?be (?:\w+ly )?(?:excluded|ruled out)|"
        rf"{_BE}?not (?:\w+ly )?(?:excluded|ruled out)|"
        r"not (?:well|adequately|optimally|fully) (?:seen|evaluated|assessed|visuali[sz]ed)|"
        rf"{_BE}(?:difficult|hard) to exclude|(?:difficult|hard) to exclude(?= ?[.,;]|$)|"
        rf"{_BE}(?:also )?(?:possible|suspected|questioned|questionable|less likely|equivocal|"
        r"indeterminate|a possibility|a consideration|considered|in the differential)"
        rf"{_OF_ELSE}|"
        rf"suspected(?= ?[.,;]|$)|would be an? (?:\w+ )?(?:consideration|possibility)|"
        rf"{_MAY} (?:also )?be (?:present|developing|possible|considered)|"
        r"(?:should|would|must|could|may) (?:have to |also )?be considered|"
        rf"(?:{_MAY}|(?:most )?likely|probably) (?:represents?|reflects?|be) (?:the |a |an )?"
        rf"(?:\w+ )?(?:nipple|artifact|artefact|overlap|overlapping|superimposed|superimposition|"
        r"summation|vessel|vascular|confluence)",
    ),
    (
        "hedge",
        "forward",
        r"in the (?:appropriate|right|proper|correct|given) clinical (?:setting|context)|"
        r"(?:clinical )?concern (?:is |remains )?(?:for|of)|differential (?:diagnosis |diagnoses |"
        r"considerations? )?(?:includes?|include|considerations?)|differential diagnosis|"
        r"uncertain (?:if|whether)|unclear (?:if|whether)|questions? (?:of)?",
    ),
    (
        "improbable",
        "backward",
        rf"{_BE}(?:felt to be |considered |thought |very |highly )*{_UNLIKELY}(?! to\b)|"
        rf"{_UNLIKELY}(?= ?[.,;]|$)",
    ),
    (
        "improbable",
        "forward",
        rf"(?:{_BE}|very |highly |felt )?{_UNLIKELY}(?: to (?:be|represent|reflect))?|"
        r"(?:does|do|did|is|are) not (?:\w+ly )?(?:appear to be|thought to be|suspicious for)|"
        r"(?:no|without) (?:\w+ )?suspicion (?:of|for)",
    ),
    (
        "probable",
        "backward",
        rf"{_BE}(?:also |most |very |quite )?(?:likely|probable|favou?red){_OF_ELSE}",
    ),
    (
        "negate",
        "backward",
        rf"{_BE}?(?:not|no longer) (?:\w+ly )?{SEEN}|{_BE}?absent|"
        r"(?:has|have|had) (?:(?!not )\w+ |in the interim )?(?:resolved|cleared|disappeared)|"
        rf"{_BE}(?:\w+ly )?(?:resolved|excluded|ruled out|removed|withdrawn|discontinued)|"
        r": (?:none|no|absent|negative)\b|"
        r"resolved(?= ?[.,]|$)",
    ),
    (
        "negate",
        "forward",
        r"(?:no|without|with no|not have|neither|nor|never)(?: (?:\w+ )?(?:\w+ )?(?:evidence|"
        r"signs?|findings?|indication|suggestion|changes|features?) (?:of|for|to suggest))?"
        r"(?: new)?|"
        r"(?:negative for|free (?:of|from)|clear of|absence of|lack of|denies|resolved)|"
        r"(?:resolution|clearing|disappearance|removal) of|"
        r"(?:excludes?|excluded|ruled out for)|fail(?:s|ed)? to (?:show|reveal|demonstrate)|"
        r"(?:do|does|did) not (?:\w+ly )?(?:show|reveal|demonstrate|suggest|have|represent|"
        r"identify|see|indicate)|"
        r"(?:is|are) not (?:\w+ly )?(?:suggestive of|consistent with|compatible with)|"
        r"(?:rather than|as opposed to|instead of)|"
        r"not (?:an?|the)\b",
    ),
    (
        "probable",
        "forward",
        r"most (?:suggestive|consistent|compatible) (?:of|with)|"
        r"probabl[ey]|(?:most |very )?likely|presum(?:ed|ably|ptive)|borderline|"
        r"(?:favou?r|favou?rs|favou?red|favou?ring)(?: to (?:be|represent))?",
    ),
    (
        "hedge",
        "forward",
        rf"possib(?:le|ly|ility of)|questionable|suspected|suspects?|"
        rf"suspicion (?:of|for)|suspicious for|{_MAY}|concern(?:ing)? (?:for|of)|"
        r"worrisome for|suggest(?:s|ed|ive|ing|ion)?(?: of)?|less likely|"
        r"perhaps|potential(?:ly)?|equivocal|consider|differential|"
        r"rais(?:es?|ing) (?:the )?(?:question|possibility|concern|suspicion)(?: of| for)?|"
        r"(?<!age-)(?<!age )indeterminate|uncertain|unclear|either",
    ),
    ("hedge", "both", r"versus|vs\.?|\?"),
    (
        "stop",
        "none",
        r"but|however|although|though|yet|whereas|while|except(?: for)?|apart from|aside from|"
        r"other than|despite|which|because|there (?:is|are|has|have)|;|:|"
        rf"(?:is|are|was|were) (?:again |also )?{SEEN}|persists?|"
        r"(?:remains?|is|are) (?:unchanged|stable|enlarged|normal)",
    ),
)
