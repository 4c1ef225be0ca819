"""Findings of the lung: airspace, interstitium, nodules, airways and volume."""

from __future__ import annotations

from synth.text.wording import BE, Finding, Statement

_OPACITY = r"opaci(?:ty|ties|fication|fications|fied)"
_MARKING = r"(?:markings?|opacit(?:y|ies)|pattern|prominence|thickening|changes?|densit(?:y|ies))"

CLEAR_LUNGS = Statement(
    "lungs",
    ("lung", "clear"),
    (
        rf"(?:both |the )?(?<!right )(?<!left )lungs? (?:fields? |volumes? |bases? )?{BE}"
        r"(?:otherwise |grossly |essentially |well[- ](?:expanded|aerated|inflated) and |"
        r"hyperexpanded but |now |"
        r"bilaterally |both |fully |normally inflated and )*clear(?! of\b)",
        r"(?:clear|normal) (?:both |the )?lungs?(?: fields?)?(?! volumes?)",
        r"lungs? parenchyma is (?:clear|normal)",
    ),
    (
        *("atelectasis", "consolidation", "edema", "infiltration", "lung_lesion", "lung_opacity"),
        *("mass", "nodule", "pneumonia"),
    ),
)

AIRSPACE: tuple[Finding, ...] = (
    Finding(
        "atelectasis",
        ("atelect", "collaps", "subsegmental", "segmental", "lobar", "lobe", "lung"),
        (
            r"(?:micro)?atelecta(?:sis|ses|tic)(?: changes?)?",
            r"(?:lobar|lobe|lung|segmental|subsegmental) collapse",
            r"collapse of (?:\w+ ){0,6}(?:lobe|lung)",
            r"collapsed (?:\w+ ){0,2}(?:lobe|lung)",
        ),
    ),
    Finding(
        "consolidation",
        ("consolidat",),
        (r"consolidat(?:ions?|ive|ed)(?: changes?| opacit(?:y|ies))?",),
        unlike=(r"consolidat(?:ed|ing) fracture",),
    ),
    Finding(
        "infiltration",
        ("infiltrat",),
        (r"infiltrat(?:es?|ions?|ive)(?: \w+(?:ities|ity))?",),
        unlike=(r"fatty infiltration",),
    ),
    Finding(
        "lung_opacity",
        ("opaci", "air", "airspace", "alveolar", "densit", "translucency"),
        (
            _OPACITY,
            r"air[- ]?space (?:disease|process|filling|abnormalit(?:y|ies)|pattern)",
            r"alveolar (?:disease|process|filling|pattern)",
            r"(?:increased|patchy|streaky|hazy|airspace|basilar|bibasilar|linear|bandlike|"
            r"parenchymal|pulmonary|perihilar|lung|lobe) densit(?:y|ies)",
            r"(?:decreased|reduced) translucency",
        ),
        unlike=(
            r"(?:mixed )?(?:micro)?(?:reticulo)?-?nodular (?:\w+ )?opacit(?:y|ies)",
            rf"(?:metallic|calcific|mass[- ]?like|bone|bony|radio) {_OPACITY}",
            r"(?:bone|breast|soft[- ]tissue) densit(?:y|ies)",
        ),
    ),
    Finding(
        "pneumonia",
        ("pneumon", "bronchopneumon", "infect"),
        (r"(?:broncho)?pneumonias?", r"infectious process(?:es)?", r"pneumonic(?: \w+)?"),
        unlike=(
            r"(?:interstitial|organi[sz]ing|eosinophilic|lipoid) pneumonias?",
            r"tubercul(?:ous|osis) pneumonias?",
        ),
    ),
    Finding(
        "tuberculosis",
        ("tubercul", "tb"),
        (r"tuberculo(?:sis|us(?: \w+)?)", r"tb"),
        unlike=(r"no tuberculous contact",),
    ),
)

