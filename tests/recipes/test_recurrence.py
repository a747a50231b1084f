"""The recurrence as text: every part that a recipe composes around its rule has its line, and the lines are true."""

import math
import re
from typing import Any

import numpy as np
import pytest
import torch

import thalweg.optim
from thalweg.recipes.catalogue import Recipe, recipe, recipes
from thalweg.recipes.compose import step
from thalweg.recipes.options import MODEL_RULES, OPTIONS
from thalweg.recipes.recurrence import MANNERS, PARTS, composed, recurrence
from thalweg.rules.contract import preset
from thalweg.rules.elementwise.adam import adam, adamw
from thalweg.rules.elementwise.sgd import sgd

DECAY = "p ← p - lr·λ·p"


LATE = (
    "clip_update", "cautious", "proximal_l1", "proximal_l2", "non_negative", "max_norm", "min_norm", "unit_norm",
    "lookahead_steps", "ema_decay", "masked",
)  # fmt: skip


def with_options(of: Any, **values: Any) -> Recipe:
    return Recipe(preset(of, "made", "Made for a test.", **values))


def value_for(option: str) -> Any:
    h = OPTIONS[option]
    return True if h.is_flag else 5 if option == "lookahead_steps" else 0.5


def test_every_option_has_a_line_or_says_how_another_is_carried_out() -> None:
    assert set(PARTS) | set(MANNERS) == set(OPTIONS)
    assert not set(PARTS) & set(MANNERS)


@pytest.mark.parametrize("name", recipes())
def test_each_composed_part_that_a_preset_switches_on_has_its_line(name: str) -> None:
    """Told from the presets' own words, not from what `composed` reads: their defaults."""
    of = recipe(name)
    text, _ = recurrence(of)
    for given, value in of.preset.defaults.items():
        h = of.hyperparameters[given]
        if given in of.rule.hyperparameters:
            if (h.is_flag or h.switch) and value != h.default:
                assert f"{given}={value}" in text
        elif value:
            assert MANNERS.get(given, given) in text
    decays = of.preset.defaults.get("decoupled_weight_decay", False)
    assert text.startswith(DECAY) == decays
    assert ("0 unless given" in text) == (decays and not of.defaults["weight_decay"])
    assert text.count("λ: weight_decay") == decays


@pytest.mark.parametrize("name", recipes())
def test_no_symbol_of_a_composed_line_is_one_of_the_rule(name: str) -> None:
    text, _ = recurrence(recipe(name))
    if text.startswith(DECAY):
        assert "λ" not in text.split("\n", 1)[1]


@pytest.mark.parametrize("option", sorted(set(PARTS)))
def test_a_part_switched_on_stands_before_or_after_the_rule(option: str) -> None:
    made = with_options(adam, **{option: value_for(option)})
    before, after = composed(made)
    (line,) = [*before, *after]
    assert option in line
    assert (line in after) == (option in LATE)
    if option in MODEL_RULES:
        assert "second evaluation" in line
    text, _ = recurrence(made)
    own, _ = recurrence(recipe("adam"))
    assert text == (f"{own}\n{line}" if line in after else f"{line}\n{own}")


def test_all_parts_stand_in_the_order_of_the_step() -> None:
    given = {name: value_for(name) for name in PARTS if name not in MODEL_RULES}
    del given["unit_norm"]  # contradicts the other norms
    before, after = composed(with_options(adam, **given))
    named = [next(name for name in PARTS if name in line) for line in [*before, *after] if "λ" not in line]
    assert named == [
        "maximize", "centralize", "clip_adaptive", "clip_global_norm", "clip_tensor_norm", "clip_value", "clip_update",
        "cautious", "non_negative", "max_norm", "min_norm", "lookahead_steps", "ema_decay", "masked",
    ]  # fmt: skip


def computed(line: str, **symbols: Any) -> Any:
    """The right-hand side of a line in our notation, evaluated in floats by NumPy."""
    right = re.sub(r"\s+\(.*", "", line.split("←")[1].strip()) if "min" not in line else line.split("←")[1]
    right = right.split("   ")[0].replace("·", "*").replace("−", "-")
    return eval(right, {"min": np.minimum, "max": np.maximum, "sign": np.sign}, symbols)


@pytest.mark.parametrize(
    ("options", "symbols"),
    [
        ({"weight_decay": 0.3, "decoupled_weight_decay": True}, {"λ": 0.3}),
        ({"weight_decay": 0.3, "independent_weight_decay": True}, {"λ": 0.3}),
        ({"weight_decay": 0.3}, {"λ": 0.3}),
        ({"clip_value": 0.4}, {"c": 0.4}),
        ({"l2": 0.3}, {"λ2": 0.3}),
        ({"l2": 0.3, "keras_regularizers": True}, {"λ2": 0.3}),
        ({"l1": 0.3}, {"λ1": 0.3}),
        ({"maximize": True}, {}),
    ],
)
def test_a_line_computes_what_the_step_does(options: dict[str, Any], symbols: dict[str, float]) -> None:
    """Plain gradient descent after, or on, the line: p ← p - lr·g."""
    made = with_options(sgd, **options)
    values = made.resolve({"lr": 0.25})
    p, g = np.array([2.0, -1.5, 0.75]), np.array([0.5, -3.0, 0.125])
    (line,), _ = composed(made)
    target = line[0]
    own = {"p": p, "g": g, "lr": 0.25, **symbols}
    own[target] = computed(line, **own)
    expected = own["p"] - 0.25 * own["g"]
    states = {"momentum_buffer": torch.zeros(3, dtype=torch.float64)}
    new, _ = step(made.structure(values), torch.tensor(g), torch.tensor(p), states, 1, values)
    assert np.allclose(new.numpy(), expected, rtol=1e-15, atol=0)


def test_adamw_by_its_card_is_torchs_adamw() -> None:
    """The three lines of the card, in plain floats, against torch.optim.AdamW."""
    text, _ = recurrence(recipe("adamw"))
    assert text.startswith(f"{DECAY} ")
    parameter = torch.tensor([1.5], dtype=torch.float64, requires_grad=True)
    torchs = torch.optim.AdamW([parameter], lr=0.1, weight_decay=0.2)
    p, m, v = 1.5, 0.0, 0.0
    for t in range(1, 6):
        g = math.sin(3 * t)
        parameter.grad = torch.tensor([g], dtype=torch.float64)
        torchs.step()
        p = p - 0.1 * 0.2 * p
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        p = p - 0.1 * m / (1 - 0.9**t) / (math.sqrt(v / (1 - 0.999**t)) + 1e-8)
    assert parameter.item() == pytest.approx(p, rel=1e-12)


def test_docstrings_of_classes_have_the_same_lines() -> None:
    for of in recipes().values():
        if of.drop_in:
            doc = getattr(thalweg.optim, of.drop_in.name).__doc__ or ""
            lines = [line.strip() for line in doc.split("\n")]
            before, after = composed(of)
            assert all(line in lines for line in [*before, *after]), of.name
            first = recurrence(of)[0].split("\n")[len(before)].strip()
            assert all(lines.index(line) < lines.index(first) for line in before)


def test_a_preset_of_a_preset_keeps_the_line() -> None:
    before, after = composed(with_options(adamw, amsgrad=True))
    assert [line.split("   ")[0] for line in before] == [DECAY]
    assert after == ["(here with amsgrad=True)"]
