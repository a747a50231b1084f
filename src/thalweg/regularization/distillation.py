"""Distillation: a student trained on a teacher's softened probabilities. Hinton et al. 2015, arXiv:1503.02531."""

import torch.nn.functional as F
from torch import Tensor

from thalweg.errors import InputError
from thalweg.options.ranges import POSITIVE, Range

UNLABELLED = -100
"""A target of a sample without a label, which only the teacher teaches: torch's `ignore_index`."""

SHARE = Range(0.0, 1.0)


def loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    targets: Tensor | None = None,
    *,
    temperature: float = 20.0,
    weight: float = 0.9,
) -> Tensor:
    """The mean over samples of w·T²·KL(softmax(teacher / T) ‖ softmax(student / T)) + (1 - w)·CE(student, targets).

    CE is cross entropy. T² keeps the gradient's size: without it, the teacher's part shrinks as 1/T². Keras has it,
    too, in `LogitsDistillation`; its `student_loss_weight` is 1 - w.

    Args:
        student_logits, teacher_logits: `[samples, classes]`; no gradient flows into the teacher's.
        targets: classes, int64 `[samples]`, `UNLABELLED` (-100) where there is none: such samples add nothing to the
            second part. `None`: none has a label.
        temperature: T, above 0. weight: w, in [0, 1].

    Raises:
        InputError: shapes that differ, or a number out of its range.
    """
    require_settings(temperature, weight)
    if student_logits.shape != teacher_logits.shape or student_logits.ndim != 2:
        raise InputError(
            "Distillation takes logits [samples, classes] of student and teacher in one shape, got"
            f" {list(student_logits.shape)} and {list(teacher_logits.shape)}."
        )
    soft = weight * soft_loss(student_logits, teacher_logits, temperature)
    if targets is None or weight == 1:
        return soft
    labelled = F.cross_entropy(student_logits, targets, ignore_index=UNLABELLED, reduction="sum")
    return soft + (1 - weight) * labelled / len(targets)


def soft_loss(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """T²·KL(softmax(teacher / T) ‖ softmax(student / T)), the mean over samples."""
    teacher = (teacher_logits.detach() / temperature).log_softmax(1)
    student = (student_logits / temperature).log_softmax(1)
    divergence = (teacher.exp() * (teacher - student)).sum(1)  # not F.kl_div, which torch.vmap loops over
    return temperature**2 * divergence.mean()


def require_settings(temperature: float, weight: float) -> None:
    """Raises `InputError` for a temperature that is not above 0, or a weight outside of [0, 1]."""
    POSITIVE.check("temperature", temperature)
    SHARE.check("weight", weight)
