"""How contenders are named, fixed and spread over rates."""

import functools
from typing import Any

import pytest
import torch

import thalweg.optim
from thalweg.errors import InputError
from thalweg.studies.contenders import Contender, contenders, learning_rates
from thalweg.studies.protocol import TEXTBOOK, confirmation_seeds, tuning_seeds


@pytest.mark.parametrize("name", TEXTBOOK)
def test_every_textbook_optimizer_has_a_grid_of_four_decades_around_its_default(name: str) -> None:
    contender = Contender(name)
    rates = contender.rates(None)
    assert len(rates) == 9
    assert rates[-1] / rates[0] == pytest.approx(1e4)
    assert rates[0] <= contender.recipe.defaults["lr"] <= rates[-1]  # type: ignore[operator]


def test_seeds_are_fresh() -> None:
    assert tuning_seeds(7, 3) == (7, 8, 9)
    assert confirmation_seeds(7, 2) == (1007, 1008)


def test_a_string_with_fixed_hyperparameters() -> None:
    contender = Contender("rmsprop(alpha=0.9, lr=1e-4)")
    assert contender.label == "rmsprop(alpha=0.9, lr=1e-4)"
    assert contender.recipe.name == "rmsprop"
    assert contender.configurations([1.0, 2.0]) == [{"alpha": 0.9, "lr": 1e-4}]


def test_rates_of_the_user_are_run_exactly() -> None:
    given = learning_rates([0.3, 0.1, 0.3])
    assert given == (0.1, 0.3)
    assert [c["lr"] for c in Contender("adam").configurations(given)] == [0.1, 0.3]


def test_a_space_is_every_combination() -> None:
    contender = Contender("adam", fixed={"amsgrad": True}, space={"beta1": [0.8, 0.9], "lr": [1e-3]})
    assert contender.configurations(None) == [
        {"amsgrad": True, "beta1": 0.8, "lr": 1e-3},
        {"amsgrad": True, "beta1": 0.9, "lr": 1e-3},
    ]
    assert contender.label == "adam(amsgrad=True, beta1=…)"


def test_betas_in_torchs_spelling() -> None:
    assert Contender("adam(betas=(0.8, 0.99))").fixed == {"beta1": 0.8, "beta2": 0.99}


def test_one_optimizer_may_stand_under_two_names() -> None:
    both = contenders(["adam", "adam(eps=1e-4)", Contender("adam", fixed={"eps": 0.1})])
    assert [c.label for c in both] == ["adam", "adam(eps=1e-4)", "adam(eps=0.1)"]


def test_titles() -> None:
    titled = contenders(["quick = adam(beta2=0.9)", Contender("adam", title="plain"), "r=torch.optim:RAdam"])
    assert [c.label for c in titled] == ["quick", "plain", "r"]
    assert titled[0].fixed == {"beta2": 0.9}
    assert titled[2].recipe.name == "torch.optim:RAdam"


def test_imported_optimizers_have_their_own_arguments() -> None:
    contender = Contender("torch.optim:SGD(momentum=0.9, nesterov=True)")
    assert contender.label == "torch.optim:SGD(momentum=0.9, nesterov=True)"
    assert contender.recipe.rate == "lr"
    assert contender.recipe.defaults["weight_decay"] == 0
    rates = contender.rates(None)
    assert (rates[0], rates[-1]) == (1e-5, 1e-1)  # two decades to either side of torch's default, 1e-3
    assert contender.configurations([0.5]) == [{"momentum": 0.9, "nesterov": True, "lr": 0.5}]


def made(parameters: Any, lr: float = 0.1, momentum: float = 0.9) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=lr, momentum=momentum)


def test_classes_and_functions() -> None:
    """A class of torch is its import path; one of ours its name; a function has the arguments that it takes."""
    given = [torch.optim.RAdam, thalweg.optim.AdamW, functools.partial(torch.optim.SGD, momentum=0.5), made]
    of = contenders([*given, lambda parameters, lr=0.01: torch.optim.Adam(parameters, lr=lr)])
    assert [c.label for c in of] == ["torch.optim:RAdam", "adamw", "torch.optim:SGD(momentum=0.5)", "made", "optimizer"]
    assert [c.name for c in of[:3]] == ["torch.optim:RAdam", "adamw", "torch.optim:SGD"]
    assert of[2].fixed == {"momentum": 0.5}
    assert of[3].configurations([0.5]) == [{"lr": 0.5}]
    assert of[3].published == {"lr": 0.1}
    assert (of[4].rates(None)[0], of[4].rates(None)[-1]) == (1e-4, 1.0)


