"""State out of a checkpoint takes the form that the optimizer makes; what others put beside it travels as it is."""

import copy

import pytest
import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict

import thalweg.optim
from optim.trained import MODIFIED, fitted
from scope import crossed, typical
from thalweg.errors import InputError
from thalweg.optim.classes import drop_ins
from thalweg.optim.stepping.fast_path import FastPath

every_class = pytest.mark.parametrize("name", typical(drop_ins()))


def trained(cls, p, steps=3, **options):
    optimizer = cls([p], **options)
    for step in range(steps):
        p.grad = torch.empty_like(p).copy_(torch.cos(torch.arange(p.numel()) + step).view(p.shape))
        optimizer.step()
    return optimizer


def parameter(dtype=torch.float32, shape=(4, 6)):
    return nn.Parameter(torch.linspace(1, 2, torch.Size(shape).numel()).view(shape).to(dtype))


def loaded(cls, p, checkpoint, **options):
    optimizer = cls([p], **options)
    optimizer.load_state_dict(copy.deepcopy(checkpoint))
    return optimizer


def looks(optimizer):
    state = next(iter(optimizer.state.values()), {})
    return {name: (v.dtype, v.shape, v.stride()) for name, v in state.items() if isinstance(v, torch.Tensor)}


DTYPES = [torch.bfloat16, torch.float16, torch.float32, torch.float64]


@pytest.mark.parametrize("saved", DTYPES, ids=str)
@pytest.mark.parametrize("now", DTYPES, ids=str)
@every_class
def test_it_looks_as_if_it_had_been_made_here(name, now, saved):
    cls = drop_ins()[name]
    checkpoint = trained(cls, parameter(saved)).state_dict()
    optimizer = loaded(cls, parameter(now), checkpoint)
    expected = looks(trained(cls, parameter(now)))
    found = looks(optimizer)
    for state in expected.keys() & found.keys():
        row = now == saved == torch.float64 and expected[state][1] == ()
        assert found[state] == expected[state] or row, state


@pytest.mark.parametrize("now", [torch.bfloat16, torch.float32])
def test_moments_of_torch_in_few_bits_are_widened(now):
    checkpoint = trained(torch.optim.Adam, parameter(torch.bfloat16)).state_dict()
    assert checkpoint["state"][0]["exp_avg"].dtype == torch.bfloat16
    assert (
        loaded(thalweg.optim.Adam, parameter(now), checkpoint).state_dict()["state"][0]["exp_avg"].dtype
        == torch.float32
    )


@pytest.mark.parametrize("state_dtype", [None, "bfloat16", "8bit"])
def test_states_of_torch_become_what_is_asked_for(state_dtype):
    p = parameter(shape=(80, 64))
    checkpoint = trained(torch.optim.Adam, parameter(shape=(80, 64))).state_dict()
    optimizer = loaded(thalweg.optim.Adam, p, checkpoint, state_dtype=state_dtype)
    assert looks(optimizer) == looks(trained(thalweg.optim.Adam, parameter(shape=(80, 64)), state_dtype=state_dtype))
    p.grad = torch.ones_like(p)
    for _ in range(3):
        optimizer.step()
    assert torch.isfinite(p).all()


def test_layouts_follow_the_parameter():
    """Saved beside a contiguous parameter, loaded beside one that is channels last: steps stay prepared."""
    checkpoint = trained(thalweg.optim.Adam, parameter(shape=(2, 3, 4, 4))).state_dict()
    p = nn.Parameter(parameter(shape=(2, 3, 4, 4)).detach().to(memory_format=torch.channels_last))
    optimizer = loaded(thalweg.optim.Adam, p, checkpoint)
    assert optimizer.state[p]["exp_avg"].stride() == p.stride()
    torch.testing.assert_close(optimizer.state[p]["exp_avg"], checkpoint["state"][0]["exp_avg"])


def quick_steps(optimizer, monkeypatch):
    found, fits = [], FastPath.fits
    monkeypatch.setattr(FastPath, "fits", lambda *args: found.append(fits(*args)) or found[-1])
    for p in optimizer.param_groups[0]["params"]:
        p.grad = torch.ones_like(p)
    for _ in range(4):
        optimizer.step()
    return found


