"""One optimizer step against every form that `torch.optim` has of it, and against the memory floor.

    python benchmarks/step.py [--sizes 1M resnet18] [--dtypes float32] [--optimizers Adam SGD] [--large] [--compiled]
    python benchmarks/step.py --overhead
    python benchmarks/step.py --changing
    python benchmarks/step.py --device cuda

Everybody has parameters and states of its own and the same gradients, all threads. In its turn a contestant pauses and
steps once, which is the figure "after a pause", as between the backward passes of a training run with threads asleep;
the median of its next steps, three or as many as fit into 30 ms, caches and threads warm, is "back to back". Each cell
is the median over the rounds: Thalweg's in milliseconds, the others' as ratios to Thalweg's (above 1: Thalweg is
faster), and last Thalweg's over the floor's (1: nothing is lost; see floor.py). "best" is the ratio of torch's fastest
form.

In bfloat16, Thalweg is asked for torch's choices: states in bfloat16, parameters rounded to the nearest. "bfloat16+" is
what it does unless told otherwise, and what torch has no form of: states in float32, parameters rounded by chance.

--compiled adds `torch.compile` of torch's step: that needs a C++ compiler, and 10 to 20 s for each line of the table.
--overhead measures instead what a tensor costs beside its elements: the slope between 100 and 1,100 tensors of 4.
--changing measures instead a step of four tensors of 32×32 whose learning rate is another at every step, as under a
scheduler, against one at a constant rate: of each round the quickest of many series of steps.
"""

import gc
import shutil
import statistics
import time
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

import torch

import thalweg.optim
from floor import floor
from measuring import Report, add_device, arguments, interleaved, medians, seconds
from thalweg.optim.classes import drop_ins
from thalweg.recipes.trace import trace

Step = Callable[[], Any]
Shapes = Sequence[tuple[int, ...]]

FORMS: Mapping[str, Mapping[str, Any]] = {
    "for-loop": {"foreach": False},
    "foreach": {"foreach": True},
    "fused": {"fused": True},
}
OPTIMIZERS: dict[str, tuple[str, dict[str, Any]]] = {name: (name, {}) for name in drop_ins()} | {
    "SGD, momentum": ("SGD", {"momentum": 0.9})
}
AS_TORCH = {"rounding": "nearest", "state_dtype": "parameter"}
DTYPES: Mapping[str, tuple[torch.dtype, Mapping[str, Any]]] = {
    "float32": (torch.float32, {}),
    "bfloat16": (torch.bfloat16, AS_TORCH),
    "bfloat16+": (torch.bfloat16, {}),
}
"""What is stepped, and what Thalweg is asked for: in bfloat16 torch's choices, or, with a +, its own."""

WARM = 30.0  # milliseconds of steps back to back, at least
STEPS, SERIES = 20, 200  # of `changing`
FEW, MANY = 100, 1100  # tensors, between which the overhead is the slope


def resnet18() -> Shapes:
    """ResNet-18's 62 parameters, 11.7 million numbers."""

    def convolution(inputs: int, outputs: int, kernel: int) -> list[tuple[int, ...]]:
        return [(outputs, inputs, kernel, kernel), (outputs,), (outputs,)]  # and its batch normalization

    shapes = convolution(3, 64, 7)
    inputs = 64
    for outputs in (64, 128, 256, 512):
        shapes += convolution(inputs, outputs, 3) + convolution(outputs, outputs, 3) * 3
        shapes += convolution(inputs, outputs, 1) if inputs != outputs else []
        inputs = outputs
    return [*shapes, (1000, 512), (1000,)]


SIZES: Mapping[str, Shapes] = {
    "100k": [(100_000,)],
    "1M": [(1_000_000,)],
    "10M": [(10_000_000,)],
    "100M": [(100_000_000,)],
    "resnet18": resnet18(),
    "400x64x64": [(64, 64)] * 400,
}


