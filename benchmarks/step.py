"""One optimizer step against `torch.optim`, in one process.

    python benchmarks/step.py [--parameters 1000000] [--tensors 1] [--repeats 15]

float32, all threads. Measurements alternate; the table gives median milliseconds and torch's fastest form as a ratio
to Thalweg (above 1: Thalweg is faster).
"""

import argparse
import statistics
import time
from typing import Any

import torch

from thalweg.optim.classes import drop_ins

FORMS: dict[str, dict[str, Any]] = {
    "for-loop": {"foreach": False},
    "foreach": {"foreach": True},
    "fused": {"fused": True},
}


def parameters(total: int, tensors: int) -> list[torch.nn.Parameter]:
    made = [torch.nn.Parameter(torch.randn(total // tensors)) for _ in range(tensors)]
    for p in made:
        p.grad = torch.randn_like(p) * 0.1
    return made


def contestants(name: str, total: int, tensors: int) -> dict[str, torch.optim.Optimizer]:
    """Thalweg and every form that torch has of a class."""
    made: dict[str, torch.optim.Optimizer] = {"thalweg": drop_ins()[name](parameters(total, tensors))}
    theirs = getattr(torch.optim, name, None)
    for form, flags in FORMS.items() if theirs else ():
        try:
            optimizer = theirs(parameters(total, tensors), **flags)
            optimizer.step()
        except (TypeError, RuntimeError):
            continue  # this class has no such form
        made[form] = optimizer
    return made


def milliseconds(optimizers: dict[str, torch.optim.Optimizer], repeats: int) -> dict[str, float]:
    times: dict[str, list[float]] = {form: [] for form in optimizers}
    for repeat in range(repeats + 2):
        for form, optimizer in optimizers.items():
            began = time.perf_counter()
            optimizer.step()
            if repeat >= 2:  # compiled and warm
                times[form].append((time.perf_counter() - began) * 1e3)
    return {form: statistics.median(of) for form, of in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parameters", type=int, default=1_000_000)
    parser.add_argument("--tensors", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=15)
    given = parser.parse_args()
    size = f"{given.parameters:,} parameters in {given.tensors} tensors"
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {size}, float32, milliseconds a step")
    print(f"{'':10}{'thalweg':>10}{'for-loop':>10}{'foreach':>10}{'fused':>10}{'ratio':>8}")
    for name in drop_ins():
        took = milliseconds(contestants(name, given.parameters, given.tensors), given.repeats)
        cells = "".join(f"{took[f]:10.3f}" if f in took else f"{'-':>10}" for f in ("thalweg", *FORMS))
        best = min((took[f] for f in FORMS if f in took), default=None)
        print(f"{name:10}{cells}{best / took['thalweg']:8.2f}" if best else f"{name:10}{cells}{'-':>8}")


if __name__ == "__main__":
    main()
