"""What torch does around the step of any optimizer, done only where somebody asks for it, as it takes time.

Hooks run and profilers see a step as torch does it. `torch.compile` around a training step leaves the optimizer's own
as it is: that is compiled already.
"""

import functools
import sys
from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch
from torch.optim import optimizer as torchs

Method = TypeVar("Method", bound=Callable[..., Any])


def stepping(method: Method) -> Method:
    """A class's `step`, that torch then wraps no more."""
    watched = torch.optim.Optimizer.profile_hook_step(method)

    @functools.wraps(method)
    def step(self: Any, *args: Any, **kwargs: Any) -> Any:  # hooks are given what the caller gave, as he gave it
        run = watched if type(self).step is step and _asked(self) else method  # torch wraps a subclass's own step
        if "torch._dynamo" in sys.modules and _compiling():
            run = _disabled(run)
        return run(self, *args, **kwargs)

    step.hooked = True  # type: ignore[attr-defined]  # so that torch does not do it all, always
    step._torchdynamo_disable = True  # type: ignore[attr-defined]  # the compiler may not look into it
    return cast(Method, step)


def _asked(optimizer: Any) -> bool:
    """Whether there are hooks, or a profiler."""
    hooks = optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks
    common = torchs._global_optimizer_pre_hooks or torchs._global_optimizer_post_hooks
    return bool(hooks or common or torch.autograd._profiler_enabled())  # type: ignore[attr-defined]


def _compiling() -> bool:
    """Whether functions called now would be compiled."""
    frames: Any = sys.modules.get("torch._C._dynamo.eval_frame")
    callback = getattr(frames, "get_eval_frame_callback", None)
    return callback is None or callback() is not None  # an older torch does not say


@functools.cache
def _disabled(method: Callable[..., Any]) -> Callable[..., Any]:
    """As `torch.compiler.disable`, which would import the compiler, seconds of it, for those who never compile."""
    disabled: Callable[..., Any] = sys.modules["torch._dynamo"].disable(method)
    return disabled