def contestants(
    name: str, shapes: Shapes, held: str, *, device: torch.device, compiled: bool = False
) -> dict[str, Step]:
    """Steps of Thalweg, of every form that torch has, and of the floor."""
    (spelling, given), (dtype, chosen) = OPTIMIZERS[name], DTYPES[held]
    start = [torch.randn(shape, device=device).to(dtype) for shape in shapes]
    gradients = [torch.randn(shape, device=device).mul(0.1).to(dtype) for shape in shapes]

    def parameters() -> list[torch.nn.Parameter]:
        made = [torch.nn.Parameter(p.clone()) for p in start]
        for p, g in zip(made, gradients, strict=True):
            p.grad = g
        return made

    ours = drop_ins()[spelling]
    found: dict[str, Step] = {"thalweg": ours(parameters(), **given, **chosen).step}
    theirs = getattr(torch.optim, spelling, None)
    if theirs is not None:
        found |= torch_forms(lambda flags: theirs(parameters(), **given, **flags))
    if theirs is not None and compiled:
        torch.compiler.reset()
        found["compiled"] = torch.compile(theirs(parameters(), **given).step)
    states = len(trace(ours.recipe.structure(ours.recipe.resolve(given))).states)
    return found | {"floor": floor(gradients, start, states)}


def torch_forms(make: Callable[[Mapping[str, Any]], torch.optim.Optimizer]) -> dict[str, Step]:
    """A step of each form that exists for this class and dtype."""
    found: dict[str, Step] = {}
    for form, flags in FORMS.items():
        try:
            step = make(flags).step
            step()
        except (TypeError, RuntimeError):
            continue
        found[form] = step
    return found


def turn(step: Step, pause: float, device: torch.device) -> tuple[float, float]:
    """Milliseconds of a step after a pause, and of steps back to back after that one."""
    time.sleep(pause)
    paused, warm = seconds(step, device) * 1e3, [seconds(step, device) * 1e3]
    while len(warm) < 3 or sum(warm) < WARM:
        warm.append(seconds(step, device) * 1e3)
    return statistics.median(warm), paused


def compare(report: Report, given: Namespace, name: str, size: str, dtype: str) -> dict[str, float]:
    """Two rows of the table; by timing, how torch's fastest form compares."""
    gc.collect()  # what the rows before held
    steps = contestants(name, SIZES[size], dtype, device=given.device, compiled=given.compiled)
    found = interleaved(
        {form: lambda s=s: turn(s, given.pause, given.device) for form, s in steps.items()}, given.repeats
    )
    best: dict[str, float] = {}
    for i, timing in enumerate(("back to back", "after a pause")):
        took = medians({form: [values[i] for values in turns] for form, turns in found.items()})
        ours, least = took.pop("thalweg"), took.pop("floor")
        if took:
            best[timing] = min(took.values()) / ours
        ratios = [took[form] / ours if form in took else None for form in (*FORMS, "compiled")]
        report.row(f"{name} {size} {dtype}, {timing}", ours, *ratios, best.get(timing), ours / least)
    return best


def table(report: Report, given: Namespace) -> None:
    report.columns(48, "optimizer, size, timing", "thalweg ms", *FORMS, "compiled", "best", "ours/floor")
    lines = [compare(report, given, *case) for case in product(given.optimizers, given.sizes, given.dtypes)]
    notes = []
    for timing in ("back to back", "after a pause"):
        best = [line[timing] for line in lines if timing in line]
        if best:
            mean, ahead = statistics.geometric_mean(best), sum(ratio > 1 for ratio in best)
            text = f"torch's fastest form takes {mean:.2f} of Thalweg's time (geometric mean), {min(best):.2f} at least"
            notes.append(f"{timing.capitalize()}, {text}; Thalweg is ahead in {ahead} of {len(best)} lines.")
    report.end(*notes)


def overhead(report: Report, given: Namespace) -> None:
    """The table of microseconds that one more small tensor costs."""
    report.columns(24, "µs a tensor", "thalweg", *FORMS, "best")
    for name in given.optimizers:
        steps: dict[str, Step] = {}
        for count in (FEW, MANY):
            made = contestants(name, [(4,)] * count, "float32", device=given.device)
            steps |= {f"{form} {count}": step for form, step in made.items() if form != "floor"}
        found = interleaved(
            {form: lambda s=s: turn(s, 0.0, given.device)[0] for form, s in steps.items()}, given.repeats
        )
        took = medians(found)
        forms = [form for form in ("thalweg", *FORMS) if f"{form} {FEW}" in took]
        slope = {form: (took[f"{form} {MANY}"] - took[f"{form} {FEW}"]) / (MANY - FEW) * 1e3 for form in forms}
        ours = slope.pop("thalweg")
        ratios = [slope[form] / ours if form in slope else None for form in FORMS]
        report.row(name, ours, *ratios, min(slope.values()) / ours if slope else None)
    reading = statistics.median(interleaved({"grad": lambda: reading_gradients() * 1e3}, given.repeats)["grad"])
    report.end(
        f"The first column is Thalweg's slope between {FEW} and {MANY} tensors of 4 numbers, float32.",
        f"Reading p.grad alone takes {reading:.2f} µs.",
    )


