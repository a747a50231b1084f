"""One of Optuna's workers: trials of a grid that is shared through a journal, each a run of the plain loop."""

import time

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from peers.loop import load, validated
from peers.serving import serve


def optimize(journal: str, widths: list[int], rates: dict[str, list[float]], seeds: list[int], **job: int) -> float:
    """Seconds for so many (`trials`) more trials of so many (`epochs`): optimizer × learning rate × seed."""
    began = time.perf_counter()
    grid = {"optimizer": list(rates), "rate": list(range(len(next(iter(rates.values()))))), "seed": seeds}

    def objective(trial: optuna.Trial) -> float:
        name = trial.suggest_categorical("optimizer", grid["optimizer"])
        lr = rates[name][trial.suggest_categorical("rate", grid["rate"])]
        return validated(widths, name, lr, trial.suggest_categorical("seed", seeds), job["epochs"])

    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(journal)),
        sampler=optuna.samplers.GridSampler(grid),
        study_name="grid",
        direction="maximize",
        load_if_exists=True,
    )
    study.optimize(objective, n_trials=job["trials"])
    return time.perf_counter() - began


if __name__ == "__main__":
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    serve(("optuna", "torch"), load, optimize)
