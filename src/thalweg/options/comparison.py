"""The options of a comparison, each declared once; all that takes, shows, stores or restores them follows from here.

`thalweg.compare` has them as its arguments (a test holds its signature and its docstring to this), the command line as
its options, a stored study in its request, and `--json` among its settings.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints

from thalweg.options.declared import BATCH_SIZE, CONVENTIONS, DIRECTORY, EPOCHS, MOST_SEEDS, STEPS, STOPPING, Option
from thalweg.options.kinds import DeviceName, File, Flag, Folder, Kind, Listed, OneLine, OneOf, Quantity
from thalweg.options.ranges import POSITIVE, whole

Part = Literal["contenders", "design", "training", "limits", "surroundings", "session"]
"""Where an option belongs: the contenders; the `Design`; how a run trains; what the study may cost; with what it runs;
or this session only, so that it is not stored."""

STORED: tuple[Part, ...] = ("training", "limits", "surroundings")
"""Parts that a request stores by name; it stores the design and the contenders as such."""

TEXTBOOK = "sgd, momentum, nesterov, adagrad, adadelta, rmsprop, adam, adamw, adamax, nadam, adabound"
"""The optimizers compared by default, as they are named on the command line."""

FOUND = "found"
"""In the place of learning rates: those of a range test."""

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
        _of("contenders", Listed("names or Contenders", 200), "Names; hyperparameters may be fixed", textbook=True,
            more=' Commas between them: "sgd,adam(eps=1e-4)".'),
    ] = None  # fmt: skip
    learning_rates: Annotated[
        Sequence[float] | str | None,
        _of("design", Listed("positive finite numbers", 1000, POSITIVE), "Rates to try exactly, for every optimizer",
            textbook=True, more=f' Commas between them. Or "{FOUND}": grids over the intervals of a range test.',
            otherwise=FOUND),
    ] = None  # fmt: skip
    schedules: Annotated[
        Sequence[Any] | None,
        _of("contenders", Listed("schedules' texts such as 'cosine(warmup=5%)'", 50),
            "Schedules of the learning rate, each with every optimizer", textbook=True,
            more=' Commas between them: "constant,1cycle,exponential".'),
    ] = None  # fmt: skip
    convention: Annotated[
        str,
        _of("contenders", OneOf(CONVENTIONS), "Whose formulas and defaults optimizers follow unless they say",
            textbook=True),
    ] = CONVENTIONS[0]  # fmt: skip
    seeds: Annotated[int, _of("design", whole(1, MOST_SEEDS), "Tuning seeds")] = 3
    confirm_seeds: Annotated[
        int, _of("design", whole(0, MOST_SEEDS), "Fresh seeds for the choice and the defaults; 0 ranks by validation")
    ] = 5
    base_seed: Annotated[int, _of("design", whole(0, 2**31 - 1), "The first tuning seed")] = 0
    epochs: Annotated[
        int | None, _of("training", EPOCHS.kind, EPOCHS.help, more=" In place of the workload's own.")
    ] = None
    steps: Annotated[int | None, _of("training", STEPS.kind, STEPS.help)] = None
    batch_size: Annotated[int | None, _of("training", BATCH_SIZE.kind, BATCH_SIZE.help)] = None
    tune: Annotated[
        Sequence[str] | None,
        _of("design", Listed("hyperparameters' names such as 'lr' and 'beta1'", 100, OneLine()),
            "Hyperparameters to search", textbook=True, more=' Commas between them: "lr,weight_decay,beta1".'),
    ] = None  # fmt: skip
    trials: Annotated[
        int, _of("design", whole(1, 10_000), "Trials of that search for every optimizer", textbook=True)
    ] = 64
    clip_norm: Annotated[
        float | None, _of("design", POSITIVE, "The largest norm of a step's gradients", textbook=True)
    ] = None
    early_stopping: Annotated[
        Mapping[str, Any] | None,
        _of("training", STOPPING, "Measurements without a better one after which a run ends, with its best weights",
            textbook=True),
    ] = None  # fmt: skip
    budget: Annotated[
        float | None,
        _of("limits", Quantity("seconds", "a time", TIMES, '"90s", "10min" or "1.5h"'),
            "Time for everything; the study is cut to fit"),
    ] = None  # fmt: skip
    memory: Annotated[
        float | None,
        _of("limits", Quantity("bytes", "a size", SIZES, '"800MB" or "4GB"'),
            "What the process may hold in memory; fewer runs train at once"),
    ] = None  # fmt: skip
    progress: Annotated[bool, _of("session", Flag(), "Show progress")] = True
    out: Annotated[
        Path | None,
        _of("session", Folder(), "Directory for study.sqlite and report.html", written=DIRECTORY),
    ] = None  # fmt: skip
    device: Annotated[
        str, _of("surroundings", DeviceName(), "Where to train: cpu, cuda, cuda:1, or another that torch has here")
    ] = "cpu"
    data_dir: Annotated[
        Path | None, _of("surroundings", Folder(), "Directory of mnist/ and fashion-mnist/; or set THALWEG_DATA")
    ] = None
    tag: Annotated[
        str | None, _of("surroundings", OneLine(), "A word of your own by which stored studies can be told apart")
    ] = None
    save_model: Annotated[
        Path | None,
        _of("session", File(), "A .safetensors file for the model of the recommended optimizer, trained once more"),
    ] = None
    checkpoint_every: Annotated[
        float,
        _of("session", Quantity("seconds", "a time", TIMES, '"60s" or "5min"'), "What a crash may cost at most",
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
    return Option(name, of.kind, default, of.help, optional=optional, **of.more)


COMPARISON: Mapping[str, Option] = {of.name: _option(of.name, of.default) for of in fields(ComparisonOptions)}
"""The options by name, in the order of `thalweg.compare`."""
