"""The page of what is promised, and of every capability tried with every optimizer.

`python -m thalweg.testing.capabilities_page` prints it, in Markdown.
"""

import warnings

from thalweg.optim import OptimizerWarning
from thalweg.optim.classes import drop_ins
from thalweg.testing.capabilities import CAPABILITIES

HEAD = """\
# What every optimizer does

## What is promised

| optimizers | conventions | modifiers | numbers and uses | held by |
| --- | --- | --- | --- | --- |
| all | all of each | none | float64 to 1e-12 of the paper; float32 to twice its own rounding | `tests/rules` |
| all | the first of each | each alone; all at once | the same | `tests/rules` |
| all | the first of each | none | bfloat16, float16, each rounding; states of 8 bits | `tests/optim` |
| all | the first of each | each alone | drop-in = population = `capturable` = `differentiable` | `tests/optim` |

The other cells of optimizers × conventions × modifiers × numbers come from the same program; samples of them are tried.
The suite puts typical optimizers to each of these, `make conformance` all of them.

**On a GPU everything is experimental**: its kernels ran in an interpreter and were compiled for two GPUs; none has run.

## What was tried

Each cell is a check that just passed (`thalweg.testing.capabilities`), on the CPU; `make docs` writes this page.
"""


def page() -> str:
    """Runs every check: capability × optimizer as a Markdown table. Raises if a check does."""
    notes: list[str] = []
    lines = [f"| | {' | '.join(CAPABILITIES)} |", f"|---{'|:---:' * len(CAPABILITIES)}|"]
    for name, cls in drop_ins().items():
        cells = []
        for check in CAPABILITIES.values():
            refusal = check(cls)
            notes += [f"- {name}: {refusal}."] if refusal else []
            cells.append("no, and says why" if refusal else "✓")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([HEAD, *lines, "", "Where the answer is no:", "", *notes, ""])


if __name__ == "__main__":
    warnings.simplefilter("ignore", OptimizerWarning)
    print(page(), end="")
