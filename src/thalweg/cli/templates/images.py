"""An image classifier of your own: which optimizer, and at which learning rate?

    thalweg compare FILE                          # all common optimizers, in about a minute
    thalweg compare FILE --optimizers "adam,sgd"  # those that you name; `thalweg optimizers` lists all
    thalweg compare FILE --budget 1min            # fitted into that time, whatever the problem takes

It runs as it is. Replace what is marked with TODO, one thing after the other, and run it again.
"""

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import Dataset

import thalweg


class DigitImages(Dataset[tuple[Tensor, int]]):
    """Pairs of an image `[channels, height, width]`, float32 in [0, 1], and its class, a whole number from 0."""

    # TODO: your dataset, of torchvision or your own, or a DataLoader; augmented images are read anew in every epoch,
    # and then validation and test are datasets without augmentation. A folder with a folder of images for each class:
    # train=thalweg.image_folder("flowers", size=(32, 32)).

    def __init__(self) -> None:
        digits = load_digits()
        self.images = torch.tensor(digits.images / 16, dtype=torch.float32).unsqueeze(1)
        self.classes = [int(c) for c in digits.target]

    def __len__(self) -> int:
        return len(self.classes)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.images[index], self.classes[index]


def model() -> nn.Module:
    """Returns a new model at every call; Thalweg seeds its initial weights, so that all optimizers start alike."""
    # TODO: your model, from `[samples, channels, height, width]` to `[samples, classes]`, without a softmax.
    features = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2))
    return nn.Sequential(features, nn.Flatten(), nn.Linear(8 * 3 * 3, 10))


workload = thalweg.Workload(
    name="my images",  # TODO: how reports call it
    model=model,
    train=DigitImages(),
    validation=0.2,  # a share of train, or a dataset of its own: optimizers are tuned and chosen by it
    test=0.2,  # read only once, after all choices
    loss=nn.CrossEntropyLoss(),  # or a function of (outputs, targets)
    metric="accuracy",  # or "top5", "f1", a function of sklearn.metrics, thalweg.Metric(your_function, …)
    batch_size=64,
    epochs=4,  # TODO: as long as you train; the best learning rate depends on it
    target=0.9,  # the metric's value that is good enough: reports say how soon each optimizer is there; or None
    parameters=thalweg.optim.undecayed,  # no weight decay for biases and norms; leave it out to decay all
)

if __name__ == "__main__":  # the same from Python: `python FILE`
    print(thalweg.compare(workload, optimizers=["adam", "sgd"], budget="1min").verdict)
