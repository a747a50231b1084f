"""PyTorch's own inputs for its optimizers' tests drive Thalweg's classes through what PyTorch asks of its own."""

import copy
import io

import pytest
import torch
from torch.testing._internal.common_optimizers import OptimizerErrorEnum, optim_db

import thalweg.optim
from optim.trained import fitted
from thalweg.optim.classes import drop_ins

INFOS = {info.optim_cls.__name__: info for info in optim_db if info.optim_cls.__name__ in drop_ins()}
CONSTANT = {"ns_steps", "ns_coefficients"}
"""Hyperparameters of torch's Muon that are constants of Thalweg's."""
INPUTS = [
    (name, setting)
    for name, info in INFOS.items()
    for setting in info.optim_inputs_func("cpu")
    if not CONSTANT & setting.kwargs.keys()
]
IDS = [f"{name}-{setting.desc}" for name, setting in INPUTS]
every_input = pytest.mark.parametrize(("name", "setting"), INPUTS, ids=IDS)
every_error = pytest.mark.parametrize(
    ("name", "wrong"),
    [
        (name, e)
        for name, info in INFOS.items()
        for e in info.optim_error_inputs_func("cpu", torch.float64)
        if e.error_on == OptimizerErrorEnum.CONSTRUCTION_ERROR
    ],
    ids=lambda x: x if isinstance(x, str) else x.optimizer_error_input.desc,
)
SUPPORTED = ("not supported for capturable=False and foreach=True", "must be either both floats or both Tensors",
             "doesn't work with foreach & not capturable", "is not supported for", "only support 2D")  # fmt: skip
"""What torch cannot do, and so refuses. Thalweg's Muon refuses vectors at the step, in groups without adamw=True."""

STEPS = 12


def test_every_class_of_the_name_is_driven():
    named = {name for name in drop_ins() if name in {info.optim_cls.__name__ for info in optim_db}}
    assert set(INFOS) == named >= {"Adam", "AdamW", "SGD", "RMSprop", "NAdam", "RAdam", "Adagrad", "Rprop", "ASGD"}


@pytest.fixture(autouse=True)
def in_float64(monkeypatch):
    """torch's Muon casts to bfloat16, which these tests do nowhere else."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda x: x.to(torch.float64, copy=True))


def made(cls, setting, dtype=torch.float64, **more):
    torch.manual_seed(0)
    shapes = ((3, 4), (5, 2), (4, 4)) if cls.__name__ == "Muon" else ((3, 4), (5,), ())
    params = [torch.nn.Parameter(torch.randn(s, dtype=dtype)) for s in shapes]
    return params, cls(params, **copy.deepcopy(setting.kwargs), **more)


def train(params, optimizer, steps, first=0):
    for step in range(first, first + steps):
        generator = torch.Generator().manual_seed(step)
        for p in params:
            p.grad = torch.randn(p.shape, generator=generator, dtype=p.dtype)
        optimizer.step()


@every_input
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=str)
def test_the_same_path(name, setting, dtype):
    if name == "Muon" and dtype.is_complex:
        pytest.skip("torch's refuses it, as Thalweg's does")
    ends = []
    for cls, kwargs in ((INFOS[name].optim_cls, {"capturable": False}), (getattr(thalweg.optim, name), {})):
        if "capturable" not in setting.kwargs:
            kwargs = {}
        plain = copy.copy(setting)
        plain.kwargs = {**setting.kwargs, **kwargs}  # torch's takes capturable on a GPU only
        if "fused" in plain.kwargs and cls is not getattr(thalweg.optim, name):
            plain.kwargs = {**plain.kwargs, "fused": False}  # its fused kernels know no complex numbers
        params, optimizer = made(cls, plain, dtype)
        train(params, optimizer, STEPS)
        ends.append([p.detach() for p in params])
    torch.testing.assert_close(*ends, rtol=1e-11, atol=1e-12)


@every_input
def test_right_direction(name, setting):
    """As `test_forloop_goes_right_direction`: a linear layer's loss falls, or rises where it maximizes."""
    torch.manual_seed(1)
    weight, bias = (torch.nn.Parameter(torch.randn(*s)) for s in ((10, 5), (10,)))
    cls = getattr(thalweg.optim, name)
    optimizer = cls(fitted(cls, [weight, bias]), **copy.deepcopy(setting.kwargs))
    x = torch.randn(5)

    def loss():
        optimizer.zero_grad()
        value = (weight.mv(x) + bias).pow(2).sum()
        value.backward()
        return value

    first = loss().item()
    for _ in range(20):
        optimizer.step(loss)
    last = loss().item()
    assert last > first if setting.kwargs.get("maximize") else last < first


