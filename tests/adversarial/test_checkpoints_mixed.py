"""Checkpoints of other classes, other flags and other times; partial and damaged ones."""

import copy
import io
import warnings

import pytest
import torch

import thalweg.optim
from adversarial.adversary import THEIRS, Run, parameters, same
from thalweg.errors import InputError

every = pytest.mark.parametrize("name", THEIRS)


def trained(module, name, steps=5, **options):
    run = Run(getattr(module, name), **{**THEIRS[name], **options})
    run.step(steps)
    return run


def through_a_file(saved):
    file = io.BytesIO()
    torch.save(saved, file)
    file.seek(0)
    return torch.load(file)


def gone_on(module, name, saved, steps=4, **options):
    """The parameters after some steps from a checkpoint, or the error that refused it."""
    run = Run(getattr(module, name), **{**THEIRS[name], **options})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            run.optimizer.load_state_dict(copy.deepcopy(saved))
            run.steps = 5
            run.step(steps)
    except (ValueError, KeyError, RuntimeError, TypeError, AttributeError, IndexError) as error:
        return error
    return run.values()


def agree(name, saved, *, rtol=1e-7, refused=InputError, **options):
    """Both go on alike, or what torch refuses is refused here, too, in a sentence."""
    ours, theirs = (gone_on(module, name, saved, **options) for module in (thalweg.optim, torch.optim))
    if isinstance(theirs, Exception):
        assert isinstance(ours, refused), f"torch: {theirs!r}, here: {ours!r}"
        assert len(str(ours)) > 30
    else:
        torch.testing.assert_close(ours, theirs, rtol=rtol, atol=1e-9)


SHARING = {
    "SGD": ["RMSprop"], "RMSprop": ["SGD", "Adadelta"], "Adadelta": ["RMSprop"], "Adam": ["Adamax", "NAdam"],
    "AdamW": ["Adamax", "NAdam"], "Adamax": ["Adam", "AdamW", "NAdam", "RAdam"], "NAdam": ["Adam", "Adamax"],
    "RAdam": ["Adam", "Adamax", "NAdam"],
}  # fmt: skip
CLEAR = [
    ("SGD", "Adam"),
    ("Adam", "SGD"),
    ("Adam", "AdamW"),
    ("AdamW", "RAdam"),
    ("Adagrad", "Adadelta"),
    ("Rprop", "Adam"),
]
PAIRS = [(of, to) for of in SHARING for to in SHARING[of]] + CLEAR


@pytest.mark.parametrize(("of", "to"), PAIRS)
def test_a_checkpoint_of_another_class(of, to):
    """torch goes on where the states' names agree, and stops at the first step where one is missing."""
    saved = trained(torch.optim, of).optimizer.state_dict()
    if to == "Adam" and of in ("NAdam", "RAdam"):  # it was asked for amsgrad, which torch forgets on load
        assert isinstance(gone_on(thalweg.optim, to, saved), InputError)
        return
    agree(to, saved)


@pytest.mark.parametrize("name", ["SGD", "Adam", "NAdam", "Rprop"])
@pytest.mark.parametrize("flag", ["foreach", "fused", "capturable", "differentiable", "maximize"])
def test_flags_of_how_it_was_carried_out(name, flag):
    saved = trained(torch.optim, name).optimizer.state_dict()
    saved["param_groups"][0][flag] = True
    torchs = copy.deepcopy(saved)
    if flag != "maximize":
        torchs["param_groups"][0][flag] = False
    ours, theirs = gone_on(thalweg.optim, name, saved), gone_on(torch.optim, name, torchs)
    torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", sorted({*THEIRS} - {"SGD"}))
@pytest.mark.parametrize("lost", [0, -1])
def test_one_state_of_one_parameter_is_lost(name, lost):
    saved = trained(torch.optim, name, **({"amsgrad": False} if name == "Adam" else {})).optimizer.state_dict()
    keys = [key for key, value in saved["state"][1].items() if value is not None and key != "step"]
    del saved["state"][1][keys[lost]]
    agree(name, saved)


@pytest.mark.parametrize("name", sorted({*THEIRS} - {"SGD"}))
def test_the_count_of_steps_is_lost(name):
    """Moments of many steps beside a count of none."""
    saved = trained(torch.optim, name).optimizer.state_dict()
    del saved["state"][1]["step"]
    agree(name, saved)


@every
def test_all_state_of_one_parameter_is_lost(name):
    saved = trained(torch.optim, name).optimizer.state_dict()
    del saved["state"][1]
    agree(name, saved)


@every
def test_state_of_a_parameter_that_does_not_exist(name):
    saved = trained(torch.optim, name).optimizer.state_dict()
    saved["state"][17] = saved["state"][1]
    agree(name, saved)


@every
def test_a_state_in_another_order_of_keys(name):
    saved = trained(torch.optim, name).optimizer.state_dict()
    saved = {
        "state": {i: dict(reversed(of.items())) for i, of in reversed(saved["state"].items())},
        "param_groups": [dict(reversed(group.items())) for group in saved["param_groups"]],
    }
    agree(name, saved)


def test_moments_as_another_library_names_them():
    """Of a library that holds them in 8 bits: torch misses its own at the first step."""
    saved = trained(torch.optim, "Adam").optimizer.state_dict()
    for state in saved["state"].values():
        state["state1"], state["state2"] = state.pop("exp_avg"), state.pop("exp_avg_sq")
    agree("Adam", saved)


