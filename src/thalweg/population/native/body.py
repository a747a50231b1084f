"""The body of a loop nest: what is computed at each element of a shape, as instructions in order."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from thalweg.population.native.emitter import KINDS
from thalweg.population.native.places import Access, Place


class Constant(NamedTuple):
    value: float
    kind: str


class Term(NamedTuple):
    """An index that is itself a value: it adds `stride` elements for each, and must be less than `size`."""

    value: int
    stride: int
    size: int


class Load(NamedTuple):
    access: Access


class Position(NamedTuple):
    """The number of the element along some dimensions: a place without memory."""

    access: Access


class Take(NamedTuple):
    """A load at indices that are values. wraps: whether negative ones count from the end."""

    access: Access
    terms: tuple[Term, ...]
    wraps: bool


class Check(NamedTuple):
    """Leaves an error unless an index is at least 0 and less than `size`."""

    value: int
    size: int


class Compute(NamedTuple):
    """An elementwise operation. kind: of its result. within: the kind that its arguments are converted into."""

    name: str
    kind: str
    within: str
    arguments: tuple[Any, ...]  # places among the values, constants, or `None`


class Write(NamedTuple):
    """mode: "set", or how it is combined with the value there: "add", "larger" or "smaller"."""

    access: Access
    value: int
    mode: str
    terms: tuple[Term, ...] = ()
    wraps: bool = False


@dataclass
class Body:
    """Instructions over a shape. kinds: of each instruction's value. first: values of places before the loops."""

    shape: tuple[int, ...]
    instructions: list[Any] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    first: list[tuple[Place, float]] = field(default_factory=list)
    places: dict[str, int] = field(default_factory=dict, repr=False)

    def add(self, instruction: Any, kind: str) -> int:
        """Adds an instruction unless there is an equal one; returns its place."""
        key = repr(instruction)  # -0.0 is not 0.0
        if key not in self.places or isinstance(instruction, Write):
            self.instructions.append(instruction)
            self.kinds.append(kind)
            self.places[key] = len(self.instructions) - 1
        return self.places[key]

    def load(self, place: Place) -> int:
        return self.add(Load(place.access(self.shape)), KINDS[place.dtype])

    def converted(self, value: int, kind: str) -> int:
        return value if self.kinds[value] == kind else self.add(Compute("_to_copy", kind, kind, (value,)), kind)

    def store(self, place: Place, value: int, mode: str = "set") -> None:
        """Stores a value at a place, which is expanded to the shape: dimensions without stride are reduced."""
        self.add(Write(place.access(self.shape), self.converted(value, KINDS[place.dtype]), mode), "")

    @property
    def accesses(self) -> list[Access]:
        return [i.access for i in self.instructions if hasattr(i, "access")]
