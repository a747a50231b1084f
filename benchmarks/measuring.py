"""What the benchmarks share: turns, medians, the machine, tables, and contestants in processes of their own."""

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

import torch

import thalweg
from quiet import QUIET, TRIES, Log, Window

LOG = Log()
T = TypeVar("T")
HERE = Path(__file__).resolve().parent
CPU = torch.device("cpu")
HOLD_BACK = (
    "MKL_ENABLE_INSTRUCTIONS",
    "OPENBLAS_CORETYPE",
    "ONEDNN_MAX_CPU_ISA",
    "DNNL_MAX_CPU_ISA",
    "ATEN_CPU_CAPABILITY",
)
PEERS = HERE.parent / ".peers" / "bin" / "python"


def arguments(doc: str | None) -> argparse.ArgumentParser:
    """A parser with the options that every benchmark has."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="rounds that count")
    parser.add_argument("--peers", type=Path, default=PEERS, help="Python of the environment of peers.txt")
    parser.add_argument("--out", type=Path, default=Path("thalweg-out/benchmarks"), help="where the tables are kept")
    return parser


def add_device(parser: argparse.ArgumentParser) -> None:
    """Of those benchmarks that can run elsewhere than on the CPU."""
    parser.add_argument("--device", type=torch.device, default=CPU, help="cpu, cuda, or another that torch has here")


def seconds(run: Callable[[], Any], device: torch.device = CPU) -> float:
    """What one call takes, until the device is done."""
    wait = partial(torch.get_device_module(device).synchronize, device)
    wait()
    began = time.perf_counter()
    run()
    wait()
    return time.perf_counter() - began


def interleaved(
    contestants: Mapping[str, Callable[[], T]], repeats: int, *, warm_up: bool = True
) -> dict[str, list[T]]:
    """What each contestant measured in each round, everybody taking turns; a first round is not counted.

    Rounds in which others kept the machine busy are repeated; where there are too many, the quietest count.
    """
    rounds: list[tuple[float, dict[str, T]]] = []
    for turn in range(TRIES * repeats + warm_up):
        window = Window()
        measured = {name: measure() for name, measure in contestants.items()}
        if turn or not warm_up:
            rounds.append((window.share(), measured))
        if sum(not share > QUIET for share, _ in rounds) >= repeats:
            break
    best = sorted(rounds, key=lambda of: of[0])[:repeats]
    LOG.counted, LOG.rounds = LOG.counted + len(best), LOG.rounds + len(rounds)
    LOG.largest = max(LOG.largest, best[-1][0])
    return {name: [measured[name] for _, measured in best] for name in contestants}


def medians(found: Mapping[str, Iterable[float]]) -> dict[str, float]:
    return {name: statistics.median(values) for name, values in found.items()}


class Child:
    """A module of `peers` in a process of its own, idle unless asked. One JSON line a question, one an answer."""

    def __init__(self, module: str, python: Path | str = sys.executable, **environment: str) -> None:
        command = [str(python), "-m", module]
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process = subprocess.Popen(command, cwd=HERE, env=os.environ | environment, **pipes)
        self.versions: dict[str, str] = self.receive()

    def ask(self, call: str, **given: Any) -> Any:
        """The result of a function that the module serves."""
        self.send(call, **given)
        return self.receive()

    def send(self, call: str, **given: Any) -> None:
        self._process.stdin.write(json.dumps({"call": call, "given": given}) + "\n")
        self._process.stdin.flush()

    def receive(self) -> Any:
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{' '.join(map(str, self._process.args))} ended; its message stands above.")
        return json.loads(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._process.stdin.close()
        self._process.wait()


class Peers:
    """The children of a benchmark. Those of an environment that is not there are left out, and that is said."""

    def __init__(self, python: Path) -> None:
        self._python, self._stack = python, ExitStack()
        self.versions: dict[str, str] = {}
        self.there = python.exists()

    def start(self, module: str, count: int = 1, *, own: bool = True, **environment: str) -> list[Child]:
        """`count` children; none where their environment is missing. `own=False`: in this environment instead."""
        if own and not self.there:
            return []
        python = self._python if own else sys.executable
        children = [self._stack.enter_context(Child(module, python, **environment)) for _ in range(count)]
        for child in children if own else ():
            self.versions |= child.versions
        return children

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._stack.close()


def at_once(children: Sequence[Child], call: str, **given: Any) -> float:
    """Seconds until all children, asked together, have answered."""

    def run() -> None:
        for child in children:
            child.send(call, **given)
        for child in children:
            child.receive()

    return seconds(run)


class Report:
    """What a benchmark prints, kept as `<name>.md` too. Tables are Markdown, printed row by row."""

    def __init__(self, name: str, out: Path) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self._path = out / f"{name}.md"
        self._path.write_text("")

    def line(self, text: str = "") -> None:
        print(text, flush=True)
        with self._path.open("a") as file:
            file.write(text + "\n")

    def machine(self, peers: Peers | None = None, device: torch.device = CPU) -> None:
        """The line that says where and with what this was measured, and what is left out."""
        ours = {"python": platform.python_version(), "torch": torch.__version__, "thalweg": thalweg.__version__}
        named = ours | {f"peers' {k}" if k in ours else k: v for k, v in (peers.versions if peers else {}).items()}
        versions = ", ".join(f"{name} {version}" for name, version in named.items())
        gpu = "" if device == CPU else f"{torch.get_device_module(device).get_device_name(device)} beside "
        place = f"{gpu}{_processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"
        self.line(f"{datetime.now(UTC):%Y-%m-%d}: {place}, load {os.getloadavg()[0]:.1f}; {versions}; {held_back()}")
        if peers and not peers.there:
            self.line("Left out: peers that need an environment of their own. `make .peers/ready` creates it.")
        self.line()

    def columns(self, first: int, *names: str) -> None:
        """Begins a table; `first` is the width of its first column."""
        self._widths = [first, *(max(8, len(name)) for name in names[1:])]
        self.row(*names)
        self.line("|" + "|".join("-" * (w + 1) + ("-:"[i > 0]) for i, w in enumerate(self._widths)) + "|")

    def row(self, *cells: Any) -> None:
        text = [_cell(value) for value in cells]
        padded = [t.rjust(w) if i else t.ljust(w) for i, (t, w) in enumerate(zip(text, self._widths, strict=True))]
        self.line("| " + " | ".join(padded) + " |")

    def end(self, *notes: str) -> None:
        """What the table says in words, how busy the machine was, and where it is."""
        for note in ("", *notes, LOG.note(), f"Load {os.getloadavg()[0]:.1f} afterwards."):
            self.line(note)
        print(f"\nKept in {self._path}")


def held_back() -> str:
    """Which environment variables hold the libraries of matrix products back."""
    found = [f"{name}={os.environ[name]}" for name in HOLD_BACK if name in os.environ]
    return f"products held back by {', '.join(found)}" if found else "products free"


def _cell(value: Any) -> str:
    """Three digits; a dash for what was not measured."""
    if value is None:
        return "-"
    if not isinstance(value, float):
        return str(value)
    digits = 2 - math.floor(math.log10(abs(value))) if value and math.isfinite(value) else 0
    return f"{value:.{min(4, max(0, digits))}f}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):  # not Linux
        return platform.processor() or platform.machine()
