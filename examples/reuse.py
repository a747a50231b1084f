"""Reusing trained layers: a network trained on MNIST, its first two layers kept, and optimizers compared from there.

    python examples/reuse.py --data-dir DIR

Four comparisons on 1,000 labelled pictures of Fashion-MNIST: from nothing, from the layers learned on MNIST, from these
with the first one frozen, and from an autoencoder's encoder, which needs no labels.
"""

import argparse
import itertools
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

import thalweg
from thalweg.workloads.catalogue import load

LABELLED = 1000
OPTIMIZERS = ["sgd", "momentum", "adam"]


class Autoencoder(nn.Module):
    """784-100-100-100-784; its encoder has the names of the classifier's hidden layers."""

    def __init__(self) -> None:
        super().__init__()
        widths = [784, 100, 100, 100]
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(widths))
        self.decoder = nn.Linear(100, 784)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.flatten(1)
        for layer in self.hidden:
            x = torch.relu(layer(x))
        return self.decoder(x)


def trained(workload: thalweg.Workload, path: Path) -> Path:
    """The weights of its best final run of adam, in a file."""
    found = thalweg.compare(workload, ["adam"], [1e-3], seeds=1, confirm_seeds=1, progress=False)
    assert found.best is not None
    return found.best.save(path)


def without_labels(source: thalweg.Workload) -> thalweg.Workload:
    """The task of an autoencoder on the same pictures."""
    pictures, seen = source.train.inputs[0], source.validation.inputs[0]
    return thalweg.Workload(
        name="autoencoder", model=Autoencoder, train=(pictures, pictures.flatten(1)),
        validation=(seen, seen.flatten(1)), loss=nn.functional.mse_loss, metric="mse", epochs=2,
    )  # fmt: skip


def few_labels(source: thalweg.Workload, epochs: int) -> thalweg.Workload:
    """The workload with its first pictures alone to train on."""
    kept = (source.train.inputs[0][:LABELLED], source.train.targets[:LABELLED])
    return replace(source, train=kept, epochs=epochs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--epochs", type=int, default=10)
    given = parser.parse_args()
    mnist, clothes = (load(name, given.data_dir) for name in ("mnist", "fashion-mnist"))
    target = few_labels(clothes, given.epochs)
    with tempfile.TemporaryDirectory() as folder:
        of_digits = trained(replace(mnist, epochs=2), Path(folder) / "mnist.safetensors")
        of_pictures = trained(without_labels(clothes), Path(folder) / "autoencoder.safetensors")
        starts = {
            "from nothing": target,
            "layers learned on MNIST": replace(target, initial=thalweg.fitting(of_digits, leave="output.*")),
            "the same, the first frozen": replace(
                target, initial=thalweg.fitting(of_digits, leave="output.*"), freeze="hidden.0.*"
            ),
            "an autoencoder's encoder": replace(target, initial=thalweg.fitting(of_pictures)),
        }
        for name, workload in starts.items():
            print(f"{name}: {thalweg.compare(workload, OPTIMIZERS, progress=False).verdict}\n")


if __name__ == "__main__":
    main()
