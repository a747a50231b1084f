"""Parameters that are spread over machines (DTensor, FSDP2): each machine steps its part."""

import pytest
import torch
import torch.distributed as dist
from torch import nn

import thalweg.optim


@pytest.fixture
def mesh(tmp_path):
    """Of one process."""
    if not dist.is_available():
        pytest.skip("this torch has no torch.distributed")
    store = dist.FileStore(str(tmp_path / "store"), 1)
    dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield torch.distributed.device_mesh.init_device_mesh("cpu", (1,))
    dist.destroy_process_group()


@pytest.mark.filterwarnings("default")  # torch's own
@pytest.mark.parametrize("name", ["AdamW", "SGD", "Adagrad"])
def test_fully_sharded(name, mesh):
    from torch.distributed.fsdp import fully_shard

    ends = []
    for sharded in (False, True):
        torch.manual_seed(0)
        model = nn.Linear(4, 2)
        if sharded:
            fully_shard(model, mesh=mesh)
        optimizer = getattr(thalweg.optim, name)(model.parameters(), lr=0.1)
        for _ in range(5):
            optimizer.zero_grad()
            model(torch.ones(3, 4)).square().sum().backward()
            optimizer.step()
        ends.append([p.full_tensor() if sharded else p for p in model.parameters()])
    torch.testing.assert_close(*ends)
