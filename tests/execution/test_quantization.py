"""Numbers in 8 bits: the nearest of 256 levels in each block, whatever the block holds."""

import pytest
import torch

from thalweg.execution.quantization import decode, decode_anywhere, decoded, encode, encode_anywhere, levels, replace

BLOCKS = {
    "of both signs": torch.randn(5000, generator=torch.Generator().manual_seed(0)),
    "without sign": torch.rand(5000, generator=torch.Generator().manual_seed(1)),
    "of all sizes": torch.randn(5000, generator=torch.Generator().manual_seed(2))
    * 10.0 ** torch.linspace(-20, 9, 5000),
    "zero": torch.zeros(300),
    "one": torch.tensor([-3.0]),
    "none": torch.zeros(0),
    "of negative numbers": -torch.rand(256, generator=torch.Generator().manual_seed(3)),
}
blocks = pytest.mark.parametrize("x", BLOCKS.values(), ids=list(BLOCKS))


@pytest.mark.parametrize("positive", [True, False])
def test_levels(positive):
    known = levels(positive=positive)
    assert known.shape == (256,)
    assert len(set(known.tolist())) == (256 if positive else 255)  # 0 has two codes where there is a sign
    assert torch.equal(known, known.sort().values if positive else torch.cat([known[:128].sort().values, -known[:128]]))
    assert (known.min(), known.max()) == (0.0 if positive else -1.0, 1.0)
    scaled = known * 7.5
    torch.testing.assert_close(decode(*encode(scaled)), scaled, rtol=2**-22, atol=0)


def test_levels_are_the_papers():
    """In a decade of 2**k levels, each is in the middle of its share of what lies between 0.1 and 1."""
    expected = {10.0**-d * (0.1 + 0.9 * (i + 0.5) / 2 ** (7 - d)) for d in range(7) for i in range(2 ** (7 - d))}
    known = levels(positive=True).double()
    torch.testing.assert_close(known, torch.tensor([0.0, *sorted(expected), 1.0]).double(), rtol=2**-20, atol=0)


@blocks
def test_each_number_becomes_the_nearest_level(x):
    """But for those that would become 0 in a block without negative numbers: they become the least."""
    codes, scales = encode(x)
    assert (codes.dtype, codes.shape, len(scales)) == (torch.uint8, x.shape, -(-len(x) // 256))
    for block, scale in enumerate(scales.double().tolist()):
        part = x[256 * block : 256 * block + 256].double()
        known = levels(positive=scale >= 0).double() * abs(scale)
        assert abs(scale) == part.abs().max()
        least = known[known > 0].min() if scale > 0 else 0.0
        nearest = torch.where((part > 0) & (part < least), least - part, (part[:, None] - known).abs().amin(1))
        off = (decode(codes, scales)[256 * block : 256 * block + 256].double() - part).abs()
        assert (off <= nearest + 2**-22 * part.abs() + 1e-45).all()


@blocks
def test_what_is_not_zero_divides_by_no_zero(x):
    values = decode(*encode(x.abs()))
    assert ((values > 0) == (x != 0)).all()


@blocks
def test_the_kernel_and_the_operators_agree(x):
    codes, scales = encode(x)
    others = encode_anywhere(x)
    assert torch.equal(codes, others[0])
    assert torch.equal(scales, others[1])
    assert torch.equal(decode(codes, scales), decode_anywhere(codes, scales))


@blocks
def test_encoding_again_changes_nothing(x):
    once = encode(x)
    again = encode(decode(*once))
    assert torch.equal(decode(*again), decode(*once))


@pytest.mark.parametrize("lost", [torch.nan, torch.inf, -torch.inf])
def test_what_is_not_finite_is_not_hidden(lost):
    x = torch.ones(600)
    x[300] = lost
    values = decode(*encode(x))
    assert torch.isfinite(values[:256]).all()
    assert not torch.isfinite(values[256:512]).any()
    assert not torch.isfinite(decode_anywhere(*encode_anywhere(x))[256:512]).any()


def test_in_the_order_of_memory():
    x = torch.randn(40, 20).t()
    codes = torch.empty_like(x, dtype=torch.uint8)
    scales = torch.empty(4)
    replace(codes, scales, x)
    back = decoded(codes, scales)
    assert back.stride() == x.stride()
    assert torch.equal(back.t().reshape(-1), decode(*encode(x.t().reshape(-1))))
