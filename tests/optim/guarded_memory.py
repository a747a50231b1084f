"""A program: an optimizer's streams end at a page without access, and each is changed under it in every way.

`python guarded_memory.py SETTING…` prints a line of JSON for each case: what a prepared step made of it, what an
unprepared one, and whether a change that keeps all values kept the path. Reading or writing beyond ends the process.
"""

import ctypes
import json
import mmap
import sys

import torch

import thalweg.optim
from thalweg.errors import InputError

LIBC = ctypes.CDLL(None, use_errno=True)
SHAPE = (64, 64)  # square: a transposed view has the same shape, and 8 bits need 4,096 elements
MEMORY = []  # of guarded tensors, alive to the end

SETTINGS = {
    "SGD": ("SGD", {"momentum": 0.9}, torch.float32),
    "plain SGD": ("SGD", {}, torch.float32),
    "Adam": ("Adam", {"amsgrad": True}, torch.float32),
    "NAdam": ("NAdam", {}, torch.float64),
    "averages": ("AdamW", {"lookahead_steps": 2, "ema_decay": 0.9}, torch.float32),
    "compensated": ("Adam", {"rounding": "compensated"}, torch.bfloat16),
    "8 bits": ("Adam", {"state_dtype": "8bit"}, torch.float32),
    "cautious": ("Lion", {"cautious": True, "clip_tensor_norm": 1.0}, torch.float32),
}


def guarded(values):
    """A contiguous copy that ends where a page without access begins."""
    needed = values.numel() * values.element_size()
    held = -(-max(1, needed) // mmap.PAGESIZE) * mmap.PAGESIZE
    memory = mmap.mmap(-1, held + mmap.PAGESIZE)
    begin = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    assert LIBC.mprotect(ctypes.c_void_p(begin + held), mmap.PAGESIZE, 0) == 0
    MEMORY.append(memory)
    if not needed:
        return values.clone()
    found = torch.frombuffer(memory, dtype=values.dtype, count=values.numel(), offset=held - needed)
    return found.view(values.shape).copy_(values)


def gradient(i, step):
    """Of the same values whatever it is cast to: small multiples of powers of two."""
    numbers = (torch.arange(SHAPE[0] * SHAPE[1]) * (i + 3) + 7 * step) % 17 - 8
    return (numbers / 64).view(SHAPE)


class Trained:
    def __init__(self, setting):
        name, options, dtype = SETTINGS[setting]
        self.params = [torch.nn.Parameter(guarded((gradient(i, 5) + 1).to(dtype))) for i in range(2)]
        self.optimizer = getattr(thalweg.optim, name)(self.params, lr=0.125, **options)
        self.steps = 0
        self.step(3)
        for state in self.optimizer.state.values():
            for key, value in state.items():
                state[key] = guarded(value)
        self.step(2)

    def gradients(self):
        for i, p in enumerate(self.params):
            p.grad = guarded(gradient(i, self.steps).to(p.dtype))

    def step(self, count=1):
        for _ in range(count):
            self.gradients()
            self.optimizer.step()
            self.steps += 1

    def streams(self):
        """Those of the first parameter, by name."""
        p = self.params[0]
        return {"p": p, "g": p.grad, **self.optimizer.state[p]}

    def values(self):
        held = [*self.params, *(v for p in self.params for v in self.optimizer.state[p].values())]
        return [v.detach().double().flatten() for v in held]


def shorter(t):
    t.data = t.data[: max(0, len(t) - 1)] if t.ndim else t.data.view(1)[:0]


def shorter_elsewhere(t):
    t.data = guarded(t.detach()[: len(t) // 2] if t.ndim else t.detach().view(1)[:0])


def longer(t):
    t.data = guarded(torch.cat([t.detach(), t.detach()]) if t.ndim else t.detach().repeat(3))


def transposed_elsewhere(t):
    t.data = guarded(t.detach().t().contiguous()).t() if t.ndim == 2 else guarded(t.detach())


def transposed(t):
    t.data = t.data.t() if t.ndim == 2 else t.data.flip(0) if t.ndim else t.data + 1


def swapped_for_a_copy(t):
    other = torch.nn.Parameter(t.detach().clone()) if isinstance(t, torch.nn.Parameter) else t.detach().clone()
    other.requires_grad_(t.requires_grad)
    grad, t.grad = (t.grad, None) if t.is_leaf else (None, None)  # torch swaps no tensors that accumulate
    torch.utils.swap_tensors(t, other)
    if grad is not None and t.requires_grad:
        t.grad = grad


def swapped_for_a_shorter_one(t):
    other = t.detach()[: len(t) // 2].clone() if t.ndim else t.detach().repeat(2)
    if isinstance(t, torch.nn.Parameter):
        other, t.grad = torch.nn.Parameter(other), None
    torch.utils.swap_tensors(t, other)


def freed(t):
    t.data = t.detach().clone()
    t.untyped_storage().resize_(0)


def shrunk(t):
    t.data = t.detach().clone()
    t.untyped_storage().resize_(max(1, t.untyped_storage().nbytes() // 2))


def another_dtype(t):
    t.data = guarded(t.detach().to(torch.float64 if t.dtype != torch.float64 else torch.float32))


def one_number_for_all(t):
    t.data = (
        t.data.flatten()[:1].expand(t.shape) if t.ndim == 2 else t.data[:1].expand(2 * len(t)) if t.ndim else t.data
    )


CHANGES = [shorter, shorter_elsewhere, longer, transposed_elsewhere, transposed, swapped_for_a_copy]
CHANGES += [swapped_for_a_shorter_one, freed, shrunk, another_dtype, one_number_for_all]
KEEP_VALUES = {transposed_elsewhere, swapped_for_a_copy}


def outcome(setting, stream, change, *, prepared):
    """A step after the change: what it made of every stream, or the sentence that refused it."""
    made = Trained(setting)
    made.gradients()
    try:
        if change is not None:
            change(made.streams()[stream])
        if not prepared:
            made.optimizer.__dict__.pop("_updates")
        before = [p.detach().clone() for p in made.params[1:]]
        made.optimizer.step()
        assert not any(map(torch.equal, before, made.params[1:])), "a parameter rests"
    except InputError as error:
        assert all(map(torch.equal, before, made.params[1:])), "another parameter moved before the refusal"
        return f"refused: {error}"
    except RuntimeError as error:
        return f"torch refused: {str(error).splitlines()[0]}"
    return made.values()


def main(setting):
    torch.set_num_threads(2)
    unchanged = outcome(setting, "", None, prepared=True)
    for stream in Trained(setting).streams():
        for change in CHANGES:
            quick, general = (outcome(setting, stream, change, prepared=prepared) for prepared in (True, False))
            said = quick if isinstance(quick, str) else ""
            same = quick == general if said or isinstance(general, str) else all(map(torch.equal, quick, general))
            off = largest_difference(quick, unchanged) if change in KEEP_VALUES and not said else 0.0
            case = {"stream": stream, "change": change.__name__, "same": same, "said": said, "off": off}
            print(json.dumps({"setting": setting, **case}), flush=True)


def largest_difference(actual, expected):
    """Of a parameter from what it is without the change, in units of the largest."""
    return max(((a - b).abs().max() / b.abs().max()).item() for a, b in zip(actual[:2], expected[:2], strict=True))


if __name__ == "__main__":
    for each in sys.argv[1:]:
        main(each)
