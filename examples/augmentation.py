"""Images that are changed at random at every step: shifted by a pixel at most, made paler or darker.

`augment` is a function of a batch and a generator: every sample of every step of every seed has random numbers of its
own, which are the same for all optimizers. It is part of the step, so that all runs still train at once.
`thalweg compare augmentation.py`, or `python augmentation.py`.
"""

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import pad

import thalweg


def data() -> tuple[Tensor, Tensor]:
    """Images `[800, 1, 8, 8]` and classes."""
    found = load_digits()
    return torch.tensor(found.images[:800] / 16).float().unsqueeze(1), torch.tensor(found.target[:800])


def model() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(6 * 4 * 4, 10)
    )


def augment(batch: tuple[Tensor, Tensor], generator: torch.Generator) -> tuple[Tensor, Tensor]:
    images, labels = batch
    samples = len(images)
    place = torch.arange(8)
    down, right = (place + torch.randint(0, 3, (samples, 1), generator=generator) for _ in range(2))
    wide = pad(images, (1, 1, 1, 1))[:, 0]  # [samples, 10, 10]
    rows = wide.gather(1, down.unsqueeze(2).expand(samples, 8, 10))
    shifted = rows.gather(2, right.unsqueeze(1).expand(samples, 8, 8)).unsqueeze(1)
    return shifted * (0.8 + 0.4 * torch.rand(samples, 1, 1, 1, generator=generator)), labels


workload = thalweg.Workload(
    name="augmented digits",
    model=model,
    train=data(),
    validation=0.2,  # what is measured is not augmented
    test=0.2,
    augment=augment,
    batch_size=50,
    epochs=10,
)


def main() -> None:
    result = thalweg.compare(workload, optimizers=["sgd", "momentum", "adam"], seeds=1, confirm_seeds=3)
    print(result.verdict)
    result.save_report("augmentation.html")


if __name__ == "__main__":
    main()
