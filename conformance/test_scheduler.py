"""Trainers of other frameworks are driven by `thalweg.schedules.Scheduler` as by torch's own, and resume."""

import warnings

import pytest
import torch
from small_network import data, network, weights
from torch import nn
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, TensorDataset

from thalweg.schedules import Scheduler, cosine

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import accelerate
    import lightning
    import transformers

pytestmark = pytest.mark.filterwarnings("default")  # theirs are not ours to mind
STEPS = 24
RATE = cosine(0.05, steps=STEPS, warmup=4)


def ours(optimizer):
    return Scheduler(optimizer, cosine(steps=STEPS, warmup=4))


def theirs(optimizer):
    return lr_scheduler.LambdaLR(optimizer, lambda t: RATE(t) / 0.05)


class Module(lightning.LightningModule):
    def __init__(self, make):
        super().__init__()
        self.net, self.make, self.rates = network(), make, []

    def training_step(self, batch, _):
        self.rates.append(self.optimizers().param_groups[0]["lr"])
        return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), lr=0.05)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": self.make(optimizer), "interval": "step"}}


def by_lightning(make, folder, *, stop_at=None):
    module, loader = Module(make), DataLoader(TensorDataset(*data()), batch_size=8)

    def trainer(steps):
        return lightning.Trainer(
            max_steps=steps, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
            enable_checkpointing=False, default_root_dir=folder,
        )  # fmt: skip

    first = trainer(stop_at or STEPS)
    first.fit(module, loader)
    if stop_at:
        first.save_checkpoint(folder / "half.ckpt")
        module = Module(make)
        trainer(STEPS).fit(module, loader, ckpt_path=folder / "half.ckpt", weights_only=False)
    return module


@pytest.mark.parametrize("stop_at", [None, 16])
def test_lightning(stop_at, tmp_path):
    mine, other = (by_lightning(make, tmp_path, stop_at=stop_at) for make in (ours, theirs))
    torch.testing.assert_close(weights(mine), weights(other), rtol=1e-9, atol=1e-9)
    assert mine.rates == [RATE(t) for t in range(stop_at or 0, STEPS)]


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = network()

    def forward(self, x, labels):
        logits = self.net(x)
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


def by_transformers(make, folder):
    x, y = data()
    rows = [{"x": a, "labels": b} for a, b in zip(x, y, strict=True)]
    model = Classifier()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
    arguments = transformers.TrainingArguments(
        output_dir=str(folder), max_steps=STEPS, per_device_train_batch_size=8, report_to=[], use_cpu=True, seed=3,
        disable_tqdm=True, save_steps=12, logging_strategy="no",
    )  # fmt: skip
    return model, transformers.Trainer(model, arguments, train_dataset=rows, optimizers=(optimizer, make(optimizer)))


def test_transformers_and_its_resuming(tmp_path):
    ends = []
    for make in (ours, theirs):
        model, trainer = by_transformers(make, tmp_path / make.__name__)
        trainer.train()
        ends.append(weights(model))
    torch.testing.assert_close(*ends, rtol=1e-9, atol=1e-9)
    model, trainer = by_transformers(ours, tmp_path / "ours")
    trainer.train(resume_from_checkpoint=str(tmp_path / "ours" / "checkpoint-12"))
    torch.testing.assert_close(weights(model), ends[0], rtol=1e-9, atol=1e-9)


def test_accelerate():
    rates = []
    accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=2)
    model = network()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
    loader = DataLoader(TensorDataset(*data()), batch_size=8)
    model, optimizer, loader, scheduler = accelerator.prepare(model, optimizer, loader, ours(optimizer))
    for x, y in loader:
        with accelerator.accumulate(model):
            rates.append(optimizer.param_groups[0]["lr"])
            accelerator.backward(nn.functional.cross_entropy(model(x), y))
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
    assert rates == [RATE(t // 2) for t in range(8)]
