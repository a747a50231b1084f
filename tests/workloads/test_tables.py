"""Tables as tensors: pandas' dummies and scikit-learn's scaling give the same, and what does not fit is refused."""

import datetime
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.preprocessing import LabelEncoder, StandardScaler
from torch import nn

import thalweg
from thalweg.errors import InputError
from thalweg.workloads import reading
from thalweg.workloads.reading import DataWarning
from thalweg.workloads.tables import table

ROWS = 90


@pytest.fixture
def houses() -> pd.DataFrame:
    draw = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "area": draw.normal(100, 20, ROWS),
            "year": draw.integers(1_900, 2_020, ROWS),
            "city": draw.choice(["Ulm", "Bonn", "Köln"], ROWS),
            "new": draw.random(ROWS) < 0.5,
            "heating": pd.Categorical(draw.choice(["gas", "oil"], ROWS)),
            "price": draw.normal(300, 50, ROWS),
        }
    )


def expected(features: pd.DataFrame) -> pd.DataFrame:
    """Input columns by pandas and scikit-learn."""
    dummies = pd.get_dummies(features).astype(float)
    scaled = [c for c in features.columns if features[c].dtype.kind in "if"]
    dummies[scaled] = StandardScaler().fit_transform(features[scaled])
    return dummies


def assert_inputs(found: thalweg.workloads.tables.Table, wanted: pd.DataFrame) -> None:
    assert sorted(found.columns) == sorted(wanted.columns)
    np.testing.assert_allclose(found.inputs, wanted[list(found.columns)], rtol=1e-5, atol=1e-6)


def test_inputs_are_dummies_and_standardized_numbers(houses):
    found = thalweg.table(houses, target="price")
    assert found.columns == ("area", "year", "city_Bonn", "city_Köln", "city_Ulm", "new", "heating_gas", "heating_oil")
    assert_inputs(found, expected(houses.drop(columns="price")))
    assert found.inputs.dtype == found.targets.dtype == torch.float32
    assert found.targets.shape == (ROWS, 1)
    np.testing.assert_array_equal(found.targets[:, 0], houses["price"].astype(np.float32))
    assert found.inputs.is_contiguous()
    assert found.classes == ()


def test_it_is_a_pair(houses):
    found = table(houses, "price")
    x, y = found
    assert x is found.inputs
    assert y is found.targets


def test_unstandardized(houses):
    found = table(houses, "price", features=["year", "area"], standardize=False)
    assert found.columns == ("year", "area")
    np.testing.assert_array_equal(found.inputs, houses[["year", "area"]].to_numpy(np.float32))
    np.testing.assert_array_equal(found.values, houses[["year", "area"]].to_numpy(np.float64))


def test_large_numbers_that_differ_little_are_standardized_exactly():
    values = 1.7e9 + np.arange(50.0)  # seconds; in float32 they are one number
    found = table(pd.DataFrame({"x": values, "y": values}), "y")
    np.testing.assert_allclose(found.inputs[:, 0], (np.arange(50) - 24.5) / np.arange(50.0).std(), rtol=1e-5)


@pytest.mark.parametrize("name", ["a.csv", "a.CSV", "a.csv.gz", "a.tsv", "a.parquet"])
@pytest.mark.parametrize("form", [str, Path])
def test_files_are_as_the_frame(houses, tmp_path, name, form):
    path = tmp_path / name
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
        houses.to_parquet(path)
    else:
        houses.to_csv(path, index=False, sep="\t" if name.endswith("tsv") else ",")
    found, wanted = table(form(path), "price"), table(houses, "price")
    assert found.columns == wanted.columns
    assert torch.equal(found.inputs, wanted.inputs)
    assert torch.equal(found.targets, wanted.targets)


