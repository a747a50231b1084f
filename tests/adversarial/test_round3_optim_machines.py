"""A third round against the drop-ins: memory, devices and machines; and the last finds."""

import copy
import io

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import nn

import thalweg.optim
from adversarial.adversary import THEIRS, Run, gradient, parameters, same

few = pytest.mark.parametrize("name", ["SGD", "Adam", "NAdam"])


@few
def test_storages_are_emptied_and_filled_between_steps(name):
    def act(run):
        run.step(2)
        for _ in range(3):
            kept, sizes = run.values(), [p.untyped_storage().nbytes() for p in run.params]
            for p in run.params:
                p.untyped_storage().resize_(0)
            others = [torch.empty(15, dtype=torch.float64) for _ in range(9)]  # in the memory that was freed
            for p, value, size in zip(run.params, kept, sizes, strict=True):
                p.untyped_storage().resize_(size)
                p.data.copy_(value)
            run.step()
            del others

    same(name, act)


@few
def test_a_storage_grows_under_its_parameters(name):
    def act(run):
        base = torch.linspace(-1, 1, 10, dtype=torch.float64)
        run.params = [base[:5].requires_grad_(), base[5:].requires_grad_()]
        run.optimizer = type(run.optimizer)(run.params, lr=0.1)
        run.step(2)
        base.untyped_storage().resize_(1 << 20)
        run.step(2)

    same(name, act)


@few
@pytest.mark.parametrize("strided", [False, True])
def test_memory_of_numpy(name, strided):
    def act(run):
        held = np.linspace(-1, 1, 12).reshape(3, 4)
        run.params = [torch.from_numpy(held[::2, ::2] if strided else held).requires_grad_()]
        run.optimizer = type(run.optimizer)(run.params, lr=0.1)
        run.step(2)
        held[0] = 0.5
        run.step(2)
        return held.tolist() == run.params[0].tolist() or strided

    same(name, act)


@few
def test_memory_of_a_file(name, tmp_path):
    def act(run):
        path = tmp_path / type(run.optimizer).__module__
        p = torch.from_file(str(path), shared=True, size=6, dtype=torch.float64)
        run.params = [p.copy_(torch.linspace(-1, 1, 6)).requires_grad_()]
        run.optimizer = type(run.optimizer)(run.params, lr=0.1)
        run.step(3)
        again = torch.from_file(str(path), shared=True, size=6, dtype=torch.float64)
        assert torch.equal(again, p)

    same(name, act)


@pytest.mark.parametrize(
    "option", [{"ema_decay": 0.9}, {"state_dtype": "8bit", "ema_decay": 0.5}, {"capturable": True}]
)
@pytest.mark.parametrize("name", ["Adam", "NAdam", "AdamWScheduleFree", "AdaBound"])
def test_loading_stepping_and_averaging_under_a_default_device_without_memory(name, option):
    ends = []
    for device in ("cpu", "meta"):
        run = Run(getattr(thalweg.optim, name), parameters(torch.float32, [(5000,)]), lr=0.01, **option)
        run.step(2)
        saved = copy.deepcopy(run.optimizer.state_dict())
        grad = gradient(run.params[0], 2)
        with torch.device(device):
            run.optimizer.load_state_dict(saved)
            run.params[0].grad = grad
            run.optimizer.step()
            if "ema_decay" in option or "Free" in name:
                with run.optimizer.averaged_weights():
                    ends.append(run.values())
        ends.append(run.values())
    half = len(ends) // 2
    torch.testing.assert_close(ends[:half], ends[half:], rtol=0, atol=0)


