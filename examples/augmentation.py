"""Images that are shifted and turned at random each time that they are read: another epoch, other pixels.

Thalweg notices that the samples are random, and streams them: all optimizers see the same images for a seed.
`thalweg compare augmentation.py`, or `python augmentation.py`.
"""

from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

import thalweg


class Digits(Dataset[Any]):
    """Images `[1, 8, 8]` and classes; augmented ones are shifted by a pixel at most, and made paler or darker."""

    def __init__(self, part: slice, *, augmented: bool) -> None:
        found = load_digits()
        self.images = torch.tensor(found.images[part] / 16).float().unsqueeze(1)
        self.labels = torch.tensor(found.target[part])
        self.augmented = augmented

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        image = self.images[i]
        if self.augmented:
            down, right = (int(torch.randint(-1, 2, ())) for _ in range(2))
            image = image.roll((down, right), dims=(1, 2)) * (0.8 + 0.4 * torch.rand(()))
        return image, self.labels[i]


def model() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(6 * 4 * 4, 10)
    )


workload = thalweg.Workload(
    name="augmented digits",
    model=model,
    train=DataLoader(Digits(slice(0, 300), augmented=True), batch_size=50, shuffle=True),
    validation=Digits(slice(300, 500), augmented=False),  # what is measured is not augmented
    test=Digits(slice(500, 800), augmented=False),
    epochs=10,
)


def main() -> None:
    result = thalweg.compare(workload, optimizers=["sgd", "momentum", "adam"], seeds=1, confirm_seeds=3)
    print(result.verdict)
    result.save_report("augmentation.html")


if __name__ == "__main__":
    main()
