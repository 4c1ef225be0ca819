"""The words of the embedded tokenizer: the phantoms' reports and common radiology vocabulary."""

from __future__ import annotations

from collections.abc import Iterator

from synth.data.phantom.population import draw_patient
from synth.data.phantom.reports import write_report
from synth.text import read_report
from train.base.images import SEED

# Words that phantoms' reports do not use but a user's prompt may; each becomes one token.
_COMMON = """
chest radiograph frontal lateral view portable upright supine posteroanterior anteroposterior
lung lungs lobe lobar upper middle lower apical basal basilar bibasilar perihilar peripheral
retrocardiac hilar hilum mediastinal mediastinum pleural diaphragm costophrenic angle aortic aorta
heart cardiac silhouette pulmonary vascular vascularity congestion edema interstitial alveolar
airspace opacity opacities opacification infiltrate pneumonia mass nodule nodules granuloma
calcified calcification scarring fibrosis bronchiectasis effusion effusions pneumothorax tension
fracture rib clavicle scoliosis spine degenerative hernia hiatal hiatus emphysema hyperinflation
copd tube catheter line picc endotracheal tracheostomy nasogastric sternotomy wires device devices
leads pacemaker defibrillator small tiny trace minimal mild moderate marked severe large extensive
left right bilateral unilateral focal diffuse patchy linear platelike subsegmental rounded dense
possible probable likely questionable suspected suggestive consistent with without evidence of no
not none normal abnormal unremarkable clear stable unchanged improved worsened increased decreased
new resolved acute chronic process abnormality disease male female man woman year old age patient
"""


def vocabulary_texts(patients: int = 400) -> Iterator[str]:
    """Reports' prompts, and the common words often enough to become tokens."""
    for index in range(patients):
        for study in draw_patient(SEED, index).studies:
            yield read_report(write_report(study)).text_used
    for _ in range(20):
        yield " ".join(_COMMON.split())
