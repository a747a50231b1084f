"""MNIST and Fashion-MNIST: from files written here, and from the real ones where they lie."""

import gzip
import re
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from thalweg.errors import InputError
from thalweg.workloads.mnist import fashion_mnist, mnist, mnist_cnn
from thalweg.workloads.workload import Workload


def write(path: Path, values: np.ndarray) -> None:
    header = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    pack = (lambda b: gzip.compress(b, compresslevel=1)) if path.suffix == ".gz" else bytes
    path.write_bytes(pack(header + values.tobytes()))


def write_part(folder: Path, part: str, images: np.ndarray, labels: np.ndarray, suffix: str = "") -> None:
    folder.mkdir(exist_ok=True)
    write(folder / f"{part}-images-idx3-ubyte{suffix}", images)
    write(folder / f"{part}-labels-idx1-ubyte{suffix}", labels)


def numbered(count: int) -> np.ndarray:
    """Black images whose first two pixels are their number in the file."""
    images = np.zeros((count, 28, 28), np.uint8)
    images[:, 0, 0], images[:, 0, 1] = np.divmod(np.arange(count), 256)
    return images


def numbers(x: torch.Tensor) -> torch.Tensor:
    pixels = (x[:, 0, :2] * 255).round().long()
    return pixels[:, 0] * 256 + pixels[:, 1]


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_part(root / "mnist", "train", numbered(60_000), np.arange(60_000, dtype=np.uint32).astype(np.uint8) % 10)
    write_part(root / "mnist", "t10k", numbered(10_000), np.zeros(10_000, np.uint8), ".gz")
    return root


@pytest.fixture(scope="module")
def written(root) -> Workload:
    return mnist(str(root))


def test_the_first_55000_train_and_the_last_5000_validate(written):
    assert torch.equal(numbers(written.train.inputs[0]), torch.arange(55_000))
    assert torch.equal(numbers(written.validation.inputs[0]), torch.arange(55_000, 60_000))
    assert torch.equal(numbers(written.test.inputs[0]), torch.arange(10_000))
    labels = torch.cat([written.train.targets, written.validation.targets])
    assert torch.equal(labels, torch.arange(60_000) % 256 % 10)


def test_the_convolutional_workload_validates_on_the_last_fifth_of_the_same_images(root, written):
    workload = mnist_cnn(root)
    assert torch.equal(numbers(workload.train.inputs[0]), torch.arange(48_000))
    assert torch.equal(numbers(workload.validation.inputs[0]), torch.arange(48_000, 60_000))
    assert torch.equal(workload.test.inputs[0], written.test.inputs[0])
    assert workload.model()(workload.test.inputs[0][:7]).shape == (7, 10)


def test_pixels_are_divided_by_255(written):
    (x,) = written.train.inputs
    assert x.dtype == torch.float32
    assert torch.equal(x[:256, 0, 1], torch.arange(256) / 255)


def test_the_model(written):
    torch.manual_seed(0)
    model = written.model()
    assert [layer.in_features for layer in (*model.hidden, model.output)] == [784, 100, 100, 100]
    assert model(written.test.inputs[0][:7]).shape == (7, 10)
    first = model.hidden[0].weight
    assert first.std().item() == pytest.approx((2 / 784) ** 0.5, rel=0.05)
    assert first.abs().max().item() <= 2 * (2 / 784) ** 0.5 / 0.8796  # cut, as Keras does


def refusal(root: Path) -> str:
    with pytest.raises(InputError) as caught:
        mnist(root)
    return str(caught.value)


def test_images_of_another_size(tmp_path):
    write_part(tmp_path / "mnist", "train", np.zeros((12, 32, 20), np.uint8), np.zeros(12, np.uint8))
    assert re.search(r"train-images-idx3-ubyte holds images of 32 by 20 pixels where 28", refusal(tmp_path))


def test_images_and_labels_of_different_counts(tmp_path):
    write_part(tmp_path / "mnist", "train", numbered(12), np.zeros(11, np.uint8), ".gz")
    pattern = r"train-labels-idx1-ubyte\.gz holds 11 labels for the 12 images of .*train-images-idx3-ubyte\.gz"
    assert re.search(pattern, refusal(tmp_path))


def test_a_label_beyond_9(tmp_path):
    write_part(tmp_path / "mnist", "train", numbered(12), np.arange(12, dtype=np.uint8))
    assert re.search(r"train-labels-idx1-ubyte holds the label 11; the ten classes are 0 to 9", refusal(tmp_path))


