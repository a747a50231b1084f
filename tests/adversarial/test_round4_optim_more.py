"""A fourth round against the drop-ins: autograd through steps, functions, groups by name, files and embeddings."""

import copy
import threading

import pytest
import safetensors.torch
import torch
from torch import nn

import thalweg.optim
from adversarial.adversary import THEIRS, Run, parameters, same
from thalweg.errors import InputError

OURS = thalweg.optim
each = pytest.mark.parametrize("name", sorted(THEIRS))
WEIGHTS = torch.linspace(-1, 1, 6, dtype=torch.float64)


def close(ours, theirs, rtol=1e-9, atol=1e-10):
    torch.testing.assert_close(ours, theirs, rtol=rtol, atol=atol, equal_nan=True)


def differentiated(module, name, mask, **options):
    """The gradient, in the weights that training began with, of what three steps lead to."""
    first = WEIGHTS.clone().requires_grad_()
    w = first.clone()
    hints = {"foreach": False} if module is torch.optim else {}
    optimizer = getattr(module, name)([w], differentiable=True, **options, **hints)
    for step in range(3):
        v = w.clone()
        loss = (v.sin() * (torch.arange(6) + step)).sum() + (v**3).sum()
        (g,) = torch.autograd.grad(loss, [v], create_graph=True)
        w.grad = g * mask
        optimizer.step()
    return torch.autograd.grad((w**2).sum(), [first])[0]


FOLLOWED = ["Adadelta", "Adagrad", "Adam", "AdamW", "NAdam", "RAdam", "SGD"]  # torch's others cannot be, as of 2.13


@pytest.mark.parametrize("name", FOLLOWED)
@pytest.mark.parametrize("rests", [0, 1], ids=["all move", "one has no gradient"])
def test_autograd_through_steps_is_torchs(name, rests):
    mask = torch.ones(6).double()
    mask[:rests] = 0
    ours, theirs = (differentiated(module, name, mask) for module in (OURS, torch.optim))
    close(ours, theirs, rtol=1e-4, atol=1e-5)  # torch counts steps in float32


def by_functions(name, mask, **options):
    """As `differentiated`, with `functional`."""
    init, update = OURS.functional(name, **options)
    p = first = WEIGHTS.clone().requires_grad_()
    state = init({"w": p})
    for step in range(3):
        loss = (p.sin() * (torch.arange(6) + step)).sum() + (p**3).sum()
        (g,) = torch.autograd.grad(loss, [p], create_graph=True)
        moved, state = update({"w": g * mask}, state, {"w": p})
        p = moved["w"]
    return torch.autograd.grad((p**2).sum(), [first])[0]


OPTIONS = {"clip_global_norm": 0.5, "clip_tensor_norm": 0.5, "clip_value": 0.5, "clip_adaptive": 0.1}
OPTIONS |= {"lookahead_steps": 2, "ema_decay": 0.9, "centralize": True, "cautious": True, "maximize": True}


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_autograd_through_modified_steps_is_that_of_functional(name, option):
    options, mask = {"lr": 0.01, option: OPTIONS[option]}, torch.ones(6).double()
    close(differentiated(OURS, name, mask, **options), by_functions(name.lower(), mask, **options))


@pytest.mark.parametrize("option", OPTIONS)
def test_autograd_through_steps_without_any_gradient_is_a_number(option):
    found = by_functions("sgd", torch.zeros(6).double(), lr=0.1, **{option: OPTIONS[option]})
    close(found, 2 * WEIGHTS)


def updated(name, g, p=None, **options):
    p = torch.linspace(-1, 1, 12).view(3, 4) if p is None else p
    init, update = OURS.functional(name, lr=0.1, **options)
    return update({"w": g}, init({"w": p}), {"w": p})


@pytest.mark.parametrize("name", ["adam", "sgd", "lion"])
@pytest.mark.parametrize("shape", [(4,), (3, 1), (), (2, 3, 4)], ids=str)
def test_functional_refuses_a_gradient_of_another_shape(name, shape):
    with pytest.raises(InputError, match="shape"):
        updated(name, torch.ones(shape))


