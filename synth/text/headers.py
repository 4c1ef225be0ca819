"""The words that open a section of a report, by language.

Wordings are in lower case without accents: reports are folded the same way before they are
compared, so ``IMPRESIÓN``, ``Impresión`` and ``impresion`` are one wording.
"""

from __future__ import annotations

# language -> section -> wordings
WORDINGS: dict[str, dict[str, tuple[str, ...]]] = {
    "en": {
        "findings_and_impression": (
            "findings and impression",
            "findings/impression",
            "findings & impression",
            "findings and impressions",
            "findings/impressions",
            "findings, impression",
            "impression and findings",
            "impression/findings",
            "findings and conclusion",
            "findings/conclusion",
        ),
        "findings": ("findings", "finding", "report", "description", "observations", "body"),
        "impression": (
            "impression",
            "impressions",
            "final impression",
            "radiologic impression",
            "diagnostic impression",
            "conclusion",
            "conclusions",
            "summary",
            "opinion",
            "interpretation",
        ),
        "indication": (
            "indication",
            "indications",
            "clinical indication",
            "clinical indications",
            "reason for exam",
            "reason for the exam",
            "reason for examination",
            "reason for study",
            "reason for this examination",
            "reason for this exam",
            "clinical information",
            "clinical question",
            "clinical data",
        ),
        "history": ("history", "clinical history", "medical history", "patient history"),
        "comparison": (
            "comparison",
            "comparisons",
            "comparison study",
            "comparison studies",
            "prior studies",
            "prior study",
        ),
        "technique": ("technique", "procedure", "views", "method", "protocol"),
        "examination": (
            "examination",
            "exam",
            "study",
            "type of exam",
            "procedure name",
            "exam type",
            "study type",
        ),
        "recommendation": ("recommendation", "recommendations"),
        "notification": (
            "notification",
            "notifications",
            "communication",
            "critical result",
            "critical results",
        ),
        "addendum": ("addendum", "final addendum", "addenda", "addendum report"),
        "wet_read": ("wet read", "preliminary read", "preliminary report", "preliminary findings"),
        "untitled": ("final report", "final radiology report", "radiology report"),
        "header": (
            "patient",
            "patient name",
            "name",
            "patient id",
            "mrn",
            "medical record number",
            "accession",
            "accession number",
            "dob",
            "date of birth",
            "date",
            "exam date",
            "study date",
            "date of exam",
            "referring physician",
            "ordering physician",
            "institution",
            "sex",
            "age",
        ),
        "signature": (
            "signed by",
            "electronically signed by",
            "dictated by",
            "attending",
            "attending physician",
            "resident",
            "radiologist",
        ),
    },
    "es": {
        "findings_and_impression": ("hallazgos e impresion", "hallazgos/impresion"),
        "findings": ("hallazgos", "informe", "descripcion", "observaciones"),
        "impression": (
            "impresion",
            "impresion diagnostica",
            "impresion radiologica",
            "conclusion diagnostica",
            "conclusiones",
            "juicio diagnostico",
            "diagnostico",
            "diagnostico radiologico",
            "opinion diagnostica",
        ),
        "indication": (
            "indicacion",
            "indicacion clinica",
            "indicaciones",
            "motivo de consulta",
            "motivo del estudio",
            "motivo de la exploracion",
            "motivo",
            "datos clinicos",
            "informacion clinica",
            "juicio clinico",
            "sospecha clinica",
        ),
        "history": ("antecedentes", "historia clinica", "antecedentes personales"),
        "comparison": (
            "comparacion",
            "estudio previo",
            "estudios previos",
            "exploraciones previas",
            "estudios anteriores",
        ),
        "technique": ("tecnica", "tecnica de estudio", "procedimiento", "proyecciones"),
        "examination": ("exploracion", "estudio", "tipo de estudio", "examen", "prueba"),
        "recommendation": ("recomendacion", "recomendaciones"),
        "header": ("paciente", "nombre", "fecha", "fecha de nacimiento", "edad", "sexo", "nhc"),
        "signature": ("firmado por", "firmado", "radiologo", "medico informante"),
    },
    "de": {
        "findings_and_impression": ("befund und beurteilung", "befund/beurteilung"),
        "findings": ("befund", "befunde", "befundbeschreibung", "beschreibung"),
        "impression": (
            "beurteilung",
            "zusammenfassende beurteilung",
            "zusammenfassung",
            "bewertung",
            "diagnose",
            "schlussfolgerung",
        ),
        "indication": (
            "indikation",
            "rechtfertigende indikation",
            "klinische angaben",
            "klinische angabe",
            "klinische fragestellung",
            "fragestellung",
            "klinik",
            "klinische information",
        ),
        "history": ("anamnese", "vorgeschichte"),
        "comparison": (
            "vergleich",
            "voruntersuchung",
            "voruntersuchungen",
            "voraufnahme",
            "voraufnahmen",
            "zum vergleich",
        ),
        "technique": ("technik", "untersuchungstechnik", "methode", "methodik"),
        "examination": ("untersuchung", "art der untersuchung"),
        "recommendation": ("empfehlung", "empfehlungen", "procedere"),
        "addendum": ("nachtrag", "ergaenzung", "erganzung"),
        "header": (
            "name des patienten",
            "patientin",
            "geburtsdatum",
            "geb",
            "datum",
            "untersuchungsdatum",
            "fallnummer",
        ),
        "signature": ("gez", "befundet von", "unterschrift"),
    },
    "pt": {
        "findings_and_impression": ("achados e impressao", "achados/impressao"),
        "findings": ("achados", "descricao", "relatorio", "laudo", "analise", "observacoes"),
        "impression": (
            "impressao",
            "impressao diagnostica",
            "impressao radiologica",
            "conclusao",
            "conclusoes",
            "opiniao",
            "hipotese diagnostica",
        ),
        "indication": (
            "indicacao",
            "indicacao clinica",
            "dados clinicos",
            "informacao clinica",
            "informacoes clinicas",
            "motivo do exame",
        ),
        "history": ("historia", "historico"),
        "comparison": ("comparacao", "exames anteriores", "exame anterior", "estudo anterior"),
        "technique": ("procedimento tecnico", "incidencias"),
        "examination": ("exame", "estudo"),
        "recommendation": ("recomendacao", "recomendacoes"),
        "addendum": ("adendo", "aditamento"),
        "header": ("nome", "data", "data de nascimento", "idade", "prontuario"),
        "signature": ("assinado por", "medico responsavel"),
    },
    "fr": {
        "findings": ("resultat", "resultats", "compte rendu", "constatations"),
        "impression": ("synthese", "en conclusion", "au total"),
        "indication": ("renseignements cliniques", "motif de l'examen", "contexte clinique"),
        "history": ("antecedents",),
        "comparison": ("comparaison", "examen anterieur", "examens anterieurs"),
        "recommendation": ("recommandation", "recommandations"),
    },
    "it": {
        "findings": ("reperti", "reperto", "referto", "descrizione"),
        "impression": ("conclusioni", "conclusione", "impressione", "giudizio diagnostico"),
        "indication": ("quesito clinico", "quesito diagnostico", "indicazione", "notizie cliniche"),
        "history": ("anamnesi",),
        "comparison": ("confronto", "esami precedenti", "esame precedente"),
        "technique": ("metodica",),
        "examination": ("esame",),
    },
}


