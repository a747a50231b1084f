"""Parameters that are spread over machines (DTensor, FSDP2): each machine steps its part, to the same end as one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

BEGINNING = """
import sys, torch, torch.distributed as dist, thalweg.optim
from torch import nn
from torch.distributed.fsdp import fully_shard
from compile_once import share_compilations
from thalweg.errors import InputError

share_compilations()
rank, size, store = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
dist.init_process_group("gloo", store=dist.FileStore(store, size), rank=rank, world_size=size)
mesh = torch.distributed.device_mesh.init_device_mesh("cpu", (size,))


def trained(name, sharded, dtype=torch.float32, steps=5, **options):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)).to(dtype)
    if sharded:
        fully_shard(model, mesh=mesh)
    optimizer = getattr(thalweg.optim, name)(model.parameters(), lr=0.1, **options)
    whole = lambda: [p.full_tensor() if sharded else p.detach().clone() for p in model.parameters()]
    start = whole()
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(4, 6, dtype=dtype)).square().sum().backward()
        optimizer.step()
    assert not any(map(torch.equal, start, whole())), "a parameter rests"
    return whole()


"""

SAME = """
every = [
    {}, {"cautious": True}, {"weight_decay": 0.1, "ema_decay": 0.9}, {"lookahead_steps": 2},
    {"clip_global_norm": 0.1}, {"clip_tensor_norm": 0.1}, {"centralize": True}, {"clip_adaptive": 0.1},
    {"capturable": True}, {"capturable": True, "cautious": True, "clip_tensor_norm": 0.1},
    {"max_norm": 0.4, "ema_decay": 0.9}, {"max_norm": 0.4, "capturable": True},
]
of = {"AdamW": every, "LARS": [{}, {"weight_decay": 0.1, "capturable": True}], "LAMB": [{}, {"weight_decay": 0.1}]}
for name in ("AdamW", "SGD", "NAdam", "LARS", "LAMB"):
    for options in of.get(name, every[:2]):
        found, expected = (trained(name, sharded, **options) for sharded in (True, False))
        torch.testing.assert_close(found, expected)  # sums are in another order
shard, distribute = torch.distributed.tensor.Shard, torch.distributed.tensor.distribute_tensor
torch.manual_seed(1)
whole = torch.randn(4, 6)
for options in ({}, {"capturable": True}):  # spread along the inputs: no part has a unit's norm
    parts = nn.Parameter(distribute(whole.clone(), mesh, [shard(1)]))
    parts.grad = torch.zeros_like(parts)
    thalweg.optim.SGD([parts], max_norm=1.5, **options).step()
    limited = whole * (1.5 / whole.norm(dim=1, keepdim=True)).clamp(max=1)
    torch.testing.assert_close(parts.full_tensor(), limited)
"""

FEW_BITS = """
for options in ({}, {"rounding": "compensated"}, {"capturable": True}):
    found, exact = (trained("AdamW", sharded, torch.bfloat16, **options) for sharded in (True, False))
    for a, b in zip(found, exact):
        assert (a.float() - b.float()).abs().max() < 0.1  # a step is 0.1, and chances differ
p = nn.Parameter(distribute(torch.zeros(4, 1000, dtype=torch.bfloat16), mesh))
halves = nn.Parameter(distribute(torch.zeros(2000, dtype=torch.bfloat16), mesh, [shard(0)]))
for q in (p, halves):
    q.data.fill_(1.0)
    q.grad = torch.ones_like(q)
    thalweg.optim.SGD([q], lr=1e-3).step()
ups = halves.full_tensor()
assert 0.6 < (ups == 1).float().mean() < 0.9
assert not torch.equal(ups[:1000], ups[1000:]), "the parts have the same chances"
copies = [torch.empty(4, 1000, dtype=torch.bfloat16) for _ in range(size)]
dist.all_gather(copies, p.to_local().detach())
assert all(torch.equal(copies[0], copy) for copy in copies), "copies have come apart"
try:
    trained("AdamW", True, state_dtype="8bit")
    raise SystemExit("8 bits are not refused")
except InputError as error:
    assert "whole on a machine" in str(error)
"""

END = """
dist.destroy_process_group()
"""

PATHS = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
WITH_TESTS = {**os.environ, "PYTHONPATH": os.pathsep.join(PATHS)}


@pytest.fixture(autouse=True)
def distributed():
    if not torch.distributed.is_available():
        pytest.skip("this torch has no torch.distributed")


def test_fully_sharded(tmp_path):
    """In all dtypes within the same processes: to import what they need takes longer than to step."""
    command = [sys.executable, "-W", "ignore", "-c", BEGINNING + SAME + FEW_BITS + END]
    each = [[*command, rank, "2", str(tmp_path / "store")] for rank in ("0", "1")]
    running = [subprocess.Popen(one, stderr=-1, text=True, env=WITH_TESTS) for one in each]
    errors = [process.communicate(timeout=200)[1] for process in running]
    assert [process.returncode for process in running] == [0, 0], errors
