"""Parameters that are spread over machines (DTensor, FSDP2): each machine steps its part, to the same end as one."""

import subprocess
import sys

import pytest
import torch

PROGRAM = """
import sys, torch, torch.distributed as dist, thalweg.optim
from torch import nn
from torch.distributed.fsdp import fully_shard
from thalweg.errors import InputError

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

SAME = (
    PROGRAM
    + """
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
shard, distribute = torch.distributed.tensor.Shard(1), torch.distributed.tensor.distribute_tensor
torch.manual_seed(1)
whole = torch.randn(4, 6)
for options in ({}, {"capturable": True}):  # spread along the inputs: no part has a unit's norm
    parts = nn.Parameter(distribute(whole.clone(), mesh, [shard]))
    parts.grad = torch.zeros_like(parts)
    thalweg.optim.SGD([parts], max_norm=1.5, **options).step()
    limited = whole * (1.5 / whole.norm(dim=1, keepdim=True)).clamp(max=1)
    torch.testing.assert_close(parts.full_tensor(), limited)
dist.destroy_process_group()
"""
)

FEW_BITS = (
    PROGRAM
    + """
for options in ({}, {"rounding": "compensated"}, {"capturable": True}):
    found, exact = (trained("AdamW", sharded, torch.bfloat16, **options) for sharded in (True, False))
    for a, b in zip(found, exact):
        assert (a.float() - b.float()).abs().max() < 0.1  # a step is 0.1, and chances differ
shard, distribute = torch.distributed.tensor.Shard(0), torch.distributed.tensor.distribute_tensor
p = nn.Parameter(distribute(torch.zeros(4, 1000, dtype=torch.bfloat16), mesh))
halves = nn.Parameter(distribute(torch.zeros(2000, dtype=torch.bfloat16), mesh, [shard]))
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
dist.destroy_process_group()
"""
)


@pytest.fixture(autouse=True)
def distributed():
    if not torch.distributed.is_available():
        pytest.skip("this torch has no torch.distributed")


def carried_out(program, tmp_path, size=2):
    command = [sys.executable, "-W", "ignore", "-c", program]
    running = [
        subprocess.Popen([*command, str(rank), str(size), str(tmp_path / "store")], stderr=-1, text=True)
        for rank in range(size)
    ]
    errors = [process.communicate(timeout=120)[1] for process in running]
    assert [process.returncode for process in running] == [0] * size, errors


def test_fully_sharded(tmp_path):
    carried_out(SAME, tmp_path)


def test_fully_sharded_in_few_bits(tmp_path):
    carried_out(FEW_BITS, tmp_path)