INTERSTITIUM: tuple[Finding, ...] = (
    Finding(
        "edema",
        ("edema", "oedema", "kerley", "vas"),
        (r"o?edema(?:tous)?", r"kerley(?: [abc])?(?: |-)?lines?", r"kerley b"),
        unlike=(
            r"(?:subcutaneous|soft[- ]tissue|peripheral|ankle|leg|pedal|cerebral|mucosal|"
            r"chest wall|body wall) o?edema",
        ),
        normal=(
            rf"pulmonary vas(?:cularity|culature|culaturity|ularity) {BE}(?:within )?"
            r"(?:normal|unremarkable)",
            r"(?:normal|unremarkable) pulmonary vas(?:cularity|culature)",
        ),
    ),
    Finding(
        "pulmonary_congestion",
        ("congest", "cephali", "engorge", "vascul", "redistribution"),
        (
            r"(?:(?:central |pulmonary |mild )*(?:vascular|venous|hilar) |pulmonary )"
            r"congest(?:ion|ive changes?)",
            r"(?:vascular |venous )?cephali[sz]ation",
            r"(?:vascular|venous|pulmonary vessels?|vasculature) (?:\w+ )?engorge(?:d|ment)",
            r"(?:vascular|venous) redistribution",
            r"(?:prominen(?:t|ce)(?: of)?(?: the)?|increased|indistinct) (?:central )?"
            r"(?:pulmonary )?(?:vascula(?:rity|ture)|vascular (?:margins?|margination|markings))",
            rf"(?:pulmonary|central) vascula(?:rity|ture) {BE}(?:\w+ly )?(?:prominent|increased)",
            r"vascular prominence",
        ),
    ),
    Finding(
        "interstitial_pattern",
        ("interstiti", "reticul", "peribronch"),
        (
            rf"interstitial (?:lung disease|disease|infiltrates?|{_MARKING})",
            rf"(?:diffuse |coarse |fine )?reticul(?:ar|o-?nodular|ation|ations)(?: {_MARKING})?",
            r"interstitium (?:is )?(?:prominent|coarse|thickened)",
        ),
    ),
    Finding(
        "fibrosis",
        ("fibro", "honeycomb"),
        (r"fibro(?:sis|tic)(?: changes?| bands?)?", r"honeycombing"),
        unlike=(r"cystic fibrosis",),
    ),
    Finding(
        "scarring",
        ("scar", "cicatri", "fibro"),
        (
            r"(?:parenchymal |pulmonary |apical |biapical |basilar )*scar(?:s|ring)?",
            r"cicatri(?:x|ces|cial)(?: changes?)?",
            r"fibro-?nodular (?:changes?|disease)",
        ),
        unlike=(r"pleural (?:thickening (?:and|or|/) ?)?scar(?:s|ring)?", r"surgical scars?"),
    ),
    Finding(
        "bronchiectasis",
        ("bronchiecta",),
        (r"bronchiecta(?:sis|ses|tic)(?: changes?)?",),
    ),
    Finding(
        "bronchial_thickening",
        ("bronch", "peribronch", "airway", "cuffing"),
        (
            r"(?:peri)?bronchial (?:wall )?(?:thickening|cuffing)",
            r"(?:airway|bronchial) (?:wall )?(?:thickening|inflammation)",
            r"thickened bronchi(?:al)?",
        ),
    ),
)

