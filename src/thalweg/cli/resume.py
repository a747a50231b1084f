"""`thalweg resume [ID]`."""

from pathlib import Path

from thalweg.cli.session import OUT, CheckpointEvery, Json, ShowProgress, Verbose, heed_verbosity, run_study
from thalweg.cli.studies import Out, Study


def resume(
    study: Study = None,
    out: Out = Path(OUT),
    json: Json = None,
    checkpoint_every: CheckpointEvery = "60s",
    progress: ShowProgress = True,
    verbose: Verbose = False,
) -> None:
    """Go on with a study from where it stopped; show the leaderboard of one that is finished."""
    import sys

    sys.path.append("")  # for an optimizer in the working directory
    import thalweg

    heed_verbosity(verbose=verbose)
    run_study(lambda: thalweg.resume(out, study, checkpoint_every=checkpoint_every, progress=progress), out, json)