def test_functional_refuses_a_gradient_that_is_none_in_a_sentence():
    with pytest.raises(InputError):
        updated("adam", None)


@pytest.mark.filterwarnings("ignore:Casting complex")
def test_functional_refuses_a_complex_gradient_of_a_real_parameter():
    with pytest.raises(InputError):
        updated("sgd", torch.ones(3, 4, dtype=torch.complex64))


def test_functional_takes_or_refuses_a_sparse_gradient_in_a_sentence():
    try:
        moved, _ = updated("adam", torch.ones(3, 4).to_sparse())
    except InputError:
        return
    close(moved, updated("adam", torch.ones(3, 4))[0])


def test_functional_refuses_a_parameter_of_whole_numbers():
    with pytest.raises(InputError):
        updated("adam", torch.ones(3, 4), torch.ones(3, 4, dtype=torch.long))


def test_functional_refuses_the_states_of_another_optimizer_in_a_sentence():
    p = {"w": torch.ones(3)}
    states = OURS.functional("sgd", momentum=0.9)[0](p)
    with pytest.raises(InputError):
        OURS.functional("adam")[1](p, states, p)


def test_functional_refuses_states_of_another_shape():
    p = {"w": torch.ones(3, 4)}
    init, update = OURS.functional("adam")
    with pytest.raises(InputError, match="shape"):
        update(p, init({"w": torch.ones(4)}), p)


@pytest.mark.parametrize(("norm", "linear"), [("*", "lin"), ("h[0]", "h0"), ("n?", "no")])
def test_names_with_the_signs_of_patterns_are_names(norm, linear):
    model = nn.ModuleDict({norm: nn.LayerNorm(3), linear: nn.Linear(3, 3)})
    groups = OURS.grouped(model, OURS.undecayed(model))
    decayed = [name for group in groups if group.get("weight_decay") != 0.0 for name, _ in group["params"]]
    assert decayed == [f"{linear}.weight"]


@pytest.mark.parametrize("kind", ["weight norm", "layer scale"])
def test_one_value_a_unit_is_not_decayed_whatever_its_dimensions(kind):
    model = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(3, 5)))
    name = "0.parametrizations.weight.original0"
    if kind == "layer scale":  # as torchvision's ConvNeXt has it
        model.scale, name = nn.Parameter(torch.full((5, 1, 1), 1e-6)), "scale"
    assert name in OURS.undecayed(model)


def test_a_tied_weight_is_found_by_either_name():
    model = nn.ModuleDict({"wte": nn.Embedding(5, 3), "head": nn.Linear(3, 5, bias=False)})
    model["head"].weight = model["wte"].weight
    (group,) = OURS.grouped(model, {"head.*": {"lr": 0.1}})
    assert group["lr"] == 0.1


@pytest.mark.parametrize("name", ["Adam", "Lion", "NAdam"])
def test_lookahead_switched_off_and_on_is_that_of_tensor_operations(name):
    ends = []
    for capturable in (False, True):
        run = Run(getattr(OURS, name), lr=0.1, lookahead_steps=2, capturable=capturable)
        for steps in (2, 0, 2, 2, 2, 2):
            run.group["lookahead_steps"] = steps
            run.step()
        ends.append(run.values())
    close(*ends)


@each
@pytest.mark.parametrize("options", [{}, {"state_dtype": "8bit"}, {"ema_decay": 0.9}], ids=str)
def test_frozen_quantized_weights_among_those_trained(name, options):
    codes, mask = torch.ones(300, dtype=torch.uint8), torch.ones(4, dtype=torch.bool)
    w = nn.Parameter(torch.ones(300))
    frozen = [nn.Parameter(x, requires_grad=False) for x in (codes, mask)]
    optimizer = getattr(OURS, name)([frozen[0], w, frozen[1]], **options)
    for _ in range(3):
        w.grad = torch.ones(300)
        optimizer.step()
        optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert (w < 1).all()
    assert (frozen[0] == 1).all()


