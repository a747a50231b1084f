"""Training by hand: the plain loop of PyTorch that a member must equal."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from thalweg.workloads.workload import Workload


def weights_by_hand(workload: Workload, optimizer_of: Callable[[nn.Module], Any], seed: int) -> dict[str, torch.Tensor]:
    """Final weights with a drop-in, by closures; the averaged ones where it averages."""
    torch.manual_seed(seed)
    model = workload.model()
    optimizer = optimizer_of(model)
    order = torch.Generator().manual_seed(seed)
    (x,), y = workload.train.inputs, workload.train.targets
    for _ in range(workload.epochs):
        for index in torch.randperm(len(y), generator=order).split(workload.batch_size):

            def closure(index: torch.Tensor = index) -> torch.Tensor:
                optimizer.zero_grad()
                loss = workload.loss(model(x[index]), y[index])
                loss.backward()
                return loss

            optimizer.step(closure)
    if not optimizer.param_groups[0]["ema_decay"]:
        return dict(model.state_dict())
    with optimizer.averaged_weights():
        return {n: t.clone() for n, t in model.state_dict().items()}
