"""The recommended optimizer as lines of Python to paste."""

import json
import math
from collections.abc import Mapping
from typing import Any

from thalweg.analysis.formatting import rate_text
from thalweg.analysis.row import Row
from thalweg.records.types import StudyRecord

TORCH = frozenset(
    (
        "lr", "momentum", "dampening", "nesterov", "weight_decay", "beta1", "beta2", "betas", "eps", "amsgrad", "rho",
        "alpha", "centered", "lr_decay", "initial_accumulator_value", "momentum_decay", "decoupled_weight_decay",
        "etaminus", "etaplus", "etas", "step_size_min", "step_size_max", "step_sizes", "lambd", "t0", "maximize",
    )
)  # fmt: skip
"""Arguments that torch's classes have too; with another one there is no call of torch's."""


def code(study: StudyRecord, row: Row, *, torch: bool = False) -> str | None:
    """Lines that make a row's optimizer with the chosen hyperparameters, and its schedule.

    torch: whether of `torch.optim`.

    Returns:
        `None` for a study of a Thalweg that did not record how, where a hyperparameter is set that no argument sets,
        and where torch has no class that takes the same steps.
    """
    call, given = study.calls.get(row.contender), arguments(study, row)
    if call is None or given is None:
        return None
    name = call["name"].removeprefix("__main__.")
    if torch and not name.startswith("torch."):
        if call["torch"] is None or not given.keys() <= TORCH:
            return None
        name = call["torch"]
    written = [_parameters(call), *(f"{k}={_text(v, is_rate=k == call['rate'])}" for k, v in given.items())]
    lines = [f"{name}({', '.join(written)})"]
    if schedule := row.factors.get("schedule"):
        lines = [f"optimizer = {lines[0]}", _scheduled(study, str(schedule), follows=call["follows"])]
    return "\n".join([*lines, *_comments(call, given, scheduled=bool(schedule))])


def _parameters(call: Mapping[str, Any]) -> str:
    """The parameters, in groups where some have hyperparameters of their own, or are not stepped by the rule."""
    weights = call.get("undecayed")
    rules = [
        *(["thalweg.optim.adamw_rest(model)"] if call.get("others") else []),
        *([f"thalweg.optim.undecayed(model, {', '.join(map(repr, weights))})"] if weights else []),
        *(["*rules"] if call["grouped"] else []),
    ]
    return f"thalweg.optim.grouped(model, {', '.join(rules)})" if rules else "model.parameters()"


def _comments(call: Mapping[str, Any], given: Mapping[str, Any], *, scheduled: bool) -> list[str]:
    """What the study did besides, and no argument says."""
    said = []
    if call["grouped"]:
        fixed = "; a rate that they set to a number did not follow the schedule" if scheduled else ""
        said.append(f"# rules: workload.parameters_of(model), with what is Scaled multiplied out{fixed}")
    if call.get("averages") or given.get("ema_decay"):
        said.append("# to evaluate and save: with optimizer.averaged_weights()")
    if call.get("model"):
        said.append(f"# model: its factory with {', '.join(_model_arguments(call))}")
    if call.get("stops"):
        said.append(f"# runs stopped early, with their best weights: {call['stops']}")
    if call.get("clip"):
        said.append(f"# before each step: clip_grad_norm_(model.parameters(), {call['clip']['clip_global_norm']!r})")
    return said


def _model_arguments(call: Mapping[str, Any]) -> list[str]:
    return [f"{name}={value!r}" for name, value in call.get("model", {}).items()]


def left_out(study: StudyRecord, row: Row) -> tuple[str, ...]:
    """What a row's runs were trained with besides, and the optimizer by itself is without."""
    call, schedule = study.calls.get(row.contender, {}), row.factors.get("schedule")
    parts = {
        f"the model's arguments {', '.join(_model_arguments(call))}": bool(call.get("model")),
        f"the schedule {schedule}": bool(schedule),
        "clipping": bool(call.get("clip")),
        "early stopping": bool(call.get("stops")),
        "groups for biases and norms, which are not penalized": bool(call.get("undecayed")),
    }
    return tuple(name for name, holds in parts.items() if holds)


def arguments(study: StudyRecord, row: Row) -> dict[str, Any] | None:
    """The arguments of that call, without the parameters: those that are not its defaults, and the learning rate."""
    call = study.calls.get(row.contender)
    if call is None or row.choice is None:
        return None
    if row.hyperparameters.keys() & set(call.get("unwritable", ())):
        return None
    values, defaults = {**call["values"], **row.hyperparameters}, call["defaults"]
    return _grouped(call, {k: v for k, v in values.items() if k == call["rate"] or v != defaults.get(k, _UNSET)})


_UNSET = object()


def _grouped(call: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments under the names that the class has: a tuple for those that it takes together."""
    out, taken = dict[str, Any](), set[str]()
    for name, members in call["tuples"].items():
        if given.keys() & set(members) and name not in given:
            out[name] = tuple(given.get(member, call["defaults"].get(member)) for member in members)
            taken |= set(members)
    rate = {name: value for name, value in given.items() if name == call["rate"]}
    return {**rate, **out, **{name: value for name, value in given.items() if name not in {*taken, *rate}}}


def _scheduled(study: StudyRecord, schedule: str, *, follows: bool) -> str:
    """A line that makes the scheduler, or a comment where no text makes it."""
    if not follows:
        metric = "the validation metric: " if schedule.startswith("performance") else ""
        return f"# its learning rate follows {metric}{' '.join(schedule.split())}"
    lengths = f"steps={study.steps}, steps_per_epoch={study.steps_per_epoch}"
    return f"scheduler = thalweg.schedules.Scheduler(optimizer, {json.dumps(schedule, ensure_ascii=False)}, {lengths})"


def _text(value: Any, *, is_rate: bool) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return f"float('{value}')"
    if is_rate and isinstance(value, int | float) and float(short := rate_text(value)) == value:
        return short
    return repr(value)