def changing(report: Report, given: Namespace) -> None:
    """The table of microseconds of a small step, its rate constant and changed every time."""
    report.columns(24, "µs a step", "constant", "changed", "ratio", *(f"{form}, changed" for form in FORMS))
    for name in given.optimizers:
        made = {form: made_alone(name, form) for form in ("thalweg", *FORMS)}
        series = {f"{form} {how}": series_of(made[form], changes=how == "changed") for form in made if made[form]
                  for how in ("constant", "changed")}  # fmt: skip
        took = medians(interleaved(series, given.repeats))
        constant, changed = took["thalweg constant"], took["thalweg changed"]
        others = [took.get(f"{form} changed") for form in FORMS]
        report.row(name, constant, changed, changed / constant, *(of and of / changed for of in others))
    report.end("The last columns are torch's step at a changed rate over Thalweg's: above 1, Thalweg is faster.")


def made_alone(name: str, form: str) -> torch.optim.Optimizer | None:
    """Thalweg's optimizer, or a form of torch's, of four small tensors; `None` where there is none."""
    of, options = OPTIMIZERS[name]
    parameters = [torch.nn.Parameter(torch.randn(32, 32)) for _ in range(4)]
    for p in parameters:
        p.grad = torch.randn(32, 32)
    source, more = (thalweg.optim, {}) if form == "thalweg" else (torch.optim, FORMS[form])
    try:
        made: torch.optim.Optimizer = getattr(source, of)(parameters, lr=1e-3, **options, **more)
    except (AttributeError, TypeError, RuntimeError, ValueError):
        return None
    return made


def series_of(optimizer: torch.optim.Optimizer, *, changes: bool) -> Callable[[], float]:
    """Measures the microseconds of a step: the quickest of `SERIES` of twenty."""
    group, rates = optimizer.param_groups[0], [1e-3 * (1 - 1e-5 * i) for i in range(STEPS)]

    def once() -> float:
        began = time.perf_counter()
        for rate in rates:
            if changes:
                group["lr"] = rate
            optimizer.step()
        return (time.perf_counter() - began) / STEPS * 1e6

    return lambda: min(once() for _ in range(SERIES))


def reading_gradients() -> float:
    """Milliseconds of a parameter."""
    parameters = [torch.nn.Parameter(torch.ones(4)) for _ in range(MANY)]
    for p in parameters:
        p.grad = torch.ones(4)
    return seconds(lambda: [p.grad for p in parameters]) * 1e3 / MANY


def main() -> None:
    parser = arguments(__doc__)
    add_device(parser)
    parser.add_argument("--sizes", nargs="+", choices=SIZES)
    parser.add_argument("--large", action="store_true", help="100M too")
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=["float32", "bfloat16"])
    parser.add_argument("--optimizers", nargs="+", choices=OPTIMIZERS, default=list(OPTIMIZERS))
    parser.add_argument("--pause", type=float, default=0.2, help="seconds")
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--overhead", action="store_true")
    parser.add_argument("--changing", action="store_true")
    given = parser.parse_args()
    given.sizes = given.sizes or [size for size in SIZES if size != "100M" or given.large]
    if given.compiled and not (shutil.which("c++") or shutil.which("g++")):
        parser.error("--compiled needs a C++ compiler, and there is none")
    name, tabled = ("changing", changing) if given.changing else ("overhead", overhead)
    name, tabled = (name, tabled) if given.changing or given.overhead else ("step", table)
    report = Report(name, given.out)
    report.machine(device=given.device)
    tabled(report, given)


if __name__ == "__main__":
    main()
