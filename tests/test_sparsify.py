"""Studies of sparse models: exact counts, paired differences, tickets, resumption, the command, and refusals."""

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open

import thalweg
from cli_process import Ended, Program
from problems import TinyNet, tiny
from thalweg.population.engine.task import MembersFinished
from thalweg.recipes.options import OPTIONS
from thalweg.records.sparsity import KeptOutcomes
from thalweg.reports.studies import rows
from thalweg.sparse.export import sizes
from thalweg.studies import sparse_design, training

WEIGHTS = 6 * 16 + 16 * 3
SPARSITIES = (0.5, 0.8)


def study(**given: Any) -> Any:
    asked: dict[str, Any] = {"sparsity": SPARSITIES, "seeds": 3, "learning_rate": 1e-2, "progress": False}
    return thalweg.sparsify(given.pop("workload", tiny()), **{**asked, **given})


@pytest.fixture(scope="module")
def found() -> Any:
    return study(method=("threshold", "prune", "random", "ticket"))


def test_every_model_is_exactly_as_sparse_as_asked(found: Any) -> None:
    assert len(found.models) == 3 * (1 + 4 * 2)
    for run in found.models:
        assert (run.weights, run.zeros) == (WEIGHTS, round(run.sparsity * WEIGHTS))


def test_rows_are_means_and_paired_differences(found: Any) -> None:
    assert [(row.method, row.sparsity) for row in found.rows] == [
        ("dense", 0.0),
        *((method, s) for method in ("threshold", "prune", "random", "ticket") for s in SPARSITIES),
    ]
    dense = {run.seed: run.test_metric for run in found.models if run.method == "dense"}
    own = {run.seed: run.test_metric for run in found.models if (run.method, run.sparsity) == ("prune", 0.8)}
    row = found.row("prune", 0.8)
    differences = np.array([dense[seed] - own[seed] for seed in (0, 1, 2)])
    assert row.metric.mean == pytest.approx(np.mean([*own.values()]), abs=1e-12)
    assert row.loss.mean == pytest.approx(differences.mean(), abs=1e-12)
    assert row.loss.margin == pytest.approx(4.302652729911275 * differences.std(ddof=1) / 3**0.5, abs=1e-9)


