"""`torch.compile` around a training step leaves the optimizer's own as it is: that is compiled already."""

import functools
import sys
from collections.abc import Callable
from typing import Any, TypeVar, cast

Method = TypeVar("Method", bound=Callable[..., Any])


def uncompiled(method: Method) -> Method:
    """As `torch.compiler.disable`, which would import the compiler, seconds of it, for those who never compile."""
    disabled: list[Callable[..., Any]] = []

    @functools.wraps(method)
    def called(*args: Any, **kwargs: Any) -> Any:
        if "torch._dynamo" not in sys.modules:
            return method(*args, **kwargs)
        if not disabled:
            disabled.append(sys.modules["torch._dynamo"].disable(method))
        return disabled[0](*args, **kwargs)

    called._torchdynamo_disable = True  # type: ignore[attr-defined]  # the compiler may not look into it
    return cast(Method, called)
