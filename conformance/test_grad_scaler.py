"""Under `torch.amp.GradScaler`, Thalweg's classes take torch's paths on PyTorch's own test inputs, in trainers too."""

import copy
import warnings

import pytest
import torch
from test_torch_inputs import INFOS, every_input, in_float64, made  # noqa: F401
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import thalweg.optim
from optim.trained import fitted
from thalweg.optim.classes import drop_ins

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import accelerate
    import lightning
    from lightning.fabric.plugins.precision import MixedPrecision as FabricMixed
    from lightning.pytorch.plugins.precision import MixedPrecision

SCALE = 2.0**8
OVERFLOWS = (2, 3, 6)
STEPS = 9


def scaler():
    return torch.amp.GradScaler("cpu", init_scale=SCALE, growth_interval=2)


def without_capturable(setting):
    setting = copy.copy(setting)
    setting.kwargs = {k: v for k, v in setting.kwargs.items() if k != "capturable"}  # torch's takes it on a GPU only
    return setting


def path(cls, setting, *, clip=False, accumulate=1):
    """Parameters, gradients and the scale after each step; some gradients overflow."""
    params, optimizer = made(cls, setting)
    by, seen = scaler(), []
    for step in range(STEPS):
        optimizer.zero_grad()
        for part in range(accumulate):
            generator = torch.Generator().manual_seed(10 * step + part)
            slopes = [torch.randn(p.shape, generator=generator) for p in params]
            if step in OVERFLOWS and part == 0:
                slopes[1][2] = torch.inf if step == 2 else torch.nan
            by.scale(sum((p * s).sum() for p, s in zip(params, slopes, strict=True))).backward()
        if clip:
            by.unscale_(optimizer)
            nn.utils.clip_grad_norm_(params, 0.7)
        by.step(optimizer)
        by.update()
        seen.append([*(p.detach().clone() for p in params), *(p.grad for p in params), torch.tensor(by.get_scale())])
    return seen


@every_input
@pytest.mark.parametrize("how", [{}, {"clip": True}, {"accumulate": 3}], ids=str)
def test_the_same_path(name, setting, how):
    setting = without_capturable(setting)
    ours, theirs = (path(cls, setting, **how) for cls in (getattr(thalweg.optim, name), INFOS[name].optim_cls))
    for step, (own, of_torch) in enumerate(zip(ours, theirs, strict=True)):
        torch.testing.assert_close(
            own, of_torch, rtol=1e-10, atol=1e-11, equal_nan=True, msg=lambda m, s=step: f"{s}: {m}"
        )


def test_two_optimizers_and_an_infinity_in_one():
    """As `_run_scaling_case` with two models: the scale falls, one steps and one does not."""
    ends = []
    for library in (thalweg.optim, torch.optim):
        ps = [nn.Parameter(torch.ones(3)) for _ in range(2)]
        optimizers, by = [library.SGD([ps[0]], lr=0.5), library.Adam([ps[1]], lr=0.5)], scaler()
        for step in range(4):
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss = (ps[0] * 2).sum() + (ps[1] * (torch.inf if step == 1 else 3)).sum()
            by.scale(loss).backward()
            for optimizer in optimizers:
                by.step(optimizer)
            by.update()
        ends.append([*(p.detach() for p in ps), torch.tensor(by.get_scale())])
    torch.testing.assert_close(*ends, rtol=1e-12, atol=0.0)


def test_a_gradient_penalty():
    """Gradients by `autograd.grad` of the scaled loss, unscaled by hand, add to the loss."""
    ends = []
    for library in (thalweg.optim, torch.optim):
        torch.manual_seed(0)
        model = nn.Linear(3, 1)
        optimizer, by, x = library.Adam(model.parameters(), lr=0.1), scaler(), torch.randn(4, 3)
        for _ in range(5):
            optimizer.zero_grad()
            loss = model(x).square().mean()
            scaled = torch.autograd.grad(by.scale(loss), model.parameters(), create_graph=True)
            norm = sum((g / by.get_scale()).square().sum() for g in scaled).sqrt()
            by.scale(loss + norm).backward()
            by.step(optimizer)
            by.update()
        ends.append(model.weight.detach())
    torch.testing.assert_close(*ends, rtol=1e-11, atol=1e-12)


def batches():
    torch.manual_seed(0)
    x = torch.randn(32, 4)
    return DataLoader(TensorDataset(x, x[:, :1]), batch_size=8)


class Module(lightning.LightningModule):
    def __init__(self, cls):
        super().__init__()
        torch.manual_seed(1)
        self.layer, self.cls = nn.Linear(4, 1), cls

    def training_step(self, batch, _):
        return nn.functional.mse_loss(self.layer(batch[0]).double(), batch[1])

    def configure_optimizers(self):
        return self.cls(self.parameters(), lr=0.05)


def by_lightning(cls, folder):
    module = Module(cls)
    trainer = lightning.Trainer(
        accelerator="cpu", max_epochs=2, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, gradient_clip_val=0.1, default_root_dir=folder,
        plugins=[MixedPrecision("16-mixed", "cpu", scaler=scaler())],
    )  # fmt: skip
    trainer.fit(module, batches())
    return module.layer.weight.detach()


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", ["Adam", "SGD", "RMSprop"])
def test_lightning_clips_in_mixed_precision(name, tmp_path):
    """Which it refuses to do for optimizers that unscale in their step."""
    ours, theirs = (by_lightning(getattr(module, name), tmp_path) for module in (thalweg.optim, torch.optim))
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)  # the forward pass is rounded to float16


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("cls", drop_ins().values(), ids=drop_ins())
def test_fabric_clips_in_mixed_precision(cls):
    fabric = lightning.Fabric(accelerator="cpu", plugins=[FabricMixed("16-mixed", "cpu", scaler=scaler())])
    torch.manual_seed(0)
    model = nn.Linear(4, 1).float()
    model, optimizer = fabric.setup(model, cls(fitted(cls, [*model.parameters()])))
    fabric.backward(model(3 * torch.ones(2, 4)).square().sum())
    norm = fabric.clip_gradients(model, optimizer, max_norm=0.1)
    assert norm > 0.1
    assert nn.utils.get_total_norm([p.grad for p in model.parameters()]) == pytest.approx(0.1, rel=1e-3)
    optimizer.step()


@pytest.mark.parametrize("cls", [*drop_ins().values(), torch.optim.Adam], ids=[*drop_ins(), "torch"])
def test_accelerate_sees_what_was_skipped(cls):
    accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)
    accelerate.Accelerator(cpu=True)
    p, by, skipped = nn.Parameter(torch.ones(2, 2)), scaler(), []
    optimizer = accelerate.optimizer.AcceleratedOptimizer(cls([p]), scaler=by)
    for slope in (1.0, torch.inf, 1.0):
        optimizer.zero_grad()
        by.scale((p * slope).sum()).backward()
        optimizer.step()
        skipped.append(optimizer.step_was_skipped)
    assert skipped == [False, True, False]
