"""A checkpoint goes to the parameters it is of, by name, or nowhere."""

import copy

import pytest
import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict

import thalweg.optim
from thalweg.errors import InputError

NAMES = ("first", "second", "third")


def params():
    return {name: nn.Parameter(torch.full((2, 2), float(i))) for i, name in enumerate(NAMES)}


def trained(named, groups=None, cls=thalweg.optim.Adam):
    optimizer = cls(groups(named) if groups else named.items())
    for i, p in enumerate(named.values()):
        p.grad = torch.full_like(p, i + 1.0)
    optimizer.step()
    return optimizer


def moments(optimizer):
    """Name → its first moment, which is a tenth of the gradient."""
    found = {}
    for group in optimizer.param_groups:
        for name, p in zip(group["param_names"], group["params"], strict=True):
            found[name] = round(10 * optimizer.state[p]["exp_avg"].mean().item())
    return found


def test_names_that_moved_places():
    checkpoint = trained(params()).state_dict()
    shuffled = thalweg.optim.Adam(dict(reversed(params().items())).items())
    shuffled.load_state_dict(checkpoint)
    assert moments(shuffled) == {"first": 1, "second": 2, "third": 3}
    assert shuffled.param_groups[0]["param_names"] == ["third", "second", "first"]


def two_groups(named):
    return [{"params": [("third", named["third"])], "lr": 0.5}, {"params": [(n, named[n]) for n in NAMES[:2]]}]


def test_groups_that_moved_places_keep_their_hyperparameters():
    checkpoint = trained(params(), two_groups).state_dict()
    other = thalweg.optim.Adam(list(reversed(two_groups(params()))))
    other.load_state_dict(checkpoint)
    assert moments(other) == {"first": 1, "second": 2, "third": 3}
    assert [group["lr"] for group in other.param_groups] == [1e-3, 0.5]


def test_what_is_of_other_parameters_is_refused():
    checkpoint = trained(params()).state_dict()
    named = params()
    renamed = thalweg.optim.Adam([("first", named["first"]), ("2nd", named["second"]), ("third", named["third"])])
    with pytest.raises(InputError, match=r"It has nothing of '2nd'\. The optimizer has no 'second'\."):
        renamed.load_state_dict(checkpoint)
    assert not renamed.state
    regrouped = thalweg.optim.Adam(two_groups(named))
    with pytest.raises(InputError, match="in other param groups: not 'third' together"):
        regrouped.load_state_dict(checkpoint)


def test_shapes_and_states_that_do_not_match_are_refused():
    checkpoint = trained(params()).state_dict()
    flat = thalweg.optim.Adam([torch.zeros(4) for _ in NAMES])
    with pytest.raises(InputError, match=r"exp_avg of parameter number 0 has shape \(2, 2\), the parameter \(4,\)"):
        flat.load_state_dict(checkpoint)
    other = thalweg.optim.RMSprop(params().items())
    with pytest.raises(InputError, match="holds 'exp_avg' of parameter first, which RMSprop does not know"):
        other.load_state_dict(checkpoint)
    fewer = thalweg.optim.Adam([*params().values()][:2])
    with pytest.raises(InputError, match="param groups of 3 parameters, the optimizer of 2"):
        fewer.load_state_dict(checkpoint)


def test_of_torch_by_name():
    theirs = trained(params(), cls=torch.optim.Adam).state_dict()
    ours = thalweg.optim.Adam(dict(reversed(params().items())).items())
    ours.load_state_dict(theirs)
    assert moments(ours) == {"first": 1, "second": 2, "third": 3}


def test_hooks_see_and_change_what_is_loaded():
    checkpoint, seen = trained(params()).state_dict(), []
    optimizer = thalweg.optim.Adam(dict(reversed(params().items())).items())

    def rename(_, state_dict):
        changed = copy.deepcopy(state_dict)
        changed["param_groups"][0]["param_names"] = ["third", "second", "first"]
        return changed

    optimizer.register_load_state_dict_pre_hook(rename)
    optimizer.register_load_state_dict_post_hook(lambda o: seen.append(moments(o)))
    optimizer.load_state_dict(checkpoint)
    assert seen == [{"third": 1, "second": 2, "first": 3}]
    optimizer.load_state_dict(checkpoint)  # hooks of one's own stay, ours go
    assert len(optimizer._optimizer_load_state_dict_pre_hooks) == 1


@pytest.mark.parametrize("cls", [thalweg.optim.AdamW, thalweg.optim.SGD, thalweg.optim.NAdam, thalweg.optim.Adagrad])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_distributed_checkpoints(cls, dtype):
    """Whose state dicts go by the names of the model; they are made by a step with a learning rate of 0."""
    ends = []
    for through in (False, True):
        torch.manual_seed(0)
        model = nn.Linear(3, 2).to(dtype)
        optimizer = cls(model.parameters(), lr=0.1)
        for step in range(6):
            if through and step == 3:
                saved = get_optimizer_state_dict(model, optimizer)
                optimizer = cls(model.parameters(), lr=0.2)
                before = [p.detach().clone() for p in model.parameters()]
                set_optimizer_state_dict(model, optimizer, saved)
                assert all(map(torch.equal, before, model.parameters()))
            optimizer.zero_grad()
            model(torch.ones(4, 3, dtype=dtype)).square().sum().backward()
            optimizer.step()
        ends.append([p.detach() for p in model.parameters()])
    assert all(map(torch.equal, *ends))


def test_two_models_whose_parameters_share_names_go_by_order():
    def of(a, b):
        return thalweg.optim.Adam(
            [{"params": list(a.named_parameters())}, {"params": list(b.named_parameters()), "lr": 0.5}]
        )

    a, b = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
    first = of(a, b)
    a.weight.grad, b.weight.grad = torch.ones(2, 2), torch.full((2, 2), 5.0)
    first.step()
    second = of(a, b)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert [second.state[m.weight]["exp_avg"][0, 0].item() for m in (a, b)] == pytest.approx([0.1, 0.5])
    assert [group["lr"] for group in second.param_groups] == [1e-3, 0.5]
