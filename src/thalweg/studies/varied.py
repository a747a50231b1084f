"""Arguments of the model as a dimension of a comparison, such as `"init=he-normal,glorot-uniform"`."""

import ast
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from thalweg.errors import InputError, shown
from thalweg.studies.parsing import combinations, split
from thalweg.workloads.model_arguments import written

MOST_MODELS = 50


def varied(given: Any) -> list[dict[str, Any]]:
    """Every combination of the values of several arguments, in the order given.

    given: a mapping argument → values, or texts such as `["init=he-normal", "glorot-uniform", "dropout=0", "0.2"]`, in
    which a part without "=" is another value of the argument before. Raises `InputError` where malformed, a value
    stands twice, or there are more than `MOST_MODELS` combinations.
    """
    space = given if isinstance(given, Mapping) else _space(given)
    values = combinations("vary", {n: [v] if _is_single(v) else list(v) for n, v in space.items()})
    for name, several in values.items():
        twice = next((v for i, v in enumerate(several) if written({name: v}) in _texts(name, several[:i])), None)
        if twice is not None:
            raise InputError(f"vary has {written({name: twice})} twice; name each value once.")
    found = [dict(zip(values, each, strict=True)) for each in itertools.product(*values.values())]
    if len(found) > MOST_MODELS:
        raise InputError(f"vary may have at most {MOST_MODELS} combinations, got {len(found):,}: name fewer values.")
    return found


def _texts(name: str, values: Sequence[Any]) -> list[str]:
    return [written({name: value}) for value in values]


def _is_single(value: Any) -> bool:
    return isinstance(value, str | bytes) or not isinstance(value, Sequence)


def _space(given: Any) -> dict[str, list[Any]]:
    texts = [part for text in ([given] if isinstance(given, str) else given) for part in _parts(text)]
    space: dict[str, list[Any]] = {}
    name = ""
    for text in texts:
        head, equals, value = text.partition("=")
        if equals:
            name = head.strip().replace("-", "_")
            if not name.isidentifier():
                raise InputError(f"vary names arguments of the model, as in init=he-normal, got {shown(text)}.")
            if name in space:
                raise InputError(f"vary has {name} twice: give its values in one list, as {name}=A,B.")
        if not name or not (value if equals else text).strip():
            raise InputError(f"vary must be as in init=he-normal,glorot-uniform, got {shown(','.join(texts))}.")
        space.setdefault(name, []).append(_read((value if equals else text).strip()))
    return space


def _parts(text: Any) -> list[str]:
    if not isinstance(text, str):
        raise InputError(f"vary must be as in init=he-normal,glorot-uniform, got {shown(text)}.")
    return split(text)


def _read(text: str) -> Any:
    """A number, True or False, None, or a tuple of these; else the text itself."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        return text
