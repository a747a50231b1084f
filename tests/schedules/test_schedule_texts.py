"""Schedules as texts, relative ones, lengths of a run, and the one sentence of each argument that is refused."""

import math

import pytest

from thalweg import schedules as s
from thalweg.errors import InputError
from thalweg.schedules import Performance, parse, parse_schedule

TEXTS = {
    "cosine(1e-3, warmup=5%)": s.cosine(1e-3, warmup="5%"),
    "cosine(warmup=5%)": s.cosine(warmup="5%"),
    "cosine": s.cosine(),
    " cosine( 1e-3 , steps = 3 epochs ) ": s.cosine(1e-3, steps="3 epochs"),
    "cosine(steps='1.5 epochs', end='1%')": s.cosine(steps="1.5 epochs", end="1%"),
    "1cycle": s.one_cycle(),
    "one_cycle(0.1, momentum=(0.85, 0.95))": s.one_cycle(0.1, momentum=(0.85, 0.95)),
    "1cycle(0.1, rise=45%, fall=45%, shape=linear)": s.one_cycle(0.1, rise="45%", fall="45%", shape="linear"),
    "1cycle-momentum(0.9)": s.one_cycle_momentum(0.9),
    "1/t": s.inverse_time(),
    "1/t(0.1, steps=10)": s.inverse_time(0.1, steps=10),
    "inverse-time(0.1)": s.inverse_time(0.1),
    "inverse_time(0.1)": s.inverse_time(0.1),
    "noam(warmup=4000)": s.inverse_sqrt(warmup=4000),
    "cosine-restarts(0.1, cycles=4)": s.cosine_restarts(0.1, cycles=4),
    "piecewise(0.1, boundaries=[50%, 75%], factors=0.5)": s.piecewise(0.1, boundaries=["50%", "75%"], factors=0.5),
    "exponential(0.1, steps=100, factor=0.5, convention=keras)":
        s.exponential(0.1, steps=100, factor=0.5, convention="keras"),
    "wsd(decay=10%, shape='1-sqrt')": s.wsd(decay="10%", shape="1-sqrt"),
    "warmup(step(0.1, every=10%), steps=5%)": s.warmup(s.step(0.1, every="10%"), steps="5%"),
    "join(linear(0.1), 1cycle, boundaries=[10%])": s.join(s.linear(0.1), s.one_cycle(), boundaries=["10%"]),
    "chain(cosine, step(factor=0.5), linear)": s.chain(s.cosine(), s.step(factor=0.5), s.linear()),
    "scale(cosine, 0.5)": s.scale(s.cosine(), 0.5),
    "performance(0.1, patience=3)": s.performance(0.1, patience=3),
    "plateau(factor=0.5, mode=absolute)": s.performance(factor=0.5, mode="absolute"),
}  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_and_its_python(text):
    assert parse(text) == TEXTS[text]
    assert parse(str(TEXTS[text])) == TEXTS[text]
    assert str(parse(str(TEXTS[text]))) == str(TEXTS[text])


def test_the_text_says_what_was_given():
    assert str(s.cosine(1e-3, warmup="5%")) == "cosine(0.001, warmup=5%)"
    assert repr(s.cosine(1e-3, warmup="5%")) == "cosine(0.001, warmup='5%')"
    assert str(s.one_cycle(steps="3 epochs")) == "1cycle(steps=3 epochs)"


NOT_ONE = [
    "sine(1, steps=3)",
    "1",
    "",
    "cosine(1, steps=x)",
    "__import__('os')",
    "cosine(",
    "a.b(1)",
    "((((",
    "%",
    "cosine.x",
]


@pytest.mark.parametrize("text", NOT_ONE)
def test_no_schedule(text):
    with pytest.raises(
        InputError, match=r"is no schedule: write one of 1cycle, .* and wsd with numbers in parentheses"
    ):
        parse(text)


def test_one_that_follows_the_metric_is_none_of_the_step():
    assert isinstance(parse("performance"), Performance)
    with pytest.raises(InputError, match="'performance' follows the metric: a schedule of the step is needed here"):
        parse_schedule("performance")


