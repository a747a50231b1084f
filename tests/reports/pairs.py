"""Studies of two contenders, for tests of what a report says of each."""

from typing import Any

from handmade import finals, rates, study

from thalweg.records.types import RunRecord, StudyRecord

SGD: dict[str, Any] = {"contender": "sgd", "factors": {"optimizer": "sgd"}}
Made = tuple[StudyRecord, list[RunRecord]]


def known() -> Made:
    """adam wins clearly; its third rate lost a run in the second epoch, at step 11 of 20."""
    record = study(
        ("adam", "sgd"),
        target=0.85,
        learning_rates={"adam": (0.01, 0.1, 1.0), "sgd": (0.1,)},
        caps={"runs": 10, "steps": 200, "seconds": None},
        notes=("The budget allowed 2 of 5 confirmation seeds.",),
    )
    adam = [
        *rates({0.01: (0.80, 0.80), 0.1: (0.90, 0.90), 1.0: (0.70, None)}, memory=2048),
        *finals((0.88, 0.90), 0.1, train_metric=0.95, best_test_metric=0.91),
        *finals((0.70, 0.74), 0.001, "defaults"),
    ]
    sgd = [*rates({0.1: (0.70, 0.70)}, **SGD), *finals((0.50, 0.52), 0.1, **SGD)]
    return record, [*adam, *sgd]


def sensitive_first() -> Made:
    """adam has the best mean, and is good at one rate of three; sgd is not separated, and as good over a decade."""
    record = study(("adam", "sgd"))
    adam = [*rates({0.01: (0.5, 0.5), 0.1: (0.90, 0.90), 1.0: (0.5, 0.5)}), *finals((0.90, 0.92), 0.1)]
    sgd = [*rates({0.01: (0.895, 0.895), 0.1: (0.895, 0.895)}, **SGD), *finals((0.90, 0.90), 0.01, **SGD)]
    return record, [*adam, *sgd]


def never_ran() -> Made:
    """adam, and a contender without any run."""
    return study(("adam", "ghost")), [*rates({0.1: (0.9, 0.9)}), *finals((0.9, 0.9), 0.1)]


def unconfirmed() -> Made:
    return study(confirmation_seeds=()), rates({0.01: (0.8, 0.8), 0.1: (0.9, 0.9), 1.0: (0.7, 0.7)})


MADE = {"known": known, "sensitive first": sensitive_first, "never ran": never_ran, "unconfirmed": unconfirmed}
