"""Arguments of the model as a dimension of a comparison, such as `"init=he-normal,glorot-uniform"`."""

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

from thalweg.errors import InputError, shown
from thalweg.studies.parsing import combinations, split
from thalweg.workloads.model_arguments import read, written

MOST_MODELS = 50
OPENING = ("'", '"', "(", "[", "{")
NAMED = re.compile(r"\s*([A-Za-z_][\w-]*)\s*=")
"""How a part begins that names an argument."""


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
    texts = [given] if isinstance(given, str) else list(given)
    if not all(isinstance(text, str) for text in texts):
        raise InputError(f"vary must be as in init=he-normal,glorot-uniform, got {shown(given)}.")
    whole = ",".join(texts)
    space: dict[str, list[Any]] = {}
    name = ""
    for text in split(whole):
        begins = NAMED.match(text)
        if begins is not None:
            name = begins[1].replace("-", "_")
            if name in space:
                raise InputError(f"vary has {name} twice: give its values in one list, as {name}=A,B.")
        value = (text if begins is None else text[begins.end() :]).strip()
        found = read(value)
        strange = (begins is None and "=" in text and isinstance(found, str) and found == value) or (
            value.startswith(OPENING) and found == value
        )
        if not name or not value or strange:
            raise InputError(f"vary must be as in init=he-normal,glorot-uniform, got {shown(whole)}.")
        space.setdefault(name, []).append(found)
    return space
