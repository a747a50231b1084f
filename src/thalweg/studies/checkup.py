"""What is known of a problem before optimizers are compared on it: one screen of facts, and what to doubt."""

import functools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from thalweg.errors import counted, listed
from thalweg.optim import Adam
from thalweg.population.planning.plan import NATIVE, Plan
from thalweg.population.program.models import build
from thalweg.population.training.autograd import gradients_of
from thalweg.population.training.job import Job
from thalweg.population.training.start import start_of
from thalweg.population.training.verification import first_batches
from thalweg.studies.preparation import Prepared
from thalweg.workloads import losses
from thalweg.workloads.accuracy import Accuracy
from thalweg.workloads.split import Split
from thalweg.workloads.workload import Workload

STEPS = 50  # in which a batch is to be learned by heart
RATES = (1e-3, 1e-2, 1e-1)
BY_HEART, HARDLY = 0.2, 0.8  # of the loss at the start, at its end
FAR = 2.0  # times the loss of a constant answer, from which a start is far off
SEEDS = 3  # of the loss at the start


@dataclass(frozen=True)
class Fact:
    """A fact. label: a word or two. doubt: what to look at, where something is not as it should be."""

    label: str
    text: str
    doubt: str = ""


def checkup(prepared: Prepared) -> list[Fact]:
    """The facts of a prepared study's problem. Trains a batch for `STEPS` steps, at three learning rates."""
    job = prepared.planned.job
    model = build(job.workload, prepared.design.base_seed, job.device)
    return [
        Fact("model", _model(model)),
        *_data(job.workload),
        _start(job, prepared.design.base_seed),
        _by_heart(job, prepared.design.base_seed),
        _execution(prepared.planned.plan),
        Fact("plan", prepared.foreseen.removeprefix("plan: ").partition(";")[0]),
        *(Fact("note", note) for note in prepared.record.notes),
    ]


def _model(model: nn.Module) -> str:
    """`"30,410 parameters: 4 Linear (30,410)"`."""
    numbers, layers = Counter[str](), Counter[str]()
    seen = set[int]()  # a parameter may be registered twice
    for module in model.modules():
        own = [p for p in module.parameters(recurse=False) if id(p) not in seen]
        seen |= set(map(id, own))
        if own:
            numbers[type(module).__name__] += sum(p.numel() for p in own)
            layers[type(module).__name__] += 1
    parameters = list(model.parameters())
    frozen = sum(p.numel() for p in parameters if not p.requires_grad)
    kinds = [f"{layers[name]} {name} ({count:,})" for name, count in numbers.most_common()]
    held = f", {frozen:,} of them frozen" if frozen else ""
    return f"{sum(p.numel() for p in parameters):,} parameters{held}: {listed(kinds)}"


def _data(workload: Workload) -> list[Fact]:
    splits = {"train": workload.train, "validation": workload.validation, "test": workload.test}
    sizes = [f"{len(split):,} {name}" for name, split in splits.items() if split is not None]
    steps = f"{_batches(workload)}, {counted(workload.steps_per_epoch, 'step')} an epoch"
    train = workload.train
    if not isinstance(train, Split):
        return [Fact("data", f"{listed(sizes)} samples, streamed; {steps}")]
    shapes = [*map(_shape, train.inputs), f"y {_shape(train.targets)}"]
    return [Fact("data", f"{listed(sizes)} samples; {steps}"), Fact("samples", listed(shapes)), *_classes(workload)]


def _batches(workload: Workload) -> str:
    batches = f"batches of {workload.batch_size:,}"
    return batches if workload.accumulate == 1 else f"{workload.accumulate:,} {batches} a step"


def _shape(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape[1:])}"


def _classes(workload: Workload) -> list[Fact]:
    labels = _labels(workload)
    if labels is None:
        return []
    counts = torch.unique(labels, return_counts=True)[1]
    rare = f"; the rarest is {counts.min() / counts.sum():.1%} of all" if counts.min() * 4 < counts.max() else ""
    doubt = "accuracy says little of rare classes: consider metric='f1' or 'auroc'" if _hides(workload, counts) else ""
    return [Fact("classes", f"{len(counts)}, of {int(counts.min()):,} to {int(counts.max()):,} samples{rare}", doubt)]


def _hides(workload: Workload, counts: Tensor) -> bool:
    return isinstance(workload.metric.function, Accuracy) and bool(counts.max() > 0.8 * counts.sum())


def _labels(workload: Workload) -> Tensor | None:
    """The labels of classes that count; `None` where targets are no classes."""
    if not isinstance(workload.train, Split) or workload.objective.layout.targets:
        return None
    targets = workload.train.targets
    if losses.threshold(workload.loss) is not None:
        return targets.flatten().long() if bool(((targets == 0) | (targets == 1)).all()) else None
    if targets.is_floating_point() or not losses.is_over_classes(workload.loss):
        return None
    labels = targets.flatten().long()
    return labels[labels != losses.ignored_label(workload.loss)]