DAMAGED = {
    "no groups": lambda saved: saved.pop("param_groups"),
    "no state": lambda saved: saved.pop("state"),
    "a group without parameters": lambda saved: saved["param_groups"][0].pop("params"),
    "too many groups": lambda saved: saved["param_groups"].append(saved["param_groups"][0]),
    "too few parameters": lambda saved: saved["param_groups"][0]["params"].pop(),
    "groups as a dict": lambda saved: saved.update(param_groups=saved["param_groups"][0]),
    "state as a list": lambda saved: saved.update(state=list(saved["state"].values())),
    "a state that is none": lambda saved: saved["state"].update({1: None}),
    "a moment that is a list": lambda saved: saved["state"][1].update(exp_avg=[0.0, 0.0, 0.0, 0.0]),
    "a moment that is text": lambda saved: saved["state"][1].update(exp_avg="moment"),
    "a moment of whole numbers": lambda saved: saved["state"][1].update(exp_avg=torch.ones(4, dtype=torch.int64)),
    "a moment that is complex": lambda saved: saved["state"][1].update(exp_avg=torch.ones(4, dtype=torch.cfloat)),
    "a sparse moment": lambda saved: saved["state"][1].update(exp_avg=torch.ones(4).to_sparse()),
    "a moment on meta": lambda saved: saved["state"][1].update(exp_avg=torch.ones(4, device="meta")),
    "steps that are text": lambda saved: saved["state"][1].update(step="many"),
    "steps that are none": lambda saved: saved["state"][1].update(step=None),
    "two counts of steps": lambda saved: saved["state"][1].update(step=torch.ones(2)),
    "no count of steps": lambda saved: saved["state"][1].update(step=torch.ones(0)),
    "betas in three": lambda saved: saved["param_groups"][0].update(betas=(0.9, 0.99, 0.999)),
    "a rate that is text": lambda saved: saved["param_groups"][0].update(lr="0.1e-3x"),
    "a rate that is none": lambda saved: saved["param_groups"][0].update(lr=None),
    "a rate that is not a number": lambda saved: saved["param_groups"][0].update(lr=float("nan")),
    "eps that is a list": lambda saved: saved["param_groups"][0].update(eps=[1e-8, 1e-8]),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_damaged(damage):
    """What torch refuses, at once or at the next step, is refused; what it takes goes on alike or is refused."""
    saved = trained(torch.optim, "Adam").optimizer.state_dict()
    DAMAGED[damage](saved)
    ours, theirs = (gone_on(module, "Adam", saved) for module in (thalweg.optim, torch.optim))
    if isinstance(ours, Exception):
        assert isinstance(ours, InputError) or isinstance(theirs, type(ours)), f"torch: {theirs!r}, here: {ours!r}"
    else:
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-9, equal_nan=True)


@pytest.mark.parametrize("wrong", [None, [], {}, 3, "a path.pt", {"model": {}}])
def test_what_is_no_checkpoint_is_refused_and_leaves_the_optimizer_as_it_was(wrong):
    run, other = trained(thalweg.optim, "Adam"), trained(thalweg.optim, "Adam")
    with pytest.raises((InputError, KeyError, TypeError, AttributeError)):
        run.optimizer.load_state_dict(wrong)
    run.step(3)
    other.step(3)
    torch.testing.assert_close(run.values(), other.values(), rtol=0, atol=0)


@every
def test_loading_its_own_state_dict_changes_nothing(name):
    run, other = trained(thalweg.optim, name), trained(thalweg.optim, name)
    for _ in range(3):
        run.optimizer.load_state_dict(run.optimizer.state_dict())
        run.step()
        other.step()
    torch.testing.assert_close(run.values(), other.values(), rtol=0, atol=0)


@every
def test_the_whole_optimizer_through_a_file(name):
    run, other = trained(thalweg.optim, name), trained(thalweg.optim, name)
    file = io.BytesIO()
    torch.save(run.optimizer, file)
    file.seek(0)
    run.optimizer = torch.load(file, weights_only=False)
    run.params = run.group["params"]
    run.step(3)
    other.step(3)
    torch.testing.assert_close(run.values(), other.values(), rtol=0, atol=0)


@every
@pytest.mark.parametrize("count", [2.0**24 - 2, 2.0**24 + 2, 1e9])
def test_very_many_steps(name, count):
    """A count in float32 stays where adding 1 is less than its rounding, as in torch."""

    def act(run):
        run.step(2)
        for state in run.optimizer.state.values():
            if "step" in state:
                state["step"].fill_(count)
        run.step(5)

    same(name, act, rtol=1e-8)


def test_a_checkpoint_from_when_steps_were_whole_numbers_and_keys_were_addresses():
    saved = trained(torch.optim, "Adam").optimizer.state_dict()
    places = {i: 140_000_000_000_000 + i for i in saved["state"]}
    saved["state"] = {places[i]: {**state, "step": int(state["step"])} for i, state in saved["state"].items()}
    (group,) = saved["param_groups"]
    kept = {key: group[key] for key in ("lr", "betas", "eps", "weight_decay", "amsgrad")}
    saved["param_groups"] = [{**kept, "params": [places[i] for i in group["params"]]}]
    agree("Adam", through_a_file(saved))


def test_of_a_model_whose_groups_were_split_otherwise_is_refused():
    saved = trained(torch.optim, "Adam").optimizer.state_dict()
    params = parameters()
    optimizer = thalweg.optim.Adam([{"params": params[:1]}, {"params": params[1:]}])
    with pytest.raises(InputError, match="param groups of 4 parameters"):
        optimizer.load_state_dict(saved)
