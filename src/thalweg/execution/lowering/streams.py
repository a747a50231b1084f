"""The streams of a compiled pass by name, for whoever writes its source."""

from collections.abc import Sequence

from thalweg.recipes.trace import Program


def ways(program: Program, storage: Sequence[str], *, stochastic: bool) -> dict[str, str]:
    """Stream → the way it is held: gradient, parameter, states, and the rest of a compensated parameter.

    That is what `storage` says, but "by chance" for what is rounded so, and "halves" for a parameter with a rest.
    Scales of states in 8 bits, last in the storage, are no streams of their own.
    """
    streams = ("g", "p", *program.states, *(["_rest"] if "int16" in storage else []))
    held = dict(zip(streams, storage, strict=False))
    if stochastic:
        held = {stream: "by chance" if kind == "bfloat16" and stream != "g" else kind for stream, kind in held.items()}
    return {**held, "p": "halves"} if "_rest" in held else held
