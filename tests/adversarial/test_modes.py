"""Contexts and settings of torch around a step: as with torch, or the same numbers as without them."""

import contextlib
import warnings

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

import thalweg.optim
from adversarial.adversary import THEIRS, Run, parameters, same
from scope import in_turns

every = pytest.mark.parametrize("name", THEIRS)
few = pytest.mark.parametrize("name", ["AdamW", "NAdam"])


class Passing(TorchFunctionMode):
    def __torch_function__(self, function, types, args=(), kwargs=None):
        return function(*args, **(kwargs or {}))


class Watching(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return function(*args, **(kwargs or {}))


@contextlib.contextmanager
def default_dtype(dtype):
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextlib.contextmanager
def threads(count):
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def deterministic():
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@contextlib.contextmanager
def denormals_flushed():
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


@contextlib.contextmanager
def anomaly():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with torch.autograd.detect_anomaly(check_nan=True):
            yield


MODES = {
    "inference": torch.inference_mode,
    "no_grad": torch.no_grad,
    "enable_grad": torch.enable_grad,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "anomaly": anomaly,
    "function mode": Passing,
    "dispatch mode": Watching,
    "flop counter": lambda: FlopCounterMode(display=False),
    "float64 by default": lambda: default_dtype(torch.float64),
    "bfloat16 by default": lambda: default_dtype(torch.bfloat16),
    "meta by default": lambda: torch.device("meta"),
    "one thread": lambda: threads(1),
    "four threads": lambda: threads(4),
    "deterministic": deterministic,
    "denormals flushed": denormals_flushed,
    "forward differentiation": torch.autograd.forward_ad.dual_level,
    "saved tensors on disk": lambda: torch.autograd.graph.save_on_cpu(),
}


@few
@pytest.mark.parametrize("mode", MODES)
def test_a_mode_that_comes_and_goes(name, mode):
    """From the third step to the fifth of seven."""
    runs = [Run(getattr(thalweg.optim, name), **THEIRS[name]) for _ in range(2)]
    for step in range(7):
        for run in runs:
            run.fill()
        runs[0].optimizer.step()
        with warnings.catch_warnings(), MODES[mode]() if step in (2, 3, 4) else contextlib.nullcontext():
            warnings.simplefilter("ignore")
            runs[1].optimizer.step()
    torch.testing.assert_close(runs[0].values(), runs[1].values(), rtol=1e-7, atol=1e-9)


@few
@pytest.mark.parametrize("mode", sorted(MODES.keys() - {"inference"}))
def test_a_mode_around_the_first_step(name, mode):
    """State that is made within it goes on without it."""
    if (name, mode) == ("NAdam", "bfloat16 by default"):
        pytest.skip("a test of its own")
    runs = [Run(getattr(thalweg.optim, name), **THEIRS[name]) for _ in range(2)]
    for step in range(4):
        for run in runs:
            run.fill()
        runs[0].optimizer.step()
        with warnings.catch_warnings(), MODES[mode]() if step == 0 else contextlib.nullcontext():
            warnings.simplefilter("ignore")
            runs[1].optimizer.step()
    torch.testing.assert_close(runs[0].values(), runs[1].values(), rtol=1e-6, atol=1e-8)


@few
def test_state_made_in_inference_mode(name):
    """torch refuses to go on with it outside of that; here it is stepped as any other."""
    runs = [Run(getattr(thalweg.optim, name), **THEIRS[name]) for _ in range(2)]
    with torch.inference_mode():
        runs[0].step()
    runs[1].step()
    for run in runs:
        run.step(3)
    torch.testing.assert_close(runs[0].values(), runs[1].values(), rtol=0, atol=0)


@few
def test_parameters_made_in_inference_mode(name):
    def act(module):
        with torch.inference_mode():
            run = Run(getattr(module, name), [torch.linspace(-1, 1, 6, dtype=torch.float64)], **THEIRS[name])
            run.step(4)
            return run.values()

    with torch.inference_mode():
        torch.testing.assert_close(act(thalweg.optim), act(torch.optim), rtol=1e-11, atol=1e-12)


@every
def test_the_default_dtype_changes_in_mid_run(name):
    def act(run):
        run.step(2)
        with default_dtype(torch.float64):
            new = parameters(shapes=[(5,)])
            run.params += new
            run.optimizer.add_param_group({"params": new})
            run.group["params"].append(parameters(shapes=[(6,)])[0])
            if name != "Adagrad":  # torch makes its state in the constructor
                run.params.append(run.group["params"][-1])
            run.step(2)
        run.step(2)

    same(name, act, rtol=1e-7)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["NAdam", "ASGD", "RAdam", "Rprop", "Adagrad"])