def test_bytes_on_disk_are_those_of_the_file(found: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = tiny().model()
    thalweg.sparse.magnitude(model, 0.8)
    made = thalweg.sparse.export(model, tmp_path / "a.safetensors")
    rows, dense = sizes(model.state_dict())
    with safe_open(made.path, "pt") as file:
        assert rows == sum(file.get_tensor(n).nbytes for n in file.keys())  # noqa: SIM118 - it is no dict
    assert dense == 4 * (WEIGHTS + 16 + 3)
    row = found.row("prune", 0.8)
    assert row.dense_bytes == dense
    assert row.bytes == pytest.approx(rows, abs=0.5)  # as many weights are left


def by_hand(seed: int, sparsity: float, *, ticket: bool) -> float:
    """The test accuracy of a dense model cut afterwards, or of its ticket, with nothing of Thalweg but the data."""
    workload = tiny()

    def trained(masks: dict[str, torch.Tensor]) -> torch.nn.Module:
        torch.manual_seed(seed)
        model = workload.model()
        named = dict(model.named_parameters())

        def masked() -> None:
            with torch.no_grad():
                for name, mask in masks.items():
                    named[name] *= mask

        masked()
        optimizer, order = torch.optim.Adam(model.parameters(), lr=1e-2), torch.Generator().manual_seed(seed)
        (x,), y = workload.train.inputs, workload.train.targets
        for _ in range(workload.epochs):
            for index in torch.randperm(len(y), generator=order).split(workload.batch_size):
                optimizer.zero_grad()
                workload.loss(model(x[index]), y[index]).backward()
                optimizer.step()
                masked()
        return model

    model = trained({})
    weights = {name: p.detach() for name, p in model.named_parameters() if p.ndim > 1}
    size = torch.cat([w.abs().flatten() for w in weights.values()])
    limit = size.sort().values[round(sparsity * len(size))]
    masks = {name: (w.abs() >= limit).float() for name, w in weights.items()}
    if ticket:
        model = trained(masks)
    else:
        with torch.no_grad():
            for name, mask in masks.items():
                dict(model.named_parameters())[name] *= mask
    (x,), y = workload.test.inputs, workload.test.targets
    return float((model(x).argmax(1) == y).float().mean())


@pytest.mark.parametrize("method", ["threshold", "ticket"])
def test_cuts_and_tickets_equal_those_by_hand(found: Any, method: str) -> None:
    for run in (run for run in found.models if run.method == method and run.seed < 2):
        expected = by_hand(run.seed, run.sparsity, ticket=method == "ticket")
        assert run.test_metric == pytest.approx(expected, abs=1.5 / 110)  # one sample may flip by rounding


def test_the_result_as_text_json_picture_and_page(found: Any, tmp_path: Path) -> None:
    text = str(found)
    assert max(map(len, text.splitlines())) <= 80
    assert max(map(len, found.lines(60))) <= 60
    facts = json.loads(json.dumps(found.facts(), allow_nan=False))
    assert [row["method"] for row in facts["findings"]["rows"]][:2] == ["dense", "threshold"]
    assert len(facts["findings"]["runs"]) == len(found.models)
    found.save_picture(tmp_path / "a.svg")
    found.save_report(tmp_path / "a.html")
    picture, page = (tmp_path / "a.svg").read_text(), (tmp_path / "a.html").read_text()
    assert picture.count('<path class="band') == 4
    assert "nan" not in picture
    assert base64.b64encode(picture.encode()).decode() in page
    assert "worse than dense by" in page
    with pytest.raises(thalweg.InputError, match=r"no method 'prune' at the sparsity 0\.3"):
        found.row("prune", 0.3)


def test_one_seed_has_no_interval_and_says_so() -> None:
    text = str(study(seeds=1, method="threshold", sparsity=0.5))
    assert "One seed has no interval" in text
    assert "nan" not in text


def test_what_is_excluded_is_not_counted() -> None:
    result = study(seeds=1, method="prune", sparsity=0.5, exclude="out.*")
    assert {run.weights for run in result.models} == {96}


def test_two_of_every_four(tmp_path: Path) -> None:
    result = study(seeds=1, method="prune", sparsity=0.5, scope="2:4", exclude="hidden.*")
    assert result.row("prune", 0.5).zeros == (24, 24)


def stop_after(patch: pytest.MonkeyPatch, count: int) -> None:
    """Ctrl-C after so many populations have finished."""
    whole, finished = training.train, 0

    def stopping(*args: Any, **given: Any) -> Iterator[Any]:
        nonlocal finished
        for event in whole(*args, **given):
            yield event
            finished += isinstance(event, MembersFinished)
            if finished == count:
                raise KeyboardInterrupt

    patch.setattr(training, "train", stopping)


METHODS = ("threshold", "prune", "random", "ticket")


def without_execution(runs: Any) -> list[Any]:
    return [replace(run, execution="") for run in runs]


@pytest.mark.parametrize("populations", [1, 2, 3])  # in training, before the tickets, and before the verdict
def test_an_interrupted_study_goes_on_bit_for_bit(populations: int, tmp_path: Path, found: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, populations)
        with pytest.raises(KeyboardInterrupt):
            study(method=METHODS, out=tmp_path)
    so_far = thalweg.stored(tmp_path)
    assert len(so_far.runs) in {1: (7, 8), 2: (15,), 3: (21,)}[populations]
    assert so_far.verdict == f"Study 1 is not finished: {len(so_far.runs)} runs so far."
    again = thalweg.resume(tmp_path, workload=tiny(), progress=False)
    assert without_execution(again.models) == without_execution(found.models)
    assert again.verdict == found.verdict
    assert (tmp_path / "report.html").exists()
    read = thalweg.resume(tmp_path, workload=tiny(), progress=False)
    assert read.models == again.models
    assert thalweg.stored(tmp_path).facts() == again.facts()
    assert study(method="threshold", out=tmp_path, seeds=1).study.workload == "tiny"
    listed = thalweg.Studies(tmp_path).list()
    assert [row[3] for row in rows(listed, tmp_path)] == ["sparsity: adam"] * 2


def test_changed_data_are_refused(tmp_path: Path) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(KeptOutcomes, "add", interrupted)
        with pytest.raises(KeyboardInterrupt):
            study(method="threshold", seeds=1, out=tmp_path)
    train = tiny().train
    changed = replace(tiny(), train=(train.inputs[0] + 1, train.targets))
    with pytest.raises(thalweg.InputError, match="The data of the workload 'tiny' changed"):
        thalweg.resume(tmp_path, workload=changed, progress=False)


@pytest.mark.parametrize(("damage", "said"), [("{", "is damaged: begin the study anew"), (None, "is missing: begin")])
def test_what_was_kept_and_is_gone_is_said(damage: str | None, said: str, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, 1)
        with pytest.raises(KeyboardInterrupt):
            study(method=METHODS, out=tmp_path)
    path = next((tmp_path / "models" / "1").glob("*.json"))
    if damage is None:
        path.unlink()
    else:
        path.write_text(damage)
    with pytest.raises(thalweg.InputError, match=said):
        thalweg.resume(tmp_path, workload=tiny(), progress=False)


def test_a_tensor_whose_rows_would_overwrite_another_stays_dense() -> None:
    sparse, other = torch.zeros(100, 100), torch.ones(3)
    assert sizes({"weight": sparse, "weight.other": other})[0] < 4 * sparse.numel()
    assert sizes({"weight": sparse, "weight.rows": other}) == (4 * (sparse.numel() + 3),) * 2


def test_a_diverged_run_is_counted_and_in_no_mean() -> None:
    linear = replace(tiny(), model=lambda: torch.nn.Linear(6, 3))
    given = {"optimizer": "sgd", "learning_rate": 1e38, "sparsity": 0.5, "seeds": 2}
    result = study(workload=linear, method=("threshold", "prune"), **given)
    assert [row.broken for row in result.rows] == [2, 2, 2]
    assert "2 dense models are in no mean: broken off or without a finite score." in result.verdict
    assert "nan" not in str(result)
    json.dumps(result.facts(), allow_nan=False)


def interrupted_before_tickets(where: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            study(method=METHODS, out=where)
    return where / "models" / "1"


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("json", "What is kept of run 0 is another run's"),
        ("safetensors", "is that of 1.safetensors: put the file back"),
    ],
)
def test_files_that_were_exchanged_are_refused(kind: str, said: str, tmp_path: Path) -> None:
    models = interrupted_before_tickets(tmp_path)
    (models / f"0.{kind}").write_bytes((models / f"1.{kind}").read_bytes())
    with pytest.raises(thalweg.InputError, match=said):
        thalweg.resume(tmp_path, workload=tiny(), progress=False)