def test_a_csv_with_spaces_and_a_byte_order_mark(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("\ufeffa, b, y\n1, u, 2.5\n3, v, 3.5\n2, u, 4\n", encoding="utf-8")
    assert table(path, "y").columns == ("a", "b_u", "b_v")


@pytest.mark.parametrize(
    ("values", "classes", "names"),
    [
        (["b", "a", "c", "a"], None, ("a", "b", "c")),
        (["b", "a", "c", "a"], True, ("a", "b", "c")),
        ([True, False, True, True], None, ("False", "True")),
        ([7, 3, 10, 3], True, ("3", "7", "10")),
        ([7.0, 3.0, -1.0, 3.0], True, ("-1", "3", "7")),
        (pd.Categorical(["10", "9", "10", "9"]), None, ("10", "9")),
    ],
)
def test_classes_are_numbered_in_order(values, classes, names):
    found = table(pd.DataFrame({"x": [1.0, 2, 3, 4], "y": values}), "y", classes=classes)
    assert found.classes == names
    assert found.targets.dtype == torch.int64
    np.testing.assert_array_equal(found.targets, LabelEncoder().fit_transform(np.asarray(values)))


def test_categories_keep_their_order_without_those_that_are_not_there():
    sizes = pd.Categorical(["M", "S", "L", "S"], categories=["S", "M", "L", "XL"], ordered=True)
    found = table(pd.DataFrame({"x": sizes, "y": sizes}), "y")
    assert found.classes == ("S", "M", "L")
    assert found.columns == ("x_S", "x_M", "x_L")
    assert found.targets.tolist() == [1, 0, 2, 0]
    assert found.inputs.tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 1], [1, 0, 0]]


def test_booleans_as_numbers():
    found = table(pd.DataFrame({"x": [1.0, 2, 3], "y": [True, False, True]}), "y", classes=False)
    assert found.targets.tolist() == [[1], [0], [1]]
    assert found.targets.dtype == torch.float32


@pytest.mark.parametrize(
    "values",
    [
        pd.array([1, 2, 4], dtype="Int64"),
        pd.array([1, 2, 4], dtype="uint8"),
        [Decimal(1), Decimal(2), Decimal(4)],
        pd.Series([1, 2, 4], dtype=object),
    ],
)
def test_other_kinds_of_numbers(values):
    found = table(pd.DataFrame({"x": values, "y": [1.5, 2, 3]}), "y", standardize=False)
    assert found.inputs.tolist() == [[1], [2], [4]]


def test_the_frame_stays_as_it_is(houses):
    before = houses.copy(deep=True)
    found = table(houses, "price", features=["area"], standardize=False)
    for tensor in (found.inputs, found.values, found.targets):
        tensor.zero_()
    pd.testing.assert_frame_equal(houses, before)


def test_constant_columns_are_dropped_and_named(houses):
    with pytest.warns(DataWarning, match="2 columns left out, with one value in all rows: 'one' and 'text'"):
        found = table(houses.assign(one=0.1, text="a"), "price")
    assert found.columns == table(houses, "price").columns


def test_an_index_in_the_file_is_left_out_unless_named(houses, tmp_path):
    houses.sample(frac=1, random_state=0).to_csv(tmp_path / "a.csv")
    with pytest.warns(DataWarning, match="'Unnamed: 0' numbers the rows and is left out"):
        found = table(tmp_path / "a.csv", "price")
    assert found.columns == table(houses, "price").columns
    assert table(tmp_path / "a.csv", "price", features=["Unnamed: 0", "area"]).columns == ("Unnamed: 0", "area")


def test_whole_numbers_that_may_be_classes_are_warned_of():
    frame = pd.DataFrame({"x": [1.0, 2, 3], "y": [0, 1, 2]})
    with pytest.warns(DataWarning, match="'y' has 3 different whole numbers, which are predicted as numbers"):
        assert table(frame, "y").targets.dtype == torch.float32
    assert table(frame, "y", classes=False).targets.shape == (3, 1)