def test_a_default_dtype_of_few_bits(name, dtype):
    """One number beside the moments is in float32 at least (torch's ASGD makes its eta in the default dtype)."""
    run, other = (Run(getattr(thalweg.optim, name), parameters(), **THEIRS[name]) for _ in range(2))
    other.step(4)
    with default_dtype(dtype):
        run.step(4)
    torch.testing.assert_close(run.values(), other.values(), rtol=1e-12, atol=1e-12)


@few
def test_threads_change_between_steps(name):
    runs = [Run(getattr(thalweg.optim, name), parameters(torch.float32, [(70_000,)]), **THEIRS[name]) for _ in range(2)]
    for count in (1, 4, 2, 1, 3):
        runs[0].step()
        with threads(count):
            runs[1].step()
    torch.testing.assert_close(runs[0].values(), runs[1].values(), rtol=0, atol=0)


@few
@pytest.mark.parametrize("what", ["the step", "training", "a closure"])
def test_compiled(name, what):
    def act(run):
        def training():
            run.optimizer.zero_grad()
            sum((p * p).sum() for p in run.params).backward()
            run.optimizer.step()

        def closure():
            run.optimizer.zero_grad()
            loss = sum((p * p).sum() for p in run.params)
            loss.backward()
            return loss

        if what == "the step":
            steps = torch.compile(lambda: run.optimizer.step(), backend="eager")
        else:
            steps = torch.compile(
                training if what == "training" else lambda: run.optimizer.step(closure), backend="eager"
            )
        for _ in range(3):
            if what == "the step":
                run.fill()
            steps()

    runs = [Run(getattr(thalweg.optim, name), **THEIRS[name]) for _ in range(2)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        act(runs[0])
    torch._dynamo.reset()
    for _ in range(3):
        if what == "the step":
            runs[1].fill()
        else:
            runs[1].optimizer.zero_grad()
            sum((p * p).sum() for p in runs[1].params).backward()
        runs[1].optimizer.step()
    torch.testing.assert_close(runs[0].values(), runs[1].values(), rtol=0, atol=0)


OPTIONS = [{"clip_global_norm": 0.5}, {"cautious": True}, {"ema_decay": 0.9}, {}]


@pytest.mark.parametrize(("name", "options"), in_turns(THEIRS, OPTIONS), ids=str)
def test_a_graph_of_gradients_is_not_followed(name, options):
    """Gradients made with `create_graph=True` require gradients themselves."""
    runs = [Run(getattr(thalweg.optim, name), **THEIRS[name], **options) for _ in range(2)]
    for _ in range(3):
        for run, graph in zip(runs, (True, False), strict=True):
            grads = torch.autograd.grad(sum((p**3).sum() for p in run.params), run.params, create_graph=graph)
            for p, g in zip(run.params, grads, strict=True):
                p.grad = g
            run.optimizer.step()
            run.optimizer.zero_grad()
    torch.testing.assert_close(runs[0].values(), runs[1].values(), rtol=0, atol=0)
    assert not any(v.requires_grad for s in runs[0].optimizer.state.values() for v in s.values() if torch.is_tensor(v))
