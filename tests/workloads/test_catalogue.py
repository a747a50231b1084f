"""Workloads by name, without importing what they need before they are loaded."""

import subprocess
import sys

import pytest

from thalweg.errors import InputError
from thalweg.workloads.catalogue import WORKLOADS, load, workload_names


def test_names():
    assert workload_names() == ("digits", "fashion-mnist", "mnist", "mnist-cnn")
    assert tuple(WORKLOADS) == workload_names()


def test_load_digits_ignores_the_directory(tmp_path):
    assert load("digits", tmp_path).name == "digits"


@pytest.mark.parametrize(
    ("name", "folder"), [("mnist", "mnist"), ("fashion-mnist", "fashion-mnist"), ("mnist-cnn", "mnist")]
)
def test_load_passes_the_directory_on(name, folder, tmp_path):
    with pytest.raises(InputError, match=f"{tmp_path}/{folder}/train-images"):
        load(name, tmp_path)


def test_every_name_loads_the_workload_of_that_name(data_dir):
    for name in workload_names():
        assert load(name, data_dir).name == name


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("mnits", "Did you mean mnist"),
        ("load", "Known: digits, fashion-mnist, mnist, mnist-cnn."),
        ("", "Known: digits, "),
    ],
)
def test_unknown_name(name, end):
    with pytest.raises(InputError, match=f"^Unknown workload '{name}'. {end}"):
        load(name)


def test_listing_imports_nothing_heavy():
    program = (
        "import sys; from thalweg.workloads.catalogue import workload_names; workload_names();"
        " print([m for m in ('torch', 'sklearn', 'numpy') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout == "[]\n"