@pytest.fixture
def alone(tmp_path):
    """A group of one process."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def trained(model, optimizer, count=3):
    for step in range(count):
        model.zero_grad()
        model(torch.linspace(-1, 1, 6, dtype=torch.float64).view(2, 3) + step).square().sum().backward()
        optimizer.step()


def layers():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()


def _distributed():
    import torch.distributed.optim  # which warns

    return torch.distributed.optim


def of_named(module, model):
    return _distributed()._NamedOptimizer(model.named_parameters(), module.Adam, lr=0.1)


def of_zero(module, model):
    return _distributed().ZeroRedundancyOptimizer(
        model.parameters(), optimizer_class=module.Adam, lr=0.1, parameters_as_bucket_view=True
    )


def of_post_local(module, model):
    from torch.distributed.algorithms.model_averaging.averagers import PeriodicModelAverager

    return _distributed().PostLocalSGDOptimizer(module.Adam(model.parameters(), lr=0.1), PeriodicModelAverager(2, 1))


@pytest.mark.parametrize("make", [of_named, of_zero, of_post_local], ids=lambda make: make.__name__)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("alone")
def test_within_an_optimizer_of_torchs(make):
    ends = []
    for module in (thalweg.optim, torch.optim):
        model, again = layers(), layers()
        first, second = make(module, model), make(module, again)
        trained(model, first)
        if make is of_zero:
            first.consolidate_state_dict()
        if make is of_named:
            second.init_state()
        second.load_state_dict(copy.deepcopy(first.state_dict()))
        trained(again, second)
        ends.append([p.detach() for p in (*model.parameters(), *again.parameters())])
    torch.testing.assert_close(*ends, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("view", [False, True])
@pytest.mark.parametrize("way", ["ddp", "join"])
@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("alone")
def test_gradients_in_the_buckets_of_data_parallel_models(view, way):
    ends = []
    for module in (thalweg.optim, torch.optim):
        model = nn.parallel.DistributedDataParallel(layers(), gradient_as_bucket_view=view)
        optimizer = module.Adam(model.parameters(), lr=0.1)
        if way == "join":
            with model.join():
                trained(model, optimizer)
        trained(model, optimizer)
        ends.append([p.detach() for p in model.parameters()])
    torch.testing.assert_close(*ends, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("original", [False, True])
@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("alone")
def test_a_fully_sharded_model_of_the_first_kind_and_its_checkpoint(original):
    from torch.distributed.fsdp import FullyShardedDataParallel  # which takes long

    ends = []
    for module in (thalweg.optim, torch.optim):
        options = {"use_orig_params": original, "device_id": torch.device("cpu")}
        model, again = (FullyShardedDataParallel(layers(), **options) for _ in range(2))
        first, second = (module.Adam(of.parameters(), lr=0.1, weight_decay=0.01) for of in (model, again))
        trained(model, first)
        saved = FullyShardedDataParallel.optim_state_dict(model, first)
        second.load_state_dict(FullyShardedDataParallel.optim_state_dict_to_load(again, second, copy.deepcopy(saved)))
        trained(again, second)
        ends.append([p.detach() for p in (*model.parameters(), *again.parameters())])
    torch.testing.assert_close(*ends, rtol=1e-9, atol=1e-11)


def test_a_finite_gradient_whose_square_overflows_touches_no_other_block_in_8_bits():
    """Of its own block it makes NaN, as `state_dtype` says, where float32 rests that element for good."""
    runs = [Run(thalweg.optim.Adam, [torch.ones(4096, requires_grad=True)], lr=0.1, state_dtype="8bit") for _ in (0, 1)]
    for step in range(3):
        for run in runs:
            run.params[0].grad = torch.ones(4096)
        if step == 1:
            runs[0].params[0].grad[7] = 1e25
        for run in runs:
            run.optimizer.step()
    assert runs[0].params[0][:256].isnan().all()
    assert torch.equal(runs[0].params[0][256:], runs[1].params[0][256:])


@pytest.mark.parametrize("kind", [set, lambda params: dict(enumerate(params)).values()], ids=["set", "values"])
def test_parameters_in_a_container_without_places(kind):
    def act(run):
        run.step()
        run.group["params"] = kind(run.params)
        run.step(2)
        run.step(2, skip=[1])

    same("Adam", act)


class Computed(dict):
    """A group that computes its rate."""

    def __getitem__(self, key):
        return 0.3 if key == "lr" else super().__getitem__(key)


def test_a_group_that_computes_its_rate():
    def act(run):
        run.optimizer.param_groups[0] = Computed(run.group)
        run.step(3)

    same("Adam", act)


ACTS = {
    "reload": lambda run: run.optimizer.load_state_dict(run.optimizer.state_dict()),
    "file": lambda run: run.optimizer.load_state_dict(_through_a_file(run.optimizer.state_dict())),
    "rate": lambda run: run.group.update(lr=run.group["lr"] * 0.7),
    "ascend": lambda run: run.group.update(maximize=not run.group["maximize"]),
    "forget": lambda run: run.optimizer.state.pop(run.params[run.steps % len(run.params)], None),
    "scale": lambda run: [setattr(p, "data", p.detach() * 1.1) for p in run.params[:2]],
    "turn": lambda run: setattr(run.params[0], "data", run.params[0].data.t().contiguous().t()),
    "rotate": lambda run: run.group["params"].append(run.group["params"].pop(0)),
    "rest": lambda run: run.step(skip=[run.steps % 4]),
}


def _through_a_file(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file)


@pytest.mark.parametrize("name", THEIRS)
@pytest.mark.parametrize("seed", range(4))
def test_acts_in_any_order(name, seed):
    def act(run):
        chances = torch.Generator().manual_seed(seed)
        for which in torch.randint(len(ACTS), (14,), generator=chances).tolist():
            ACTS[[*ACTS][which]](run)
            run.step()

    same(name, act, rtol=1e-7, atol=1e-8)
