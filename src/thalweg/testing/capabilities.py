"""Common uses of an optimizer, tested with every class of `thalweg.optim`.

Each capability is a function of a class. It raises if the class lacks the capability, and returns a reason if the class
refuses it by design.
"""

import copy
import io
import pickle
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from thalweg.errors import InputError
from thalweg.execution.storage.rounding import merge
from thalweg.optim.functional import functional
from thalweg.workloads.parameter_groups import adamw_rest, grouped

Capability = Callable[[type], str | None]

STEPS = 4


def _start(dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.linspace(-1, 1, 12, dtype=torch.float64).view(3, 4).to(dtype)


def _gradients(p: Tensor) -> Iterator[Tensor]:
    for step in range(STEPS):
        yield torch.cos(torch.arange(p.numel()) + step).view(p.shape).to(p.dtype)


def _trained(
    cls: Any, dtype: torch.dtype = torch.float64, start: Tensor | None = None, **options: Any
) -> tuple[Tensor, Any]:
    """A parameter after `STEPS` steps, and its optimizer."""
    p = nn.Parameter(_start(dtype) if start is None else start)
    optimizer = cls([p], **options)
    for gradient in _gradients(p):
        p.grad = gradient
        optimizer.step()
    return p.detach(), optimizer


def _groups_of(cls: Any, model: nn.Module) -> Any:
    """A model's parameters; in param groups where the class steps matrices only, and AdamW the rest."""
    return grouped(model, adamw_rest(model)) if cls.recipe.rule.others else model.parameters()


def _close(a: Tensor, b: Tensor, off: float = 1e-11) -> None:
    torch.testing.assert_close(a, b, rtol=off, atol=off)


def _maximize(cls: Any) -> None:
    p, _ = _trained(cls, maximize=True)
    q = nn.Parameter(_start())
    optimizer = cls([q])
    for gradient in _gradients(q):
        q.grad = -gradient
        optimizer.step()
    _close(p, q.detach())


def _decay(cls: Any) -> str | None:
    plain, coupled = (_trained(cls, weight_decay=decay)[0] for decay in (0.0, 0.5))
    assert not torch.equal(plain, coupled)
    try:
        decoupled, _ = _trained(cls, weight_decay=0.5, decoupled_weight_decay=True)
    except InputError:
        return "one kind of decay: it is part of its formula"
    assert not torch.equal(plain, decoupled)
    coupled, _ = _trained(cls, weight_decay=0.5, decoupled_weight_decay=False)
    assert not torch.equal(coupled, decoupled)
    return None


def _tensor_rate(cls: Any) -> None:
    _close(_trained(cls, lr=torch.tensor(0.01))[0], _trained(cls, lr=torch.tensor(0.01).item())[0])


def _implementations(cls: Any) -> None:
    plain, foreach, fused = _trained(cls)[0], _trained(cls, foreach=True)[0], _trained(cls, fused=True)[0]
    assert torch.equal(plain, foreach)
    assert torch.equal(plain, fused)


def _groups(cls: Any) -> None:
    """Each group by its own hyperparameters, as by an optimizer of its own; the closure's loss comes back."""
    ours, theirs = ([nn.Parameter(_start(torch.float32)) for _ in range(2)] for _ in range(2))
    optimizer = cls([ours[0]])
    optimizer.add_param_group({"params": [ours[1]], "lr": 1e-3})
    alone = [cls([theirs[0]]), cls([theirs[1]], lr=1e-3)]
    for gradient in _gradients(ours[0]):
        for p in (*ours, *theirs):
            p.grad = gradient.clone()
        assert optimizer.step(lambda: 0.25) == 0.25
        for each in alone:
            each.step()
    assert [group["lr"] for group in optimizer.param_groups] == [optimizer.defaults["lr"], 1e-3]
    for p, q in zip(ours, theirs, strict=True):
        assert torch.equal(p, q)
        assert not torch.equal(p, _start(torch.float32))


def _distributed(cls: Any) -> None:
    """Resumes bitwise: torch creates the state dict by a step with zero rate and gradients, which must move nothing."""
    from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict

    ends: list[list[Tensor]] = []
    for through in (False, True):
        torch.manual_seed(0)
        model = nn.Linear(3, 2)
        optimizer = cls(_groups_of(cls, model))
        for step in range(STEPS):
            if through and step == STEPS // 2:
                saved = get_optimizer_state_dict(model, optimizer)
                optimizer = cls(_groups_of(cls, model))
                set_optimizer_state_dict(model, optimizer, saved)
            for p in model.parameters():
                p.grad = torch.cos(torch.arange(p.numel()) + step).view(p.shape)
            optimizer.step()
        ends.append([p.detach() for p in model.parameters()])
    assert all(map(torch.equal, ends[0], ends[1]))


def _resume(cls: Any) -> None:
    whole, _ = _trained(cls)
    p = nn.Parameter(_start())
    optimizer = cls([("weight", p)])
    for step, gradient in enumerate(_gradients(p)):
        if step == STEPS // 2:
            file = io.BytesIO()
            torch.save(optimizer.state_dict(), file)
            file.seek(0)
            optimizer = cls([("weight", p)])
            optimizer.load_state_dict(torch.load(file, weights_only=True))
        p.grad = gradient
        optimizer.step()
    assert torch.equal(p.detach(), whole)


def _copies(cls: Any) -> None:
    """Copies go on as the original does, bitwise."""
    _, optimizer = _trained(cls)
    twins = [copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer)), optimizer]
    ends = []
    for each in twins:
        assert type(each) is cls
        (p,) = each.param_groups[0]["params"]
        p.grad = torch.ones_like(p)
        each.step()
        ends.append(p.detach())
    assert all(torch.equal(end, ends[-1]) for end in ends)


