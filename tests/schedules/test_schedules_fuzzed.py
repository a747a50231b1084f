"""Whatever valid arguments a schedule has, its values are finite and at least 0, and no more than its base."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzzing import ODD_OBJECTS, require_one_sentence
from thalweg import schedules as s
from thalweg.errors import InputError
from thalweg.schedules.parsing import names

BASES = st.floats(1e-8, 1e3)
LENGTHS = st.integers(1, 300)
SHARES = st.floats(0, 45).map(lambda x: f"{x:.4g}%")
LEVELS = st.one_of(st.floats(0, 100).map(lambda x: f"{x:.4g}%"), st.just(0))
FACTORS = st.floats(1e-3, 1)


def maybe(**strategies):
    return st.fixed_dictionaries({}, optional=strategies)


PLAIN = st.one_of(
    st.builds(lambda b, k: s.constant(b, **k), BASES, maybe(warmup=SHARES, factor=FACTORS, steps=LENGTHS)),
    st.builds(lambda b, k: s.step(b, **k), BASES, maybe(every=LENGTHS, factor=FACTORS)),
    st.builds(lambda b, at: s.piecewise(b, boundaries=sorted(at)), BASES, st.lists(LENGTHS, min_size=1, max_size=4)),
    st.builds(
        lambda b, k: s.exponential(b, **k),
        BASES,
        maybe(steps=LENGTHS, factor=FACTORS, staircase=st.booleans(), begin=SHARES, end=LEVELS),
    ),
    st.builds(lambda b, k: s.inverse_time(b, **k), BASES, maybe(steps=LENGTHS, decay=st.floats(1e-3, 1e3))),
    st.builds(lambda b, k: s.power(b, **k), BASES, maybe(steps=LENGTHS, exponent=st.floats(1e-3, 9))),
    st.builds(lambda b, k: s.inverse_sqrt(b, **k), BASES, maybe(warmup=SHARES, timescale=LENGTHS)),
    st.builds(lambda b, k: s.linear(b, **k), BASES, maybe(warmup=SHARES, start=LEVELS, end=LEVELS)),
    st.builds(lambda b, k: s.cosine(b, **k), BASES, maybe(warmup=SHARES, start=LEVELS, end=LEVELS)),
    st.builds(
        lambda b, k: s.polynomial(b, **k), BASES, maybe(power=st.floats(0.1, 9), end=LEVELS, cycle=st.booleans())
    ),
    st.builds(
        lambda b, k: s.cosine_restarts(b, **k),
        BASES,
        maybe(cycles=st.integers(1, 9), growth=st.floats(1, 4), decay=FACTORS, end=LEVELS, period=LENGTHS),
    ),
    st.builds(
        lambda b, k: s.wsd(b, **k),
        BASES,
        maybe(warmup=SHARES, decay=SHARES, shape=st.sampled_from(["linear", "cosine", "1-sqrt"]), end=LEVELS),
    ),
    st.builds(
        lambda b, k: s.cyclic(b, **k),
        BASES,
        maybe(low=LEVELS, up=LENGTHS, down=LENGTHS, gamma=FACTORS,
              mode=st.sampled_from(["triangular", "triangular2", "exp_range"])),
    ),
    st.builds(
        lambda b, k: s.one_cycle(b, **k),
        BASES,
        maybe(rise=SHARES, fall=SHARES, start=LEVELS, end=LEVELS, shape=st.sampled_from(["cosine", "linear"]),
              momentum=st.booleans()),
    ),
)  # fmt: skip
SEVERAL = st.one_of(
    PLAIN,
    st.builds(lambda a, w: s.warmup(a, steps=w), PLAIN, LENGTHS),
    st.builds(lambda a, b: s.join(a, b.with_base(a.base), boundaries=["30%"]), PLAIN, PLAIN),
    st.builds(lambda a, b: s.chain(a, b.with_base(1.0)), PLAIN, PLAIN),
)
STEPS = (0, 1, 2, 3, 7, 50, 99, 100, 101, 299, 300, 301, 1000, 12_345, 10**7)


@settings(max_examples=300, deadline=None)
@given(SEVERAL, st.integers(2, 400))
def test_values_are_finite_and_between_0_and_the_base(schedule, steps):
    closed = schedule.resolved(steps=steps, steps_per_epoch=7)
    values = [closed(t) for t in (*STEPS, steps - 1, steps)]
    assert all(math.isfinite(v) and -1e-15 * closed.base <= v <= closed.base * (1 + 1e-12) for v in values)
    assert s.parse(str(schedule)) == schedule
    assert s.parse(str(closed)) == closed


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(names().values())), st.lists(ODD_OBJECTS, max_size=2), st.data())
def test_odd_arguments_are_refused_in_one_sentence(name, values, data):
    known = ["steps", "warmup", "end", "start", "factor", "convention", "boundaries", "momentum", "rise", "decay"]
    named = data.draw(st.dictionaries(st.sampled_from(known), ODD_OBJECTS, max_size=2))
    try:
        getattr(s, name)(*values, **named)
    except InputError as error:
        require_one_sentence(str(error))
    except TypeError as error:  # of the call, for an argument that the function does not have, and of nothing in it
        if "argument" not in str(error):
            raise


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(max_size=12), st.text("cosine(1%),=. '\"epochs[]", max_size=24)))
def test_odd_texts_are_refused_in_one_sentence(text):
    try:
        s.parse(text)
    except InputError as error:
        require_one_sentence(str(error))


@pytest.mark.parametrize("text", [None, 3, b"cosine", ["cosine"]])
def test_what_is_no_text(text):
    with pytest.raises(InputError, match="is no schedule"):
        s.parse(text)
