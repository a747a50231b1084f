"""The Python API: compare optimizers, resume a study, read its result."""

from thalweg.api.checking import check as check
from thalweg.api.comparison import compare as compare
from thalweg.api.range_result import RangeTest as RangeTest
from thalweg.api.range_test import find_lr as find_lr
from thalweg.api.result import Result as Result
from thalweg.api.result import stored as stored
from thalweg.api.resumption import resume as resume
from thalweg.api.studies import Studies as Studies
