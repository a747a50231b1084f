"""A training script that moves from Keras to PyTorch ends with the same weights."""

import keras
import numpy as np
import pytest
import torch

import thalweg.optim

EPOCHS, BATCH = 5, 16
ROUNDINGS = 20 * 8 * 1.2e-7  # of 20 steps, of some eight float32 roundings each: Keras's layers compute in no other


def data():
    random = np.random.default_rng(0)
    x = random.standard_normal((64, 6))
    return x, np.tanh(x @ random.standard_normal((6, 2)))


def keras_weights(optimizer):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(8, activation="tanh"), keras.layers.Dense(2)])
    start = [np.asarray(w) for w in model.get_weights()]
    model.compile(optimizer, loss="mse")
    model.fit(*data(), epochs=EPOCHS, batch_size=BATCH, shuffle=False, verbose=0)
    return start, model.get_weights()


def torch_weights(start, make):
    model = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))
    with torch.no_grad():
        for p, value in zip(model.parameters(), start, strict=True):
            p.copy_(torch.tensor(value.T))
    optimizer = make(model.parameters())
    x, y = map(torch.tensor, data())
    for _ in range(EPOCHS):
        for i in range(0, len(x), BATCH):
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(model(x[i : i + BATCH]), y[i : i + BATCH]).backward()
            optimizer.step()
    return [p.detach().numpy().T for p in model.parameters()]


@pytest.mark.parametrize(
    ("cls", "theirs"),
    [
        ("Adam", {"learning_rate": 0.01, "epsilon": 1e-3, "weight_decay": 0.01}),
        ("SGD", {"learning_rate": 0.05, "momentum": 0.9, "nesterov": True}),
        ("RMSprop", {"rho": 0.8, "centered": True, "momentum": 0.5}),
    ],
)
def test_same_weights(cls, theirs):
    start, expected = keras_weights(getattr(keras.optimizers, cls)(**theirs))
    spelled = {"learning_rate": "lr", "epsilon": "eps", "rho": "alpha"}
    ours = {spelled.get(key, key): value for key, value in theirs.items()}
    keras_way, torch_way = (
        apart(torch_weights(start, lambda p, by=by: getattr(thalweg.optim, cls)(p, **ours, convention=by)), expected)
        for by in ("keras", "torch")
    )
    assert keras_way < ROUNDINGS
    assert cls == "SGD" or torch_way > 10 * ROUNDINGS  # its two forms part only once the rate changes


def test_translated_adagrad():
    given = {"learning_rate": 0.05, "epsilon": 1e-3}
    start, expected = keras_weights(keras.optimizers.Adagrad(**given))
    ours = thalweg.optim.translate("adagrad", given, "keras", "torch")
    assert apart(torch_weights(start, lambda p: torch.optim.Adagrad(p, **torchs(ours))), expected) < ROUNDINGS


def apart(actual, expected):
    return max(float(np.abs(a - e).max()) for a, e in zip(actual, expected, strict=True))


def torchs(given):
    """Those arguments that torch's own class has."""
    return {key: given[key] for key in ("lr", "lr_decay", "initial_accumulator_value", "eps")}
