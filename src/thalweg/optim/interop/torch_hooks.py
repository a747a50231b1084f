"""torch's hooks and profiling around an optimizer's step, run only when in use, since they take time.

Hooks run and profilers record a step as with torch's optimizers. `torch.compile` around a training step leaves out the
optimizer's step, which is compiled already.
"""

import functools
import sys
from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch
from torch.optim import optimizer as torchs

Method = TypeVar("Method", bound=Callable[..., Any])


def stepping(method: Method) -> Method:
    """Wraps a class's `step`, so that torch does not wrap it again."""
    watched = torch.optim.Optimizer.profile_hook_step(method)

    @functools.wraps(method)
    def step(self: Any, *args: Any, **kwargs: Any) -> Any:  # hooks get the caller's arguments unchanged
        run = watched if type(self).step is step and _asked(self) else method  # torch wraps a subclass's own step
        if "torch._dynamo" in sys.modules and _compiling():
            run = _disabled(run)
        return run(self, *args, **kwargs)

    step.hooked = True  # type: ignore[attr-defined]  # keeps torch from wrapping it for every call
    step._torchdynamo_disable = True  # type: ignore[attr-defined]  # keeps the compiler from tracing it
    return cast(Method, step)


def _asked(optimizer: Any) -> bool:
    """Whether hooks are registered or a profiler is active."""
    hooks = optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks
    common = torchs._global_optimizer_pre_hooks or torchs._global_optimizer_post_hooks
    return bool(hooks or common or torch.autograd._profiler_enabled())  # type: ignore[attr-defined]


def _compiling() -> bool:
    """Whether functions called now would be compiled."""
    frames: Any = sys.modules.get("torch._C._dynamo.eval_frame")
    callback = getattr(frames, "get_eval_frame_callback", None)
    return callback is None or callback() is not None  # an older torch cannot tell, so assume it


@functools.cache
def _disabled(method: Callable[..., Any]) -> Callable[..., Any]:
    """As `torch.compiler.disable`, which would import the compiler (seconds) even for those who never compile."""
    disabled: Callable[..., Any] = sys.modules["torch._dynamo"].disable(method)
    return disabled
