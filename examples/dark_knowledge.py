"""Hinton's experiment: what a large network knows beyond the labels, given to a smaller one (arXiv:1503.02531).

    python examples/dark_knowledge.py --data-dir DIR [--teacher-epochs 30] [--epochs 30] [--seeds 3]

A teacher 784-1200-1200-10 trains on MNIST with dropout, max-norm and pictures that are shifted by up to two pixels.
Students 784-800-800-10 without any of these train on labels alone, or on the teacher's probabilities at temperature 20
as well. Printed: errors among the 10,000 test pictures.
"""

import argparse
from dataclasses import replace
from functools import partial

import torch
from torch.nn.functional import pad

import thalweg
from thalweg.workloads.catalogue import load
from thalweg.workloads.mlp import MLP

PUBLISHED = {"teacher": 67, "student on labels": 146, "distilled student": 74}
LARGE = partial(MLP, (784, 1200, 1200, 10), init="he-truncated-normal", dropout=0.5)
SMALL = partial(MLP, (784, 800, 800, 10), init="he-truncated-normal")
PIXELS = 2


def shifted(batch, generator):
    """Every picture moved by up to two pixels each way, what it leaves behind filled with background."""
    x, y = batch
    room, side = 2 * PIXELS + 1, torch.arange(28)
    rows, columns = (torch.randint(room, (len(x), 1), generator=generator) + side for _ in range(2))
    moved = pad(x, (PIXELS,) * 4)[torch.arange(len(x))[:, None, None], rows[:, :, None], columns[:, None, :]]
    return moved, y


def errors(share: float) -> int:
    return round(10_000 * (1 - share))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--teacher-epochs", type=int, default=30)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()

    mnist = replace(load("mnist", given.data_dir), batch_size=100)
    large = replace(mnist, model=LARGE, augment=shifted)
    asked = {"learning_rate": 1e-3, "schedule": "cosine", "progress": True}
    of_two = thalweg.ensemble(large, 2, optimizer="adam(max_norm=3.0)", epochs=given.teacher_epochs, **asked)
    teacher = of_two.models[0]  # two train in the time of one

    small = replace(mnist, model=SMALL)
    found = thalweg.distill(
        small, teacher=teacher, temperature=20.0, weight=0.9, seeds=given.seeds, epochs=given.epochs, **asked
    )
    print(found)
    scores = found.scores
    ours = {
        "teacher": [scores["teacher"]],
        "student on labels": scores["plain"]["scores"],
        "distilled student": scores["distilled"]["scores"],
    }
    print("\nErrors among 10,000 test pictures:")
    for name, values in ours.items():
        each = ", ".join(str(errors(value)) for value in values)
        print(f"{name:18} {errors(sum(values) / len(values)):4} ({each}); published {PUBLISHED[name]}")


if __name__ == "__main__":
    main()
