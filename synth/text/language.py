"""Which language a report is in, by its commonest words or its script.

The rule labeller and the prior-comparison clauses are English; a report in another language is
still split and scrubbed, and carries a warning.
"""

from __future__ import annotations

import re
from collections import Counter

# Frequent in reports of one language and rare in the others; folded to lower case.
_WORDS: dict[str, str] = {
    "en": "the of and with is are there in to for has was or at this without which seen lungs lung "
    "heart left right clear effusion chest acute size pulmonary disease",
    "es": "el los las del y con sin se observa derrame hallazgos pulmonares cardiaca izquierdo "
    "derecho izquierda derecha torax una lesiones patologica silueta aumento signos mediastino "
    "pulmonar radiografia normalidad tamano "
    # stems, as the PadChest reports write them
    "hallazg derech izquierd radiografi signific cronic cambi previ estudi aument observ torac "
    "derram patolog cardiac sen costofren pequen lesion opac pinz",
    "de": "der die das und mit kein keine keinen nicht im ist des ein eine einer beidseits links "
    "rechts herz lunge erguss pneumothorax befund zeichen nachweis infiltrat thorax unauffallig "
    "unauffällig für",
    "pt": "o os do da dos das e com sem não nao em ao derrame pulmões pulmoes coração "
    "coracao direito esquerdo direita esquerda tórax torax sinais exame achados área",
    "fr": "le les des et avec sans pas une du est au épanchement pleural pulmonaire coeur cœur "
    "gauche droit droite poumon poumons signe absence thorax normale taille",
    "it": "il lo gli della del dei e con senza non di una è alla versamento polmonare cuore destra "
    "sinistra destro sinistro polmoni torace segni reperti nei limiti",
    "nl": "de het een en met geen niet van is zijn links rechts hart longen pleuravocht thorax aan "
    "tekenen normaal voor op",
}
_SCRIPTS: tuple[tuple[str, str], ...] = (
    ("ja", r"[\u3040-\u30ff]"),
    ("ko", r"[\uac00-\ud7af\u1100-\u11ff]"),
    ("zh", r"[\u4e00-\u9fff]"),
    ("ru", r"[\u0400-\u04ff]"),
    ("el", r"[\u0370-\u03ff]"),
    ("ar", r"[\u0600-\u06ff]"),
    ("he", r"[\u0590-\u05ff]"),
    ("th", r"[\u0e00-\u0e7f]"),
    ("hi", r"[\u0900-\u097f]"),
)
_COMPILED_SCRIPTS = tuple((code, re.compile(pattern)) for code, pattern in _SCRIPTS)
_VOTES = {
    word: tuple(code for code, listed in _WORDS.items() if word in listed.split())
    for word in " ".join(_WORDS.values()).split()
}
# One of these is enough where nothing speaks for another language: a label hangs on it.
_NEGATIONS = frozenset(["sin", "kein", "keine", "keinen", "sem", "sans", "senza", "geen"])
_TOKEN = re.compile(r"[^\W\d_]+")
_ENOUGH = 2_000  # characters looked at


def language(text: str) -> str | None:
    """Two-letter code (ISO 639-1) of the language; ``None`` if too little speaks for one.

    >>> language("Sin hallazgos patológicos en el tórax.")
    'es'
    """
    text = text[:_ENOUGH]
    if not text.isascii():
        letters = len(re.findall(r"[^\W\d_]", text))
        for code, script in _COMPILED_SCRIPTS:
            if len(script.findall(text)) > letters * 0.3:
                return code
    votes: Counter[str] = Counter()
    words = _TOKEN.findall(text.lower())
    for word in words:
        for code in _VOTES.get(word, ()):
            votes[code] += 1
    if not votes:
        return None
    (code, most), *others = votes.most_common(2)
    second = others[0][1] if others else 0
    decided = most >= 2 or any(code in _VOTES[word] for word in _NEGATIONS.intersection(words))
    return code if decided and most > second else None
