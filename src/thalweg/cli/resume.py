"""`thalweg resume [ID]`."""

from pathlib import Path
from typing import Annotated

import typer

from thalweg.cli.session import OUT, CheckpointEvery, Json, ShowProgress, run_study, seconds

Study = Annotated[int | None, typer.Argument(metavar="[ID]", help="The study; the newest if not given.")]
Out = Annotated[Path, typer.Option(help="Directory of the studies.")]


def resume(
    study: Study = None,
    out: Out = Path(OUT),
    json: Json = None,
    checkpoint_every: CheckpointEvery = "60s",
    progress: ShowProgress = True,
) -> None:
    """Go on with a study from where it stopped; show the leaderboard of one that is finished."""
    import sys

    sys.path.append(str(Path.cwd()))  # an optimizer of the user's own
    import thalweg

    every = seconds("checkpoint-every", checkpoint_every)
    run_study(lambda: thalweg.resume(out, study, checkpoint_every=every, progress=progress), out, json)
