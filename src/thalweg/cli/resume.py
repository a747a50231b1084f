"""`thalweg resume [ID]`."""

from pathlib import Path
from typing import Any

from thalweg.cli.session import (
    OUT,
    CheckpointEvery,
    Json,
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
    verbose: Verbose = False,
) -> None:
    """Go on with a study from where it stopped; show the leaderboard of one that is finished."""
    import sys

    sys.path.append("")  # for an optimizer in the working directory
    import thalweg

    heed_verbosity(verbose=verbose)
    asked: dict[str, Any] = {"checkpoint_every": checkpoint_every, "progress": progress, "save_model": save_model}
    run_study(lambda: thalweg.resume(out, study, **asked), out, json)
