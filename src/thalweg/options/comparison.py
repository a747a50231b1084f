"""The options of a comparison, each declared once; all that takes, shows, stores or restores them follows from here.

`thalweg.compare` has them as its arguments (a test holds its signature and its docstring to this), the command line as
its options, a stored study in its request, and `--json` among its settings.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints

from thalweg.options import declared
from thalweg.options.declared import BATCH_SIZE, CONVENTIONS, DIRECTORY, EPOCHS, MOST_SEEDS, STEPS, STOPPING, Option
from thalweg.options.kinds import (
    DeviceName,
    ExistingFile,
    File,
    Flag,
    Folder,
    Kind,
    Listed,
    ListedByName,
    OneLine,
    OneOf,
    Quantity,
)
from thalweg.options.ranges import POSITIVE, whole

Part = Literal["contenders", "design", "training", "limits", "surroundings", "session"]
"""Where an option belongs: the contenders; the `Design`; how a run trains; what the study may cost; with what it runs;
or this session only, so that it is not stored."""

STORED: tuple[Part, ...] = ("training", "limits", "surroundings")
"""Parts that a request stores by name; it stores the design and the contenders as such."""

PANEL: Mapping[Part, str] = {
    "contenders": declared.COMPARED, "design": declared.COMPARED, "training": declared.TRAINING,
    "limits": declared.COST, "surroundings": declared.DATA, "session": declared.OUTPUT,
}  # fmt: skip
"""Where the help shows an option that says nothing else."""

FOUND = "found"
"""In the place of learning rates: those of a range test."""

TEXTBOOK = "sgd, momentum, nesterov, adagrad, adadelta, rmsprop, adam, adamw, adamax, nadam, adabound"
"""The optimizers of `studies.protocol` as the help shows them; a test holds the two together."""
THE_WORKLOADS = "the workload's own"

TIMES = {"s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}  # in seconds
SIZES = {"mb": 1e6, "gb": 1e9, "mib": 2.0**20, "gib": 2.0**30}  # in bytes


@dataclass(frozen=True)
class Declared:
    """The declaration of an option: its name, default and whether it is optional are those of its field.

    more: of `Option`.
    """

    part: Part
    kind: Kind
    help: str
    more: Mapping[str, Any]


def _of(part: Part, kind: Kind, help: str, **more: Any) -> Declared:
    return Declared(part, kind, help, more)


@dataclass(frozen=True)
class ComparisonOptions:
    """What a comparison was asked for: the parsed value of every option."""

    optimizers: Annotated[
        Sequence[Any] | None,
        _of("contenders", Listed("names or Contenders", 200), 'Optimizers, such as "sgd,adam(eps=1e-4)"', textbook=True,
            metavar="NAMES", unset=TEXTBOOK),
    ] = None  # fmt: skip
    learning_rates: Annotated[
        Sequence[float] | str | None,
        _of("design", Listed("positive finite numbers", 1000, POSITIVE),
            f'Learning rates to try, such as "1e-3,1e-2"; "{FOUND}": those of a range test', textbook=True,
            otherwise=FOUND, metavar="RATES", unset="a grid for each optimizer"),
    ] = None  # fmt: skip
    schedules: Annotated[
        Sequence[Any] | None,
        _of("contenders", Listed("schedules' texts such as 'cosine(warmup=5%)'", 50),
            'Learning-rate schedules to try with every optimizer, such as "constant,1cycle"', textbook=True,
            metavar="SCHEDULES", unset="constant"),
    ] = None  # fmt: skip
    regularizers: Annotated[
        Sequence[Any] | None,
        _of("contenders", Listed("regularizers' texts such as 'l2=1e-4'", 50),
            'Regularizers to try with every optimizer, such as "none,l2=1e-4,dropout=0.2,early-stopping"',
            textbook=True, metavar="REGULARIZERS", unset="none"),
    ] = None  # fmt: skip
    vary: Annotated[
        Sequence[Any] | Mapping[str, Any] | None,
        _of("contenders", ListedByName("arguments of the model with values, such as 'init=he-normal'", 50),
            'Arguments of the model to try with every optimizer, such as "init=he-normal,glorot-uniform"',
            textbook=True, metavar="ARGUMENTS", unset="the model as it is"),
    ] = None  # fmt: skip
    convention: Annotated[
        str,
        _of("contenders", OneOf(CONVENTIONS), "Library whose formulas and defaults to follow", textbook=True),
    ] = CONVENTIONS[0]  # fmt: skip
    seeds: Annotated[int, _of("design", whole(1, MOST_SEEDS), "Tuning seeds")] = 3
    confirm_seeds: Annotated[
        int, _of("design", whole(0, MOST_SEEDS), "Fresh seeds for the final ranking; 0 ranks by validation")
    ] = 5
    base_seed: Annotated[int, _of("design", whole(0, 2**31 - 1), "First tuning seed")] = 0
    epochs: Annotated[int | None, _of("training", EPOCHS.kind, EPOCHS.help, unset=THE_WORKLOADS)] = None
    steps: Annotated[int | None, _of("training", STEPS.kind, STEPS.help)] = None
    batch_size: Annotated[int | None, _of("training", BATCH_SIZE.kind, BATCH_SIZE.help, unset=THE_WORKLOADS)] = None
    initial: Annotated[
        Path | None,
        _of("training", ExistingFile(), "Weights to start from, .safetensors or of torch.save: the layers that fit",
            unset="the model's own"),
    ] = None  # fmt: skip
    freeze: Annotated[
        Sequence[str] | None,
        _of("training", Listed("names of parameters or patterns such as 'hidden.0.*'", 200, OneLine()),
            'Parameters that are not trained, by names or patterns, such as "hidden.0.*,hidden.1.*"', textbook=True,
            metavar="NAMES", unset="none"),
    ] = None  # fmt: skip
    tune: Annotated[
        Sequence[str] | None,
        _of("design", Listed("hyperparameters' names such as 'lr' and 'beta1'", 100, OneLine()),
            'Hyperparameters to search, such as "lr,weight_decay,beta1"', textbook=True, metavar="NAMES",
            unset="the learning rate, on a grid"),
    ] = None  # fmt: skip
    trials: Annotated[
        int, _of("design", whole(1, 10_000), "Trials of that search for each optimizer", textbook=True)
    ] = 64
    clip_norm: Annotated[
        float | None,
        _of("design", POSITIVE, "Clip gradients to this global norm", textbook=True, panel=declared.TRAINING),
    ] = None
    early_stopping: Annotated[
        Mapping[str, Any] | None,
        _of("training", STOPPING, "Stop a run after measurements without improvement, and keep its best weights",
            textbook=True),
    ] = None  # fmt: skip
    budget: Annotated[
        float | None,
        _of("limits", Quantity("seconds", "a time", TIMES, '"90s", "10min" or "1.5h"'),
            "Time for the whole study, which is cut to fit", unset="no limit"),
    ] = None  # fmt: skip
    memory: Annotated[
        float | None,
        _of("limits", Quantity("bytes", "a size", SIZES, '"800MB" or "4GB"'),
            "Memory of the process; fewer runs train at once to stay within it", unset="no limit"),
    ] = None  # fmt: skip
    progress: Annotated[bool, _of("session", Flag(), "Show progress")] = True
    out: Annotated[
        Path | None,
        _of("session", Folder(), "Directory for study.sqlite and report.html", written=DIRECTORY),
    ] = None  # fmt: skip
    device: Annotated[
        str, _of("surroundings", DeviceName(), "Device to train on: cpu, cuda, cuda:1, or another that torch has")
    ] = "cpu"
    data_dir: Annotated[
        Path | None, _of("surroundings", Folder(), "Directory of mnist/ and fashion-mnist/; or set THALWEG_DATA")
    ] = None
    tag: Annotated[
        str | None,
        _of("surroundings", OneLine(), "A label of your own, by which to tell studies apart", panel=declared.OUTPUT),
    ] = None
    save_model: Annotated[
        Path | None,
        _of("session", File(), "Train the recommended optimizer's model once more, into this .safetensors file"),
    ] = None
    checkpoint_every: Annotated[
        float,
        _of("session", Quantity("seconds", "a time", TIMES, '"60s" or "5min"'), "Checkpoint interval",
            written="60s"),
    ] = 60.0  # fmt: skip

    @classmethod
    def checked(cls, given: Mapping[str, Any]) -> "ComparisonOptions":
        """Parses every option. Raises `InputError` for the first that is invalid."""
        return cls(**{name: option.check(given[name]) for name, option in COMPARISON.items()})

    @classmethod
    def restored(cls, request: Mapping[str, Any]) -> "ComparisonOptions":
        """What a stored study asked for, without its contenders; options that it does not know have their default."""
        known = {**request["design"], **{name: request[name] for name in _names(*STORED) if name in request}}
        return cls(**{name: value for name, value in known.items() if name in COMPARISON})

    def part(self, *parts: Part) -> dict[str, Any]:
        """The values of the options that belong there."""
        return {name: getattr(self, name) for name in _names(*parts)}

    def stored(self) -> dict[str, Any]:
        """The values that a request stores by name."""
        return {n: str(v.absolute()) if isinstance(v, Path) else v for n, v in self.part(*STORED).items()}


def settings(request: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a stored study by name, without its contenders, as far as its version stored them."""
    known = {**request.get("design", {}), **request}
    names = _names("design", *STORED)
    found = {"learning_rates": FOUND} if known.get(FOUND) is not None else {}
    return {**{name: known[name] for name in names if name in known}, **found}


_HINTS: Mapping[str, Any] = get_type_hints(ComparisonOptions, include_extras=True)


def _names(*parts: Part) -> tuple[str, ...]:
    return tuple(name for name, hint in _HINTS.items() if hint.__metadata__[0].part in parts)


def _option(name: str, default: Any) -> Option:
    hint = _HINTS[name]
    of, optional = hint.__metadata__[0], type(None) in get_args(hint.__origin__)
    return Option(name, of.kind, default, of.help, optional=optional, **{"panel": PANEL[of.part], **of.more})


COMPARISON: Mapping[str, Option] = {of.name: _option(of.name, of.default) for of in fields(ComparisonOptions)}
"""The options by name, in the order of `thalweg.compare`."""