def _dtypes(cls: Any) -> str | None:
    exact, _ = _trained(cls)
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        off = 2 * STEPS * torch.finfo(dtype).eps  # per step, the rounding of the parameter and of the gradient
        _close(_trained(cls, dtype)[0].double(), exact, off)
    for dtype in (torch.complex64, torch.complex128):
        try:
            assert _trained(cls, dtype)[0].is_complex()
        except InputError:
            return "real numbers only: it steps whole matrices"
    return None


def _descended(cls: Any, dtype: torch.dtype, **options: Any) -> tuple[nn.Parameter, Any]:
    """Weights of 1 after `STEPS` steps in one direction, and their optimizer."""
    p = nn.Parameter(torch.ones(64, 64, dtype=dtype))
    optimizer = cls([p], **options)
    for step in range(STEPS):
        p.grad = torch.full_like(p, 1 + step / 8)
        optimizer.step()
    return p, optimizer


def _moves(cls: Any) -> None:
    """Steps below half of bfloat16's ulp under 1, 2**-8, move weights as far as in float32: on average by stochastic
    rounding, and by compensation each weight. Rounded to the nearest, none would move."""
    rate, step = 2.0**-10, 2.0**-10
    with_defaults = (1 - _descended(cls, torch.float32, lr=rate)[0].detach()).abs().mean() / STEPS
    rate *= min(1.0, step / float(with_defaults)) if cls.recipe.name == "ftrl" else step / float(with_defaults)
    wide = _descended(cls, torch.float32, lr=rate)[0].detach()
    assert (1 - wide).abs().mean() > STEPS * step / 4
    low = _descended(cls, torch.bfloat16, rounding="stochastic", lr=rate)[0].detach()
    deviation = STEPS**0.5 * 2**-8 / 2 / 64  # of the mean of 64² weights, each rounded by at most half an ulp
    assert abs((low.float() - wide).mean()) <= 5 * deviation
    low, optimizer = _descended(cls, torch.bfloat16, rounding="compensated", lr=rate)
    _close(merge(low.detach(), optimizer.state[low]["compensation"]), wide, 2 * STEPS * torch.finfo(torch.float32).eps)


def _eight_bits(cls: Any) -> str | None:
    """States of one byte an element change the way by 2% at most."""
    wide, (low, optimizer) = _descended(cls, torch.float32)[0], _descended(cls, torch.float32, state_dtype="8bit")
    if not any(isinstance(v, Tensor) and v.dtype is torch.uint8 for v in optimizer.state[low].values()):
        assert torch.equal(low, wide)
        return "keeps no state in 8 bits: it has none whose digits may be rounded"
    assert (low - wide).abs().mean() <= 0.02 * (1 - wide).abs().mean()
    return None


def _touch(embedding: nn.Embedding) -> None:
    loss: Any = embedding(torch.tensor([1, 5])).sum()
    loss.backward()


def _sparse(cls: Any) -> str | None:
    embedding = nn.Embedding(20, 3, sparse=True)
    before = embedding.weight.detach().clone()
    optimizer = cls(embedding.parameters(), weight_decay=0.0)
    _touch(embedding)
    try:
        optimizer.step()
    except InputError:
        return f"dense only: {cls.recipe.rule.sparse_unsupported}"
    embedding.zero_grad()
    held = before[7].clone()
    _touch(embedding)
    optimizer.step()
    assert torch.equal(embedding.weight.detach()[7], held)
    return None


def _scaler(cls: Any) -> None:
    ends = []
    for scaled in (False, True):
        p = nn.Parameter(torch.ones(1, 5))
        optimizer, scaler = cls([p]), torch.amp.GradScaler("cpu", init_scale=256.0, enabled=scaled)
        for _ in range(STEPS):
            optimizer.zero_grad()
            loss: Any = scaler.scale((p * torch.arange(5)).sum())
            loss.backward()
            scaler.step(optimizer)
            scaler.update(256.0)
        ends.append(p.detach())
    _close(ends[0], ends[1], off=1e-5)


def _capturable(cls: Any) -> None:
    _close(_trained(cls, capturable=True)[0], _trained(cls)[0])


def _differentiable(cls: Any) -> None:
    g = torch.linspace(0.1, 1, 6, dtype=torch.float64).view(2, 3).requires_grad_()
    p = torch.ones(2, 3, dtype=torch.float64).requires_grad_() * 1.0
    optimizer = cls([p], differentiable=True)
    for _ in range(2):
        p.grad = g * 1.0
        optimizer.step()
    (found,) = torch.autograd.grad(p.sum(), g)
    assert found.shape == g.shape


def _functional(cls: Any) -> None:
    init, update = functional(cls.recipe)
    parameters = {"w": _start()}
    states = init(parameters)
    for gradient in _gradients(parameters["w"]):
        parameters, states = update({"w": gradient}, states, parameters)
    _close(parameters["w"], _trained(cls)[0])


CAPABILITIES: Mapping[str, Capability] = {
    "maximize": _maximize,
    "decay, coupled and decoupled": _decay,
    "learning rate in a tensor": _tensor_rate,
    "`foreach`, `fused`": _implementations,
    "param groups, closures": _groups,
    "resume, bitwise": _resume,
    "`torch.distributed.checkpoint`": _distributed,
    "copy, pickle": _copies,
    "float64 to float16, complex": _dtypes,
    "small steps in bfloat16": _moves,
    "8-bit states": _eight_bits,
    "sparse gradients": _sparse,
    "`GradScaler`": _scaler,
    "`capturable`": _capturable,
    "`differentiable`": _differentiable,
    "`torch.func`": _functional,
}
"""Capability → its check."""
