"""`thalweg check WORKLOAD`."""

from pathlib import Path
from typing import Annotated

import typer

from thalweg.cli.reading import option
from thalweg.options.comparison import COMPARISON


def check(
    workload: Annotated[str, typer.Argument(help="As compare takes it: a name, my_file.py, package.module:name.")],
    epochs: Annotated[int | None, option(COMPARISON["epochs"])] = None,
    steps: Annotated[int | None, option(COMPARISON["steps"])] = None,
    device: Annotated[str, option(COMPARISON["device"])] = "cpu",
    data_dir: Annotated[str | None, option(COMPARISON["data_dir"])] = None,
) -> None:
    """Check a workload before anything is compared: model, data, loss at the start, and how it will be trained."""
    import thalweg

    folder = Path(data_dir) if data_dir else None
    for line in thalweg.check(workload, epochs=epochs, steps=steps, device=device, data_dir=folder):
        print(f"{line.label:<10}{line.text}")
        if line.doubt:
            print(f"{'':<10}! {line.doubt}")
