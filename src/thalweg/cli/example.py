"""`thalweg example [NAME]`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from thalweg.cli.reading import option
from thalweg.cli.session import (
    OUT,
    BaseSeed,
    CheckpointEvery,
    ConfirmSeeds,
    DataDir,
    Device,
    Json,
    Memory,
    Seeds,
    ShowProgress,
    Steps,
    Verbose,
    heed_verbosity,
    run_study,
)
from thalweg.options import declared


def example(
    name: Annotated[str | None, typer.Argument(help="One of those that are listed without a name.")] = None,
    seeds: Seeds = declared.SEEDS.default,
    confirm_seeds: ConfirmSeeds = declared.CONFIRM_SEEDS.default,
    epochs: Annotated[int | None, option(declared.EPOCHS, more=" In place of the textbook's.")] = None,
    steps: Steps = None,
    memory: Memory = None,
    data_dir: DataDir = None,
    out: Annotated[Path, option(declared.OUT)] = Path(OUT),
    json: Json = None,
    checkpoint_every: CheckpointEvery = "60s",
    device: Device = declared.DEVICE.default,
    base_seed: BaseSeed = declared.BASE_SEED.default,
    progress: ShowProgress = declared.PROGRESS.default,
    verbose: Verbose = False,
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
    heed_verbosity(verbose=verbose)
    run_study(
        lambda: thalweg.compare(chosen.workload, chosen.optimizers, convention=chosen.convention, **options), out, json
    )
