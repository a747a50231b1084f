"""One learning rate for all, and then a fair comparison: how the ranking turns over.

    python examples/common_rate.py --data-dir DIR [--steps 1719] [--rate 0.05]

DIR holds fashion-mnist/. Every optimizer runs at the common rate, then tuned on its own; both with five fresh seeds.
"""

import argparse
from pathlib import Path

from scipy.stats import kendalltau

import thalweg
from thalweg.workloads.catalogue import load


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1719, help="of every run; 1719 are an epoch")
    parser.add_argument("--rate", type=float, default=0.05)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()

    workload = load("fashion-mnist", given.data_dir)
    common = thalweg.compare(workload, learning_rates=[given.rate], seeds=1, steps=given.steps)
    tuned = thalweg.compare(workload, seeds=given.seeds, steps=given.steps)
    show(common, tuned, given.rate)


def show(common: thalweg.Result, tuned: thalweg.Result, rate: float) -> None:
    at_rate = common.leaderboard().set_index("optimizer")
    best = tuned.leaderboard().set_index("optimizer")
    print(f"{'optimizer':<10} {'all at ' + str(rate):>24} {'tuned':>24}   learning rate")
    for name, row in best.iterrows():
        print(f"{name:<10} {cell(at_rate.loc[name]):>24} {cell(row):>24}   {row['learning_rate']:g}")
    agreement = kendalltau(at_rate["rank"].loc[best.index], best["rank"]).statistic
    print(f"\nKendall's rank correlation of the two: {agreement:+.2f} (1 the same order, -1 the reverse).")
    print(f"At {rate}, {common.rows[0].contender} wins. {tuned.verdict}")


def cell(row) -> str:
    margin = (row["test_high"] - row["test_low"]) / 2
    return f"{row['rank']:>3}. {100 * row['test']:.1f} ± {100 * margin:.1f}%"


if __name__ == "__main__":
    main()
