"""Keras's models on its torch backend, which are modules of torch: their names, their weights, their training mode."""

import sys
from collections.abc import Iterator
from typing import Any

from torch import nn

from thalweg.errors import InputError

NAMING = "keras.src.utils.naming"  # imported with Keras
RATES = ("rate", "dropout", "recurrent_dropout")
ACTING = ("Dropout", "Noise", "BatchNormalization", "SpectralNormalization", "Random")
"""In the names of Keras's classes that do something else in training; most layers take the argument for nothing."""


def is_keras(thing: Any) -> bool:
    """Whether it is a layer or a model of Keras, or of a subclass."""
    return any(cls.__module__.split(".")[0] == "keras" for cls in type(thing).__mro__)


def name_anew() -> None:
    """Lets Keras count its layers' names from the beginning, by which parameters are told apart.

    Without effect where Keras is not imported, or counts otherwise: `model()` is refused then, if its names differ.
    """
    getattr(sys.modules.get(NAMING), "reset_uids", lambda: None)()


def require_usable(model: Any) -> None:
    """Raises `InputError` for a Keras model of another backend, without weights, or whose dropout does nothing.

    A module of the user's own that has one tells it by itself whether it trains.
    """
    if is_keras(model) and not isinstance(model, nn.Module):
        raise InputError(
            "model() returns a Keras model of another backend than torch: set os.environ['KERAS_BACKEND'] = 'torch'"
            " before Keras is imported."
        )
    own = [m for m in model.modules() if is_keras(m)] if isinstance(model, nn.Module) else []
    if not all(layer.built for of in own for layer in _layers(of)):
        raise InputError(
            "model() must return a Keras model that has its weights: begin it with keras.Input, or call it once on a"
            " batch."
        )
    idle = next(filter(_acts_in_training, _layers(model)), None) if is_keras(model) else None
    if idle is not None:
        raise InputError(
            f"The layer {idle.name!r} of the Keras model, a {type(idle).__name__}, acts in training alone, and Keras"
            " knows of that by an argument, not by model.train(): return a torch.nn.Module that has the model and calls"
            " it, self.model(x, training=self.training)."
        )


def _layers(model: Any) -> Iterator[Any]:
    """The model and all layers in it: torch sees only their weights."""
    yield from getattr(model, "_flatten_layers", lambda: [model])()


def _acts_in_training(layer: Any) -> bool:
    """Whether a layer without others in it does something else in training: dropout, noise, batch normalization."""
    if not getattr(layer, "_call_has_training_arg", False) or len(list(_layers(layer))) > 1:
        return False
    rates = [getattr(layer, name) for name in RATES if isinstance(getattr(layer, name, None), int | float)]
    kind = type(layer)
    return (
        any(rates) if rates else kind.__module__.split(".")[0] != "keras" or any(of in kind.__name__ for of in ACTING)
    )
