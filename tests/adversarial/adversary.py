"""The same act on one of our optimizers and on torch's of the same name, and where the two end."""

import torch

import thalweg.optim

THEIRS = {
    "SGD": {"lr": 0.1, "momentum": 0.9},
    "Adam": {"lr": 0.1, "amsgrad": True},
    "AdamW": {"lr": 0.1},
    "Adagrad": {"lr": 0.1, "initial_accumulator_value": 0.1},
    "Adadelta": {"lr": 0.5},
    "Adamax": {"lr": 0.1},
    "ASGD": {"lr": 0.1},
    "NAdam": {"lr": 0.1},
    "RAdam": {"lr": 0.1},
    "RMSprop": {"lr": 0.01, "momentum": 0.5, "centered": True},
    "Rprop": {"lr": 0.1},
}
"""Class → options that make all of its state."""

SHAPES = ((3, 5), (4,), (), (2, 2, 2))


def gradient(p, step):
    """Of the parameter's shape, another at each step."""
    count = torch.arange(p.numel(), dtype=torch.float64)
    return torch.sin(count * 1.7 + step).view(p.shape).to(p.dtype)


def parameters(dtype=torch.float64, shapes=SHAPES):
    sizes = [torch.Size(shape) for shape in shapes]
    return [
        torch.linspace(-1, 1, size.numel(), dtype=torch.float64).view(size).to(dtype).requires_grad_() for size in sizes
    ]


class Run:
    """Parameters under a class's optimizer, in steps whose gradients depend on the step alone."""

    def __init__(self, cls, params=None, **options):
        self.params = parameters() if params is None else params
        self.optimizer = cls(self.params, **options)
        self.steps = 0

    @property
    def group(self):
        return self.optimizer.param_groups[0]

    def fill(self, skip=()):
        for i, p in enumerate(self.params):
            p.grad = None if i in skip else gradient(p, self.steps)
        self.steps += 1

    def step(self, count=1, skip=()):
        for _ in range(count):
            self.fill(skip)
            self.optimizer.step()

    def values(self):
        return [p.detach().clone() for p in self.params]


def ends(name, act, *, make=parameters, **options):
    """Where ours and torch's parameters are after an act on a run of each; with what the act returns, if anything."""
    options = {**THEIRS[name], **options}
    found = []
    for module in (thalweg.optim, torch.optim):
        hints = {"foreach": False} if module is torch.optim else {}
        run = Run(getattr(module, name), make(), **options, **hints)
        said = act(run)
        found.append((run.values(), said))
    return found


def same(name, act, *, rtol=1e-11, atol=1e-12, **options):
    """Asserts that an act ends where torch does."""
    (ours, said), (theirs, theirs_said) = ends(name, act, **options)
    torch.testing.assert_close(ours, theirs, rtol=rtol, atol=atol, equal_nan=True)
    assert said == theirs_said