def test_one_text_names_several() -> None:
    assert [c.label for c in contenders("adam, quick = sgd(lr=0.1, momentum=0.5)")] == ["adam", "quick"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            ["torch.optim:RAdm"],
            r"'torch.optim:RAdm' must name an optimizer class as package.module:Class; found no such",
        ),
        (
            ["thalweg.rules.elementwise.lion:lion"],
            r"'thalweg.rules.elementwise.lion:lion' is a rule: pass it itself, compare\(…, optimizers=\[lion\]\)",
        ),
        (["torch.nn:Linear"], r"found a type that is no torch.optim.Optimizer"),
        (["nowhere:Adam"], r"Cannot import 'nowhere' for the optimizer 'nowhere:Adam': No module named 'nowhere'"),
        (["torch.optim:RAdam(epz=1)"], r"no hyperparameter 'epz'; did you mean 'eps'"),
        (["torch.optim:RAdam(eps=-1)"], r"RAdam\(eps=-1\) does not take eps=-1, lr=.*: Invalid epsilon value: -1"),
        (["= adam"], r"Cannot read '= adam'"),
        (["adm"], r"Unknown optimizer 'adm'\. Did you mean .*adam"),
        (["adam", "adam"], r"'adam' stands twice"),
        ([], r"at least one"),
        (7, r"must be a list"),
        ("adam,,sgd", r"Unknown optimizer ''"),
        ([torch.nn.Linear], r"An optimizer's class must be a torch.optim.Optimizer, got <class"),
        ([lambda parameters: 3], r"optimizer must make a torch.optim.Optimizer of the parameters, got 3"),
        ([print], r"print .*"),
        (["adam(learning_rate=0.1)"], r"no hyperparameter 'learning_rate'; did you mean 'lr'\?"),
        (["adam(betas=(0.9, 0.99), beta_2=0.9)"], r"no hyperparameter 'beta_2'; did you mean 'beta2'\?"),
        (["adam(eps=-1)"], r"'eps' of adam\(eps=-1\) must be a number in \[0, inf\), got -1"),
        (["adam(epz=1)"], r"no hyperparameter 'epz'; did you mean 'eps'"),
        (["adam(1)"], r"Cannot read 'adam\(1\)'"),
        (["adam(lr=open('x'))"], r"\"open\('x'\)\" is no schedule: write one of 1cycle, .* and wsd"),
        (["adam(lr"], r"Cannot read"),
        (["adam(lr=nan)"], r"Cannot read"),
        ([3], r"must be a name, a class, a function or a Contender, got 3"),
    ],
)
def test_refusals(given: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        contenders(given)


def test_a_space_is_checked_before_anything_trains() -> None:
    with pytest.raises(InputError, match="'beta1' of adam"):
        Contender("adam", space={"beta1": [0.9, 1.5]})
    with pytest.raises(InputError, match="must be a list of values"):
        Contender("adam", space={"beta1": 0.9})  # type: ignore[dict-item]
    with pytest.raises(InputError, match="both fixed and in the space"):
        Contender("adam", fixed={"lr": 0.1}, space={"lr": [0.1]})


@pytest.mark.parametrize("given", [[], [0.0], [-1e-3], [float("nan")], [float("inf")], ["x"], "0.1", [True]])
def test_bad_rates(given: Any) -> None:
    with pytest.raises(InputError, match=r"learning_rates must be|A learning rate must be"):
        learning_rates(given)


def test_factors_are_the_optimizer_and_a_convention_other_than_torchs() -> None:
    keras = {"optimizer": "adam", "convention": "keras"}
    assert Contender("adam(eps=0.1)").factors == Contender("adam", convention="torch").factors == {"optimizer": "adam"}
    assert (
        Contender("fast = adam(convention='keras')").factors == Contender("adam", convention="keras").factors == keras
    )
    assert [c.factors for c in contenders(["adam", "torch.optim:RAdam"], "keras")] == [
        keras,
        {"optimizer": "torch.optim:RAdam"},
    ]


def test_modifiers_are_hyperparameters_of_every_optimizer():
    contender = Contender("adam(lookahead_steps=5, clip_tensor_norm=1)")
    values = contender.recipe.resolve(contender.configurations([0.1])[0])
    assert (values["lookahead_steps"], values["clip_tensor_norm"], values["lr"]) == (5, 1, 0.1)
    with pytest.raises(InputError, match=r"must be a whole number in \[0, inf\), got 2.5"):
        Contender("sgd(lookahead_steps=2.5)")