def test_another_number_of_training_images(tmp_path):
    write_part(tmp_path / "mnist", "train", numbered(12), np.zeros(12, np.uint8))
    assert "train-images-idx3-ubyte holds 12 images where mnist has 60,000." in refusal(tmp_path)


def test_images_and_labels_swapped(tmp_path):
    write_part(tmp_path / "mnist", "train", np.zeros(12, np.uint8), numbered(12))
    assert "train-images-idx3-ubyte holds values of rank 1" in refusal(tmp_path)


def test_missing_files_are_named(tmp_path):
    message = refusal(tmp_path)
    for part in (
        f"{tmp_path}/mnist/train-images-idx3-ubyte ",
        "train-images-idx3-ubyte.gz ",
        "--data-dir DIR",
    ):
        assert part in message


@pytest.mark.parametrize(
    ("factory", "name"), [(mnist, "mnist"), (fashion_mnist, "fashion-mnist"), (mnist_cnn, "mnist")]
)
def test_no_directory_given(monkeypatch, factory, name):
    sentence = rf"holds {name}/ with `--data-dir DIR` or .* THALWEG_DATA\.$"
    monkeypatch.delenv("THALWEG_DATA", raising=False)
    with pytest.raises(InputError, match=sentence):
        factory()
    monkeypatch.setenv("THALWEG_DATA", "")
    with pytest.raises(InputError, match=sentence):
        factory()


def test_the_directory_comes_from_the_environment_unless_given(tmp_path, monkeypatch):
    monkeypatch.setenv("THALWEG_DATA", str(tmp_path / "from-environment"))
    with pytest.raises(InputError, match="from-environment/fashion-mnist/train-images"):
        fashion_mnist()
    with pytest.raises(InputError, match="given/fashion-mnist/train-images"):
        fashion_mnist(tmp_path / "given")


REAL = {  # the folder of the images, and what the workload states of itself
    "mnist": (mnist, "mnist", {"batch_size": 32, "epochs": 10, "target": 0.97, "steps_per_epoch": 1719}),
    "fashion-mnist": (
        fashion_mnist,
        "fashion-mnist",
        {"batch_size": 32, "epochs": 10, "target": 0.87, "steps_per_epoch": 1719},  # ⌈55000 / 32⌉
    ),
    "mnist-cnn": (mnist_cnn, "mnist", {"batch_size": 250, "epochs": 5, "target": 0.985, "steps_per_epoch": 192}),
}


@pytest.fixture(scope="module", params=REAL)
def real(request, data_dir) -> tuple[str, Workload]:
    factory, images, _ = REAL[request.param]
    if not (data_dir / images).is_dir():
        pytest.skip(f"no real data: {data_dir / images} is no directory")
    return request.param, factory(data_dir)


def test_real_facts(real):
    name, workload = real
    assert workload.name == name
    assert {fact: getattr(workload, fact) for fact in REAL[name][2]} == REAL[name][2]
    assert workload.metric.name == "accuracy"
    assert workload.loss is torch.nn.functional.cross_entropy


def test_real_sizes_types_and_ranges(real):
    name, workload = real
    training = [48_000, 12_000] if name == "mnist-cnn" else [55_000, 5_000]
    splits = (workload.train, workload.validation, workload.test)
    assert [len(split) for split in splits] == [*training, 10_000]
    for split in splits:
        (x,) = split.inputs
        assert x.shape == (len(split), 28, 28)
        assert (x.dtype, split.targets.dtype) == (torch.float32, torch.int64)
        assert (x.min().item(), x.max().item()) == (0, 1)
        assert split.targets.unique().tolist() == list(range(10))


def test_real_pixels_and_labels(real):
    """Published figures of the training sets: mean pixel, labels of the first images, images a class."""
    name, workload = real
    pixels = torch.cat([workload.train.inputs[0], workload.validation.inputs[0]])
    labels = torch.cat([workload.train.targets, workload.validation.targets])
    mean, first = {
        "mnist": (0.1307, [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]),
        "fashion-mnist": (0.2860, [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]),
    }[REAL[name][1]]
    assert pixels.mean().item() == pytest.approx(mean, abs=1e-3)
    assert labels[:10].tolist() == first
    if name == "fashion-mnist":
        assert torch.bincount(labels).tolist() == [6000] * 10
