"""Penalties of weights: terms of the gradient, or proximal steps after the update. Elementwise.

A proximal step takes the p that minimises (p - q)²/2 + size·penalty(p), q the parameter after the update: it is exact
where a gradient is not, and for L1 sets weights to 0 that the gradient of |p| would move to and fro around it.

The size is the learning rate times the strength for every rule, as decoupled decay has it: for gradient descent this is
Duchi & Singer 2009 (JMLR 10, "FOBOS"); for rules with a step size for each element, Zhuang et al. 2022,
arXiv:2202.00089, who read AdamW as the same step of L2. The other choice, each element's own step size in the place of
the rate (Yun et al. 2021, arXiv:2007.07869), would penalize least the weights with large gradients, as coupled L2 does.
"""

from thalweg.numerics import Value, absolute, clip, sign


def l2(gradient: Value, parameter: Value, strength: Value) -> Value:
    """The gradient of loss + strength/2·Σp²."""
    return gradient + strength * parameter


def l1(gradient: Value, parameter: Value, strength: Value) -> Value:
    """A subgradient of loss + strength·Σ|p|: 0 at p = 0, as those of torch and Keras."""
    return gradient + strength * sign(parameter)


def soft_threshold(parameter: Value, size: Value) -> Value:
    """The proximal step of size·|p|: towards 0 by `size`, and exactly 0 for what is closer. NaN stays."""
    return parameter - clip(parameter, -size, size)


def shrunk(parameter: Value, size: Value) -> Value:
    """The proximal step of size/2·p². After `soft_threshold`, the two are the proximal step of the elastic net."""
    return parameter / (1 + size)


def l2_loss(parameter: Value, strength: Value) -> Value:
    """The penalty of each element whose gradient `l2` adds."""
    return 0.5 * strength * parameter * parameter


def l1_loss(parameter: Value, strength: Value) -> Value:
    """The penalty of each element whose subgradient `l1` adds."""
    return strength * absolute(parameter)
