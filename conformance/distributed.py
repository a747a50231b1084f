"""What two processes do in `test_distributed.py`, in a module that they can import."""

import copy
import os

import torch
import torch.distributed as dist
from torch import nn

STEPS = 6


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 2))


def train(of, optimizer, first=0, steps=STEPS):
    for step in range(first, first + steps):
        optimizer.zero_grad()
        generator = torch.Generator().manual_seed(step)
        of(torch.randn(8, 5, generator=generator)).square().mean().backward()
        optimizer.step()
    optimizer.zero_grad()  # torch makes no state for parameters that have gradients when it is asked for that
    return [p.detach() for p in of.parameters()]


def in_zero(rank, port, cases, folder):
    """One process of two: each holds the state of half of the parameters. Saves the ends by case."""
    from torch.distributed.optim import ZeroRedundancyOptimizer  # which warns of its own deprecated parts

    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=2)
    ends = {}
    for name, (cls, options) in cases.items():
        of = model()
        optimizer = ZeroRedundancyOptimizer(of.parameters(), optimizer_class=cls, **options)
        train(of, optimizer, steps=3)
        optimizer.consolidate_state_dict(to=0)
        if rank == 0:
            ends[f"{name} state"] = copy.deepcopy(optimizer.state_dict())
        ends[name] = train(of, optimizer, first=3, steps=STEPS - 3)
    torch.save(ends, folder / f"{rank}.pt")
    dist.destroy_process_group()
