"""A complete record of a study and of a run, for tests to change what they are about."""

from thalweg.records.types import Measurement, RunRecord, StudyRecord

STEPS = 100

STUDY = StudyRecord(
    workload="toy",
    metric="accuracy",
    higher_is_better=True,
    target=None,
    steps=STEPS,
    steps_per_epoch=10,
    evaluate_every=10,
    batch_size=8,
    samples={},
    parameters=12,
    contenders=("adam",),
    learning_rates={"adam": (0.1,)},
    refined=None,
    tuning_seeds=(0, 1, 2),
    confirmation_seeds=(),
    protocol=2,
    caps={},
    environment={},
)

RUN = RunRecord(
    contender="adam",
    factors={"optimizer": "adam"},
    hyperparameters={"lr": 0.1},
    rate="lr",
    seed=0,
    role="tuning",
    curve=(Measurement(STEPS, 0.5, 0.5, 0.9),),
    steps=STEPS,
    initial_loss=2.0,
)
