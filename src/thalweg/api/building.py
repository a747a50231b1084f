"""Makes an optimizer from the name and arguments that a study recorded."""

import importlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from thalweg.errors import InputError, first_line

if TYPE_CHECKING:
    from torch.optim import Optimizer

DROP_IN = re.compile(r"thalweg\.optim\.drop_in\((.+)\)")


def called(name: str, arguments: Mapping[str, Any], parameters: Any) -> "Optimizer":
    """The optimizer that `name(parameters, **arguments)` makes; name: as `studies.calls` describes it.

    Raises `InputError` where nothing of that name can be imported, or it does not take these parameters.
    """
    found = _found(name)
    try:
        made: Optimizer = found(parameters, **arguments)
    except InputError:
        raise
    except Exception as error:  # whatever a class of another library's raises
        raise InputError(f"{name} cannot be made of these parameters: {first_line(error)}.") from error
    return made


def _found(name: str) -> Any:
    from thalweg.optim.classes import drop_in

    of_rule = DROP_IN.fullmatch(name)
    if of_rule is None:
        return _imported(name)
    path = of_rule.group(1)
    return drop_in(_imported(path if "." in path else f"__main__.{path}"))


def _imported(path: str) -> Any:
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError):
        raise InputError(
            f"{path} cannot be imported here: make the optimizer by hand, with the hyperparameters of `best`."
        ) from None
