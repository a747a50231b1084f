"""Trainers of other frameworks train with Thalweg's optimizers as they do with torch's, and resume."""

import warnings

import pytest
import torch
from small_network import data, network, weights
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import thalweg.optim

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import accelerate
    import lightning
    import transformers

pytestmark = pytest.mark.filterwarnings("default")  # theirs are not ours to mind
OURS_AND_TORCHS = ((thalweg.optim.AdamW, thalweg.optim.SGD), (torch.optim.AdamW, torch.optim.SGD))
STEPS = 24


class Module(lightning.LightningModule):
    def __init__(self, cls):
        super().__init__()
        self.net, self.cls = network(), cls

    def training_step(self, batch, _):
        return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    def configure_optimizers(self):
        optimizer = self.cls(self.parameters(), lr=0.05, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.05, total_steps=STEPS)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def by_lightning(cls, folder, *, stop_at=None, **options):
    module, loader = Module(cls), DataLoader(TensorDataset(*data()), batch_size=8)

    def trainer(steps):
        return lightning.Trainer(
            max_steps=steps, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
            enable_checkpointing=False, default_root_dir=folder, **options,
        )  # fmt: skip

    first = trainer(stop_at or STEPS)
    first.fit(module, loader)
    if stop_at:
        first.save_checkpoint(folder / "half.ckpt")
        module = Module(cls)
        trainer(STEPS).fit(module, loader, ckpt_path=folder / "half.ckpt", weights_only=False)
    return weights(module)


@pytest.mark.parametrize("options", [{}, {"accumulate_grad_batches": 2}, {"gradient_clip_val": 0.1}], ids=str)
def test_lightning(options, tmp_path):
    ours, theirs = (by_lightning(cls, tmp_path, **options) for cls, _ in OURS_AND_TORCHS)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    assert not torch.equal(ours, weights(network()))


def test_lightning_resumes(tmp_path):
    """Where it goes on with the data is Lightning's affair."""
    ours, theirs = (by_lightning(cls, tmp_path, stop_at=16) for cls, _ in OURS_AND_TORCHS)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = network()

    def forward(self, x, labels):
        logits = self.net(x)
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


def by_transformers(cls, folder, **options):
    x, y = data()
    rows = [{"x": a, "labels": b} for a, b in zip(x, y, strict=True)]
    model = Classifier()
    optimizer = cls(model.parameters(), lr=0.05, weight_decay=0.01)
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, 4, STEPS)
    arguments = transformers.TrainingArguments(
        output_dir=str(folder), max_steps=STEPS, per_device_train_batch_size=8, report_to=[], use_cpu=True, seed=3,
        disable_tqdm=True, save_steps=12, logging_strategy="no", **options,
    )  # fmt: skip
    trainer = transformers.Trainer(model, arguments, train_dataset=rows, optimizers=(optimizer, schedule))
    return model, trainer


def test_transformers(tmp_path):
    ends = []
    for cls, _ in OURS_AND_TORCHS:
        model, trainer = by_transformers(cls, tmp_path / cls.__module__)
        trainer.train()
        ends.append(weights(model))
    torch.testing.assert_close(*ends, rtol=1e-9, atol=1e-9)


def test_transformers_resumes(tmp_path):
    whole, trainer = by_transformers(thalweg.optim.AdamW, tmp_path)
    trainer.train()
    model, trainer = by_transformers(thalweg.optim.AdamW, tmp_path)
    trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-12"))
    torch.testing.assert_close(weights(model), weights(whole), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_accelerate(precision):
    ends = []
    for _, cls in OURS_AND_TORCHS:
        accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)
        accelerator = accelerate.Accelerator(cpu=True, mixed_precision=precision, gradient_accumulation_steps=2)
        model = network().float()
        optimizer = cls(model.parameters(), lr=0.1, momentum=0.9)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
        loader = DataLoader(TensorDataset(data()[0].float(), data()[1]), batch_size=8)
        model, optimizer, loader, schedule = accelerator.prepare(model, optimizer, loader, schedule)
        for _ in range(3):
            for x, y in loader:
                with accelerator.accumulate(model):
                    accelerator.backward(nn.functional.cross_entropy(model(x), y))
                    accelerator.clip_grad_norm_(model.parameters(), 1.0)
                    optimizer.step()
                    schedule.step()
                    optimizer.zero_grad()
        ends.append(weights(model))
    torch.testing.assert_close(*ends, rtol=1e-4, atol=1e-4)
