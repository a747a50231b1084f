"""Datasets of Hugging Face as samples: their columns by name, their formats and transforms, their splits, streams."""

import pytest
import torch
from datasets import ClassLabel, Dataset, DatasetDict, Features, Sequence, Value
from torch import nn

import thalweg
from stopping import outcomes
from thalweg.errors import InputError
from thalweg.population.planning.planned_job import plan_job
from thalweg.population.updates.members import Member
from thalweg.recipes.catalogue import recipe
from thalweg.workloads.split import Split
from thalweg.workloads.stream import Stream

X = torch.randn(40, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
Y = (X[:, 0] > 0).long()
COLUMNS = {"label": Y.tolist(), "x": X.tolist()}
PLAIN = Dataset.from_dict(COLUMNS)
TEXTS = Dataset.from_dict({"text": ["a few words"] * 40, **COLUMNS})
NAMED = Features({"label": ClassLabel(names=["below", "above"]), "x": Sequence(Value("float32"), length=4)})


class Named(nn.Module):
    """Takes the column by its name."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 2, dtype=torch.float32)

    def forward(self, x):
        return self.layer(x)


def workload(train, validation=PLAIN, **given):
    return thalweg.Workload(name="w", model=Named, train=train, validation=validation, batch_size=8, epochs=2, **given)


FORMS = {
    "no format": PLAIN,
    "torch": PLAIN.with_format("torch"),
    "numpy": PLAIN.with_format("numpy"),
    "pandas": PLAIN.with_format("pandas"),
    "class labels": Dataset.from_dict(COLUMNS, features=NAMED),
    "columns of several": TEXTS.with_format("torch", columns=["x", "label"]),
    "without a column": TEXTS.remove_columns("text"),
    "a loader": torch.utils.data.DataLoader(PLAIN.with_format("torch"), batch_size=8, shuffle=True),
    "a split": DatasetDict(train=PLAIN, test=PLAIN)["train"],
    "encoded": Dataset.from_dict({**COLUMNS, "label": ["ab"[y] for y in Y]}).class_encode_column("label"),
}


@pytest.mark.parametrize("form", FORMS)
def test_its_samples(form):
    train = workload(FORMS[form]).train
    assert isinstance(train, Split)
    assert train.layout.names == ("x",)
    assert torch.equal(train.inputs[0], X)
    assert torch.equal(train.targets, Y)


def test_its_transform_is_drawn_anew():
    """A transform is the dataset's own format, and random here."""

    def noisy(rows):
        return {"x": [torch.tensor(x) + torch.randn(4) for x in rows["x"]], "label": rows["label"]}

    train = workload(PLAIN.with_transform(noisy)).train
    assert isinstance(train, Stream)
    assert train.batch_size == 8
    first, second = (next(iter(train.batches(0, number))).inputs[0] for number in (0, 1))
    assert first.shape == (8, 4)
    assert not torch.equal(first, second)


def test_its_stream():
    """Of a length that it does not know by itself."""
    rows = PLAIN.to_iterable_dataset().with_format("torch")
    with pytest.raises(InputError, match=r"train does not say how many samples an epoch has: give"):
        workload(rows)
    shuffled = thalweg.Stream(lambda seed, number: rows.shuffle(seed=1000 * seed + number).iter(batch_size=8), 40)
    planned = plan_job(workload(shuffled), 0, device=torch.device("cpu"), workers=1, execution="auto")
    sgd = recipe("sgd")
    (run,) = outcomes(planned, [Member(sgd, sgd.resolve({"lr": 0.5}), 0)])
    assert run.curve[-1].validation_metric > 0.8
    with pytest.raises(InputError, match="validation must be samples by number, and an IterableDataset has none"):
        workload(PLAIN, rows)


def test_a_share_of_it():
    of = workload(PLAIN, 0.25)
    assert (len(of.train), len(of.validation)) == (30, 10)


REFUSED = {
    "all splits": (DatasetDict(train=PLAIN, test=PLAIN), r"train is a dict of datasets, train, test: give one of them"),
    "texts": (TEXTS, r"train: X\['text'\] holds texts: number them"),
    "texts as labels": (Dataset.from_dict({**COLUMNS, "label": ["a"] * 40}), "train: label holds texts: number them"),
    "a loader of lists": (
        torch.utils.data.DataLoader(PLAIN, batch_size=8), r"as a dataset of Hugging Face does that is data.with_format",
    ),
    "two targets": (Dataset.from_dict({**COLUMNS, "labels": COLUMNS["label"]}), "train has label and labels, each a"),
    "no targets": (PLAIN.remove_columns("label"), "train has x, and the loss needs targets: name them one of"),
    "no rows": (PLAIN.select([]), "train holds no samples"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name):
    train, sentence = REFUSED[name]
    with pytest.raises(InputError, match=sentence):
        workload(train)
