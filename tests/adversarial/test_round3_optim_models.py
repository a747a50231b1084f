"""A third round against the drop-ins: models that change under way. All end where torch does."""

import copy
import io
import pickle

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize
from torch.optim import swa_utils
from torch.overrides import TorchFunctionMode
from torch.testing._internal.two_tensor import TwoTensor

import thalweg.optim
from adversarial.adversary import Run, gradient, parameters, same

few = pytest.mark.parametrize("name", ["SGD", "Adam", "NAdam"])


class Trained(Run):
    """A model of two layers, trained in steps."""

    def __init__(self, cls, model=None, **options):
        torch.manual_seed(0)
        self.model = model or nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3)).double()
        super().__init__(cls, list(self.model.parameters()), **options)

    def train(self, count=2, model=None, *, set_to_none=True):
        x = torch.linspace(-1, 1, 15, dtype=self.params[0].dtype).view(5, 3)
        for _ in range(count):
            self.optimizer.zero_grad(set_to_none=set_to_none)
            (model or self.model)(x).square().sum().backward()
            self.optimizer.step()


def alike(name, act, **options):
    """Asserts that an act on a model ends where torch does."""
    found = []
    for module in (thalweg.optim, torch.optim):
        run = Trained(getattr(module, name), **{"lr": 0.05, **options})
        act(run)
        found.append([p.detach().clone() for p in run.model.parameters()])
    torch.testing.assert_close(*found, rtol=1e-9, atol=1e-11)


@few
@pytest.mark.parametrize("kind", ["weight_norm", "spectral_norm", "orthogonal"])
def test_a_parametrization_comes_and_goes(name, kind):
    def act(run):
        run.train()
        getattr(parametrizations, kind)(run.model[0])
        known = {id(p) for p in run.params}
        new = [p for p in run.model.parameters() if id(p) not in known]
        if new:
            run.optimizer.add_param_group({"params": new})
        run.train()
        parametrize.remove_parametrizations(run.model[0], "weight")
        run.optimizer.param_groups[0]["params"] = list(run.model.parameters())
        del run.optimizer.param_groups[1:]
        run.train()

    alike(name, act)


@few
def test_weights_become_views_of_one_vector(name):
    def act(run):
        run.train()
        vector = nn.utils.parameters_to_vector(run.params).detach() * 1.1
        nn.utils.vector_to_parameters(vector, run.params)
        run.train()

    alike(name, act)


@few
def test_tied_weights_are_untied_and_tied_again(name):
    def act(run):
        first, last = nn.Linear(3, 3).double(), nn.Linear(3, 3).double()
        last.weight = first.weight
        run.model = nn.Sequential(first, last)
        run.params = list(run.model.parameters())
        run.optimizer = type(run.optimizer)(run.params, lr=0.05)
        run.train()
        last.weight = nn.Parameter(first.weight.detach().clone())
        run.optimizer.add_param_group({"params": [last.weight]})
        run.train()
        last.weight.data = first.weight.data
        run.train()

    alike(name, act)


