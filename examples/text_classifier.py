"""A small transformer over sentences of different lengths: batches are dicts, and a mask tells padding from words.

`thalweg compare text_classifier.py`, or `python text_classifier.py`.
"""

import random
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

import thalweg

WORDS = ["<pad>", "the", "film", "was", "really", "not", "good", "great", "bad", "awful", "and", "long"]
GOOD, BAD = {"good", "great"}, {"bad", "awful"}
LONGEST = 10


def review(rng: random.Random) -> tuple[list[int], int]:
    """Words at random, and whether they please: "not" turns the next verdict round."""
    words = [rng.choice(WORDS[1:]) for _ in range(rng.randint(4, LONGEST))]
    score = 0
    for before, word in zip(["", *words], words, strict=False):
        score += ((word in GOOD) - (word in BAD)) * (-1 if before == "not" else 1)
    return [WORDS.index(word) for word in words], int(score > 0)


class Reviews(Dataset[Any]):
    """Samples as dicts; every text is padded to one length, so that all batches have one shape."""

    def __init__(self, count: int, seed: int) -> None:
        rng = random.Random(seed)
        self.reviews = [review(rng) for _ in range(count)]

    def __len__(self) -> int:
        return len(self.reviews)

    def __getitem__(self, i: int) -> dict[str, Tensor]:
        words, label = self.reviews[i]
        tokens = torch.tensor(words + [0] * (LONGEST - len(words)))
        return {"tokens": tokens, "mask": tokens == 0, "labels": torch.tensor(label)}


class Classifier(nn.Module):
    """A layer of attention over tokens `[batch, length]`, averaged over the words; two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(len(WORDS), 16)
        self.places = nn.Parameter(0.02 * torch.randn(LONGEST, 16))
        self.layer = nn.TransformerEncoderLayer(16, 2, dim_feedforward=32, dropout=0.0, batch_first=True)
        self.head = nn.Linear(16, 2)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """The arguments have the names of the batch; what is called "labels" goes to the loss. mask: where padding."""
        hidden = self.layer(self.words(tokens) + self.places, src_key_padding_mask=mask)
        words = (~mask).unsqueeze(-1).to(hidden.dtype)
        outputs: Tensor = self.head((hidden * words).sum(1) / words.sum(1))
        return outputs


workload = thalweg.Workload(
    name="reviews",
    model=Classifier,
    train=DataLoader(Reviews(640, seed=0), batch_size=64, shuffle=True),
    validation=Reviews(200, seed=1),
    test=Reviews(200, seed=2),
    metric="accuracy",
    epochs=10,
)


def main() -> None:
    result = thalweg.compare(workload, optimizers=["momentum", "adam", "lion"], seeds=1, confirm_seeds=3)
    print(result.verdict)
    result.save_report("text_classifier.html")


if __name__ == "__main__":
    main()
