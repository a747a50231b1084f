"""Resident memory: of populations against the arrays they must hold, of a step against the state that it keeps.

    python benchmarks/memory.py [--members 8 32 128] [--widths 100 300 1000] [--parameters 10000000]

Each figure is from a process of its own: the most resident memory while training (or during ten steps, the state
created in the first of them) less what was resident just before, when everything is loaded, compiled and planned. A
population's members train by Adam on the 784-w-w-w-10 MLP at batch 32; it must hold parameters, gradients and two
states of the members that train at once, which are all of them unless memory or the width of a population say less.
JAX's `vmap` of the same runs is the peer of the first table, torch's forms those of the second, where what a step adds
beyond its state is given as a share of the parameters' size.

The median over the rounds, every one of them in fresh processes.
"""

import sys
from argparse import Namespace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from measuring import Child, Peers, Report, arguments, interleaved, medians
from step import FORMS, OPTIMIZERS, contestants

MiB = 2**20

OURS: dict[str, tuple[str, dict[str, Any]]] = {
    "Adam, states in 8 bits": ("Adam", {"state_dtype": "8bit"}),
    "Adam, norm clipped": ("Adam", {"clip_global_norm": 1.0}),
    "Adam, cautious": ("Adam", {"cautious": True}),
}
"""What torch has no form of."""


def ask(call: str, python: Path | str = sys.executable, module: str = "peers.memory", **given: Any) -> dict[str, int]:
    """What a fresh process answers."""
    with Child(module, python) as child:
        answer: dict[str, int] = child.ask(call, **given)
    return answer


def populations(report: Report, peers: Peers, given: Namespace) -> None:
    """The table of populations."""
    report.columns(26, "", "at once", "held MiB", "most MiB", "most/held", "JAX most/held")
    for width, members in product(given.widths, given.members):
        turns = {"thalweg": partial(ask, "population", members=members, width=width)}
        if peers.there:
            widths = [784, width, width, width, 10]
            turns["jax"] = partial(ask, "memory", given.peers, "peers.jax_scan", members=members, widths=widths)
        found = interleaved(turns, given.repeats, warm_up=False)
        grown = medians({name: [answer["grown"] / MiB for answer in answers] for name, answers in found.items()})
        held = {name: answers[0]["held"] / MiB for name, answers in found.items()}
        ratio = {name: grown[name] / held[name] for name in found}
        cells = held["thalweg"], grown["thalweg"], ratio["thalweg"], ratio.get("jax")
        report.row(f"{members} members, width {width}", found["thalweg"][0]["at_once"], *cells)


def drop_ins(report: Report, given: Namespace) -> None:
    """The table of ten steps."""
    report.columns(26, f"{given.parameters:,} parameters", "state", "Thalweg %", *(f"{form} %" for form in FORMS))
    for name in given.optimizers:
        spelling, fixed = (OPTIMIZERS | OURS)[name]
        step = partial(ask, "drop_in", name=spelling, parameters=given.parameters, given=fixed)
        forms = [form for form in FORMS if name in OPTIMIZERS and form in contestants(name, [(4,)], "float32")]
        turns = {"thalweg": partial(step, form=None)} | {form: partial(step, form=FORMS[form]) for form in forms}
        found = interleaved(turns, given.repeats, warm_up=False)
        size = 4 * given.parameters
        percent = medians({n: [100 * (a["grown"] - a["held"]) / size for a in of] for n, of in found.items()})
        report.row(name, found["thalweg"][0]["held"] / size, *(percent.get(form) for form in ("thalweg", *FORMS)))


def main() -> None:
    parser = arguments(__doc__)
    parser.set_defaults(repeats=3)
    parser.add_argument("--members", type=int, nargs="*", default=[8, 32, 128])
    parser.add_argument("--widths", type=int, nargs="*", default=[100, 300, 1000])
    parser.add_argument("--parameters", type=int, default=10_000_000)
    parser.add_argument("--optimizers", nargs="*", choices=[*OPTIMIZERS, *OURS], default=[*OPTIMIZERS, *OURS])
    given = parser.parse_args()
    report = Report("memory", given.out)
    with Peers(given.peers) as peers:
        peers.start("peers.jax_scan")  # for its versions
        report.machine(peers)
    populations(report, peers, given)
    report.line()
    drop_ins(report, given)
    report.end("state: bytes of the state over those of the parameters. %: bytes beyond the state, of the parameters'.")


if __name__ == "__main__":
    main()
