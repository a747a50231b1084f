"""Dropout and other randomness as a function of (seed, step, call site), never of who else is trained."""

import hashlib
import random as python
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.fx import GraphModule, Node
from torch.utils._python_dispatch import TorchDispatchMode

from thalweg.population.program.counter_hash import HASHED, Keys, is_hashed
from thalweg.workloads.augmentation import begin_step
from thalweg.workloads.random_states import TURN, global_states, set_global_states

_THREAD = threading.local()  # `seeded`: whether this thread's current operation has been seeded

GENERATOR = TURN
"""Lock on process-global state: torch's default generator, Python's and NumPy's, the warning filters, the tracer, the
user's functions. It is a single lock, so that threads cannot deadlock."""


SEEDING = ("manual_seed", "seed")  # functions of torch that seed its generator
RESTORING = "set_rng_state"


def mix(seed: int, step: int, site: int) -> int:
    """A 63-bit BLAKE2 hash of seed, step and call site."""
    digest = hashlib.blake2b(f"{seed}/{step}/{site}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def keys_of(seed: int, first: int, steps: int, sites: int) -> NDArray[np.int64]:
    """The keys of a run's random operations, from a step on, `[steps, sites]`."""
    keys = [[mix(seed, first + t, site) for site in range(1, sites + 1)] for t in range(steps)]
    return np.array(keys, np.int64).reshape(steps, sites)


def is_random(operation: Any) -> bool:
    return torch.Tag.nondeterministic_seeded in getattr(operation, "tags", ())


class SeededRandomness(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Dispatch mode that seeds each random operation of one model by (seed, step, number of the call).

    Of several that are nested, as in a step that calls a closure, the innermost seeds.
    """

    supports_higher_order_operators = True

    def __init__(self, seed: int, step: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.sites, self.recomputed = 0, False
        self._seed, self._step = seed, step

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not is_random(func) or getattr(_THREAD, "seeded", False):
            return func(*args, **(kwargs or {}))
        self.sites += 1
        self.recomputed |= _in_checkpoint()
        key, kwargs = mix(self._seed, self._step, self.sites), kwargs or {}
        if is_hashed(func, dtype_of(args), kwargs):
            return HASHED[func](_keys(key, args, kwargs), *args, **kwargs)
        return _seeded(key, func, args, kwargs)


def _in_checkpoint() -> bool:
    """Whether `torch.utils.checkpoint` is recomputing a block, in a backward pass."""
    frame: Any = sys._getframe() if torch._C._current_graph_task_id() != -1 else None
    while frame is not None and frame.f_globals.get("__name__") != "torch.utils.checkpoint":
        frame = frame.f_back
    return frame is not None


@contextmanager
def seeded(seed: int, step: int, *, random: bool, outside: bool = False) -> Iterator[None]:
    """Applies `SeededRandomness` if the model is `random`: it costs every operation a Python dispatch.

    outside: whether its code draws from Python's or NumPy's generators, which are then seeded for this step.
    """
    key = mix(seed, step, 0)
    begin_step(key)
    elsewhere = PythonRandomness(key) if outside else nullcontext()
    with elsewhere, SeededRandomness(seed, step) if random else nullcontext():
        yield


class PythonRandomness:
    """Context that seeds Python's and NumPy's global generators, and restores them on exit.

    One thread at a time, since they are process-global. `drew` says, on exit, whether either was drawn from.
    """

    def __init__(self, seed: int) -> None:
        self._seed, self.drew = seed, False

    def __enter__(self) -> "PythonRandomness":
        GENERATOR.acquire()
        self._before = global_states()
        python.seed(self._seed)
        np.random.seed(self._seed % 2**32)
        self._begun = global_states()
        return self

    def __exit__(self, *error: object) -> None:
        self.drew = global_states() != self._begun
        set_global_states(self._before)
        GENERATOR.release()


class Drawn:
    """Reusable context that seeds all generators on each entry and records which were drawn from in any use.

    here: torch's. outside: Python's or NumPy's. recomputed: any in a recomputed block (activation checkpointing).
    reseeded: whether the code seeded torch's generator. restores: whether it set its state, as activation checkpointing
    does: no other thread may use it then.
    """

    def __init__(self, seed: int) -> None:
        self._seed, self.here, self.outside, self.recomputed, self.reseeded = seed, False, False, False, False
        self.restores = False

    def __enter__(self) -> None:
        self._outside, self._here = PythonRandomness(self._seed), SeededRandomness(self._seed, 1)
        self._outside.__enter__()
        names = (*SEEDING, RESTORING)
        self._seeding = [(module, name, getattr(module, name)) for module in (torch, torch.random) for name in names]
        for module, name, function in self._seeding:
            setattr(module, name, self._noting(function, name))
        self._here.__enter__()  # type: ignore[no-untyped-call]

    def _noting(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        def seeding(*args: Any) -> Any:
            self.reseeded |= name in SEEDING
            self.restores |= name == RESTORING
            return function(*args)

        return seeding

    def __exit__(self, *error: Any) -> None:
        for module, name, function in self._seeding:
            setattr(module, name, function)
        self._here.__exit__(*error)  # type: ignore[no-untyped-call]
        self._outside.__exit__(*error)
        self.here |= self._here.sites > 0
        self.recomputed |= self._here.recomputed
        self.outside |= self._outside.drew


class RandomSites:
    """The random operations of a traced graph, each replaced by one draw per member."""

    def __init__(self, graph: GraphModule, members: int) -> None:
        self._members = members
        self._now = threading.local()  # a traced graph serves several threads
        nodes = [n for n in graph.graph.nodes if n.op == "call_function" and is_random(n.target)]
        for site, node in enumerate(nodes, 1):
            node.target = self._draw(node, site)
        if nodes:
            graph.recompile()

    def at(self, seeds: Sequence[int], step: int) -> None:
        """Sets the members' seeds and the step of this thread's next run of the graph."""
        self._now.seeds, self._now.step = seeds, step

    def _draw(self, node: Node, site: int) -> Callable[..., Any]:
        operation = node.target

        def draw(*args: Any, **kwargs: Any) -> Any:
            keys = [mix(seed, self._now.step, site) for seed in self._now.seeds]
            if is_hashed(operation, dtype_of(args), kwargs):
                return HASHED[operation](_keys(keys, args, kwargs), *args, **kwargs)
            each = ((key, self._slice(args, m), self._slice(kwargs, m)) for m, key in enumerate(keys))
            return _stack([_seeded(key, operation, *own) for key, *own in each])

        draw.__name__ = f"seeded_{site}"
        return draw

    def _slice(self, arguments: Any, m: int) -> Any:
        """The arguments of one member: tensors without their leading dimension, sizes likewise."""
        if isinstance(arguments, Mapping):
            return {k: self._slice(v, m) for k, v in arguments.items()}
        if isinstance(arguments, Tensor):
            return arguments[m]
        if isinstance(arguments, list | tuple) and arguments and all(isinstance(a, int) for a in arguments):
            return list(arguments[1:]) if arguments[0] == self._members else list(arguments)
        if isinstance(arguments, list | tuple):
            return type(arguments)(self._slice(a, m) for a in arguments)
        return arguments


def dtype_of(args: Sequence[Any]) -> torch.dtype | None:
    """That of the first argument, if it is a tensor."""
    return args[0].dtype if args and isinstance(args[0], Tensor) else None


def _keys(keys: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Keys:
    """As what is quickest on the device of an operation's result."""
    device = _device(args, kwargs)
    return np.array(keys, np.uint64) if device.type == "cpu" else torch.tensor(keys, device=device)


def _device(args: Sequence[Any], kwargs: Mapping[str, Any]) -> torch.device:
    given = [a.device for a in args if isinstance(a, Tensor)]
    return torch.device(kwargs.get("device") or (given[0] if given else "cpu"))


def _stack(parts: list[Any]) -> Any:
    if isinstance(parts[0], tuple | list):
        return type(parts[0])(torch.stack(column) for column in zip(*parts, strict=True))
    return torch.stack(parts)


def _seeded(seed: int, operation: Any, args: Any, kwargs: Any) -> Any:
    devices = [a.device for a in args if isinstance(a, Tensor)] + [torch.device(kwargs.get("device") or "cpu")]
    gpu = next((device for device in devices if device.type == "cuda"), None)
    generator = torch.default_generator
    if gpu is not None:
        generator = torch.cuda.default_generators[torch.cuda.current_device() if gpu.index is None else gpu.index]
    with GENERATOR:
        before, _THREAD.seeded = generator.get_state(), True
        generator.manual_seed(seed)
        try:
            return operation(*args, **kwargs)
        finally:
            generator.set_state(before)
            _THREAD.seeded = False