@few
def test_channels_move_last_and_back(name):
    found = []
    for module in (thalweg.optim, torch.optim):
        torch.manual_seed(0)
        model = nn.Conv2d(3, 4, 3).double()
        optimizer = getattr(module, name)(model.parameters(), lr=0.05)
        x = torch.linspace(-1, 1, 216, dtype=torch.float64).view(2, 3, 6, 6)
        for step in range(8):
            model.to(memory_format=[torch.channels_last, torch.contiguous_format][step // 2 % 2])
            optimizer.zero_grad()
            model(x.to(memory_format=torch.channels_last)).square().sum().backward()
            optimizer.step()
        found.append([p.detach() for p in model.parameters()])
    torch.testing.assert_close(*found)


@few
def test_tensors_are_swapped_under_their_python_objects(name):
    def act(run):
        run.step(3)
        for p in run.params:
            p.grad = None
            torch.utils.swap_tensors(p, (p.detach() * 2 + 1).requires_grad_())
        run.step(3)

    same(name, act)


@few
@pytest.mark.parametrize("assign", [False, True])
def test_a_model_is_loaded_by_swapping(name, assign):
    def act(run):
        run.train()
        run.optimizer.zero_grad()
        torch.__future__.set_swap_module_params_on_conversion(True)
        try:
            run.model.load_state_dict({k: v * 2 for k, v in run.model.state_dict().items()}, assign=assign)
        finally:
            torch.__future__.set_swap_module_params_on_conversion(False)
        run.train()

    alike(name, act)


def test_layers_are_frozen_and_unfrozen_with_decay():
    def act(run):
        for frozen in (False, True, False):
            run.model[0].requires_grad_(not frozen)
            run.train()
        run.model[0].weight.requires_grad_(False)
        run.model[0].weight.grad = torch.ones_like(run.model[0].weight)
        run.optimizer.step()

    alike("Adam", act, weight_decay=0.1)


@few
def test_gradients_kept_at_zero_of_parts_that_rest(name):
    def act(run):
        for part in (run.model[:1], run.model, run.model[:2], run.model):
            run.train(model=part, set_to_none=False)

    alike(name, act)


@few
@pytest.mark.parametrize("way", ["deepcopy", "pickle", "file"])
def test_a_model_and_its_optimizer_copied_together(name, way):
    def act(run):
        run.train()
        pair = run.model, run.optimizer
        if way == "file":
            file = io.BytesIO()
            torch.save(pair, file)
            file.seek(0)
            pair = torch.load(file, weights_only=False)
        else:
            pair = copy.deepcopy(pair) if way == "deepcopy" else pickle.loads(pickle.dumps(pair))
        run.train()  # the original goes on without the copy
        run.model, run.optimizer = pair
        run.train(3)

    alike(name, act)


@few
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, when it imports its compiler
def test_a_compiled_step_of_training(name):
    ends = []
    for compiled in (False, True):
        run = Trained(getattr(thalweg.optim, name), lr=0.05)
        (torch.compile(run.train, backend="aot_eager") if compiled else run.train)()
        run.train()
        ends.append(run.values())
    torch.testing.assert_close(*ends, rtol=1e-9, atol=1e-11)


class Nothing(TorchFunctionMode):
    def __torch_function__(self, function, types, args=(), kwargs=None):
        return function(*args, **(kwargs or {}))


@few
@pytest.mark.parametrize("mode", [Nothing, torch._C.DisableTorchFunction])
def test_a_mode_of_functions(name, mode):
    def act(run):
        run.step()
        with mode():
            run.step(2)
        run.step()

    same(name, act)


@few
@pytest.mark.filterwarnings("ignore:Anomaly Detection")
def test_deterministic_and_looking_for_anomalies(name):
    def act(run):
        torch.use_deterministic_algorithms(True)
        try:
            with torch.autograd.detect_anomaly():
                run.step(3)
        finally:
            torch.use_deterministic_algorithms(False)

    same(name, act)


@few
def test_a_class_of_two_tensors(name):
    found = []
    for module, hints in ((thalweg.optim, {}), (torch.optim, {"foreach": False})):
        p = TwoTensor(torch.ones(3).double(), torch.zeros(3).double()).requires_grad_()
        optimizer = getattr(module, name)([p], lr=0.1, **hints)
        for step in range(3):
            p.grad = TwoTensor(torch.ones(3).double(), torch.arange(3.0).double() + step)
            optimizer.step()
        found.append((p.a.detach(), p.b.detach()))
    torch.testing.assert_close(*found)


def test_an_average_of_the_model_under_a_schedule_of_its_own():
    def act(run):
        average = swa_utils.AveragedModel(run.model, multi_avg_fn=swa_utils.get_ema_multi_avg_fn(0.9))
        schedule = swa_utils.SWALR(run.optimizer, 0.01, anneal_epochs=3)
        for _ in range(5):
            run.train(1)
            average.update_parameters(run.model)
            schedule.step()
        run.model = average

    alike("SGD", act)


def test_steps_in_turn_with_lbfgs():
    def act(run):
        other = torch.optim.LBFGS(run.params, lr=0.1)

        def closure():
            other.zero_grad()
            loss = sum(p.square().sum() for p in run.params)
            loss.backward()
            return loss

        for _ in range(3):
            run.step()
            other.step(closure)

    same("Adam", act, rtol=1e-9)


@few
@pytest.mark.parametrize("gradients", [torch.float64, torch.bfloat16])
def test_gradients_in_a_dtype_of_their_own(name, gradients):
    """torch's SGD takes them; its others refuse, where ours compute in float32 or wider."""
    p, q = (torch.linspace(-1, 1, 6).requires_grad_() for _ in range(2))
    p.grad_dtype = gradients
    run, other = (Run(getattr(thalweg.optim, name), [each], lr=0.1) for each in (p, q))
    for step in range(3):
        p.grad = gradient(torch.empty(6), step).to(gradients)
        q.grad = p.grad.float()
        run.optimizer.step()
        other.optimizer.step()
    torch.testing.assert_close(p, q, rtol=1e-6, atol=1e-6)


@few
def test_lazily_zero_gradients(name):
    def act(run):
        run.step(2)
        run.fill()
        run.params[0].grad = torch._efficientzerotensor((3, 5), dtype=torch.float64)
        run.optimizer.step()
        run.step()

    same(name, act, make=lambda: parameters(shapes=[(3, 5), (4,)]))