REFUSED = {
    "cosine(0.1, step=3)": r"cosine has no 'step'\.$",
    "1cycle(0.1, pct=3)": r"1cycle has no 'pct'\.$",
    "cosine(0.1, 3)": "is no schedule: cosine takes",
    "cosine(0, steps=3)": r"'peak' of cosine must be a number in \(0, inf\), got 0",
    "cosine('a', steps=3)": r"'peak' of cosine must be a number in \(0, inf\), got 'a'",
    "cosine(1e999, steps=3)": r"'peak' of cosine must be a number in \(0, inf\), got inf",
    "cosine(0.1, steps=0)": r"'steps' of cosine must be a whole number in \[1, inf\), got 0",
    "cosine(0.1, steps=2.5)": r"'steps' of cosine must be a whole number",
    "cosine(0.1, steps='x')": "'steps' of cosine must be a whole number of steps, a share as in '5%' or epochs as in",
    "cosine(0.1, steps=120%)": "'steps' of cosine must be a share from 0% to 100%, got '120%'",
    "cosine(0.1, steps=3, warmup=3)": r"'warmup' of cosine must be a whole number in \[0, 2\], got 3",
    "cosine(0.1, steps=3, end=0.2)": r"'end' of cosine must be a number in \[0, 0.1\], got 0.2",
    "cosine(0.1, steps=3, end=101%)": "'end' of cosine must be a share from 0% to 100%",
    "linear(0.1, steps=3, start=0.2)": r"'start' of linear must be a number in \[0, 0.1\], got 0.2",
    "cyclic(0.1, low=0.2, up=3)": r"'low' of cyclic must be a number in \[0, 0.1\], got 0.2",
    "cyclic(0.1, up=3, mode=saw)": "'mode' of cyclic must be triangular, triangular2 or exp_range, got 'saw'",
    "1cycle(0.1, start=0.2)": r"'start' of one_cycle must be a number in \[0, 0.1\], got 0.2",
    "1cycle(0.1, steps=1)": r"'steps' of one_cycle must be a whole number in \[2, inf\), got 1",
    "1cycle(0.1, rise=60%, fall=50%)": "shares of one_cycle sum to over 100%: rise=60% and fall=50%",
    "1cycle(0.1, momentum=0.9)": r"'momentum' of one_cycle must be \(low, high\) with .*, got 0.9",
    "1cycle(0.1, momentum=(0.95, 0.85))": r"must be \(low, high\) with 0 <= low <= high < 1",
    "1cycle(0.1, steps=3, convention=torch)": "'rise' of one_cycle as in torch must be over one step of its 3",
    "1cycle(0.1, fall=20%, convention=torch)": "'fall' of one_cycle as in torch must be its 'rise'",
    "wsd(0.1, warmup=60%, decay=50%)": "shares of wsd sum to over 100%: warmup=60% and decay=50%; lower one of them",
    "wsd(0.1, steps=10, warmup=6, decay=5)": r"'decay' of wsd must be a whole number in \[1, 4\], got 5",
    "piecewise(0.1, boundaries=[6, 3])": r"'boundaries' of piecewise must ascend, got \[6, 3\]",
    "piecewise(0.1, boundaries=[75%, 50%])": "'boundaries' of piecewise must ascend",
    "piecewise(0.1, boundaries=[])": "'boundaries' of piecewise must be a list of steps, epochs or shares",
    "piecewise(0.1, boundaries=[-1])": r"'boundaries' of piecewise must be a whole number in \[0, inf\), got -1",
    "piecewise(0.1, boundaries=[3], factors=[1, 2])": r"'factors' of piecewise must be a list of 1 numbers here",
    "piecewise(0.1, boundaries=[3], values=[1])": "'values' of piecewise must be a list of 2 numbers here",
    "piecewise(0.1, boundaries=[3], values=[1, 2], factors=1)": "either factors or values, got both",
    "piecewise(boundaries=[3], values=[0, 2])": "first of the 'values' of piecewise must be a number in",
    "exponential(0.1, factor=0)": r"'factor' of exponential must be a number in \(0, 1\], got 0",
    "exponential(0.1, convention=torch)": "exponential as in torch needs 'factor'",
    "exponential(0.1, staircase=1)": "'staircase' of exponential must be True or False, got 1",
    "cosine(0.1, convention=flax)": "'convention' of cosine must be torch, keras, optax, hf or timm, got 'flax'",
    "inverse-time(0.1, convention=torch)": "'convention' of inverse_time must be keras, got 'torch'",
    "cosine(0.1, warmup=3, convention=torch)": r"cosine as in torch has no 'warmup': wrap it in warmup\(…\)",
    "cosine-restarts(0.1, convention=torch)": "cosine_restarts as in torch needs 'period'",
    "cosine-restarts(0.1, steps=10, period=3)": "either steps, of all cycles, or period, of the first; got both",
    "polynomial(1e-5, convention=keras)": r"'end' of polynomial must be a number in \[0, 1e-05\], got 0.0001",
    "join(cosine, boundaries=[3])": "join of 1 schedules needs a list of 0 boundaries",
    "join(cosine, linear, boundaries=[3, 4])": "join of 2 schedules needs a list of 1 boundaries",
    "join(cosine, linear, step, boundaries=[4, 3])": r"'boundaries' of join must ascend, got \[4, 3\]",
    "chain()": "chain needs one schedule at least",
    "warmup(3)": "warmup takes schedules and functions of the step, got 3",
    "scale(cosine, 0)": r"'factor' of scale must be a number in \(0, inf\), got 0",
    "performance(0.1, factor=1)": r"'factor' of performance must be a number in \(0, 1\), got 1",
    "performance(0.1, patience=0)": r"'patience' of performance must be a whole number in \[1, inf\), got 0",
    "performance(0.1, minimum=0.2)": r"'minimum' of performance must be a number in \[0, 0.1\], got 0.2",
    "performance(0.1, mode=rel)": "'mode' of performance must be relative or absolute, got 'rel'",
}  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_refused_in_one_sentence(text):
    with pytest.raises(InputError, match=REFUSED[text]) as refused:
        parse(text)
    message = str(refused.value)
    assert "\n" not in message
    assert message.endswith((".", "?"))


