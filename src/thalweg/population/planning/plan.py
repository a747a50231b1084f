"""The plan of a workload's runs: vectorized or by the loop, how many at once. Plain data, which travels."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

from thalweg.population.updates.group import is_planned_ahead
from thalweg.population.updates.members import Member

NATIVE = "native"  # the program by native code
FEW = 24  # members of one seed below which seeds share a population: narrowness costs more than separate batches
LEAST = 4  # members below which a population is not split to occupy another worker


@dataclass(frozen=True)
class Plan:
    """How a workload's runs are executed, decided once before training.

    reason: why the loop is used; empty if runs are vectorized. width: members at once on each worker.
    program: "native", or the vectorized form of convolutions, "grouped" or "unfolded"; else empty. member: bytes per
    member. evaluation: bytes per evaluating worker. fallback: whether a population was impossible, not just slower.
    updates: why steps are carried out by torch's operators; empty if by compiled kernels. not_native: why no native
    code is used, where there are runs enough for it. products: the library whose matrix products native code calls.
    """

    reason: str
    width: int
    workers: int
    program: str = ""
    member: int = 0
    evaluation: int = 0
    fallback: bool = False
    updates: str = ""
    not_native: str = ""
    products: str = ""

    def memory(self, runs: int) -> int:
        """Peak bytes of `runs` runs."""
        return min(runs, self.width * self.workers) * self.member + min(runs, self.workers) * self.evaluation

    def describe(self) -> dict[str, Any]:
        how = "loop" if self.reason else "population"
        facts = {"execution": how, "reason": self.reason, "width": self.width, "workers": self.workers}
        if self.fallback:
            facts["fallback"] = self.reason
        program = {"program": self.program} if self.program and not self.reason else {}
        if self.products:
            facts["products"] = self.products
        if self.not_native:
            facts["not_native"] = self.not_native
        updates = {"updates": f"in torch's operators: {self.updates}"} if self.updates else {}
        return {**facts, **program, **updates, "bytes_per_run": self.member, "bytes_evaluating": self.evaluation}

    def populations(self, members: Sequence[Member]) -> list[list[int]]:
        """Indices of the members of each population: of one seed if any has `FEW`, grouped by step variant."""
        if self.reason:
            return [[i] for i in range(len(members))]
        alone = [[i] for i, member in enumerate(members) if member.alone]
        stacked = [i for i, member in enumerate(members) if not member.alone]
        for kind in dict.fromkeys(self._kind(members[i]) for i in stacked):
            of_rule = [i for i in stacked if self._kind(members[i]) == kind]
            by_seed = [list(of) for _, of in groupby(_sorted(members, of_rule), lambda i: members[i].seed)]
            if max(map(len, by_seed)) < FEW:
                by_seed = [_sorted(members, of_rule, by_seed=False)]
            alone += [part for s in by_seed for part in _parts(s, self.width, self.workers, len(by_seed))]
        return alone

    def _kind(self, member: Member) -> Any:
        """What members at once share, so that none waits for others: model rules, and steps that measure something."""
        structure = member.structure
        return structure.model_rule, self.program != NATIVE or is_planned_ahead(structure)


def _sorted(members: Sequence[Member], chosen: Sequence[int], *, by_seed: bool = True) -> list[int]:
    def key(i: int) -> tuple[Any, ...]:
        s = members[i].structure
        return (members[i].seed if by_seed else 0, s.rule.name, s.convention, sorted(s.flags), sorted(s.absent), i)

    return sorted(chosen, key=key)


def _parts(of_seed: list[int], width: int, workers: int, seeds: int) -> list[list[int]]:
    """Equal parts of at most `width`; over all seeds a multiple of `workers`, unless parts would fall below `LEAST`."""
    count = -(-len(of_seed) // width)
    while count * seeds % workers and len(of_seed) >= LEAST * (count + 1):
        count += 1
    bounds = [round(k * len(of_seed) / count) for k in range(count + 1)]
    return [of_seed[a:b] for a, b in pairwise(bounds)]