def chance(workload: Workload) -> float | None:
    """The training loss of the best constant answer: entropy, variance, or mean deviation.

    `None` where it is unknown: of another loss, one with weights, smoothed labels or another reduction, or of samples
    that are drawn by weights.
    """
    train, loss = workload.train, workload.loss
    if isinstance(train, Split) and train.sampling is not None and train.sampling.weights is not None:
        return None
    if not isinstance(train, Split) or workload.objective.layout.targets or _is_altered(loss):
        return None
    if losses.threshold(loss) is not None:
        share = train.targets.double().reshape(len(train), -1).mean(0)
        return float(-(torch.xlogy(share, share) + torch.xlogy(1 - share, 1 - share)).mean())
    labels = _labels(workload)
    if labels is not None:
        counts = torch.unique(labels, return_counts=True)[1].double()
        return float(-torch.xlogy(counts / len(labels), counts / len(labels)).sum())
    y = train.targets.double().reshape(len(train), -1)
    if _is(loss, nn.functional.mse_loss, nn.MSELoss):
        return float(y.var(0, correction=0).mean())
    if _is(loss, nn.functional.l1_loss, nn.L1Loss):
        return float((y - y.median(0).values).abs().mean())
    return None


def _is_altered(loss: Any) -> bool:
    """Whether a loss of torch has weights, smoothed labels, or a reduction other than the mean."""
    bound = loss.keywords if isinstance(loss, functools.partial) else {}
    plain = {"weight": None, "pos_weight": None, "label_smoothing": 0.0, "reduction": "mean"}
    given = {name: bound.get(name, getattr(losses.function_of(loss), name, usual)) for name, usual in plain.items()}
    return any(
        not (given[name] is usual or (usual is not None and given[name] == usual)) for name, usual in plain.items()
    )


def _is(loss: Any, function: Any, module: type[nn.Module]) -> bool:
    return losses.function_of(loss) is function or isinstance(loss, module)


def _start(job: Job, seed: int) -> Fact:
    found = [s for s in (start_of(job, seed + i).loss for i in range(SEEDS)) if s is not None]
    constant = chance(job.workload)
    beside = "" if constant is None else f"; a constant answer has {constant:.3g}"
    if not found:
        return Fact("start", f"the loss before training is not finite{beside}", "check the model's initial weights")
    mean = sum(found) / len(found)
    far = constant is not None and mean > FAR * max(constant, 1e-12)
    doubt = (
        "the model begins far from a constant answer: check its initial weights, and the scale of inputs and targets"
    )
    return Fact("start", f"loss {mean:.3g} before training{beside}", doubt if far else "")


def _by_heart(job: Job, seed: int) -> Fact:
    """Whether a batch can be learned by heart, at the best of some rates."""
    batch = first_batches(job.workload, 1)[0]
    job = replace(job, workload=replace(job.workload, steps=STEPS))  # what is annealed ends with them
    rates: Sequence[float] = RATES[:1] if job.large else RATES
    runs = {lr: _trained(job, batch, seed, lr) for lr in rates}
    lr = min(runs, key=lambda rate: runs[rate][1])
    first, last = runs[lr]
    text = f"loss {first:.3g} → {last:.3g} on one batch in {STEPS} steps of adam at {lr:g}"
    if not math.isfinite(first) or last > HARDLY * first:
        return Fact(
            "by heart", text, "the model hardly learns a single batch: check the model, the loss and the targets"
        )
    return Fact("by heart", text, "" if last <= BY_HEART * first else "a single batch is learned only in part")


def _trained(job: Job, batch: Any, seed: int, lr: float) -> tuple[float, float]:
    """The first loss and the least of the last five."""
    model = build(job.workload, seed, job.device)
    adam, found = Adam([p for p in model.parameters() if p.requires_grad], lr=lr), list[float]()
    for step in range(1, STEPS + 1):
        try:
            found.append(gradients_of(job, model, batch, seed, step).loss)
        except Exception:  # it overflowed at this rate
            break
        adam.step()
    return (found[0], min(found[-5:])) if found and math.isfinite(found[-1]) else (math.inf, math.inf)


def _execution(plan: Plan) -> Fact:
    if plan.reason:
        return Fact("trains", f"run by run, in the plain loop: {plan.reason}")
    how = "many runs at once, in native code" if plan.program == NATIVE else "many runs at once, vectorized"
    why = f"; not in native code: {plan.not_native}" if plan.not_native else ""
    if not why and plan.program != NATIVE:
        why = "; native code is made for longer studies only"
    return Fact("trains", f"{how}{why}")
