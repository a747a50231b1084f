"""What a rule may compute can be carried out everywhere: each arithmetic knows each operation."""

from thalweg.recipes import rows
from thalweg.recipes.execution import stacked
from thalweg.recipes.execution.cpu import source as on_cpu
from thalweg.recipes.execution.gpu import rows as rows_on_gpu
from thalweg.recipes.execution.gpu import source as on_gpu


def test_operations_of_elements():
    assert stacked.OPERATIONS.keys() == on_cpu.EXPRESSIONS.keys() == on_gpu.EXPRESSIONS.keys()


def test_operations_of_rows():
    assert rows.OPERATIONS.keys() == rows_on_gpu.OF_ROWS.keys() >= stacked.OPERATIONS.keys()
