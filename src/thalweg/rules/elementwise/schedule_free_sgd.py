"""Schedule-free SGD: gradients taken between the iterate and its average, which no schedule has to shrink."""

from thalweg.numerics import maximum, where
from thalweg.rules.contract import rule
from thalweg.rules.hyperparameters import Decay, Rate
from thalweg.rules.states import RowSum, Weights


def _x(y, *, z, momentum):
    """The average. With momentum = 0 it is lost, and y is z."""
    return where(momentum > 0, z + (y - z) / maximum(momentum, 1e-12), y)


@rule(
    paper="Defazio et al. 2024, arXiv:2405.15682",
    when="As momentum where the end of training is not known: no schedule; evaluate at the averaged point.",
    family="average",
    purpose="momentum where the end of training is not known",
    drop_in="SGDScheduleFree(lr, momentum, weight_decay)",
    rates=(1e-2, 1e1),
    evaluated=_x,
    sparse_unsupported="its average goes on at every step",
    conventions={"optax": {}},
    argument_names={"optax": {"momentum": "b1"}},
)
def schedule_free_sgd(
    g, p, z: Weights, weight_sum: RowSum, t, *,
    lr: Rate = 1.0, momentum: Decay = 0.9,
):  # fmt: skip
    """Schedule-free SGD.

        z ← z - lr·g                    (z starts as the parameter)
        x ← (1 - c)·x + c·z             c = lrₜ²/(lr₁² + … + lrₜ²)
        y = (1 - μ)·z + μ·x

    The parameter that is held and trained is y; x = z + (y - z)/μ is what to evaluate. The authors'
    package and Optax weigh by the largest lr so far, where the paper weighs by lr: the same while lr never falls. Optax
    takes that lr a step early from a schedule, so its steps are these for a constant lr only.
    """
    z = where(t == 1, p, z)
    weight = lr * lr
    weight_sum = weight_sum + weight
    c = weight / where(weight_sum > 0, weight_sum, 1.0)
    step = lr * g
    return c * (p - z) + (1 - momentum * (1 - c)) * step, z - step, weight_sum
