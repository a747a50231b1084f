"""A share of the training samples as validation or test split: at random by a seed, by class, and nothing twice."""

import itertools

import pandas as pd
import pytest
import torch
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler

import thalweg
from thalweg.workloads.split import Split
from thalweg.workloads.splitting import shares
from thalweg.workloads.stream import Stream
from thalweg.workloads.workload import Workload

X = torch.arange(200.0)[:, None].repeat(1, 3)
Y = (torch.arange(200) % 10 == 0).long()


def workload(train: object = (X, Y), **given: object) -> Workload:
    return Workload(name="w", model=lambda: nn.Linear(3, 2), train=train, **{"validation": 0.2, **given})


def rows(split: Split) -> list[int]:
    return split.inputs[0][:, 0].long().tolist()


def test_parts_hold_every_sample_once() -> None:
    of = workload(test=0.1)
    parts = [rows(s) for s in (of.train, of.validation, of.test)]
    assert list(map(len, parts)) == [140, 40, 20]
    assert sorted(itertools.chain(*parts)) == list(range(200))
    assert [int(s.targets.sum()) for s in (of.train, of.validation, of.test)] == [14, 4, 2]
    assert rows(workload(test=0.1).validation) == parts[1]
    assert rows(workload(test=0.1, split_seed=1).validation) != parts[1]
    assert rows(workload(validation=(X, Y), test=0.1).train) != parts[0]


def test_a_loader_is_divided_too() -> None:
    of = workload(DataLoader(TensorDataset(X, Y), batch_size=16))
    assert rows(of.train) == sorted(rows(of.train))
    first = of.train.draws([0], 16, drop_last=False).next().of(0).inputs[0]
    assert torch.equal(first, of.train.inputs[0][:16])
    assert of.batch_size == 16


def test_a_table_is_standardized_by_the_rows_to_train_on() -> None:
    frame = pd.DataFrame({"a": X[:, 0].numpy() ** 2, "b": (X[:, 0] % 7).numpy(), "y": ["no", "yes"] * 100})
    table = thalweg.table(frame, "y")
    of = workload(table)
    index = torch.sort(shares(table.targets, {"validation": 0.2}, 0)["train"]).values
    scaler = StandardScaler().fit(table.values[index].numpy())
    torch.testing.assert_close(
        of.train.inputs[0], torch.from_numpy(scaler.transform(table.values[index].numpy())).float()
    )
    assert float(of.train.inputs[0].mean(0).abs().max()) < 1e-6 < float(of.validation.inputs[0].mean(0).abs().max())


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"validation": 1.5}, r"validation must be"),
        ({"validation": 0.6, "test": 0.5}, r"together|leave"),
        ({"split_seed": -1}, r"split_seed must be"),
        ({"train": Stream(lambda seed, number: [(X, Y)], 200)}, r"validation cannot be split off of a stream"),
        (
            {"train": DataLoader(TensorDataset(X, Y), sampler=WeightedRandomSampler([1.0] * 200, 100))},
            r"validation cannot be split off of samples that are drawn by weights",
        ),
    ],
)
def test_refusals(given: dict[str, object], sentence: str) -> None:
    with pytest.raises(thalweg.InputError, match=sentence):
        workload(**given)
