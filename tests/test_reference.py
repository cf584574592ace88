"""Arithmetic that no kernel changes: what it computes, and that the choice of a budget search rests on it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import polydesign
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.runtime import ops
from polydesign.verification import reference
from polydesign.verification.reference import CHUNK, FixedSums
from polydesign.verification.select import select

pytestmark = pytest.mark.numerics

NARROW = ("bfloat16", "float16", "float32")


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


@pytest.mark.parametrize("dtype", NARROW)
@pytest.mark.parametrize("batch", [(), (2, 3)])
def test_products_are_those_of_the_written_order(seed, dtype, batch) -> None:
    """Against numpy: chunks of float64, rounded to float32 one after the other; in half precision no chunks."""
    a, b = (normal(seed + k, *batch, 3 * CHUNK - 2, 3 * CHUNK - 2).to(getattr(torch, dtype)) for k in (0, 1))
    with FixedSums(dtype):
        found = ops.mm(a, b)
    exact = a.double() @ b.double()
    if dtype == "float32":
        total = np.zeros(exact.shape, np.float32)
        for start in range(0, a.shape[-1], CHUNK):
            part = slice(start, start + CHUNK)
            total = (total + a.double().numpy()[..., part] @ b.double().numpy()[..., part, :]).astype(
                np.float32
            )
        expected = torch.from_numpy(total)
    else:
        # float16 goes by a float32 product on CPUs (ops.mm): torch rounds from there, and so does bfloat16.
        expected = exact.float().to(a.dtype)
    # Two float64 sums in other orders may lie on both sides of a tie: one in 2^20 of them does.
    assert (found != expected).double().mean() <= 1e-4
    assert found.dtype == a.dtype
    size = a.double().abs() @ b.double().abs()
    roundings = -(-a.shape[-1] // CHUNK) if dtype == "float32" else 1
    u = UNIT_ROUNDOFF[dtype]
    assert ((found.double() - exact).abs() <= 1.01 * roundings * u * size).all()


@pytest.mark.parametrize("dtype", NARROW)
def test_a_scaled_addition_is_rounded_once(seed, dtype) -> None:
    kind = getattr(torch, dtype)
    c, a, b = (normal(seed + k, 5, 5).to(kind) for k in range(3))
    with FixedSums(dtype):
        found = ops.mm_add(c, a, b, alpha=0.3, beta=1.7)
        lost = ops.mm_add(torch.full_like(c, torch.nan), a, b, alpha=1.0, beta=0)
        plain = ops.mm(a, b)
    alpha, beta = (torch.tensor(x, dtype=torch.float32).double() for x in (0.3, 1.7))
    product = a.double() @ b.double()
    if dtype == "float32":  # of fewer terms than a chunk: the accumulator is rounded, then the sum
        product = product.float().double()
    expected = (alpha * product + beta * c.double()).float().to(kind)
    assert torch.equal(found, expected)
    assert torch.equal(lost, plain)
    # Negative control: of three roundings not all are lost in the result.
    assert not torch.equal(found, 0.3 * (a @ b) + 1.7 * c)


@pytest.mark.parametrize("dtype", NARROW)
def test_what_every_processor_rounds_alike_stays_as_it_is(seed, dtype) -> None:
    """IEEE 754 says what +, * and / give; and conversions, views and what happens in place."""
    a, b = (normal(seed + k, 7, 9).abs().to(getattr(torch, dtype)) for k in (0, 1))

    def work() -> list[torch.Tensor]:
        c = a.clone()
        c.diagonal().add_(0.75)
        stacked = torch.stack([a, b]).mT
        return [a + b, a * b, a / b, a.float(), a.to(torch.float16), c, stacked, a.amax(dim=-1), a > b]

    plain = work()
    with FixedSums(dtype):
        found = work()
    for one, other in zip(plain, found, strict=True):
        assert one.dtype == other.dtype
        assert torch.equal(one, other)


def test_a_square_root_is_rounded_correctly(seed) -> None:
    """torch's own is not: with some libraries one float32 in five is off by a unit."""
    x = normal(seed, 200).abs().float()
    with FixedSums("float32"):
        found = x.sqrt()
    assert np.array_equal(found.numpy(), np.sqrt(x.double().numpy()).astype(np.float32))


