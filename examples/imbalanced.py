"""Two classes, of which one is rare: a single logit, a loss that weighs the rare class, and a metric that ranks.

Nine of ten samples are of one class: an accuracy of 90% says nothing. The area under the ROC curve asks whether the
rare ones get the larger outputs. `thalweg compare imbalanced.py`, or `python imbalanced.py`.
"""

import torch
from sklearn.datasets import make_classification
from torch import nn

import thalweg

x, y = make_classification(2000, 12, n_informative=6, weights=[0.9], flip_y=0.02, random_state=0)

workload = thalweg.Workload(
    name="imbalanced",
    model=lambda: nn.Sequential(nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, 1)),
    train=(torch.tensor(x).float(), torch.tensor(y).float().unsqueeze(1)),  # one logit, one target: [samples, 1]
    validation=0.2,  # both classes in the proportion of the whole
    test=0.2,
    loss=nn.BCEWithLogitsLoss(pos_weight=torch.tensor([9.0])),
    metric="auroc",
    batch_size=50,
    epochs=10,
)


def main() -> None:
    result = thalweg.compare(workload, optimizers=["sgd", "momentum", "adam"])
    print(result.verdict)
    result.save_report("imbalanced.html")


if __name__ == "__main__":
    main()
