"""Round 6: what training scripts do to an optimizer, the first half."""

import copy

import torch
from adversary import Run, gradient, parameters


def shared_adam(run):
    """A3C's: all states are made before the first step, in shared memory."""
    run.step()
    for s in run.optimizer.state.values():
        for v in s.values():
            if torch.is_tensor(v):
                v.zero_().share_memory_()
    for p in run.params:
        p.detach().share_memory_()
    run.step(3)


def one_gradient_for_two(run):
    shape = run.params[1].shape
    for i in range(3):
        run.fill()
        g = torch.full(shape, 0.3 * (i + 1), dtype=torch.float64)
        run.params[1].grad = g
        run.params[0].grad = g.new_ones(3, 5) * g[0]
        run.params[2].grad = g[2]
        run.params[3].grad = g[:2].view(2, 1, 1).expand(2, 2, 2)
        run.optimizer.step()


def the_weight_is_the_gradient(run):
    for _ in range(3):
        for p in run.params:
            p.grad = p.data
        run.optimizer.step()


def a_copy_of_the_weight_is_the_gradient(run):
    for _ in range(3):
        for p in run.params:
            p.grad = p.detach().clone()
        run.optimizer.step()


def frozen_with_a_gradient_left(run):
    run.step()
    run.fill()
    run.params[0].requires_grad_(False)
    run.optimizer.step()
    run.optimizer.step()


def reset_to_the_empty_state(run):
    empty = copy.deepcopy(run.optimizer.state_dict())
    run.step(3)
    run.optimizer.load_state_dict(empty)
    run.group["lr"] *= 0.5
    run.step(3)


def reset_to_the_live_empty_state(run):
    empty = run.optimizer.state_dict()
    run.step(3)
    run.optimizer.load_state_dict(empty)
    run.step(3)


def begun_again_by_init(run):
    run.step(2)
    run.optimizer.__init__(run.params, lr=0.03)
    run.step(3)
    return sorted(run.optimizer.state_dict()["param_groups"][0]["params"])


def partitioned(run):
    """DeepSpeed's: a group's parameters are replaced by one flat part."""
    flat = torch.cat([p.detach().flatten() for p in run.params]).requires_grad_()
    run.group["params"] = [flat]
    for i in range(4):
        flat.grad = gradient(flat, i)
        run.optimizer.step()
        at = 0
        for p in run.params:
            p.data.copy_(flat.data[at : at + p.numel()].view_as(p))
            at += p.numel()


def binary_net(run):
    """BinaryNet's: real weights in an attribute of the parameter."""
    for p in run.params:
        p.org = p.data.clone()
    for _ in range(4):
        for p in run.params:
            p.data = p.org.sign()
        run.fill()
        for p in run.params:
            p.data.copy_(p.org)
        run.optimizer.step()
        for p in run.params:
            p.org.copy_(p.data.clamp_(-1, 1))


def lottery(run):
    """Masks of weights and gradients, then a rewind."""
    first = run.values()
    saved = copy.deepcopy(run.optimizer.state_dict())
    masks = [torch.arange(p.numel()).view(p.shape) % 3 > 0 for p in run.params]
    for _ in range(2):
        for _ in range(3):
            run.fill()
            for p, m in zip(run.params, masks, strict=True):
                p.grad.data.mul_(m)
            run.optimizer.step()
            for p, m in zip(run.params, masks, strict=True):
                p.data.mul_(m)
        for p, f in zip(run.params, first, strict=True):
            p.data = f.clone()
        run.optimizer.load_state_dict(copy.deepcopy(saved))
    run.step(2)


def diffusers_ema(run):
    """Weights are swapped for averages between steps, by their data, and put back."""
    ema = run.values()
    for _ in range(4):
        run.step()
        torch._foreach_lerp_(ema, [p.detach() for p in run.params], 0.1)
        kept = [p.data for p in run.params]
        for p, e in zip(run.params, ema, strict=True):
            p.data = e
        for p, k in zip(run.params, kept, strict=True):
            p.data = k
    return None


def adopts_the_average(run):
    ema = run.values()
    for _ in range(4):
        run.step()
        torch._foreach_lerp_(ema, [p.detach() for p in run.params], 0.1)
    for p, e in zip(run.params, ema, strict=True):
        p.data = e
    run.step(2)


def population_based(run):
    """PBT: a worker takes over another's weights and state without a copy, and both go on."""
    other = Run(type(run.optimizer), parameters(), lr=0.05)
    run.step(2)
    other.step(3)
    run.optimizer.load_state_dict(copy.deepcopy(other.optimizer.state_dict()))
    for p, q in zip(run.params, other.params, strict=True):
        p.data.copy_(q.data)
    run.group["lr"] *= 1.2
    for _ in range(3):
        run.step()
        other.step()
    return round(float(other.values()[0].sum()), 9)


def adversarial_pair(run):
    """GAN: two optimizers in turn, each side frozen meanwhile; the critic clamped."""
    critic = parameters()
    theirs = type(run.optimizer)(critic, lr=0.01)
    for i in range(4):
        for p in critic:
            p.requires_grad_(True)
            p.grad = gradient(p, i)
        theirs.step()
        for p in critic:
            p.data.clamp_(-0.1, 0.1)
            p.requires_grad_(False)
        run.fill()
        for p, q in zip(run.params, critic, strict=True):
            p.grad += q
        run.optimizer.step()