def test_a_relative_schedule_scales_the_rate_that_is_tuned():
    relative = s.cosine(steps=10, warmup=2, end="10%")
    assert relative.base is None
    assert relative.is_relative
    with pytest.raises(
        InputError, match=r"cosine\(steps=10, warmup=2, end=10%\) has no base of its own .* with_base\(rate\)"
    ):
        relative(3)
    assert relative.with_base(0.3) == s.cosine(0.3, steps=10, warmup=2, end="10%")
    with pytest.raises(InputError, match="base of cosine must be a number in"):
        relative.with_base(0)


@pytest.mark.parametrize(
    ("relative", "absolute"),
    [
        (s.join(s.linear(steps=5), s.cosine(0.2, steps=3), boundaries=[5]),
         s.join(s.linear(0.3, steps=5), s.cosine(0.2, steps=3), boundaries=[5])),
        (s.chain(s.linear(steps=5), s.cosine(steps=3)), s.chain(s.linear(0.3, steps=5), s.cosine(steps=3))),
        (s.warmup(s.linear(steps=5), steps=3), s.warmup(s.linear(0.3, steps=5), steps=3)),
        (s.scale(s.linear(steps=5), 0.5), s.scale(s.linear(0.6, steps=5), 0.5)),
        (s.one_cycle(steps=9, momentum=True), s.one_cycle(0.3, steps=9, momentum=True)),
        (s.performance(patience=3), s.performance(0.3, patience=3)),
    ],
    ids=str,
)  # fmt: skip
def test_relative_ones_of_several(relative, absolute):
    assert relative.with_base(0.3) == absolute


def test_a_join_keeps_the_ratios_of_its_parts():
    both = s.join(s.linear(0.1, steps=5), s.cosine(0.2, steps=3), boundaries=[5])
    assert both.with_base(0.3)(5) == pytest.approx(0.6, rel=1e-15)


def test_a_function_of_another_base_is_scaled():
    from thalweg.schedules import as_schedule

    halved = as_schedule(lambda t: 0.4 / (1 + t)).with_base(0.2)
    assert [halved(t) for t in range(3)] == pytest.approx([0.2, 0.1, 0.2 / 3], rel=1e-15)