def _by_section() -> dict[str, tuple[str, ...]]:
    merged: dict[str, dict[str, None]] = {}
    for sections in WORDINGS.values():
        for name, wordings in sections.items():
            merged.setdefault(name, {}).update(dict.fromkeys(wordings))
    return {name: tuple(wordings) for name, wordings in merged.items()}


# section -> the wordings of all languages, English first
HEADERS: dict[str, tuple[str, ...]] = _by_section()

CLINICAL = ("findings", "impression", "findings_and_impression")
# Everyday words: a header only where they stand at a line start with a colon or alone.
_EVERYDAY_WORDS = """
    report description observations body summary opinion interpretation procedure views method
    protocol study exam examination history finding informe descripcion observaciones motivo
    diagnostico procedimiento exploracion estudio examen prueba antecedentes befunde beschreibung
    klinik diagnose vergleich technik methode methodik untersuchung empfehlung bewertung
    zusammenfassung descricao relatorio laudo analise observacoes opiniao historia historico exame
    resultat resultats synthese motif esame reperto referto descrizione confronto metodica
    procedere communication addenda adendo nachtrag
"""
EVERYDAY = frozenset(_EVERYDAY_WORDS.split())
# Sections whose headers may stand inside a line, after the text of the one before.
INLINE = frozenset(
    (*CLINICAL, "indication", "history", "comparison", "technique", "recommendation")
)
# Fields of a form: their text ends with the line.
ONE_LINE = frozenset(("header", "signature"))
