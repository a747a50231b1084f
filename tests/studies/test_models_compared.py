"""Arguments of the model as a dimension: every contender trains its own model, as that model alone would train."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import nn

import thalweg
from problems import points
from thalweg.errors import InputError
from thalweg.records.store import Store
from thalweg.reports.command import command
from thalweg.reports.factor_matrices import BY_MODEL
from thalweg.studies.contenders import Contender, contenders
from thalweg.studies.crossing import crossed
from thalweg.studies.jobs import Jobs, with_arguments
from thalweg.studies.parsing import split
from thalweg.studies.settings import design
from thalweg.studies.varied import varied
from thalweg.workloads.mlp import MLP
from thalweg.workloads.model_arguments import written as model_text
from thalweg.workloads.workload import Workload

RATES = [0.03, 0.1]
ASKED: dict[str, Any] = {"learning_rates": RATES, "seeds": 2, "confirm_seeds": 2, "progress": False}
LEVELS = [{"init": "he-normal"}, {"init": "glorot-uniform"}]


def model(init: str = "he-normal", dropout: float = 0.0, width: int = 8) -> nn.Module:
    return MLP((6, width, 3), init, dropout=dropout).double()


def workload_of(**given: Any) -> Workload:
    train, validation = points(90, 1, torch.float64), points(60, 2, torch.float64)
    options = {"model": model, "train": train, "validation": validation, "batch_size": 30, "epochs": 4, **given}
    return Workload(name="varied", **options)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("init=he-normal,glorot-uniform", LEVELS),
        (["init=he-normal", "glorot-uniform"], LEVELS),
        ({"init": ["he-normal", "glorot-uniform"]}, LEVELS),
        ({"init": "he-normal"}, LEVELS[:1]),
        (
            "dropout=0,0.2,batch-norm=true,False",
            [
                {"dropout": 0, "batch_norm": True}, {"dropout": 0, "batch_norm": False},
                {"dropout": 0.2, "batch_norm": True}, {"dropout": 0.2, "batch_norm": False},
            ],
        ),
        ("hidden=(50,50),(100,)", [{"hidden": (50, 50)}, {"hidden": (100,)}]),
        ("hidden=((1,2),(3,4)),((5,6),)", [{"hidden": ((1, 2), (3, 4))}, {"hidden": ((5, 6),)}]),
        ("name='a, b',c", [{"name": "a, b"}, {"name": "c"}]),
    ],
)  # fmt: skip
def test_values_as_written(given: Any, found: list[dict[str, Any]]) -> None:
    assert varied(given) == found


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("he-normal", "vary must be as in init=he-normal,glorot-uniform"),
        ("init=", "vary must be as in"),
        ("init=a,,b", "vary must be as in"),
        ("1x=2", "vary must be as in"),
        ("init=a,dropout=0,init=b", "vary has init twice"),
        ("lr=(1,2", "vary must be as in"),
        ("name='a", "vary must be as in"),
        ("init=a,a", "vary has init=a twice; name each value once"),
        ("dropout=0.1,0.10", "vary has dropout=0.1 twice"),
        (f"width={','.join(map(str, range(51)))}", "at most 50 combinations, got 51"),
        ({"init": []}, "The space of 'init' must be a list of values"),
        ([3], "vary must be as in"),
    ],
)
def test_what_is_malformed_is_refused(given: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        varied(given)


def test_contenders_are_crossed_with_models() -> None:
    found = crossed(contenders("sgd,adam"), None, ["none", "dropout=0.5"], vary="init=he-normal,glorot-uniform")
    assert [c.label for c in found][:4] == [
        "sgd + init=he-normal", "sgd + init=glorot-uniform",
        "sgd + dropout=0.5 + init=he-normal", "sgd + dropout=0.5 + init=glorot-uniform",
    ]  # fmt: skip
    assert found[2].arguments == {"dropout": 0.5, "init": "he-normal"}
    assert found[2].trains == "dropout=0.5+init=he-normal"
    assert found[2].factors == {"optimizer": "sgd", "regularizer": "dropout=0.5", "model": "init=he-normal"}


def test_an_argument_is_set_once() -> None:
    with pytest.raises(InputError, match=r"sgd \+ dropout=0\.5 sets the model's dropout, and vary is given for all"):
        crossed(contenders("sgd"), None, ["dropout=0.5"], vary="dropout=0,0.2")
    with pytest.raises(InputError, match=r"The model's dropout is set by the regularizer dropout=0\.5 and apart"):
        Contender("sgd", regularizer="dropout=0.5", model={"dropout": 0.1})


@pytest.mark.parametrize("text", ["dropout", "dropout=0", "dropout=1", "dropout=-0.1", "dropout=nan", "dropout=x"])
def test_a_regularizing_dropout_is_above_0(text: str) -> None:
    with pytest.raises(InputError, match=r"The regularizer dropout must be a number in \(0, 1\)"):
        Contender("sgd", regularizer=text)


def no_arguments() -> nn.Module:
    return model()


def any_arguments(**_: Any) -> nn.Module:
    return model()


@pytest.mark.parametrize(
    ("workload", "vary", "said"),
    [
        (
            {"model": no_arguments},
            "init=he-normal",
            r"'varied' takes no arguments, and init is one: write its factory as",
        ),
        ({}, "activation=relu", "'varied' takes dropout, init and width, and not 'activation'"),
        ({}, "widht=3", r"Did you mean width\?"),
        ({}, "init=he", "No initialization is called 'he'"),
        (
            {"model": any_arguments},
            "width=3,4",
            r"width=3 and width=4 make the same model: the factory leaves them unused",
        ),
        ({"initial": model().state_dict()}, "init=he-normal,he-uniform", "or weights to start from take their place"),
    ],
)
def test_models_that_do_not_vary_are_refused(workload: dict[str, Any], vary: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        thalweg.compare(workload_of(**workload), "sgd", vary=vary, **ASKED)


def test_a_regularizing_dropout_needs_the_argument() -> None:
    with pytest.raises(InputError, match="takes no arguments, and dropout is one"):
        thalweg.compare(workload_of(model=no_arguments), "sgd", regularizers="none,dropout=0.5", **ASKED)


def scores(result: Any, contender: str) -> list[Any]:
    return [(r.seed, r.role, r.hyperparameters, r.validation_metric, r.curve[-1].validation_loss)
            for r in result.runs if r.contender == contender]  # fmt: skip


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    out = tmp_path_factory.mktemp("models")
    result = thalweg.compare(
        workload_of(), "sgd,adam", regularizers="none,dropout=0.5", vary="width=4,8", out=out, **ASKED
    )
    return result, out


@pytest.mark.parametrize(("width", "dropout"), [(4, 0.0), (8, 0.5)])
def test_each_model_trains_as_in_a_study_of_its_own(compared: Any, width: int, dropout: float) -> None:
    own = workload_of(model=partial(model, width=width, dropout=dropout))
    alone = thalweg.compare(own, "sgd,adam", **ASKED)
    for name in ("sgd", "adam"):
        label = f"{name}{' + dropout=0.5' if dropout else ''} + width={width}"
        ours, theirs = scores(compared[0], label), scores(alone, name)
        assert [a[:3] for a in ours] == [b[:3] for b in theirs]
        for a, b in zip(ours, theirs, strict=True):
            assert a[3:] == pytest.approx(b[3:], rel=1e-9)


def test_gains_are_over_the_first_model(compared: Any) -> None:
    result, _ = compared
    facts = json.loads(json.dumps(result.facts()["models"]))
    assert {cell["model"] for cell in facts["cells"]} == {"width=4", "width=8"}
    assert all((cell["gain"] is None) == (cell["model"] == "width=4") for cell in facts["cells"])
    lines = BY_MODEL.lines(result.study, result.rows, result.runs)
    assert "gain over width=4" in lines[1]
    assert any("sgd + dropout=0.5" in line for line in lines)
    assert 'id="models"' in str(BY_MODEL.section(result.study, result.rows, result.runs))
    notes = " ".join(result.study.notes)
    assert "The models differ in their number of parameters: 43 with width=4, 83 with width=8" in notes


def test_the_best_model_is_built_with_its_arguments(compared: Any) -> None:
    result, out = compared
    best = result.best
    width = 4 if "width=4" in best.contender else 8
    assert best.model["width"] == width
    assert f"width={width}" in best.code().splitlines()[-1]
    trained = best.train()
    assert trained.hidden[0].out_features == width
    with pytest.warns(UserWarning, match="without the model's arguments"):
        best.build(trained.parameters())
    again = thalweg.stored(out).best.train(workload=workload_of())
    for ours, theirs in zip(again.parameters(), trained.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_the_design_is_restored(compared: Any) -> None:
    result, out = compared
    restored = design(result.study, None).contenders
    asked = crossed(contenders("sgd,adam"), None, ["none", "dropout=0.5"], vary="width=4,8")
    assert [(c.label, c.model, c.arguments) for c in restored] == [(c.label, c.model, c.arguments) for c in asked]
    assert thalweg.resume(out, workload=workload_of(), progress=False).rows == result.rows


@pytest.mark.parametrize("after", [3, 9])
def test_an_interrupted_study_goes_on_bitwise(compared: Any, after: int, tmp_path: Path) -> None:
    result, _ = compared
    given = {"regularizers": "none,dropout=0.5", "vary": "width=4,8", **ASKED}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "add", interrupting(Store.add, after))
        with pytest.raises(KeyboardInterrupt):
            thalweg.compare(workload_of(), "sgd,adam", out=tmp_path, **given)
    again = thalweg.resume(tmp_path, workload=workload_of(), progress=False)
    assert again.study.plan["models"] == result.study.plan["models"]
    for label in result.study.contenders:
        assert scores(again, label) == scores(result, label)


def interrupting(add: Any, after: int) -> Any:
    calls = []

    def added(*given: Any, **named: Any) -> Any:
        calls.append(given)
        if len(calls) > after:
            raise KeyboardInterrupt
        return add(*given, **named)

    return added


def test_a_changed_model_is_refused(compared: Any, tmp_path: Path) -> None:
    del compared
    asked = {**ASKED, "confirm_seeds": 0, "vary": "width=4,8"}
    thalweg.compare(workload_of(), "sgd", out=tmp_path, **asked)
    changed = workload_of(model=partial(model, init="glorot-uniform"))
    with pytest.raises(InputError, match="The model of the workload 'varied' changed"):
        thalweg.stored(tmp_path).best.train(workload=changed)


def test_a_contender_of_another_library_has_models_too() -> None:
    result = thalweg.compare(workload_of(), [torch.optim.SGD], regularizers="none,dropout=0.5", **ASKED)
    assert [row.factors.get("regularizer") for row in result.rows].count("dropout=0.5") == 1


def test_rates_are_found_for_each_model() -> None:
    of = [Contender("sgd", title=str(width), model={"width": width}) for width in (4, 8)]
    found = thalweg.find_lr(workload_of(epochs=60), of, seeds=2, progress=False)
    alone = thalweg.find_lr(workload_of(epochs=60, model=partial(model, width=8)), "sgd", seeds=2, progress=False)
    ours, theirs = found.findings[1], alone.findings[0]
    assert ours.optimizer == "8"
    assert ours.interval == pytest.approx(theirs.interval, rel=1e-6)


def test_commands_of_one_optimizer() -> None:
    contender = Contender("sgd", fixed={"lr": 0.1}, model={"width": 4})
    ensemble = thalweg.ensemble(workload_of(), 2, optimizer=contender, progress=False)
    assert ensemble.models[0].hidden[0].out_features == 4
    sparse = thalweg.sparsify(
        workload_of(), method="threshold", sparsity=0.5, optimizer=contender, seeds=2, progress=False
    )
    own = workload_of(model=partial(model, width=4))
    plain = thalweg.sparsify(own, method="threshold", sparsity=0.5, optimizer="sgd(lr=0.1)", seeds=2, progress=False)
    assert [run.test_metric for run in sparse.runs] == [run.test_metric for run in plain.runs]
    with pytest.raises(InputError, match="a distillation has two models: set them in factories"):
        thalweg.distill(workload_of(), optimizer=contender, progress=False)


def test_jobs_of_one_model_are_planned_once() -> None:
    seen: list[str] = []

    def plan(workload: Workload, of: Any, text: str) -> Any:
        seen.append(text)
        from thalweg.population.planning.planned_job import plan_job

        return plan_job(workload, 0, device=torch.device("cpu"), workers=1, execution="loop")

    of = crossed(contenders("sgd,adam"), None, vary="width=4,8")
    jobs = Jobs.planned(of, workload_of(), plan, 0)
    assert seen == ["width=4", "width=8"]
    assert [jobs.of(c).job.parameters for c in of] == [43, 83, 43, 83]
    assert with_arguments(workload_of(), {}).model is model


def test_the_command_that_makes_the_study_again() -> None:
    asked: dict[str, Any] = {"learning_rates": [0.1], "seeds": 1, "confirm_seeds": 0, "steps": 2, "progress": False}
    crossing = {"regularizers": "none,l2=1e-3", "vary": "init=he-normal,he-uniform", "convention": "keras"}
    study = thalweg.compare("digits", "sgd,adam(beta2=0.9)", **crossing, **asked).study
    assert command(study) == (
        "thalweg compare digits --optimizers 'sgd,adam(beta2=0.9)' --regularizers none,l2=1e-3 --vary"
        " init=he-normal,he-uniform --convention keras --learning-rates 0.1 --seeds 1 --confirm-seeds 0 --steps 2"
    )
    assert command(thalweg.compare("digits", "sgd", vary={"init": ["he-normal"]}, **asked).study) is None


def by_type(mode: Any = 0) -> nn.Module:
    """Another model for True than for 1."""
    return model(width=12 if mode is True else 4)


@pytest.mark.parametrize(("a", "b"), [(1, True), (1, "1"), (0.1234567, 0.1234568), ((1,), (True,))])
def test_values_that_are_equal_or_print_alike_are_told_apart(a: Any, b: Any) -> None:
    first, second = (Contender("sgd", title=str(i), model={"mode": of}) for i, of in enumerate((a, b)))
    assert first.trains != second.trains
    assert first.factors != second.factors


def test_true_is_not_one() -> None:
    result = thalweg.compare(workload_of(model=by_type), "sgd", vary={"mode": [1, True]}, **ASKED)
    assert "43 with mode=1, 123 with mode=True" in " ".join(result.study.notes)
    assert scores(result, "sgd + mode=1") != scores(result, "sgd + mode=True")


@pytest.mark.parametrize("value", ["1", "a,b", "True", "x=y", "(1, 2)", "it's", ""])
def test_texts_are_written_so_that_they_are_read_again(value: str) -> None:
    text = model_text({"name": value})
    assert varied(text) == [{"name": value}]
    assert varied(split(f"{text},b,other=1")) == [{"name": value, "other": 1}, {"name": "b", "other": 1}]


def closing(slope: float = 0.1, hooked: float = 0.0) -> nn.Module:
    """As many write one: what it is given is in no attribute."""

    class Closing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(6, 5), nn.Linear(5, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.second(nn.functional.leaky_relu(self.first(x), slope))

    made = Closing().double()
    if hooked:
        made.first.register_forward_hook(lambda module, given, found: found * hooked)
    return made


def test_what_a_class_or_a_hook_closes_over_makes_a_model(tmp_path: Path) -> None:
    whole = workload_of(model=closing)
    result = thalweg.compare(whole, "sgd", vary={"slope": [0.1, 0.9], "hooked": [0.0, 0.5]}, out=tmp_path, **ASKED)
    assert len({scores(result, label)[0][4] for label in result.study.contenders}) == 4
    changed = workload_of(model=partial(closing, hooked=0.3))
    thalweg.compare(whole, "sgd", out=tmp_path, **ASKED)
    with pytest.raises(InputError, match="The model of the workload 'varied' changed"):
        thalweg.stored(tmp_path).best.train(workload=changed)


def test_contenders_of_other_models_are_refused_on_the_way(tmp_path: Path) -> None:
    first = [Contender("sgd", title="A", model={"width": 4}), Contender("adam", title="B", model={"width": 8})]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "add", interrupting(Store.add, 1))
        with pytest.raises(KeyboardInterrupt):
            thalweg.compare(workload_of(), first, out=tmp_path, **ASKED)
    swapped = [replace(first[0], model={"width": 8}), replace(first[1], model={"width": 4})]
    with pytest.raises(InputError, match="A was sgd with model width=4 when the study was begun, and is sgd"):
        thalweg.resume(tmp_path, workload=workload_of(), optimizers=swapped, progress=False)


def test_two_contenders_of_one_label_are_refused() -> None:
    own = Contender("adam(beta2=0.5)", title="adam + l2=1e-4")
    with pytest.raises(InputError, match=r"Two contenders are called 'adam \+ l2=1e-4': give one of them"):
        thalweg.compare(workload_of(), ["adam", own], regularizers="none,l2=1e-4", **ASKED)


def test_a_single_argument_that_is_unused_is_refused() -> None:
    whole = workload_of(model=any_arguments)
    with pytest.raises(InputError, match=r"is the same with dropout=0\.2 as without: its factory leaves it unused"):
        thalweg.compare(whole, "sgd", regularizers="dropout=0.2", **ASKED)
    assert thalweg.compare(workload_of(), "sgd", vary="width=8", **ASKED).study.contenders == ("sgd + width=8",)
    other = workload_of(model=lambda width=8, dropout=0.0: (model(width=width), dropout)[0])
    with pytest.raises(InputError, match=r"is the same with dropout=0\.2 as without"):
        thalweg.compare(other, "sgd", regularizers="dropout=0.2", vary="width=4,8", **ASKED)


def test_a_note_and_an_error_say_of_which_model_they_are() -> None:
    whole = workload_of(model=lambda batch_norm=False: MLP((6, 8, 3), batch_norm=batch_norm).double())
    with pytest.raises(InputError, match="With batch_norm=False: No parameter of the model is called 'norms"):
        thalweg.compare(replace(whole, freeze="norms.*"), "sgd", vary="batch_norm=False,True", **ASKED)
    result = thalweg.compare(replace(whole, freeze="hidden.*"), "sgd", vary="batch_norm=False,True", **ASKED)
    assert sum(note.startswith("With batch_norm=") for note in result.study.notes) == 2


def test_the_file_of_a_model_names_its_arguments(compared: Any, tmp_path: Path) -> None:
    best = compared[0].best
    with safe_open(best.save(tmp_path / "best.safetensors"), "pt") as file:
        assert file.metadata()["model"] == model_text(best.model)


def inheriting(slope: float = 0.1, kinds: Any = (1,), half: bool = False) -> nn.Module:
    """Its forward pass is a base class's, and closes over what no attribute holds."""
    found, dtype = frozenset(kinds), torch.float32 if half else torch.float64

    class Base(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            hidden = nn.functional.leaky_relu(self.layer(x), slope) * len(found)
            return hidden.to(dtype).double()

    class Made(Base):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(6, 3)

    return Made().double()


@pytest.mark.parametrize("vary", [{"slope": [0.1, 0.9]}, {"kinds": [(1,), (1, 2)]}, {"half": [False, True]}])
def test_what_a_base_class_closes_over_makes_a_model(vary: Any) -> None:
    result = thalweg.compare(workload_of(model=inheriting), "sgd", vary=vary, **ASKED)
    first, second = (scores(result, label)[0][4] for label in result.study.contenders)
    assert first != second
