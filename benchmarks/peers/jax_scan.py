"""JAX as its users would have it train: an epoch one compiled `scan`, many runs its `vmap`, by Optax's Adam."""

import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from peers.resident import growth
from peers.serving import serve

BATCH = 32
ADAM = optax.adam(1e-3)
_held: dict[str, Any] = {}


def load(path: str, widths: list[int], members: int) -> None:
    """Reads the samples, and prepares one run and `members` of them."""
    with np.load(path) as arrays:
        _held["data"] = jnp.asarray(arrays["x"].reshape(len(arrays["x"]), -1)), jnp.asarray(arrays["y"])
    one = parameters(jax.random.key(0), widths)
    many = jax.tree.map(lambda a: jnp.broadcast_to(a, (members, *a.shape)), one)
    _held["one"] = jax.jit(epoch), jnp.float32(1e-3), one, ADAM.init(one)
    rates = jnp.linspace(1e-3, 2e-3, members)
    states = jax.vmap(ADAM.init)(many)
    _held["many"] = jax.jit(jax.vmap(epoch, in_axes=(0, 0, 0, None, None))), rates, many, states


def parameters(key: jax.Array, widths: list[int]) -> list[tuple[jax.Array, jax.Array]]:
    keys = jax.random.split(key, len(widths))
    pairs = zip(keys, widths[:-1], widths[1:], strict=False)
    return [(jax.random.normal(k, (a, b)) * np.sqrt(2 / a), jnp.zeros(b)) for k, a, b in pairs]


def loss(params: Any, x: jax.Array, y: jax.Array) -> jax.Array:
    *hidden, (weight, bias) = params
    for w, b in hidden:
        x = jax.nn.relu(x @ w + b)
    return optax.softmax_cross_entropy_with_integer_labels(x @ weight + bias, y).mean()


def epoch(rate: Any, params: Any, state: Any, xs: jax.Array, ys: jax.Array) -> Any:
    """An epoch over batches `[steps, batch, …]`."""
    adam = optax.adam(rate)

    def step(carried: Any, batch: Any) -> Any:
        params, state = carried
        updates, state = adam.update(jax.grad(loss)(params, *batch), state, params)
        return (optax.apply_updates(params, updates), state), None

    return jax.lax.scan(step, (params, state), (xs, ys))[0]


def run(which: str, epochs: int) -> float:
    """Seconds per run to train `"one"` or `"many"`, the samples of every epoch in a new order."""
    compiled, rate, params, state = _held[which]
    x, y = _held["data"]
    began = time.perf_counter()
    for seed in range(epochs):
        order = np.random.default_rng(seed).permutation(len(y)).reshape(-1, BATCH)
        params, state = compiled(rate, params, state, x[order], y[order])
    jax.block_until_ready(params)
    return (time.perf_counter() - began) / rate.size


def memory(members: int, widths: list[int]) -> dict[str, int]:
    """Bytes that ten steps of so many runs add, compiled before, and those of their parameters, gradients, states."""
    one = parameters(jax.random.key(0), widths)
    rates = jnp.linspace(1e-3, 2e-3, members)
    batches = jnp.zeros((10, BATCH, widths[0])), jnp.zeros((10, BATCH), int)
    make = jax.jit(lambda p: jax.tree.map(lambda a: jnp.repeat(a[None], members, 0), (p, ADAM.init(p))))
    train = jax.jit(jax.vmap(epoch, in_axes=(0, 0, 0, None, None)), donate_argnums=(1, 2))
    making = make.lower(one).compile()
    training = train.lower(rates, *jax.eval_shape(make, one), *batches).compile()
    size = sum(a.nbytes for a in jax.tree.leaves(one))
    grown = growth(lambda: jax.block_until_ready(training(rates, *making(one), *batches)))
    return {"grown": grown, "held": 4 * size * members}


if __name__ == "__main__":
    serve(("jax", "optax"), load, run, memory)
