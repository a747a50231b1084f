"""A workload: the data, the model, the loss, the metric and the target of one training problem."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import nn
from torch.utils.data import DataLoader

from thalweg.errors import InputError, shown
from thalweg.options.calls import by_name
from thalweg.options.declared import (
    ACCUMULATE,
    BATCH_SIZE,
    DROP_LAST,
    EPOCHS,
    EVALUATE_EVERY,
    FULL,
    MOST_STEPS,
    NAME,
    PRECISION,
    STEPS,
    TARGET,
)
from thalweg.workloads import losses
from thalweg.workloads.augmentation import Augment
from thalweg.workloads.data import Pairs, kind
from thalweg.workloads.initial import read_weights
from thalweg.workloads.layout import warn_of_last
from thalweg.workloads.loaders import batching
from thalweg.workloads.metric_names import MetricsOf, takes_one_tensor
from thalweg.workloads.metrics import require_outputs_first
from thalweg.workloads.objective import Objective, StepObjective
from thalweg.workloads.reuse import Fitting, patterns_of
from thalweg.workloads.shares import divided_by, is_share
from thalweg.workloads.source import Batch
from thalweg.workloads.split import Split
from thalweg.workloads.splits import as_split, require_alike
from thalweg.workloads.stream import Stream

MOST_MEASUREMENTS = 1_000_000  # per run: all are stored


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A training problem on which optimizers are compared.

    Args:
        name: the name in reports.
        model: a factory; every call returns a freshly initialised `nn.Module` (drawing on the global random states of
            torch, Python and NumPy, which are seeded before each call). A module may keep state in Python: it is then
            called at every step, run by run.
        initial: weights to start from, by the names of parameters and buffers: a mapping of tensors, a safetensors file
            or one of `torch.save`, of which only tensors are read. What it leaves out is the model's own. Of another
            model, `thalweg.fitting(…)`: the layers that fit.
        freeze: names of parameters that are not trained, or patterns of names, such as `"features.*"`.
        train: `(X, y)`, tensors or arrays `[samples, …]`. For a model with several inputs, `X` is a tuple of them, or a
            dict by the names of its arguments; `y` may be several, too. Or a `Dataset` or `DataLoader` of torch, whose
            samples are of that form, a longer tuple with y at its end, a dict, dataclass or named tuple with y as
            `labels`; or a `thalweg.Stream`. A loader's sampler, collate function, batch size and `drop_last` are kept.
        validation: as train; tuning and selection read it. Of a loader, the samples that its sampler draws, without
            dropping any. Or a share of train that is split off, such as `0.2`: at random by `split_seed`, stratified
            where the targets are classes.
        test: as validation; read only by the confirmation runs. `None` if there is none.
        loss: `loss(outputs, targets)` → scalar tensor, the mean over the samples of a batch; cross entropy by default.
            A single number among the outputs, such as a penalty, counts as a mean over its batch: over a split, it is
            averaged.
        step: `step(model, batch)` → loss, in the place of `loss`, for a training step of your own: several losses,
            reconstructions, pairs. `batch` is as the data: `(X, y)`, `(X,)`, a dict or an object. The loss is the mean
            over the samples of a batch, or a dict of losses that are added up. With a third argument, it is given the
            progress of training too: `progress.share` in [0, 1] and `progress.step`, for what is annealed.
        predict: `predict(model, batch)` → outputs for the metric, of a step of your own. Without it, the metric is
            the loss.
        metric: by default accuracy, or the error that the loss is. A name, a function, or `Metric(function,
            higher_is_better=…)` of your own `function(outputs, targets)` → number. Names: `"accuracy"`, `"top5"` (the
            target among the K largest outputs, any K from 2), `"f1"`, `"auroc"`; `"mse"`, `"rmse"`, `"mae"`, `"r2"`;
            `"loss"` (the workload's own over the split), `"perplexity"` and `"bits_per_character"`, the latter two
            under torch's cross entropy or NLL. A bare function suffices if its direction is known: by an attribute
            `higher_is_better`, as the loss itself, as one of torch's losses, or as a score or error of
            `sklearn.metrics`, such as `f1_score`, which gets targets and answers in its own order (`SklearnMetric`).
            Metrics of classes read outputs as the loss does: by the sign of a single logit under binary cross entropy,
            without labels equal to `ignore_index`. Of a list of metrics, the first decides.
        also: further metrics, recorded beside it at every measurement, as are the parts of a step's loss.
        batch_size: samples per step, at least 1; 32 by default. The short last batch of an epoch is used.
        drop_last: whether to drop that batch instead; every epoch drops different samples.
        augment: `augment(batch, generator)` → the batch, changed at random; of training only. `batch` is as the data.
            Random functions of torch, with `generator=generator` or without, give other numbers for every sample, step
            and seed, the same for all optimizers.
        accumulate: batches whose mean gradient makes one step, computed one after the other: a step takes
            `batch_size × accumulate` samples, in the memory of `batch_size`.
        precision: `"bf16"` for a model that computes in bfloat16 where torch's autocast does so; loss and metric get
            its outputs in float32, and parameters and updates remain in theirs.
        parameters: hyperparameters of single parameters, as `thalweg.optim.grouped` takes them: names or patterns →
            hyperparameters, several of these, or a function of the model that returns them, such as `undecayed`.
            `thalweg.Scaled(0.1)` is a tenth of what the other parameters have.
        epochs: passes over the training data, at least 1.
        steps: optimizer steps of a run, in place of `epochs`; `None` for whole epochs.
        evaluate_every: how often the validation split is evaluated: `"epoch"`, or a number of steps; also at the end.
        split_seed: from which shares of train are drawn; the same for all seeds of a comparison.
        target: value of the validation metric whose first crossing counts as "reached"; `None` for no target.

    Raises:
        InputError: a split is empty, its lengths differ, a number is out of range, the model, the loss or the metric
            is invalid, or the metric is none of such a loss.
    """

    name: str
    model: Callable[[], nn.Module]
    train: Any
    validation: Any
    test: Any = None
    loss: Any = None
    metric: Any = None
    batch_size: Any = None
    epochs: int = 10
    steps: int | None = None
    evaluate_every: int | Literal["epoch"] = "epoch"
    target: float | None = None
    drop_last: Any = None
    augment: Augment | None = None
    also: Any = ()
    accumulate: int = 1
    precision: str = FULL
    parameters: Any = ()
    step: Callable[[Any, Any], Any] | None = None
    predict: Callable[[Any, Any], Any] | None = None
    split_seed: int = 0
    initial: Any = None
    freeze: Any = ()

    def __post_init__(self) -> None:
        own = batching(self.train) if isinstance(self.train, DataLoader) else {}
        of_classes = self.step is None and (self.loss is None or losses.is_over_classes(self.loss))
        table = self.train if isinstance(self.train, Pairs) else None
        for split in ("train", "validation", "test"):
            data = getattr(self, split)
            if not (data is None and split == "test") and not is_share(data):
                own_step, size = self.step is not None, self.batch_size
                read_as = as_split(split, data, step=own_step, of_classes=of_classes, batch_size=size)
                object.__setattr__(self, split, read_as)
        self._divide(table)
        self._settle_batches(own)
        if self.initial is not None:
            weights = self.initial if isinstance(self.initial, Fitting) else read_weights(self.initial)
            object.__setattr__(self, "initial", weights)
        object.__setattr__(self, "freeze", patterns_of(self.freeze))
        self._settle_objective()
        for option in (NAME, BATCH_SIZE, DROP_LAST, ACCUMULATE, PRECISION, EPOCHS, STEPS, EVALUATE_EVERY, TARGET):
            object.__setattr__(self, option.name, option.check(getattr(self, option.name)))
        if self.accumulate > 1 and isinstance(self.train, Stream):
            object.__setattr__(self, "train", replace(self.train, joined=self.accumulate))
        samples = self.train.epoch_samples
        if self.drop_last and samples < self.step_samples:
            of = "batches" if self.accumulate == 1 else "steps"
            raise InputError(
                f"drop_last leaves nothing of {samples:,} samples in {of} of {self.step_samples:,}: give a smaller"
                " batch_size, or keep the last batch."
            )
        self._require_an_end()
        if not callable(self.model) or isinstance(self.model, nn.Module):
            raise InputError(
                "model must be a factory that returns a new nn.Module at every call, such as a class or a"
                f" lambda, got {kind(self.model)}."
            )
        if not (callable(self.parameters) or isinstance(self.parameters, Mapping | Sequence)):
            raise InputError(
                "parameters must be rules {name or pattern: hyperparameters}, several of these, or a function of the"
                f" model that returns them, got {kind(self.parameters)}."
            )
        require_alike({name: getattr(self, name) for name in ("train", "validation", "test")})

    def _divide(self, table: Pairs | None) -> None:
        """Splits off of train what validation and test are shares of."""
        shares = {name: share for name in ("validation", "test") if is_share(share := getattr(self, name))}
        if shares:
            for name, part in divided_by(self.train, shares, self.split_seed, table).items():
                object.__setattr__(self, name, part)

    def _settle_batches(self, own: Mapping[str, Any]) -> None:
        """Fills in batch_size and drop_last where they are left out. own: the loader's."""
        streamed = self.train.batch_size if isinstance(self.train, Stream) else 0
        own = {"batch_size": streamed, **own} if streamed else own
        for option in (BATCH_SIZE, DROP_LAST):
            given = getattr(self, option.name)
            object.__setattr__(self, option.name, own.get(option.name, option.default) if given is None else given)
        if streamed not in (0, self.batch_size):
            raise InputError(
                f"batch_size={shown(self.batch_size)}, and the loader's batches, which are taken as they come, are of"
                f" {streamed:,} samples: give the loader the batch size, and leave it out here."
            )

    def _settle_objective(self) -> None:
        """Fills in loss and metric where they are left out; a step of the user's own is its loss."""
        for name, called in (("step", "model, batch"), ("predict", "model, batch"), ("augment", "batch, generator")):
            if getattr(self, name) is not None and not callable(getattr(self, name)):
                raise InputError(f"{name} must be a callable {name}({called}), got {kind(getattr(self, name))}.")
        if self.predict is not None and self.step is None:
            raise InputError("predict belongs to step: under a loss(outputs, targets), the outputs are the model's.")
        if self.step is not None and self.loss not in (None, self.step):
            raise InputError("step and loss both say what is minimized: give one of the two.")
        loss = self.step or (nn.functional.cross_entropy if self.loss is None else self.loss)
        if not callable(loss):
            raise InputError(f"loss must be a callable loss(outputs, targets), got {kind(loss)}.")
        if self.step is None:
            if isinstance(loss, type):
                raise InputError(f"loss must be a function or an object, {loss.__name__}(), and not the class itself.")
            require_outputs_first(loss, "loss")
        object.__setattr__(self, "loss", loss)
        self._settle_metrics()

    def _settle_metrics(self) -> None:
        """Fills in the metric that decides, and those beside it."""
        own = MetricsOf(self.loss, step=self.step is not None, predict=self.predict is not None)
        first, *others = own.settled(self.metric, self.also)
        object.__setattr__(self, "metric", first)
        object.__setattr__(self, "also", tuple(others))
        layout = self.train.layout if isinstance(self.train, Split) else None  # to know a stream's, it must be read
        warn_of_last(layout, self.predict)
        several = 0 if layout is None else len(layout.targets)
        single = next((m for m in (first, *others) if takes_one_tensor(m)), None)
        if several and single:
            raise InputError(
                f"The metric {single.name!r} is of one tensor of targets, and the data have {several}: give"
                " metric='loss', or thalweg.Metric(f, higher_is_better=…) of your own function f(outputs, targets)."
            )

    @property
    def objective(self) -> Objective:
        """Loss and metric of a model and a batch."""
        part = self.batch_size if self.accumulate > 1 else 0
        shared = (self.name, self.loss, self.metric, self.train.layout, self.augment, part, self.precision, self.also)
        if self.step is not None:
            return StepObjective(*shared, predict=self.predict)
        return Objective(*shared)

    def at(self, batch: Batch, step: int, *, several: bool = False) -> Batch:
        """A batch as the objective takes it at a step; several: whether it is that of several members."""
        return self.objective.at(batch, step, self.total_steps, several=several)

    @property
    def step_samples(self) -> int:
        """Samples of a step."""
        return self.batch_size * self.accumulate  # type: ignore[no-any-return]

    @property
    def steps_per_epoch(self) -> int:
        """Steps per epoch, including a short last one unless `drop_last`."""
        whole, rest = divmod(int(self.train.epoch_samples), self.step_samples)
        return whole + (rest > 0 and not self.drop_last)

    @property
    def total_steps(self) -> int:
        """Optimizer steps per run."""
        return self.steps or self.epochs * self.steps_per_epoch

    @property
    def measuring_interval(self) -> int:
        """Steps between measurements."""
        return self.steps_per_epoch if self.evaluate_every == "epoch" else self.evaluate_every

    @property
    def milestones(self) -> list[int]:
        """The steps after which a run is measured, in ascending order; the last is `total_steps`."""
        every, total = self.measuring_interval, self.total_steps
        return [*range(every, total, every), total]

    def parameters_of(self, model: nn.Module) -> list[Mapping[str, Mapping[str, Any]]]:
        """The rules for a model's groups of parameters."""
        found = self.parameters(model) if callable(self.parameters) else self.parameters
        several = [found] if isinstance(found, Mapping) else list(found)
        return [rules for rules in several if rules]

    def _require_an_end(self) -> None:
        steps, measurements = self.total_steps, self.total_steps // self.measuring_interval
        if steps > MOST_STEPS or measurements > MOST_MEASUREMENTS:
            raise InputError(
                f"A run may take at most {MOST_STEPS:,} steps and be measured {MOST_MEASUREMENTS:,} times, and this one"
                f" takes {steps:,} and is measured {measurements:,} times: give fewer epochs or steps, or a larger"
                " evaluate_every."
            )

    def to(self, device: torch.device) -> "Workload":
        """The same problem with its data on a device."""
        splits = {name: getattr(self, name) for name in ("train", "validation", "test")}
        return replace(self, **{name: split.to(device) for name, split in splits.items() if split is not None})


RATES = "Learning rates are tuned, or given to the comparison: thalweg.compare(workload, learning_rates=[…])."
HINTS = {
    "learning_rate": RATES,
    "lr": RATES,
    "optimizer": "Optimizers are given to the comparison: thalweg.compare(workload, optimizers=[…]).",
}
Workload.__init__ = by_name("Workload", HINTS)(Workload.__init__)  # type: ignore[method-assign]
