"""`thalweg example [NAME]`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from thalweg.cli import session
from thalweg.cli.reading import option
from thalweg.options import declared


def example(
    name: Annotated[str | None, typer.Argument(help="One of those that are listed without a name.")] = None,
    seeds: session.Seeds = declared.SEEDS.default,
    confirm_seeds: session.ConfirmSeeds = declared.CONFIRM_SEEDS.default,
    epochs: Annotated[int | None, option(declared.EPOCHS, more=" In place of the textbook's.")] = None,
    steps: session.Steps = None,
    memory: session.Memory = None,
    data_dir: session.DataDir = None,
    out: Annotated[Path, option(declared.OUT)] = Path(session.OUT),
    json: session.Json = None,
    checkpoint_every: session.CheckpointEvery = "60s",
    device: session.Device = declared.DEVICE.default,
    base_seed: session.BaseSeed = declared.BASE_SEED.default,
    progress: session.ShowProgress = declared.PROGRESS.default,
    verbose: session.Verbose = False,
) -> None:
    """Repeat a textbook's comparison at its own settings, with seeds and intervals; without a name, list them."""
    from thalweg.studies.examples import EXAMPLES
    from thalweg.studies.examples import example as find

    if name is None:
        for known, of in EXAMPLES.items():
            print(f"{known}\n    {of.summary}.\n    {of.workload}: {', '.join(of.optimizers)}")
        return
    chosen = find(name)
    import thalweg

    options: dict[str, Any] = {
        "seeds": seeds, "confirm_seeds": confirm_seeds, "base_seed": base_seed, "epochs": epochs, "steps": steps,
        "memory": memory, "progress": progress, "out": out, "device": device, "data_dir": data_dir,
        "checkpoint_every": checkpoint_every,
    }  # fmt: skip
    session.heed_verbosity(verbose=verbose)
    session.run_study(
        lambda: thalweg.compare(chosen.workload, chosen.optimizers, convention=chosen.convention, **options), out, json
    )