RESOLVED = [
    (s.cosine(0.1), s.cosine(0.1, steps=1000)),
    (s.cosine(0.1, warmup="5%"), s.cosine(0.1, steps=1000, warmup=50)),
    (s.cosine(0.1, steps="50%", warmup="10%"), s.cosine(0.1, steps=500, warmup=50)),
    (s.cosine(0.1, steps=200, warmup="10%"), s.cosine(0.1, steps=200, warmup=20)),
    (s.cosine(0.1, warmup="2 epochs"), s.cosine(0.1, steps=1000, warmup=200)),
    (s.cosine(0.1, steps="3.5 epochs"), s.cosine(0.1, steps=350)),
    (s.step(0.1), s.step(0.1, every=300)),
    (s.step(0.1, every="33.36%"), s.step(0.1, every=334)),
    (s.step(0.1, every="0.25%"), s.step(0.1, every=3)),
    (s.step(0.1, every="0%"), s.step(0.1, every=1)),
    (s.piecewise(0.1, boundaries=[10, "1 epoch", "50%"]), s.piecewise(0.1, boundaries=[10, 100, 500])),
    (s.wsd(0.1, warmup="0.01%", decay="33.33%"), s.wsd(0.1, steps=1000, warmup=0, decay=333)),
    (s.cyclic(0.1), s.cyclic(0.1, up=250)),
    (s.exponential(0.1, begin="10%"), s.exponential(0.1, steps=1000, begin=100)),
    (s.inverse_sqrt(0.1), s.inverse_sqrt(0.1, warmup=100)),
    (s.one_cycle(0.1), s.one_cycle(0.1, steps=1000, rise=300)),
    (s.warmup(s.cosine(0.1, warmup="10%"), steps="10%"), s.warmup(s.cosine(0.1, steps=900, warmup=90), steps=100)),
    (
        s.join(s.linear(0.1), s.cosine(0.1, warmup="10%"), boundaries=["20%"]),
        s.join(s.linear(0.1, steps=200), s.cosine(0.1, steps=800, warmup=80), boundaries=[200]),
    ),
    (s.chain(s.cosine(0.1), s.step(every="25%")), s.chain(s.cosine(0.1, steps=1000), s.step(every=250))),
    (s.scale(s.cosine(0.1), 0.5), s.scale(s.cosine(0.1, steps=1000), 0.5)),
]


@pytest.mark.parametrize(("schedule", "expected"), RESOLVED, ids=[str(schedule) for schedule, _ in RESOLVED])
def test_lengths_of_a_run(schedule, expected):
    if not schedule.is_resolved:
        with pytest.raises(
            InputError, match=r"in epochs or in shares of a run: its values are those of resolved\(steps="
        ):
            schedule(3)
    found = schedule.resolved(steps=1000, steps_per_epoch=100)
    assert found.is_resolved
    steps = [*range(0, 1200, 7), 50, 99, 100, 499, 500, 1000]
    assert [found(t) for t in steps] == [expected(t) for t in steps]
    assert parse(str(found)) == found
    assert found.resolved(steps=3) is found


def test_a_shorter_run_has_a_shorter_schedule():
    schedule = s.wsd(warmup="10%", decay="20%").with_base(1.0)
    for steps in (1, 2, 3, 4, 5, 9, 10, 1000):
        values = [schedule.resolved(steps=steps)(t) for t in range(steps + 1)]
        assert values[steps] == 0
        assert all(v > 0 for v in values[:steps]), steps


@pytest.mark.parametrize(
    ("schedule", "run", "message"),
    [
        (s.cosine(0.1), {}, r"'steps' of cosine, 100%, is a share of the run: resolve it with steps=…"),
        (
            s.cosine(0.1, steps="3 epochs"),
            {"steps": 9},
            "'steps' of cosine, 3 epochs, is counted in epochs: resolve it",
        ),
        (s.cosine(0.1), {"steps": 0}, r"run's 'steps' must be a whole number in \[1, inf\), got 0"),
        (s.cosine(0.1, warmup=200), {"steps": 100}, r"'warmup' of cosine must be a whole number in \[0, 99\], got 200"),
    ],
)
def test_a_run_that_does_not_do(schedule, run, message):
    with pytest.raises(InputError, match=message):
        schedule.resolved(**run)


def test_the_momentum_of_a_1cycle():
    assert s.one_cycle(0.1).momentum is None
    cycle = s.one_cycle(0.1, momentum=(0.8, 0.9)).resolved(steps=10)
    assert [cycle.momentum(t) for t in (0, 3, 10, 99)] == pytest.approx([0.9, 0.8, 0.9, 0.9], rel=1e-15)
    annealed = s.one_cycle(0.1, steps=20, rise=5, fall=5, momentum=(0.8, 0.9)).momentum
    assert [annealed(t) for t in (0, 5, 10, 15, 20)] == pytest.approx([0.9, 0.8, 0.9, 0.9, 0.9], rel=1e-15)
    assert math.isclose(s.one_cycle(0.1, steps=9, momentum=True).momentum(0), 0.95)
