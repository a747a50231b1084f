"""Memory of the workspace: blocks that are not needed at once share it."""

from collections.abc import Mapping, Sequence

from thalweg.population.native.body import Body
from thalweg.population.native.loops import blocks_of
from thalweg.population.native.products import MatrixProduct

ALIGNED = 64  # bytes, a line of the cache


def touched(item: Body | MatrixProduct) -> list[str]:
    """The blocks that an item reads or writes."""
    return blocks_of(item) if isinstance(item, Body) else [item.a.block, item.b.block, item.c.block]


def offsets(
    items: Sequence[Body | MatrixProduct], sizes: Mapping[str, int], last: Sequence[str] = ()
) -> tuple[dict[str, int], int]:
    """Returns (offset in bytes of each block, bytes of the workspace). last: blocks that are read after all items."""
    lives: dict[str, tuple[int, int]] = {}
    for i, item in enumerate(items):
        for block in touched(item):
            if block in sizes:
                lives[block] = (lives.get(block, (i, i))[0], i)
    lives |= {block: (lives[block][0], len(items)) for block in last if block in lives}
    placed: dict[str, tuple[int, int]] = {}
    for block in sorted(lives, key=lambda b: -sizes[b]):
        size = -(-sizes[block] // ALIGNED) * ALIGNED
        begin, end = lives[block]
        beside = sorted(placed[other] for other in placed if lives[other][0] <= end and begin <= lives[other][1])
        place = 0
        for start, stop in beside:
            if start - place >= size:
                break
            place = max(place, stop)
        placed[block] = (place, place + size)
    return {block: start for block, (start, _) in placed.items()}, max((stop for _, stop in placed.values()), default=0)