@pytest.mark.parametrize(
    "hints", [{"capturable": True}, {"foreach": True}, {"fused": True}, {"capturable": True, "foreach": True}]
)
def test_how_a_step_was_carried_out_elsewhere_does_not_travel(hints, monkeypatch):
    checkpoint = trained(thalweg.optim.Adam, parameter()).state_dict()
    checkpoint["param_groups"][0].update(hints)
    optimizer = loaded(thalweg.optim.Adam, parameter(), checkpoint)
    assert quick_steps(optimizer, monkeypatch) == [True] * 3
    asked = loaded(thalweg.optim.Adam, parameter(), checkpoint, capturable=True)
    assert asked.param_groups[0]["capturable"]


def test_two_optimizers_share_nothing():
    p, q = parameter(), parameter()
    teacher = trained(thalweg.optim.Adam, p)
    teacher.state[p]["mine"] = {"inside": [torch.ones(2)]}
    pupil = thalweg.optim.Adam([q])
    pupil.load_state_dict(teacher.state_dict())
    before = copy.deepcopy(pupil.state[q])
    teacher.state[p]["mine"]["inside"][0].zero_()
    for _ in range(3):
        teacher.step()
    for name in ("exp_avg", "exp_avg_sq", "step"):
        assert torch.equal(pupil.state[q][name], before[name])
    assert pupil.state[q]["mine"]["inside"][0].tolist() == [1, 1]


FOREIGN = {
    "slow": torch.ones(4, 6, dtype=torch.float64),
    "of another size": torch.ones(7, dtype=torch.int32),
    "flag": True,
    "inside": {"a": [torch.zeros(2, dtype=torch.bfloat16), "text"], 3: (1.5, None)},
}


def test_what_others_keep_travels_untouched():
    p = parameter()
    optimizer = trained(thalweg.optim.AdamW, p)
    optimizer.state[p].update(FOREIGN)
    optimizer.param_groups[0].update(mine="text", layer=3, milestones=[1, 2])
    q = parameter()
    other = loaded(thalweg.optim.AdamW, q, optimizer.state_dict())
    for key, value in FOREIGN.items():
        torch.testing.assert_close(other.state[q][key], value, rtol=0, atol=0) if key != "inside" else None
    assert other.state[q]["inside"]["a"][0].dtype == torch.bfloat16
    assert other.state[q]["inside"][3] == (1.5, None)
    assert {key: other.param_groups[0][key] for key in ("mine", "layer", "milestones")} == {
        "mine": "text", "layer": 3, "milestones": [1, 2],
    }  # fmt: skip
    q.grad = torch.ones_like(q)
    other.step()
    assert other.state[q]["flag"] is True


@pytest.mark.parametrize("shape", [(1,), (), (6, 4), (24,), (4, 7)])
@pytest.mark.parametrize("state", ["exp_avg", "exp_avg_sq"])
def test_moments_of_another_size_are_refused(state, shape):
    checkpoint = trained(thalweg.optim.Adam, parameter()).state_dict()
    checkpoint["state"][0][state] = torch.ones(shape)
    with pytest.raises(InputError, match=f"checkpoint's {state} of parameter number 0 has shape"):
        loaded(thalweg.optim.Adam, parameter(), checkpoint)


@pytest.mark.parametrize("scales", [torch.ones(3), torch.ones(20, 1), torch.ones(())])
def test_scales_of_another_size_are_refused(scales):
    checkpoint = trained(thalweg.optim.Adam, parameter(shape=(80, 64)), state_dtype="8bit").state_dict()
    checkpoint["state"][0]["exp_avg_scales"] = scales
    with pytest.raises(InputError, match="exp_avg_scales of parameter number 0"):
        loaded(thalweg.optim.Adam, parameter(shape=(80, 64)), checkpoint)


PREFIXES = [
    ("module.", ""),
    ("", "module."),
    ("_orig_mod.", ""),
    ("_orig_mod.module.", ""),
    ("module._orig_mod.", "_orig_mod."),
    ("module.module.", "module."),
    ("_fsdp_wrapped_module.", "module."),
]


@pytest.mark.parametrize(("saved", "now"), PREFIXES)
def test_prefixes_of_wrappers_are_seen_through(saved, now):
    named = {name: parameter() for name in ("a.weight", "a.bias", "module.weight")}
    optimizer = thalweg.optim.Adam([(saved + name, p) for name, p in named.items()])
    for i, p in enumerate(named.values()):
        p.grad = torch.full_like(p, i + 1.0)
    optimizer.step()
    others = {name: parameter() for name in reversed(named)}
    other = thalweg.optim.Adam([(now + name, p) for name, p in others.items()])
    other.load_state_dict(optimizer.state_dict())
    for name, p in others.items():
        assert torch.equal(other.state[p]["exp_avg"], optimizer.state[named[name]]["exp_avg"]), name
    assert other.param_groups[0]["param_names"] == [now + name for name in others]