def test_a_split_is_standardized_by_its_training_rows(houses):
    whole = table(houses, "price")
    rows_of = {price: i for i, price in enumerate(whole.targets[:, 0].tolist())}  # all different
    parts = whole.split(validation=0.2, test=0.1, seed=3)
    rows = [[rows_of[price] for price in y[:, 0].tolist()] for _, y in parts]
    assert [len(r) for r in rows] == [63, 18, 9]
    assert sorted(row for part in rows for row in part) == list(range(ROWS))

    numbers = houses[["area", "year"]]
    scaler = StandardScaler().fit(numbers.iloc[rows[0]])
    dummies = pd.get_dummies(houses.drop(columns=["area", "year", "price"])).astype(float)
    for (x, _), part in zip(parts, rows, strict=True):
        np.testing.assert_allclose(x[:, :2], scaler.transform(numbers.iloc[part]), rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(x[:, 2:], dummies.iloc[part][list(whole.columns[2:])])
    assert not np.allclose(parts[0][0], whole.inputs[rows[0]]), "by all rows it is another scale"


def test_a_split_of_unstandardized_numbers_stays_so(houses):
    whole = table(houses, "price", features=["year"], standardize=False)
    values = torch.cat([x for x, _ in whole.split()]).flatten()
    assert values.sort().values.tolist() == sorted(houses["year"])


def test_a_split_is_stratified(houses):
    parts = table(houses, "city").split(seed=1)
    counts = houses["city"].value_counts().sort_index().to_numpy()
    for (_, y), share, slack in zip(parts, (0.6, 0.2, 0.2), (2, 1, 1), strict=True):
        assert np.abs(np.bincount(y) - counts * share).max() < slack


def test_a_column_constant_in_training_is_centred_only():
    values = np.zeros(40)
    values[0] = 5.0
    whole = table(pd.DataFrame({"x": values, "z": np.arange(40.0), "y": np.arange(40.0) / 7}), "y")
    seed = next(s for s in range(100) if whole.split(seed=s)[0][1].min() > 0)  # row 0 is not trained on
    train, *others = whole.split(seed=seed)
    assert train[0][:, 0].unique().tolist() == [0]
    assert sorted(torch.cat([x[:, 0] for x, _ in others]).unique().tolist()) == [0, 5]


def test_a_workload_takes_a_split(houses):
    train, validation, test = table(houses, "city").split()
    workload = thalweg.Workload(
        name="cities", model=lambda: nn.Linear(6, 3), train=train, validation=validation, test=test
    )
    assert [len(s) for s in (workload.train, workload.validation, workload.test)] == [54, 18, 18]


def frame_of(values: Any, y: Any = None) -> pd.DataFrame:
    return pd.DataFrame({"x": values, "z": np.arange(float(len(values))), "y": np.arange(len(values)) / 7})


MANY = [f"a{i}" for i in range(101)]
TIMES = pd.to_datetime(["2020-01-01", "2020-01-02", "2020-01-03"])


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (["a", "b", None], r"'x' misses 1 of its 3 values, first in row 2 counted from 0 .*; fill or remove them, or"),
        ([float("nan"), 1, 2], "'x' misses 1 of its 3 values, first in row 0 "),
        (pd.array([1, None, None], dtype="Int64"), "'x' misses 2 of its 3 values, first in row 1 "),
        ([1, float("inf"), 2], "'x' must hold finite numbers in the range of float32, got inf in row 1 "),
        ([1, 2, -1e39], r"'x' must hold finite numbers in the range of float32, got -1e\+39 in row 2 "),
        (MANY, "'x' has 101 different texts or categories, and at most 100 are one-hot encoded: leave it out"),
        (pd.Categorical(MANY), "'x' has 101 different texts or categories"),
        ([*map(str, range(100)), "none of it"], "most are numbers, and row 100 counted from 0 has 'none of it': leave"),
        (TIMES, "'x' holds dates or times; turn it into numbers"),
        (TIMES.astype("category"), "'x' holds dates or times"),
        (TIMES - TIMES[0], "'x' holds dates or times"),
        (TIMES.to_period("D"), "'x' holds dates or times"),
        ([datetime.date(2020, 1, d) for d in (1, 2, 3)], "'x' holds dates or times"),
        (["2020-01-01", "2020-1-2 08:00", "2020-01-03T09"], "'x' holds dates or times"),
        (["01.02.2020", "31.12.1999", "1.1.2000"], "'x' holds dates or times"),
        ([1, "a", 2], "'x' must hold numbers, booleans, texts or categories, got mixed-integer values"),
        ([1j, 2, 3], "'x' must hold .* got complex values"),
        ([(1,), (2,), (3,)], "'x' must hold .* got mixed values"),
    ],
)
def test_refused_features(values, sentence):
    with pytest.raises(InputError, match=sentence) as caught:
        table(frame_of(values), "y")
    assert "\n" not in str(caught.value)
    assert table(frame_of(values), "y", features=["z"]).columns == ("z",)


def test_a_hundred_texts_are_encoded():
    assert len(table(frame_of(MANY[:100]), "y", features=["x"]).columns) == 100


@pytest.mark.parametrize("texts", [["1.2.3", "1.2.4"], ["2020", "2021"], ["1-2", "3-4"]])
def test_texts_that_are_no_dates(texts):
    assert len(table(frame_of(texts), "y", features=["x"]).columns) == 2


