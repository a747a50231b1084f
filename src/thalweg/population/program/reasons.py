"""Reasons why a model must be called at every step (the plain loop), and notes for the record, as sentences."""

import math
import re
from collections.abc import Sequence

ALIKE = "model() gives the same initial weights for every seed: seeds differ in the order of batches alone."
SPARSE = "The model's sparse gradients are trained as dense ones, as with sparse=False."
SHARED_MEMORY = "its parameters share memory (weights tied by .data), which a population's would not"
KERAS = (
    "its layers are of Keras, which hold on to their own weights: a traced program could not give them those of a run"
)
GRADIENTS = "its answer depends on whether its parameters have gradients"
HOOKS = "its parameters have hooks, which a traced program would not call"
RESTORES = (
    "The model sets torch's random state while it trains, as activation checkpointing does, which all runs of a process"
    " share: they train one after the other."
)
FROZEN_MODE = (
    "Layers that model() puts into evaluation mode are trained in training mode, as model.train() does: override"
    " train() where they are to stay in it."
)
CHANGING = "which parameters the loss depends on changes from batch to batch"
SAME = 1e-4  # relative tolerance: losses of equal weights, batches and seeds differ by rounding only


ASKED = ("data-dependent control flow", "Cannot access data pointer of Tensor", "tolist() shouldn't be called")
"""What torch says where code asks a tensor in tracing for its values."""


def of_vectorizing(error: Exception, place: str) -> str:
    """Reason: tracing raised this. place: the line of the user's where; empty if it is none of theirs."""
    at = f" (at {place})" if place else ""
    text = str(error).strip().split("\n")[0]
    if any(sign in text for sign in ASKED):
        return (
            f"the model cannot be vectorized: its code asks for values of tensors, by .item() or a branch on them{at}"
        )
    operation = re.match(r"(\S+) hit the vmap fallback", text)
    if operation:
        return f"the model cannot be vectorized: torch.vmap has no rule for {operation[1]}{at}"
    return f"the model cannot be vectorized ({type(error).__name__}: {text[:160]}){at}"


def of_state(name: str) -> str:
    """Reason: the value of this name changes when the model is called."""
    return f"its code keeps state between calls ({name} changes), which a traced program would freeze"


def of_unseen(name: str) -> str:
    """Note: the fingerprint of this name is incomplete (a limit of the walk was reached)."""
    return (
        f"More is behind {name} than is looked at: where the model's code changes it late in training, a population"
        " does not see that (execution='loop' does)."
    )


def of_together(samples: int) -> str:
    """Note: the output for a sample depends on the other samples of its evaluation batch."""
    return (
        "What the model answers depends on the samples that it gets at once: it is evaluated on up to"
        f" {samples:,} at a time."
    )


def of_reference(name: str) -> str:
    """Reason: the attribute of this name references a parameter."""
    return f"its attribute {name} leads to a parameter, which a traced program would take for a constant"


def of_evaluation(name: str) -> str:
    """Reason: evaluation changes the buffer of this name."""
    return f"its buffer {name} changes as it is evaluated, which a population's evaluation would not keep"


def of_seed(name: str) -> str:
    """Reason: the attribute of this name differs between new models of different seeds."""
    return f"its attribute {name} differs from seed to seed, and a traced program has it of one"


def shared(name: str) -> str:
    """The name, if the state behind it is not the model's own but shared by all runs; else empty."""
    return name if name.startswith(("the loss", "the metric", "predict", "augment", "class ")) else ""


def of_losses(losses: Sequence[float]) -> str:
    """Reason: these losses of equal weights, one batch and one seed differ; empty if they agree or are not finite."""
    first, *others = losses
    if all(math.isclose(first, x, rel_tol=SAME) or not math.isfinite(first + x) for x in others):
        return ""
    return f"of equal weights, batch and seed it gives losses {first:.6g} and {others[0]:.6g}"


OUTSIDE = "it draws from Python's or NumPy's random numbers"
IRREPRODUCIBLE = (
    "Runs cannot be repeated: the model gives another loss for the same weights, batch and seed. Let it draw from"
    " torch's generator, or from Python's or NumPy's global one."
)


def of_shared(name: str) -> str:
    """Note: all runs change the shared state of this name."""
    return (
        f"Runs share state that they change ({name}), so each depends on those before it and cannot be repeated alone:"
        " keep it in the model."
    )
