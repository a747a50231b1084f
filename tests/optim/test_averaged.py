"""Schedule-free rules are evaluated at their average, in the drop-ins and in populations."""

import pytest
import torch

import thalweg.optim
from problems import tiny, train_all
from thalweg.population.updates.members import Member
from thalweg.recipes.catalogue import recipe


@pytest.mark.parametrize("mu", [0.9, 0.5])
def test_the_average_of_the_iterates(mu: float) -> None:
    """x is the mean of z weighted by lr², and z is plain gradient descent."""
    p = torch.nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    optimizer = thalweg.optim.SGDScheduleFree([p], lr=0.1, momentum=mu)
    z, points, weights = p.detach().clone(), [], []
    for rate in (0.1, 0.3, 0.2, 0.4):
        optimizer.param_groups[0]["lr"] = rate
        p.grad = 2 * p.detach()
        z = z - rate * p.grad
        points.append(z)
        weights.append(rate * rate)
        optimizer.step()
        trained = p.detach().clone()
        with optimizer.averaged_weights():
            mean = sum(w * x for w, x in zip(weights, points, strict=True)) / sum(weights)
            torch.testing.assert_close(p.detach(), mean, rtol=1e-12, atol=1e-12)
        assert torch.equal(p, trained)


@pytest.mark.parametrize(
    ("name", "cls"), [("schedule_free_sgd", "SGDScheduleFree"), ("schedule_free_adamw", "AdamWScheduleFree")]
)
def test_members_are_evaluated_at_it(name: str, cls: str) -> None:
    workload, of = tiny(torch.float64), recipe(name)
    members = [Member(of, of.resolve({"lr": rate}), 0) for rate in (0.05, 0.1)]
    together = train_all(workload, members, execution="population", keep_weights=True)
    alone = train_all(workload, members, execution="loop", keep_weights=True)
    torch.manual_seed(0)
    model = workload.model()
    optimizer = getattr(thalweg.optim, cls)(model.parameters(), lr=0.1)
    order = torch.Generator().manual_seed(0)
    (x,), y = workload.train.inputs, workload.train.targets
    for _ in range(workload.epochs):
        for index in torch.randperm(len(y), generator=order).split(workload.batch_size):
            optimizer.zero_grad()
            workload.loss(model(x[index]), y[index]).backward()
            optimizer.step()
    with optimizer.averaged_weights():
        expected = {key: value.clone() for key, value in model.state_dict().items()}
    for key, value in expected.items():
        for run in (together[1], alone[1]):
            torch.testing.assert_close(run.weights[key], value, rtol=1e-9, atol=1e-9)
