"""`thalweg resume [ID]`."""

import sys
from pathlib import Path
from typing import Any

from thalweg.cli.opening import load_torch_for
from thalweg.cli.session import (
    OUT,
    CheckpointEvery,
    Json,
    Open,
    Quiet,
    SaveModel,
    ShowProgress,
    Verbose,
    heed_verbosity,
    run_study,
)  # fmt: skip
from thalweg.cli.studies import Out, Study


def resume(
    study: Study = None,
    out: Out = Path(OUT),
    json: Json = None,
    checkpoint_every: CheckpointEvery = "60s",
    progress: ShowProgress = True,
    save_model: SaveModel = None,
    open: Open = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Resume a study from where it stopped; show the leaderboard of one that is finished."""
    sys.path.append("")  # for an optimizer in the working directory
    heed_verbosity(verbose=verbose, quiet=quiet)
    load_torch_for(f"{'the newest study' if study is None else f'study {study}'} in {out}", quiet=quiet, tracing=False)
    import thalweg

    progress = progress and not quiet
    asked: dict[str, Any] = {"checkpoint_every": checkpoint_every, "progress": progress, "save_model": save_model}
    run_study(lambda: thalweg.resume(out, study, **asked), out, json, quiet=quiet, open=open)
