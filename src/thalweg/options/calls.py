"""Arguments of a call, checked by name: a misspelt or a missing one is one sentence."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from thalweg.errors import InputError, listed, shown, suggest

Function = TypeVar("Function", bound=Callable[..., Any])


def by_name(owner: str, hints: Mapping[str, str] | None = None) -> Callable[[Function], Function]:
    """Makes a function raise `InputError`, not `TypeError`, for unknown, missing and superfluous arguments.

    owner: what it is called in messages. hints: what to say of some unknown names.
    """

    def checked(function: Function) -> Function:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def called(*args: Any, **given: Any) -> Any:
            try:
                signature.bind(*args, **given)
            except TypeError as error:
                raise _refusal(owner, signature, args, given, hints or {}, error) from None
            return function(*args, **given)

        return called  # type: ignore[return-value]

    return checked


def _refusal(
    owner: str,
    signature: inspect.Signature,
    args: tuple[Any, ...],
    given: Mapping[str, Any],
    hints: Mapping[str, str],
    error: TypeError,
) -> InputError:
    names = [name for name in signature.parameters if name != "self"]
    for name in given:
        if name not in names:
            return InputError(f"{owner} has no argument {shown(name)}. {hints.get(name) or suggest(name, names)}")
    positional = [p for p in signature.parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    if len(args) > len(positional):
        return InputError(f"{owner} takes its arguments by name, such as {names[0]}={shown(args[-1])}.")
    taken = {p.name for p, _ in zip(positional, args, strict=False)} | {*given, "self"}
    missing = [p.name for p in signature.parameters.values() if p.default is p.empty and p.name not in taken]
    return InputError(f"{owner} needs {listed(missing)}." if missing else f"{owner}: {error}.")
