"""The table of `thalweg.analysis.separable`: which differences a design separates in 80% of simulated studies.

    python benchmarks/separable.py            # the whole table: half an hour
    python benchmarks/separable.py --contenders 2,11 --seeds 5,20

In a study of equal noise the first contender leads all others by a difference, in multiples of the noise that another
study of the design measured; `ties` separates four of five of the others at the number printed.
"""

import math
from argparse import ArgumentParser

import numpy as np

from thalweg.analysis.noise import noise
from thalweg.analysis.separable import CONTENDERS, POWER, SEEDS
from thalweg.analysis.ties import ties

HALVINGS = 10


def least(contenders: int, seeds: int, studies: int) -> float:
    """The multiple, by bisection over common random numbers."""
    random = np.random.default_rng(11)
    scales, draws = [], []
    for _ in range(studies):
        other = random.standard_normal((contenders, seeds))
        scales.append(math.sqrt(noise(other[np.argsort(-other.mean(1))]).usual))
        draws.append(random.standard_normal((contenders, seeds)))
    low, high = math.log(0.2), math.log(60.0)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _separated(math.exp(middle), scales, draws) < POWER else (low, middle)
    return math.exp((low + high) / 2)


def _separated(multiple: float, scales: list[float], draws: list[np.ndarray]) -> float:
    """The share of the others that are separated from a first that leads them."""
    hits = others = 0
    for scale, draw in zip(scales, draws, strict=True):
        led = draw + np.where(np.arange(len(draw)) == 0, multiple * scale, 0.0)[:, None]
        order = np.argsort(-led.mean(1))
        others += len(led) - 1
        hits += len(led) - sum(ties(led[order])) if order[0] == 0 else 0
    return hits / others


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--contenders", default=",".join(map(str, CONTENDERS)))
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)))
    parser.add_argument("--studies", type=int, default=4000, help="of two contenders; fewer of more")
    given = parser.parse_args()
    seeds = [int(n) for n in given.seeds.split(",")]
    print(f"| contenders | {' | '.join(f'{n} seeds' for n in seeds)} |\n|---:{'|---:' * len(seeds)}|")
    for k in map(int, given.contenders.split(",")):
        studies = max(400, int(given.studies / (k - 1) ** 0.7))
        print(f"| {k} | {' | '.join(f'{least(k, n, studies):.3g}' for n in seeds)} |", flush=True)


if __name__ == "__main__":
    main()