class Fragile(TinyNet):
    """NaN from the start, with one seed of three."""

    def __init__(self) -> None:
        super().__init__(torch.float32)
        if torch.initial_seed() == 1:
            torch.nn.init.constant_(self.out.weight, torch.nan)


def test_what_broke_off_is_in_no_count() -> None:
    result = study(workload=replace(tiny(), model=Fragile), method=METHODS, sparsity=0.5)
    assert [row.broken for row in result.rows] == [1] * 5
    assert {row.zeros for row in result.rows[1:]} == {(WEIGHTS // 2, WEIGHTS // 2)}
    assert "1 model of ticket at 50% is in no mean: broken off, not begun or without a finite score." in result.verdict
    assert all(row.loss.count == 2 for row in result.rows[1:])
    assert "3 seeds" not in result.verdict


def test_what_cannot_be_asked_leaves_no_study_behind(tmp_path: Path) -> None:
    for given in ({"exclude": "nothing*"}, {"exclude": "*"}, {"begin": 5, "end": 5}):
        with pytest.raises(thalweg.InputError):
            study(method="prune", out=tmp_path, **given)
    assert not (tmp_path / "study.sqlite").exists() or not thalweg.Studies(tmp_path).list()


def test_markdown(found: Any) -> None:
    lines = found.markdown().splitlines()
    assert lines[0] == "### tiny: accuracy against sparsity"
    assert lines[4].startswith("| method | sparsity | test accuracy |")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"method": "l1", "exclude": "out.*"}, "The penalty of 'l1' is of all weights, and exclude leaves some out"),
        ({"begin": 100}, "begin must be below the 63 steps of a run, got 100"),
        ({"sparsity": 1}, r"sparsity must be a list of numbers in \(0, 1\), .*got \[1\]"),
        ({"sparsity": "0.5,1.2"}, r"sparsity must be a list of numbers in \(0, 1\)"),
        ({"method": "magic"}, r"method must be a list of methods among threshold, prune"),
        ({"exclude": "head.*"}, r"exclude must name a parameter or match some, got 'head.\*'"),
        ({"scope": "2:4"}, r"The sparsity of scope='2:4' must be 0.5, got 0.8."),
        ({"scope": "2:4", "sparsity": 0.5}, r"'hidden.weight' has 6 inputs: exclude it by its name"),
        ({"begin": 20, "end": 10}, r"end must be above begin, 20, got 10."),
        ({"end": 1000}, r"end must be at most the 63 steps of a run, got 1,000."),
        ({"frequency": 0}, r"frequency must be a whole number from 1"),
        ({"optimizer": torch.optim.Adam}, r"is another library's, and sparsify holds masks in steps of our own"),
        ({"optimizer": "sgd(sam=0.05)"}, r"evaluates the model where masked elements are not zero"),
        ({"optimizer": "adam(lr=1e-3)"}, r"has a learning rate of its own, and learning_rate is given"),
        (
            {"optimizer": "sgd(proximal_l1=0.1)", "method": "l1"},
            r"has proximal_l1 of its own, and the method 'l1' sets",
        ),
        (
            {"optimizer": thalweg.Contender("adam", regularizer="early-stopping=1"), "learning_rate": None},
            "stops early",
        ),
        ({"sparsities": 0.5}, r"sparsify has no argument 'sparsities'\. Did you mean sparsity"),
        ({"epochs": 1, "steps": 3}, r"epochs and steps both say how long"),
    ],
)
def test_bad_arguments_are_refused(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(thalweg.InputError, match=sentence):
        study(**given)


WORKLOAD = """
import torch, thalweg
x = torch.randn(200, 8, generator=torch.Generator().manual_seed(0))
workload = thalweg.Workload(
    name="signs", model=lambda: torch.nn.Linear(8, 2), train=(x, (x[:, 0] > 0).long()), validation=0.3, steps=60
)
"""


def call(*arguments: str, cwd: Path) -> Ended:
    (cwd / "mine.py").write_text(WORKLOAD)
    return Program("sparsify", *arguments, cwd=cwd).end()


def test_the_command(tmp_path: Path) -> None:
    given = ("--sparsity", "0.5,0.75", "--method", "prune,random", "--seeds", "2", "--no-progress")
    done = call("mine.py", *given, "--plot", "a.svg", "--json", "a.json", "--out", "kept", cwd=tmp_path)
    assert done.status == 0, done.errors
    body = done.output[done.output.index("method ") :].splitlines()
    assert [line.split()[0] for line in body[:4]] == ["method", "dense", "prune", "prune"]
    assert done.output.splitlines()[-2:] == ["Report: kept/report.html", "Picture: a.svg"]
    assert (tmp_path / "kept/report.html").exists()
    assert (tmp_path / "a.svg").read_text().startswith("<svg")
    runs = json.loads((tmp_path / "a.json").read_text())["findings"]["runs"]
    assert {run["method"] for run in runs} == {"dense", "prune", "random"}


def test_the_command_refuses_in_one_sentence(tmp_path: Path) -> None:
    done = call("mine.py", "--sparsity", "1.5", cwd=tmp_path)
    assert done.status == 2
    assert "numbers in (0, 1)" in done.errors


@pytest.mark.skipif(sparse_design.L1 not in OPTIONS, reason="there is no proximal L1 yet")
def test_l1_makes_zeros_by_itself_and_is_cut_to_what_is_asked() -> None:
    result = study(method="l1", l1=(1e-3, 0.3), epochs=6)
    for run in result.models:
        assert run.zeros == round(run.sparsity * WEIGHTS) or run.own_zeros == run.zeros > run.sparsity * WEIGHTS
    weak, strong = ([run.own_zeros for run in result.models if run.strength == of] for of in (1e-3, 0.3))
    assert max(weak) < min(strong)
    assert len(result.models) == 3 + 3 * 2 * 2
    row = result.row("l1", 0.8)
    means = {
        of: np.mean([r.validation_metric for r in result.models if (r.sparsity, r.strength) == (0.8, of)])
        for of in (1e-3, 0.3)
    }
    assert row.strength == max(means, key=means.__getitem__)


class Partly(torch.nn.Module):
    """A layer that is frozen, and one that no loss depends on."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen, self.unused = torch.nn.Linear(6, 8).requires_grad_(False), torch.nn.Linear(8, 8)
        self.out = torch.nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.frozen(x).tanh())


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_what_is_not_trained_is_not_pruned(optimizer: str) -> None:
    workload = replace(tiny(), model=Partly)
    result = study(workload=workload, method="prune,threshold", sparsity=0.5, seeds=1, optimizer=optimizer)
    assert {(run.weights, run.zeros) for run in result.models if run.method != "dense"} == {(24, 12)}
