"""Fields of batches by names are read by their names, wherever they stand; what no name says is said, or refused."""

import re
from collections import namedtuple
from dataclasses import make_dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from thalweg.errors import InputError
from thalweg.workloads.layout import TARGETS
from thalweg.workloads.reading import DataWarning
from thalweg.workloads.split import Split
from thalweg.workloads.workload import Workload

X = torch.randn(24, 6, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long()


def workload(train: Any, **given: Any) -> Workload:
    return Workload(name="w", model=lambda: nn.Linear(6, 2), train=train, validation=train, batch_size=8, **given)


def mean(model: Any, batch: Any) -> Tensor:
    loss: Tensor = model(X).mean()
    return loss


def named(*names: str) -> Any:
    return namedtuple("named", names)  # type: ignore[misc]


def of(kind: str, *names: str) -> Any:
    """A class of batches by these names."""
    if kind == "named tuple":
        return named(*names)
    return dict if kind == "dict" else make_dataclass("Fields", names)


@pytest.mark.parametrize("target", [*TARGETS, "Labels"])
@pytest.mark.parametrize("kind", ["named tuple", "dict", "dataclass"])
def test_targets_that_come_first_are_targets(kind: str, target: str) -> None:
    form = of(kind, target, "x")
    collated = DataLoader(TensorDataset(X, Y), 8, collate_fn=lambda samples: form(**batch(samples, target)))
    for train in (form(**{target: Y, "x": X}), collated):
        split = workload(train).train
        assert isinstance(split, Split)
        assert torch.equal(split.targets, Y)
        assert torch.equal(split.inputs[0], X)
        assert split.layout is not None
        assert split.layout.names == (() if kind == "named tuple" else ("x",))


def batch(samples: Any, target: str) -> dict[str, Tensor]:
    xs, ys = zip(*samples, strict=True)
    return {target: torch.stack(ys), "x": torch.stack(xs)}


def test_inputs_of_a_named_tuple_keep_their_order() -> None:
    split = workload(named("b", "label", "a")(X[:, :2], Y, X[:, 2:])).train
    assert [x.shape[1] for x in split.inputs] == [2, 4]
    assert torch.equal(split.targets, Y)


def test_a_place_that_no_name_confirms_is_said() -> None:
    told = re.escape(
        "train has named tuples of image, kind: the last is taken for the targets, as none is named one of"
    )
    kinds = named("image", "kind")(X, Y)
    with pytest.warns(DataWarning, match=told):
        split = Workload(name="w", model=lambda: nn.Linear(6, 2), train=kinds, validation=(X, Y)).train
    assert torch.equal(split.targets, Y)
    with pytest.warns(DataWarning, match="train has image, kind: the metric is given 'kind', the last, as targets"):
        workload({"image": X, "kind": Y}, step=mean, predict=lambda model, batch: model(batch["image"]))
    workload({"image": X, "kind": Y}, step=mean)  # its metric is the loss, of no targets


@pytest.mark.parametrize("kind", ["named tuple", "dict", "dataclass"])
def test_two_names_of_targets_are_refused(kind: str) -> None:
    both = of(kind, "labels", "x", "y")(labels=Y, x=X, y=Y)
    choice = (
        "train has labels and y, each a name for targets: rename what is none, leave it out, or give (X, y) with a dict"
        " of the inputs as X and as y what the loss takes, batch['labels'] or batch['y']."
    )
    with pytest.raises(InputError, match=f"^{re.escape(choice)}$"):
        workload(both)


@pytest.mark.parametrize("kind", ["named tuple", "dict", "dataclass"])
def test_a_step_has_both(kind: str) -> None:
    """As the user has them, and the metric is given both by their names, or refused where it takes one."""
    form = of(kind, "labels", "x", "y")
    both = form(labels=Y, x=X, y=Y + 1)
    train = workload(both, step=mean).train
    packed = train.layout.packed(train.at(torch.arange(4)))
    assert type(packed) is type(both)
    expected = form(labels=Y[:4], x=X[:4], y=Y[:4] + 1)
    for name in ("labels", "x", "y"):
        mine, theirs = ((p[name] if kind == "dict" else getattr(p, name)) for p in (packed, expected))
        assert torch.equal(mine, theirs)
    drawn = train.at(torch.arange(4))
    targets = train.layout.targets_of(drawn.targets, train.layout.further(drawn))
    assert list(targets) == ["labels", "y"]
    assert torch.equal(targets["y"], Y[:4] + 1)
    with pytest.raises(InputError, match="metric 'accuracy' is of one tensor of targets, and the data have 2"):
        workload(both, step=mean, predict=mean)


def test_a_step_has_targets_alone() -> None:
    train = workload({"label": Y, "target": X}, step=mean).train
    packed = train.layout.packed(train.at(torch.arange(4)))
    assert torch.equal(packed["target"], X[:4])
    assert torch.equal(packed["label"], Y[:4])