def test_inputs_are_not_touched(seed) -> None:
    a = normal(seed, 20, 20).float()
    kept = a.clone()
    with FixedSums("float32"):
        ops.mm_add(a, a, a, alpha=2.0, beta=3.0)
        ops.weighted_sum([(a, 0.5), (a, 0.25)], 1.0)
    assert torch.equal(a, kept)


CHOICES = [  # what design is asked for; the digest of what it must choose, and what that measures
    ({"dtype": "bf16", "matmuls": 9, "degree": (3, 5), "shape": (32, 64)}, "bf12491d", 0.9090221499791723),
    ({"dtype": "fp16", "matmuls": 9, "degree": (3, 5), "shape": (32, 64)}, "ae309c24", 0.8636154331838468),
    ({"dtype": "fp32", "matmuls": 9, "degree": (3, 5), "shape": (24, 24)}, "9f63f02f", 0.8598672229297961),
    (
        {
            "dtype": "fp32",
            "matmuls": 11,
            "degree": (3, 5),
            "lower": 0.1,
            "shape": (32, 32),
            "form": "coupled",
        },
        "c1136219",
        0.00015411858924418986,
    ),
    (
        {"dtype": "bf16", "root": 4, "matmuls": 9, "degree": (5, 9), "lower": 0.3, "shape": (32, 32)},
        "f2fa9e33",
        0.032861315003875,
    ),
    (
        {"dtype": "fp32", "root": 1, "matmuls": 9, "degree": (2, 3), "lower": 1e-3, "shape": (32, 32)},
        "abbd0941",
        0.20308438004161,
    ),
]


@pytest.mark.few(2)
@pytest.mark.parametrize(("asked", "digest", "measured"), CHOICES)
def test_every_machine_chooses_the_same_table(asked, digest, measured) -> None:
    """Float64 is left to the kernels: its sums differ by K·2⁻⁵³ or so, which a step may amplify a thousandfold,
    and once in a while one of the 10⁸ roundings to float32 falls the other way, which moves an entry by 2⁻²⁴."""
    table = polydesign.design(**asked)
    assert table.certificate is not None
    assert table.certificate.digest[len("sha256:") :].startswith(digest)
    allowed = 1e-11 if asked["dtype"] != "fp32" else 1e-8
    assert table.provenance.parameters["measured"] == pytest.approx(measured, rel=0, abs=allowed)


def test_a_choice_does_not_see_the_kernels(monkeypatch) -> None:
    """A sum backwards within every chunk, which is what no machine does: nothing but float64's rounding is seen.

    Control: with chunks of another size, which round at other places, the figure is another one, by more.
    """
    table = polydesign.load("sign-m20-l1e-3-fp32")
    asked = {"dtype": "float32", "shape": (40, 80)}
    plain = select([table], **asked)[0].worst
    with monkeypatch.context() as changed:
        changed.setattr(reference, "CHUNK", 2)
        otherwise = select([table], **asked)[0].worst
    product = reference._product

    def backwards(a, b, chunk):
        order = torch.cat([part.flip(0) for part in torch.arange(a.shape[-1]).split(chunk)])
        return product(a[..., order], b[..., order, :], chunk)

    for func in (torch.ops.aten.mm.default, torch.ops.aten.bmm.default):
        monkeypatch.setitem(reference._PRODUCTS, func, backwards)
    assert select([table], **asked)[0].worst == pytest.approx(plain, rel=0, abs=1e-8)
    assert abs(otherwise - plain) > 2e-8
