"""Every optimizer's kernel is compiled for GPUs that are not here, to the machine code that they run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

COMPILING = """
import re, sys
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from thalweg.recipes.catalogue import recipes
from thalweg.execution.gpu import kernels
from thalweg.recipes.trace import trace
from scope import TYPICAL

def compiled(stage, storage, stochastic=False):
    table = "*fp64" if "float64" in storage else "*fp32"
    names = ("_which", "_active", "_pointers", "_keys", "_partials", "_blocks")
    signature = {"_table": table, **dict.fromkeys(names, "*i64"), "_partials": "*fp64", "_rows": "i32"}
    source = ASTSource(kernels.kernel(stage, storage, stochastic=stochastic), signature)
    made = triton.compile(source, target=GPUTarget("cuda", int(sys.argv[1]), 32), options={"enable_fp_fusion": True})
    assert made.asm["cubin"]
    return made.asm["ptx"]

for name, recipe in recipes().items():
    program = trace(recipe.structure(recipe.resolve({})))
    states = len(program.update.states)
    ptx = compiled(program.update, ("float32",) * (2 + states))
    assert len(re.findall("ld.global.v4", ptx)) >= 2 + states, f"{name} does not read in vectors"
    for stage in program.before:
        compiled(stage, ("float32",) * (2 + states))
    assert "approx" not in re.sub("(ex2|lg2|rcp).approx", "", ptx), f"{name} divides or takes roots approximately"
    if name in TYPICAL:
        compiled(program.update, ("float64",) * (2 + states))
        compiled(program.update, ("bfloat16",) * 2 + ("float32",) * states, stochastic=True)
        compiled(program.update, ("bfloat16",) * 2 + ("float32",) * states + ("int16",))
        cautious = trace(recipe.structure(recipe.resolve({"cautious": True})))
        compiled(cautious.before[0], ("float32",) * (2 + states))
print("compiled")
"""


@pytest.mark.parametrize("capability", [80, 90])
def test_for_a_gpu_that_is_not_here(capability):
    pytest.importorskip("triton", reason="needs Triton (`make conformance` brings it)")
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    paths = [str(Path(__file__).parents[1]), *filter(None, [environment.get("PYTHONPATH")])]
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    done = subprocess.run(
        [sys.executable, "-c", COMPILING, str(capability)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.endswith("compiled\n"), done.stderr[-2000:]