@every_input
def test_state_dict_deterministic(name, setting):
    cls = getattr(thalweg.optim, name)
    params, optimizer = made(cls, setting)
    train(params, optimizer, STEPS)
    half, other = made(cls, setting)
    train(half, other, 5)
    file = io.BytesIO()
    torch.save(other.state_dict(), file)
    file.seek(0)
    resumed = cls(half, **copy.deepcopy(setting.kwargs))
    resumed.load_state_dict(torch.load(file, weights_only=True))
    train(half, resumed, STEPS - 5, first=5)
    assert all(map(torch.equal, params, half))


@every_input
def test_checkpoints_of_torch_go_on(name, setting):
    """Both ways, in the middle of training."""
    ours, theirs = getattr(thalweg.optim, name), INFOS[name].optim_cls
    setting = copy.copy(setting)
    setting.kwargs = {k: v for k, v in setting.kwargs.items() if k != "capturable"}
    whole, optimizer = made(theirs, setting)
    train(whole, optimizer, STEPS)
    both = ((theirs, ours), (ours, theirs))
    for first, second in both[:1] if name == "Muon" else both:  # torch's Muon asks the groups for its constants
        params, optimizer = made(first, setting)
        train(params, optimizer, 5)
        resumed = second(params, **copy.deepcopy(setting.kwargs))
        resumed.load_state_dict(optimizer.state_dict())
        train(params, resumed, STEPS - 5, first=5)
        torch.testing.assert_close([p.detach() for p in params], [p.detach() for p in whole], rtol=1e-12, atol=1e-12)


@every_input
def test_nothing_to_do(name, setting):
    """Without gradients, a step does nothing; with gradients of 0, nothing but decay."""
    params, optimizer = made(getattr(thalweg.optim, name), setting)
    before = [p.detach().clone() for p in params]
    optimizer.step()
    assert all(map(torch.equal, params, before))
    assert not any(optimizer.state[p] for p in params if name not in ("Adagrad",) and p in optimizer.state)
    for p in params:
        p.grad = torch.zeros_like(p)
    optimizer.step()
    still = name != "ASGD" and not setting.kwargs.get("weight_decay") and name not in ("AdamW", "Muon")
    assert all(map(torch.equal, params, before)) == still


@every_input
def test_copies_prints_and_hooks(name, setting):
    params, optimizer = made(getattr(thalweg.optim, name), setting)
    train(params, optimizer, 2)
    assert name in repr(optimizer)
    twin = copy.deepcopy(optimizer)
    assert [{k: v for k, v in g.items() if k != "params"} for g in twin.param_groups] == [
        {k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups
    ]
    seen = []
    optimizer.register_step_pre_hook(lambda *_: seen.append("before"))
    optimizer.register_step_post_hook(lambda *_: seen.append("after"))
    optimizer.register_state_dict_pre_hook(lambda *_: seen.append("saving"))
    optimizer.register_state_dict_post_hook(lambda *_: seen.append("saved"))
    optimizer.register_load_state_dict_pre_hook(lambda *_: seen.append("loading"))
    optimizer.register_load_state_dict_post_hook(lambda *_: seen.append("loaded"))
    train(params, optimizer, 1)
    optimizer.load_state_dict(optimizer.state_dict())
    assert seen == ["before", "after", "saving", "saved", "loading", "loaded"]


@every_error
def test_errors(name, wrong):
    given = wrong.optimizer_error_input
    unsupported = any(text in wrong.error_regex or text in given.desc for text in SUPPORTED)
    params = given.params if given.params is not None else [torch.nn.Parameter(torch.randn(3))]

    def build():
        return getattr(thalweg.optim, name)(params, **given.kwargs)

    if unsupported:
        build()
    elif issubclass(wrong.error_type, Warning):
        with pytest.warns(wrong.error_type):
            build()
    else:
        with pytest.raises(wrong.error_type):
            build()
