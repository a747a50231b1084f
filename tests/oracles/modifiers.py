"""What may be done around any rule, around two of them: SGD with momentum, and Adam.

Slow float64 on one parameter tensor of any shape, which is all that its optimizer trains. In order: maximize; gradient
centralization (Yong et al. 2020, arXiv:2004.01461); adaptive clipping (Brock et al. 2021, arXiv:2102.06171); clipping
by the norm of all gradients, of each tensor's, and by value (Pascanu et al. 2013, arXiv:1211.5063); weight decay, L2
and L1; the rule; caution (Liang et al. 2024, arXiv:2411.16085, as in the authors' code); the proximal steps of L1 and
L2 (Duchi & Singer 2009, JMLR 10); no negative weights; the norms of units' weights (Srebro & Shraibman 2005);
Lookahead (Zhang et al. 2019, arXiv:1907.08610); the average of the weights.
"""

import numpy as np


class Momentum:
    """torch's: the velocity begins as the first gradient."""

    def __init__(self, mu: float = 0.9) -> None:
        self.mu, self.v = mu, None

    def update(self, g: np.ndarray, eta: float) -> np.ndarray:
        self.v = g if self.v is None else self.mu * self.v + g
        return eta * self.v


class Adam:
    def __init__(self, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> None:
        self.beta1, self.beta2, self.eps = beta1, beta2, eps
        self.m, self.v, self.t = 0.0, 0.0, 0

    def update(self, g: np.ndarray, alpha: float) -> np.ndarray:
        self.t += 1
        self.m = self.beta1 * self.m + (1 - self.beta1) * g
        self.v = self.beta2 * self.v + (1 - self.beta2) * g**2
        m_hat, v_hat = self.m / (1 - self.beta1**self.t), self.v / (1 - self.beta2**self.t)
        return alpha * m_hat / (np.sqrt(v_hat) + self.eps)


def norm(x: np.ndarray) -> float:
    return float(np.sqrt((x**2).sum()))


def centralized(g: np.ndarray) -> np.ndarray:
    return np.stack([unit - unit.mean() for unit in g]) if g.ndim > 1 else g


def adaptively_clipped(g: np.ndarray, theta: np.ndarray, limit: float) -> np.ndarray:
    if g.ndim > 1:
        units = [adaptively_clipped(a.ravel(), b.ravel(), limit) for a, b in zip(g, theta, strict=True)]
        return np.stack(units).reshape(g.shape)
    ratio = norm(g) / max(norm(theta), 1e-3)
    return g * limit / ratio if ratio > limit else g


def clipped(g: np.ndarray, limit: float) -> np.ndarray:
    """As `torch.nn.utils.clip_grad_norm_` does."""
    return g * min(1.0, limit / (norm(g) + 1e-6))


def limited(theta: np.ndarray, largest: float) -> np.ndarray:
    if theta.ndim < 2:
        return theta
    return np.stack([unit * largest / norm(unit) if norm(unit) > largest else unit for unit in theta])


def proximal(theta: np.ndarray, size1: float, size2: float) -> np.ndarray:
    """Minimises (x - θ)²/2 + size1·|x| + size2/2·x² in x: where x > 0, x - θ + size1 + size2·x = 0, and so below 0."""
    above, below = (theta - size1) / (1 + size2), (theta + size1) / (1 + size2)
    return np.where(above > 0, above, np.where(below < 0, below, 0.0))


def scaled(theta: np.ndarray, least: float, most: float, rate: float, keras: bool) -> np.ndarray:
    if theta.ndim < 2:
        return theta
    units = []
    for unit in theta:
        desired = rate * np.clip(norm(unit), least, most) + (1 - rate) * norm(unit)
        units.append(unit * (desired / ((1e-7 if keras else 0.0) + norm(unit))))
    return np.stack(units)


def trajectory(
    rule: Momentum | Adam,
    parameter: np.ndarray,
    gradients: np.ndarray,
    rates: np.ndarray,
    *,
    maximize: bool = False,
    centralize: bool = False,
    clip_adaptive: float = 0.0,
    clip_global_norm: float = 0.0,
    clip_tensor_norm: float = 0.0,
    clip_value: float = 0.0,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
    independent_weight_decay: bool = False,
    cautious: bool = False,
    l2: float = 0.0,
    l1: float = 0.0,
    proximal_l1: float = 0.0,
    proximal_l2: float = 0.0,
    non_negative: bool = False,
    max_norm: float = 0.0,
    min_norm: float = 0.0,
    norm_rate: float = 1.0,
    unit_norm: bool = False,
    keras_regularizers: bool = False,
    lookahead_steps: int = 0,
    lookahead_alpha: float = 0.5,
    ema_decay: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Parameter and average after every step, each `[steps, …]`."""
    theta = parameter.astype(np.float64)
    phi, average, history = theta, theta, []
    for t, (gradient, eta) in enumerate(zip(gradients, rates, strict=True), start=1):
        g = -gradient if maximize else gradient
        g = centralized(g) if centralize else g
        g = adaptively_clipped(g, theta, clip_adaptive) if clip_adaptive else g
        g = clipped(g, clip_global_norm) if clip_global_norm else g
        g = clipped(g, clip_tensor_norm) if clip_tensor_norm else g
        g = g.clip(-clip_value, clip_value) if clip_value else g
        beside = decoupled_weight_decay or independent_weight_decay
        g = g if beside else g + weight_decay * theta
        g = g + (2 * l2 if keras_regularizers else l2) * theta + l1 * np.sign(theta)
        update = rule.update(g, eta)
        if cautious:
            mask = (update * g > 0).astype(np.float64)
            update = update * (mask / max(mask.mean(), 1e-3))
        if independent_weight_decay:
            theta = theta - weight_decay * theta
        elif decoupled_weight_decay:
            theta = theta - eta * weight_decay * theta
        theta = theta - update
        theta = proximal(theta, eta * proximal_l1, eta * proximal_l2)
        theta = np.maximum(theta, 0) if non_negative and theta.ndim > 1 else theta
        if min_norm or norm_rate < 1 or (keras_regularizers and max_norm):
            theta = scaled(theta, min_norm, max_norm or np.inf, norm_rate, keras_regularizers)
        elif max_norm:
            theta = limited(theta, max_norm)
        theta = scaled(theta, 1, 1, 1, keras_regularizers) if unit_norm else theta
        if lookahead_steps and t % lookahead_steps == 0:
            theta = phi = phi + lookahead_alpha * (theta - phi)
        average = ema_decay * average + (1 - ema_decay) * theta
        history.append((theta, average))
    return tuple(np.array(x) for x in zip(*history, strict=True))