def test_a_part_of_the_model_that_was_compiled():
    saved = thalweg.optim.Adam([("encoder._orig_mod.weight", parameter()), ("head.weight", parameter())])
    for p in saved.param_groups[0]["params"]:
        p.grad = torch.ones_like(p)
    saved.step()
    other = thalweg.optim.Adam([("head.weight", parameter()), ("encoder.weight", parameter())])
    other.load_state_dict(saved.state_dict())
    assert len(other.state) == 2


def test_names_that_differ_in_more_than_a_prefix_are_refused():
    checkpoint = trained(thalweg.optim.Adam, parameter()).state_dict()
    checkpoint["param_groups"][0]["param_names"] = ["module.first"]
    other = thalweg.optim.Adam([("second", parameter())])
    with pytest.raises(InputError, match="of other parameters"):
        other.load_state_dict(checkpoint)


@pytest.mark.parametrize("step", [5, 5.0, torch.tensor(5), torch.tensor([5.0])])
def test_steps_put_there_by_hand(step):
    """In a checkpoint any number; in the state of a running optimizer a tensor, or a sentence says so."""
    checkpoint = trained(thalweg.optim.Adam, parameter()).state_dict()
    checkpoint["state"][0]["step"] = step
    p = parameter()
    optimizer = loaded(thalweg.optim.Adam, p, checkpoint)
    p.grad = torch.ones_like(p)
    optimizer.step()
    assert optimizer.state[p]["step"].item() == 6


TEMPLATES = (
    *MODIFIED,
    {"weight_decay": 0.1, "independent_weight_decay": True},
    {"lookahead_steps": 1, "lookahead_alpha": 0.5},
)


def model_of(dtype=torch.float32):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)).to(dtype)


@pytest.mark.parametrize("capturable", [False, True])
@pytest.mark.parametrize(
    ("cls", "options"),
    [(c, o) for c, o in crossed(drop_ins(), TEMPLATES) if not (c.recipe.rule.owns_decay and "weight_decay" in o)],
    ids=str,
)
def test_the_template_of_a_state_dict_moves_nothing_and_is_whole(cls, options, capturable):
    """torch makes it by a step with a learning rate of 0 and gradients of 0, at every call where there is no state."""
    model = model_of()
    before = [p.detach().clone() for p in model.parameters()]
    optimizer = cls(fitted(cls, [*model.parameters()]), lr=0.1, **options, capturable=capturable)
    for _ in range(2):
        template = get_optimizer_state_dict(model, optimizer)
        assert all(map(torch.equal, before, model.parameters()))
    for p in model.parameters():
        p.grad = torch.sin(torch.arange(p.numel()) + 1.0).view(p.shape)
    optimizer.step()
    stepped = get_optimizer_state_dict(model, optimizer)
    assert {name: set(state) for name, state in template["state"].items()} == {
        name: set(state) for name, state in stepped["state"].items()
    }


@pytest.mark.parametrize("kind", ["with momentum", "with decay at any rate"])
def test_a_users_first_step_at_rate_0_is_no_template(kind):
    """It looks like the step of a template, and decays as its formula says."""
    p = nn.Parameter(torch.ones(3))
    p.grad = torch.zeros(3)
    if kind == "with momentum":
        optimizer = thalweg.optim.Adam([p], lr=0.0, weight_decay=0.1)
        optimizer.step()
        torch.testing.assert_close(optimizer.state[p]["exp_avg"], torch.full((3,), 0.01))
    else:
        thalweg.optim.SGD([p], lr=0.0, weight_decay=0.1, independent_weight_decay=True).step()
        torch.testing.assert_close(p.detach(), torch.full((3,), 0.9))


@pytest.mark.parametrize("options", TEMPLATES[5:], ids=str)
def test_training_goes_on_through_a_template(options):
    ends = []
    for through in (False, True):
        model = model_of()
        optimizer = thalweg.optim.Adagrad(model.parameters(), lr=0.1, **options)
        for step in range(6):
            if through and step == 3:
                saved = get_optimizer_state_dict(model, optimizer)
                optimizer = thalweg.optim.Adagrad(model.parameters(), lr=0.2, **options)
                get_optimizer_state_dict(model, optimizer)
                set_optimizer_state_dict(model, optimizer, saved)
            optimizer.zero_grad()
            model(torch.ones(4, 3)).square().sum().backward()
            optimizer.step()
        ends.append([p.detach() for p in model.parameters()])
    assert all(map(torch.equal, *ends))
