"""What a rule may compute can be carried out everywhere: each arithmetic knows each operation."""

from thalweg.execution.cpu import source as on_cpu
from thalweg.execution.gpu import source as on_gpu
from thalweg.execution.lowering import device_table, stacked
from thalweg.recipes import row_line, row_table


def test_operations_of_elements():
    assert stacked.OPERATIONS.keys() == on_cpu.EXPRESSIONS.keys() == on_gpu.EXPRESSIONS.keys()


def test_operations_of_rows():
    assert (
        row_table.OPERATIONS.keys()
        == device_table.OF_ROWS.keys()
        == row_line.EXPRESSIONS.keys()
        >= stacked.OPERATIONS.keys()
    )