@pytest.mark.parametrize(
    ("values", "classes", "sentence"),
    [
        ([1.5, 1.5, 1.5], None, "The target 'x' has one value in all rows"),
        (["a", "a", "a"], None, "The target 'x' has one value in all rows"),
        (["a", "b", None], None, r"'x' misses 1 of its 3 values.* fill or remove them\.$"),
        (["a", "b", "a"], False, "'x' holds texts or categories, which classes=False cannot take"),
        ([1, 2.5, 1], True, "the target 'x' has 2.5 in row 1 counted from 0"),
        (MANY, None, "'x' has 101 different classes in 101 rows: it seems to be an identifier"),
        (TIMES, None, "'x' holds dates or times"),
        ([1, 2, 3], 1, "classes must be True or False, got 1"),
    ],
)
def test_refused_targets(values, classes, sentence):
    with pytest.raises(InputError, match=sentence):
        table(frame_of(values), "x", classes=classes)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"target": "prise"}, r"target must name columns of the table, got 'prise'\. Did you mean price\?"),
        ({"target": "q"}, r"got 'q'\. It has area, year, city, new, heating and price\."),
        ({"features": "area"}, "features must be a list of column names, got 'area'"),
        ({"features": {"area"}}, "features must be a list"),
        ({"features": []}, "features must be a list"),
        ({"features": ["area", "aera"]}, "features must name columns of the table, got 'aera'"),
        ({"features": ["area", "area"]}, "'area' stands there twice"),
        ({"features": ["price"]}, "'price' is the target"),
        ({"standardize": 1}, "standardize must be True or False, got 1"),
        ({"source": 3}, "source must be the path of a CSV or Parquet file, or a pandas DataFrame, got int"),
        ({"source": pd.DataFrame({"price": []})}, "The table has no rows"),
        ({"source": pd.DataFrame({"price": [1.0, 2], "a": 1})}, "The table has no column left to predict from"),
        ({"source": pd.DataFrame([[1, 2]], columns=["a", "a"])}, "The table has more than one column called 'a'"),
        ({"source": pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "b")]))}, "one level of column names"),
    ],
)
def test_refused_arguments(houses, arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        table(**{"source": houses, "target": "price", **arguments})


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.xlsx", b"", r"a\.xlsx has none of the suffixes \.csv, \.csv\.gz, \.tsv and \.parquet: convert"),
        ("a.csv", b"", r"a\.csv cannot be read as a table: No columns"),
        ("a.csv", b"x,y\n", "The table has no rows"),
        ("a.csv", b"x,y\n1,2\n3,4,5\n", r"a\.csv cannot be read as a table: .*line 3, saw 3"),
        ("a.csv", b"x,y\n1,2,9\n3,4,5\n", r"a\.csv has rows of more values than its header has names"),
        ("a.csv", b"x,y\n1\n2,3\n", "Column 'y' misses 1 of its 2 values, first in row 0 "),
        ("a.csv", b"x,y,y\n1,2,2\n3,4,4\n", r"a\.csv has more than one column called 'y'"),
        (
            "a.csv",
            b"x;y\n1;2\n",
            r"a\.csv has one column, 'x;y', and seems to be separated by semicolons: write .*commas",
        ),
        ("a.tsv", b"x,y\n1,2\n", r"a\.tsv has one column, 'x,y', and seems to be separated by commas: write .*tabs"),
        ("a.csv", b"x,y\n\xff,2\n", r"a\.csv cannot be read as a table: 'utf-8' codec"),
        ("a.csv.gz", b"x,y\n1,2\n", r"a\.csv\.gz cannot be read: Not a gzipped file"),
        ("a.parquet", b"none", r"a\.parquet cannot be read as Parquet: "),
    ],
)
def test_refused_files(tmp_path, name, content, sentence):
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=sentence) as caught:
        table(tmp_path / name, "y")
    assert "\n" not in str(caught.value)


def test_no_file_and_no_pyarrow(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"a\.csv cannot be read: No such file or directory\."):
        table(tmp_path / "a.csv", "y")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"pip install 'thalweg\[parquet\]', or give a CSV file"):
        table(tmp_path / "a.parquet", "y")


def test_more_than_the_memory(houses, monkeypatch):
    monkeypatch.setattr(reading, "memory_bytes", lambda: 90 * 8 * 16 - 1)
    with pytest.raises(
        InputError, match="90 rows of 8 columns need 11,520 bytes, and the memory has 11,519: give fewer"
    ):
        table(houses, "price")