def rows(module, name, *, bag, options):
    torch.manual_seed(0)
    kind = {"mode": "sum"} if bag else {"padding_idx": 0}
    layer = (nn.EmbeddingBag if bag else nn.Embedding)(10, 4, sparse=True, max_norm=1.0, **kind).double()
    optimizer = getattr(module, name)(layer.parameters(), lr=0.1, **options)
    for step in range(6):
        optimizer.zero_grad()
        (layer(torch.tensor([[step, 0, step % 3], [2, 2, step]])) * (step + 1)).sin().sum().backward()
        optimizer.step()
    return layer.weight.detach()


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")  # torch's own
@pytest.mark.parametrize("bag", [False, True])
@pytest.mark.parametrize(("name", "options"), [("SGD", {}), ("SGD", {"momentum": 0.9}), ("Adagrad", {})], ids=str)
def test_embeddings_whose_norms_are_held_down_in_the_forward_pass(name, options, bag):
    close(*(rows(module, name, bag=bag, options=options) for module in (OURS, torch.optim)))


@pytest.mark.parametrize("name", ["SGD", "AdamW", "RAdam"])
def test_states_through_a_file_of_safetensors(name, tmp_path):
    ends = []
    for module in (OURS, torch.optim):
        run = Run(getattr(module, name), parameters(torch.float32), lr=0.1)
        run.step(3)
        saved = copy.deepcopy(run.optimizer.state_dict())
        flat = {f"{i}.{k}": v for i, state in saved["state"].items() for k, v in state.items() if v is not None}
        safetensors.torch.save_file(flat, tmp_path / "states")
        read = safetensors.torch.load_file(tmp_path / "states")
        saved["state"] = {i: {k.split(".")[1]: v for k, v in read.items() if k[0] == str(i)} for i in saved["state"]}
        again = Run(getattr(module, name), run.values(), lr=0.1)
        again.optimizer.load_state_dict(saved)
        again.step(3)
        ends.append(again.values())
    close(*ends, rtol=1e-5, atol=1e-6)


def test_saved_tensors_may_be_changed_where_torch_is_told_so():
    ends = []
    for module in (OURS, torch.optim):
        run = Run(module.Adam, lr=0.1)
        run.step(4)
        with torch.autograd.graph.allow_mutation_on_saved_tensors():
            loss = sum((p**3).sum() for p in run.params)
            run.step()
            run.optimizer.zero_grad()
            loss.backward()
        ends.append([p.grad for p in run.params])
    close(*ends)


@each
def test_layers_frozen_at_the_checkpoint_are_unfrozen_after_it(name):
    def act(run):
        run.step(3, skip=(0, 2))
        saved = copy.deepcopy(run.optimizer.state_dict())
        run.optimizer.load_state_dict(saved)
        run.step(2, skip=(1,))
        run.step(3)

    same(name, act, rtol=1e-7, atol=1e-9)


def test_a_rate_that_a_schedule_takes_below_zero_is_refused_before_anything_moves():
    run = Run(OURS.AdamW, lr=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(run.optimizer, lambda step: 1 - step / 2)
    for _ in range(3):
        run.step()
        schedule.step()
    before = run.values()
    with pytest.raises(InputError, match="lr"):
        run.step()
    close(run.values(), before, rtol=0, atol=0)
    assert {float(state["step"]) for state in run.optimizer.state.values()} == {3.0}


def test_numbers_beside_moments_in_threads_of_two_dtypes():
    ends = {}

    def work(number, dtype):
        run = Run(OURS.NAdam, parameters(dtype), lr=0.1)
        run.step(100)
        ends[number] = run.values()

    threads = [threading.Thread(target=work, args=(i, (torch.float32, torch.float64)[i % 2])) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    close(ends[0], ends[2], rtol=0, atol=0)
    close(ends[1], ends[3], rtol=0, atol=0)
