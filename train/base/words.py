"""Words without pictures: so that the text encoder keeps unknown words apart.

A base model meets words at fine-tuning that its images never explained. These are stood for by
vocabulary that no base report uses, leaving out the names of the unseen findings themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from synth.seeding import torch_generator
from train.base.images import UNSEEN

_DEGREES = ("small", "moderate", "large", "mild", "severe")
_NAMES_OF_UNSEEN = ("hiatal", "hiatus", "hernia", *UNSEEN)


@dataclass(frozen=True)
class UnknownWords:
    """Token ids to build sentences such as "Large <word> <word>." from.

    Attributes:
        words: int64 [W], tokens that no base prompt uses.
        degrees: int64 [5], words of size and severity, which prompts do use.
        stop: the full stop's token.
        end: the token that ends and pads a prompt.
        share: how many prompts get such a sentence.
    """

    words: Tensor
    degrees: Tensor
    stop: int
    end: int
    share: float

    @classmethod
    def of(cls, tokenizer: CLIPTokenizer, used: Tensor, *, share: float) -> UnknownWords:
        """The vocabulary's whole words, less those in ``used`` and those of unseen findings."""
        vocabulary: dict[str, int] = tokenizer.get_vocab()
        withheld = set(used.unique().tolist())
        withheld |= {vocabulary.get(f"{name}</w>", -1) for name in _NAMES_OF_UNSEEN}
        words = sorted(
            index
            for token, index in vocabulary.items()
            if token.endswith("</w>") and index not in withheld
        )
        degrees = [vocabulary[f"{name}</w>"] for name in _DEGREES if f"{name}</w>" in vocabulary]
        return cls(
            torch.tensor(words or [int(tokenizer.eos_token_id)]),
            torch.tensor(degrees or [int(tokenizer.eos_token_id)]),
            int(tokenizer(".", add_special_tokens=False).input_ids[0]),
            int(tokenizer.eos_token_id),
            share,
        )

    def scattered(self, ids: Tensor, step: int) -> Tensor:
        """Token ids [B, L] with a sentence of unknown words before or after some of the prompts."""
        generator = torch_generator("base", "words", step)
        rows = []
        for row in ids:
            draws = torch.rand(5, generator=generator)
            sentence = self._sentence(draws)
            content = row[1 : int((row == self.end).int().argmax())]
            room = len(row) - 2 - len(sentence)
            if float(draws[0]) >= self.share or len(content) > room:
                rows.append(row)
                continue
            parts = [sentence, content] if float(draws[1]) < 0.5 else [content, sentence]
            filled = torch.cat([row[:1], *parts])
            rows.append(F.pad(filled, (0, len(row) - len(filled)), value=self.end))
        return torch.stack(rows)

    def confusion(self, encoder: CLIPTextModel, ids: Tensor, states: Tensor) -> Tensor:
        """Cross-entropy of telling from its state [B, L, D] which word stands at a position."""
        inside = ids != self.end
        embeddings: Tensor = encoder.get_input_embeddings().weight
        logits = states[inside] @ F.normalize(embeddings, dim=1).T
        return F.cross_entropy(logits, ids[inside])

    def _sentence(self, draws: Tensor) -> Tensor:
        degree = self.degrees[int(draws[2] * len(self.degrees))]
        first = self.words[int(draws[3] * len(self.words))]
        second = self.words[int(draws[4] * len(self.words))]
        return torch.stack([degree, first, second, torch.tensor(self.stop)])
