"""The program `thalweg` in processes of its own, as a user runs it, without waiting for its imports each time.

A server that has imported what a study needs, and has begun nothing, forks every process: what is signalled, killed
and waited for is a real process with its own memory, files and standard streams.
"""

import io
import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Timer
from typing import NamedTuple

API = [
    f"thalweg.api.{module}"
    for module in ("checking", "comparison", "distilling", "range_test", "resumption", "studies")
]
SERVED = multiprocessing.get_context("forkserver")
SERVED.set_forkserver_preload(
    ["thalweg.cli.main", *API, "thalweg.workloads.digits", "thalweg.reports.page", "numba", "torch._dynamo"]
)


class Ended(NamedTuple):
    """How a process ended: its exit status (or minus the signal that ended it), and what it wrote."""

    status: int
    output: str
    errors: str


class Program:
    """One process of the program, begun at once, and its standard error; `end` it, whatever it was needed for.

    before: what the process calls before the program, a function of a module; for what no command line can bring about.
    """

    def __init__(self, *arguments: str, cwd: Path | None = None, before: Callable[[], object] | None = None) -> None:
        read, write = SERVED.Pipe(duplex=False)
        number, self._output = tempfile.mkstemp()
        os.close(number)
        self._process = SERVED.Process(target=_run, args=(arguments, cwd or Path.cwd(), before, self._output, write))
        self._process.start()
        write.close()
        self.errors = os.fdopen(os.dup(read.fileno()), encoding="utf-8", errors="backslashreplace")
        read.close()

    def send(self, number: int) -> None:
        """Sends a signal, SIGKILL as any other."""
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def end(self, seconds: float = 200) -> Ended:
        """Waits until it is done, and kills it if that takes longer; the errors are those that were not read yet."""
        timer = Timer(seconds, self._process.kill)
        timer.start()
        with self.errors:
            errors = self.errors.read()
        self._process.join()
        timer.cancel()
        output = Path(self._output).read_text(encoding="utf-8")
        Path(self._output).unlink()
        assert self._process.exitcode is not None
        return Ended(self._process.exitcode, output, errors)


def _run(
    arguments: tuple[str, ...], cwd: Path, before: Callable[[], object] | None, output: str, errors: Connection
) -> None:
    from thalweg.cli.main import run

    sys.stdout = Path(output).open("w", encoding="utf-8")  # noqa: SIM115
    os.dup2(errors.fileno(), 2)
    errors.close()
    sys.stderr = io.TextIOWrapper(io.FileIO(2, "w"), encoding="utf-8", write_through=True)
    os.chdir(cwd)
    os.environ.pop("THALWEG_DATA", None)
    sys.argv = ["thalweg", *arguments]
    sys.path.insert(0, "")  # as `python -c` has it
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever the shell in front of the tests ignores
    if before is not None:
        before()
    run()


def tells(text: str, verdict: str) -> bool:
    """Whether a text has a verdict: its first sentence ahead of all, its others below the table."""
    first, _, others = verdict.partition(". ")
    return text.startswith(first) and others in text.partition("rank")[2]


def ranking(text: str) -> list[list[str]]:
    """The words of the leaderboard's lines in a text, the best first."""
    return [line.split() for line in text.partition("rank ")[2].splitlines()[1:]]
