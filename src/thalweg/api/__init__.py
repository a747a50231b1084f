"""What users call from Python: compare optimizers, go on with a study, read what it found."""

from thalweg.api.comparison import compare as compare
from thalweg.api.result import Result as Result
from thalweg.api.result import stored as stored
from thalweg.api.resumption import resume as resume
