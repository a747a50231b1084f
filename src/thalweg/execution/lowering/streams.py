"""The streams of a compiled pass by name, for code generation."""

from collections.abc import Sequence

from thalweg.recipes.stages import Stage


def ways(stage: Stage, storage: Sequence[str], *, stochastic: bool) -> dict[str, str]:
    """Stream → storage kind: gradient, parameter, states, and the residual of a compensated parameter.

    The kind is that in `storage`, or "stochastic" for stochastic rounding, or "halves" for a parameter with a residual.
    Scales of 8-bit states, last in the storage, are not listed.
    """
    streams = ("g", "p", *stage.states, *(["_rest"] if "int16" in storage else []))
    held = dict(zip(streams, storage, strict=False))
    if stochastic:
        held = {stream: "stochastic" if kind == "bfloat16" and stream != "g" else kind for stream, kind in held.items()}
    return {**held, "p": "halves"} if "_rest" in held else held
