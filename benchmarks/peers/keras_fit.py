"""Keras as its users train: `compile`, `fit`. The backend is what the environment variable KERAS_BACKEND says."""

import time
from typing import Any

import keras
import numpy as np

from peers.serving import serve

BATCH = 32
CLASSES: dict[str, tuple[str, dict[str, Any]]] = {
    "sgd": ("SGD", {}),
    "momentum": ("SGD", {"momentum": 0.9}),
    "nesterov": ("SGD", {"momentum": 0.9, "nesterov": True}),
    "adagrad": ("Adagrad", {}),
    "adadelta": ("Adadelta", {}),
    "rmsprop": ("RMSprop", {}),
    "adam": ("Adam", {}),
    "adamw": ("AdamW", {}),
    "adamax": ("Adamax", {}),
    "nadam": ("Nadam", {}),
    "adabound": ("Adam", {}),  # Keras has none; Adam's work is the nearest
}
"""The textbooks' optimizers as Keras spells them."""

_held: dict[str, Any] = {}


def compiled(widths: list[int], optimizer: str, lr: float) -> Any:
    """A model ready to fit."""
    layers = [keras.layers.Dense(n, activation="relu", kernel_initializer="he_normal") for n in widths[1:-1]]
    model = keras.Sequential([keras.Input((widths[0],)), *layers, keras.layers.Dense(widths[-1])])
    spelling, fixed = CLASSES[optimizer]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    chosen = getattr(keras.optimizers, spelling)(learning_rate=lr, **fixed)
    model.compile(optimizer=chosen, loss=loss, metrics=["accuracy"] if "x_valid" in _held else None)
    return model


def load(path: str, widths: list[int]) -> None:
    """Reads a file of arrays, `x` and `y` (and `x_valid`, `y_valid`)."""
    with np.load(path) as arrays:
        _held.update({k: arrays[k].reshape(len(arrays[k]), -1) if k[0] == "x" else arrays[k] for k in arrays.files})
    _held["model"] = compiled(widths, "adam", 1e-3)


def fit(epochs: int) -> float:
    """Seconds to train the model, which stays compiled, for so many epochs more."""
    began = time.perf_counter()
    _held["model"].fit(_held["x"], _held["y"], batch_size=BATCH, epochs=epochs, shuffle=True, verbose=0)
    return time.perf_counter() - began


def runs(widths: list[int], chosen: list[tuple[str, float, int]], epochs: int) -> float:
    """Seconds to make and train a model for each (optimizer, learning rate, seed), validated after each epoch."""
    began = time.perf_counter()
    valid = _held["x_valid"], _held["y_valid"]
    for name, lr, seed in chosen:
        keras.utils.set_random_seed(seed)
        model = compiled(widths, name, lr)
        model.fit(_held["x"], _held["y"], batch_size=BATCH, epochs=epochs, validation_data=valid, verbose=0)
    return time.perf_counter() - began


if __name__ == "__main__":
    serve(("keras", keras.backend.backend()), load, fit, runs)
