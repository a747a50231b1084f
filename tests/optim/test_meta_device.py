"""Memory planned on the meta device, and default devices that are not the parameters'."""

import pytest
import torch
from torch import nn

import thalweg.optim
from thalweg.optim import functional
from thalweg.optim.classes import drop_ins

every_class = pytest.mark.parametrize("cls", drop_ins().values(), ids=drop_ins())
OPTIONS = (
    {"clip_global_norm": 1.0}, {"clip_tensor_norm": 1.0}, {"clip_adaptive": 0.1}, {"centralize": True},
    {"cautious": True}, {"ema_decay": 0.9}, {"lookahead_steps": 2}, {"capturable": True}, {"state_dtype": "8bit"},
    {"state_dtype": "bfloat16"}, {"rounding": "compensated"}, {"weight_decay": 0.1},
)  # fmt: skip


def planned(cls, device, dtype=torch.float32, **options):
    """The state of an embedding after two steps: name → shape, dtype, device."""
    model = nn.Embedding(300, 20, device=device, dtype=dtype)
    optimizer = cls(model.parameters(), **options)
    for p in model.parameters():
        p.grad = torch.empty_like(p) if device == "meta" else torch.arange(p.numel()).view(p.shape).to(p.dtype)
    for _ in range(2):
        optimizer.step()
    assert {p.device.type for p in model.parameters()} == {device}
    return {name: (x.shape, x.dtype, x.device.type) for name, x in optimizer.state[model.weight].items()}


def require_the_same_state(cls, **options):
    real, meta = (planned(cls, device, **options) for device in ("cpu", "meta"))
    assert {name: x[:2] for name, x in meta.items()} == {name: x[:2] for name, x in real.items()}
    assert {x[2] for x in meta.values() if x[0] == (300, 20)} <= {"meta"}


@every_class
def test_a_step_makes_states_of_the_same_shapes(cls):
    require_the_same_state(cls)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("cls", [thalweg.optim.AdamW, thalweg.optim.SGD], ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_with_every_option(cls, options, dtype):
    require_the_same_state(cls, dtype=dtype, **options)


def test_steps_are_counted_on_the_cpu():
    assert planned(thalweg.optim.Adam, "meta")["step"] == ((), torch.float32, "cpu")
    assert planned(thalweg.optim.NAdam, "meta")["mu_product"][2] == "cpu"


@pytest.mark.parametrize("options", [{}, {"clip_global_norm": 0.5}, {"cautious": True}], ids=str)
def test_a_model_half_on_meta(options):
    """The half with memory is stepped as ever, wherever it stands in its group."""
    ends = []
    for devices in (["cpu", "cpu"], ["meta", "cpu", "meta", "cpu"]):
        ps = [nn.Parameter(torch.ones(3, device=device)) for device in devices]
        real = [p for p in ps if not p.is_meta]
        optimizer = thalweg.optim.Adam(ps, lr=0.1, **options)
        for step in range(3):
            for p in ps:
                p.grad = torch.empty_like(p)
            for number, p in enumerate(real):
                p.grad = torch.tensor([1.0, -2.0, 3.0]) * (step + number + 1)
            optimizer.step()
        ends.append([p.detach() for p in real])
    assert all(map(torch.equal, *ends))


def trained(cls, within, **options):
    """A parameter on the CPU whose optimizer lives under a default device, checkpoint included."""
    p = nn.Parameter(torch.linspace(-1, 1, 6).view(2, 3))
    with within():
        optimizer = cls([p], **options)
        for step in range(4):
            p.grad = torch.sin(torch.arange(6.0, device="cpu").view(2, 3) + step)
            if step == 2:
                saved = optimizer.state_dict()
                optimizer = cls([p], **options)
                optimizer.load_state_dict(saved)
            optimizer.step()
    return p.detach(), optimizer.state[p]


def on_cpu():
    return torch.device("cpu")


def on_meta():
    return torch.device("meta")


class MetaByDefault:
    def __enter__(self):
        torch.set_default_device("meta")

    def __exit__(self, *_):
        torch.set_default_device("cpu")


@pytest.fixture(autouse=True)
def _default_device_as_before():
    yield
    torch.set_default_device(None)


@every_class
@pytest.mark.parametrize("within", [on_meta, MetaByDefault])
def test_the_default_device_decides_nothing(cls, within):
    plain, state = trained(cls, on_cpu)
    other, its_state = trained(cls, within)
    assert torch.equal(plain, other)
    assert {name: x.device for name, x in its_state.items()} == {name: x.device for name, x in state.items()}


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_nor_with_any_option(options):
    assert torch.equal(*(trained(thalweg.optim.AdamW, within, **options)[0] for within in (on_cpu, on_meta)))


def test_a_closure_has_the_users_default_device():
    p, seen = nn.Parameter(torch.ones(1)), []
    optimizer = thalweg.optim.SGD([p])
    with torch.device("meta"):
        optimizer.step(lambda: seen.append(torch.ones(1).device.type))
    assert seen == ["meta"]


@pytest.mark.parametrize("name", ["adam", "nadam", "adagrad"])
def test_functional_under_a_default_device(name):
    init, update = functional(name)
    ends = []
    for within in (on_cpu, on_meta):
        p, g = {"w": torch.ones(3)}, {"w": torch.full((3,), 0.5)}
        with within():
            p, state = update(g, init(p), p)
            p, state = update(g, state, p)
        ends.append(p["w"])
        assert {x.device.type for x in state["w"].values()} == {"cpu"}
    assert torch.equal(*ends)