LESIONS: tuple[Finding, ...] = (
    Finding(
        "nodule",
        ("nodul", "micronodul", "fibronodul", "reticulonodul"),
        (
            r"(?:micro)?nodules?",
            r"nodular(?:ity| lesions?| foc(?:us|i))",
            r"(?:fibro|reticulo|micro)-?nodul(?:ar|arity)",
            r"(?:mixed )?nodular (?:and |\w+ ){0,3}(?:disease|pattern|infiltrates?)",
        ),
        unlike=(
            r"(?:thyroid|adrenal|lymph|soft[- ]tissue|breast|subcutaneous) nodules?",
            r"pseudonodules?",
        ),
        hedged=(
            r"nodular (?:(?:airspace|interstitial|basilar|lobe|lung|lower|upper|right|left|middle) "
            r"){0,3}(?:opacit(?:y|ies)|opacifications?|densit(?:y|ies)|shadows?)",
        ),
    ),
    Finding(
        "mass",
        ("mass", "neopla", "tumo", "carcinoma", "malignan"),
        (
            r"mass(?:es)?",
            r"mass[- ]?like(?: \w+)?",
            r"neoplasms?",
            r"neoplastic (?:process|disease|lesions?)",
            r"tumou?rs?",
            r"carcinomas?",
            r"malignanc(?:y|ies)",
        ),
        unlike=(r"body mass", r"mass effect", r"(?:breast|thyroid|adrenal|neck) mass(?:es)?"),
    ),
    Finding(
        "lung_lesion",
        ("lesion", "metasta", "nodul", "lung"),
        (
            r"(?:pulmonary|lung|parenchymal|cavitary|nodular|lobe|apical|hilar|perihilar) lesions?",
            r"(?:pulmonary )?metasta(?:sis|ses|tic (?:disease|lesions?|foci))",
            r"lung (?:cancer|neoplasm|tumou?r)",
            r"nodular (?:opacit(?:y|ies)|opacifications?|densit(?:y|ies))",
        ),
        unlike=(
            r"(?:bone|osseous|bony|liver|destructive|lytic|sclerotic|blastic) (?:\w+ )?(?:"
            r"lesions?|metasta(?:sis|ses))",
        ),
    ),
    Finding(
        "cavity",
        ("cavit",),
        (r"cavit(?:y|ies|ation|ations|ary|ating|ated)(?: (?:lesions?|changes?|nodules?))?",),
        unlike=(r"(?:pleural|thoracic|chest|abdominal|peritoneal|oral|glenoid) cavit(?:y|ies)",),
    ),
    Finding(
        "cyst",
        ("cyst", "pneumatocel", "bulla", "bleb"),
        (r"cysts?", r"pneumatoceles?", r"bulla(?:e)?", r"blebs?"),
        unlike=(r"(?:renal|hepatic|liver|bone|ovarian|subchondral) cysts?",),
    ),
    Finding(
        "calcified_granuloma",
        ("calcif", "granuloma"),
        (
            r"calcified (?:\w+ ){0,3}granulomas?(?:ta)?",
            r"granulomas?(?:ta)? (?:\w+ ){0,2}calcified",
        ),
        unlike=(r"calcified (?:\w+ ){0,2}(?:spleen|splenic|hepatic|liver) granulomas?(?:ta)?",),
    ),
    Finding(
        "granuloma",
        ("granuloma", "calcif"),
        (r"granulomas?(?:ta)?", r"granulomatous (?:disease|changes?|process|infection)"),
        unlike=(
            r"calcified (?:\w+ ){0,3}granulomas?(?:ta)?",
            r"(?:spleen|splenic|hepatic|liver) granulomas?(?:ta)?",
        ),
    ),
    Finding(
        "calcification",
        ("calcif",),
        (r"calcifications?", r"calcified (?:\w+ )?(?:nodules?|nodes?|densit(?:y|ies)|foc(?:us|i))"),
        unlike=(
            r"(?:aortic|aorta|arch|atherosclerotic|vascular|arterial|coronary)"
            r"(?: \w+)? calcifications?",
            r"calcifications? (?:of|in|within|along|at) the (?:\w+ ){0,2}(?:aorta|aortic)",
        ),
    ),
)

VOLUME: tuple[Finding, ...] = (
    Finding(
        "emphysema",
        ("emphysem", "bull"),
        (
            r"(?:bullous |centrilobular |paraseptal )?emphysema(?:tous)?(?: changes?| lungs?)?",
            r"bullous (?:lung )?(?:disease|changes?)",
        ),
        unlike=(
            r"(?:subcutaneous|soft[- ]tissue|surgical|mediastinal|chest wall|interstitial) "
            r"(?:\w+ )?emphysema",
        ),
    ),
    Finding(
        "copd",
        ("copd", "chronic", "obstruct"),
        (
            r"copd",
            r"(?:chronic )?obstructive (?:pulmonary|lung|airways?)(?: disease| changes?)?",
        ),
    ),
    Finding(
        "hyperinflation",
        ("hyper", "over", "overexpan", "overinflat", "air", "flatten"),
        (
            r"hyper[- ]?(?:inflat(?:ion|ed)|expan(?:sion|ded)|aerat(?:ion|ed)|lucen(?:t|cy))",
            r"over-?(?:inflat(?:ion|ed)|expan(?:sion|ded))",
            r"over expanded",
            r"air[- ]trapping",
            r"flatten(?:ed|ing)(?: of)?(?: the| both)? (?:hemi)?-?diaphragms?",
            r"(?:hemi)?-?diaphragms? (?:is |are )?flattened",
        ),
    ),
    Finding(
        "hypoinflation",
        ("hypo", "low", "under", "lung", "small", "shallow", "poor"),
        (
            r"hypo-?(?:inflat(?:ion|ed)|aerat(?:ion|ed)|expan(?:sion|ded)|ventilat(?:ion|ed))",
            r"(?:low|small|decreased|reduced|diminished|decreasing) (?:lung|inspiratory) volumes?",
            rf"lung volumes? {BE}(?:\w+ )?(?:low|small|reduced|diminished|decreased)",
            r"under-?(?:inflat(?:ion|ed)|aerat(?:ion|ed)|expanded)",
            r"(?:shallow|poor|low|suboptimal) inspirat(?:ion|ory effort)",
        ),
    ),
    Finding(
        "volume_loss",
        ("volume", "loss"),
        (r"volume loss", r"loss of (?:lung )?volume"),
    ),
)

LUNG: tuple[Finding, ...] = (*AIRSPACE, *INTERSTITIUM, *LESIONS, *VOLUME)
