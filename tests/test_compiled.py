"""The compiled forms: no break in the graph, no second compilation for a second table, the same results."""

from __future__ import annotations

import shutil
from functools import cache

import pytest
import torch
from torch._dynamo.utils import counters

import polydesign
from polydesign.model import Plan
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.rounding.running import term_rounding
from polydesign.runtime import base, compiled, execute, msign, ops
from polydesign.runtime.normalize import frobenius

pytestmark = [
    pytest.mark.numerics,
    pytest.mark.filterwarnings("ignore:.*_prims_common.check:FutureWarning"),  # torch's own, of itself
]

DEGREES = [(3, 5), (7, 9), (11, 13), (17, 5)]
SHAPE = (12, 20)

PAIRS = [
    *(("bfloat16", degrees) for degrees in DEGREES),
    ("float16", DEGREES[1]),
    ("float32", DEGREES[3]),
    ("float64", DEGREES[2]),
]
"""Degrees decide the graph, and the precision the kernels that it calls: every one of each, not every pair."""

designed = cache(polydesign.design)


@pytest.fixture(autouse=True)
def fresh():
    torch._dynamo.reset()
    counters.clear()
    compiled._compiled.cache_clear()


@pytest.fixture
def traced(monkeypatch):
    """Dynamo and its graph without a code generator: what breaks or recompiles does so here too, in less time."""
    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, **options: real(f, backend="aot_eager", **options))


def graphs() -> int:
    return counters["stats"]["unique_graphs"]


def random(*shape, seed, dtype=torch.float64, device="cpu"):
    generator = torch.Generator().manual_seed(seed)
    M = torch.randn(shape, generator=generator, dtype=torch.float64).to(device)
    return frobenius(M, dtype).matrix


def off(X, exact):
    """Distance in the spectral norm."""
    return torch.linalg.matrix_norm(X.double() - exact, ord=2).item()


def rounding(schedule, dtype):
    """Two orders of summation differ by rounding, carried on by the slope of what follows: at most 50 here."""
    return 50 * sum(term_rounding(step, dtype) for step in schedule.steps)


@pytest.mark.few(1)
@pytest.mark.parametrize(("dtype", "degrees"), PAIRS)
def test_direct_compiles_once_for_all_tables_of_its_degrees(traced, degrees, dtype, seed, device):
    X = random(*SHAPE, seed=seed, dtype=getattr(torch, dtype), device=device)
    for lower in (0.1, 0.2, 0.3):
        schedule = designed(degree=degrees, lower=lower).schedule
        exact = execute.direct(X.double(), schedule)
        found, eager = (off(form.direct(X, schedule), exact) for form in (compiled, execute))
        # The same products, linear combinations rounded in another order.
        assert found <= 3 * eager + 8 * UNIT_ROUNDOFF[dtype]
        assert off(torch.zeros_like(exact), exact) > 0.3 > 3 * eager + 8 * UNIT_ROUNDOFF[dtype]
        assert graphs() == 1


@pytest.mark.alike
@pytest.mark.few(1)
@pytest.mark.parametrize("degrees", DEGREES)
def test_other_degrees_are_compiled_again(traced, degrees, seed, device):
    """The control of the count: one more step is another graph."""
    X = random(*SHAPE, seed=seed, device=device)
    for count, more in enumerate(((), (5,)), 1):
        compiled.direct(X, designed(degree=(*degrees, *more), lower=0.1).schedule)
        assert graphs() == count


@pytest.mark.few(1)
@pytest.mark.parametrize(("root", "degree", "power"), [(1, 3, 1), (2, 5, 1), (4, 9, 1), (4, 13, 3)])
@pytest.mark.parametrize("identity", [False, True])
def test_coupled_compiles_once_for_all_tables_of_its_degrees(
    traced, root, degree, power, identity, seed, device
):
    X = random(*SHAPE, seed=seed, device=device)
    P = X @ X.mT + 0.1 * torch.eye(SHAPE[0], dtype=X.dtype, device=device)
    P /= torch.linalg.matrix_norm(P)
    G = None if identity else X.mT.contiguous()
    for lower in (0.1, 0.2):
        schedule = designed(root=root, degree=degree, steps=3, lower=lower).schedule
        found = compiled.coupled(P, G, schedule, power=power)
        expected = execute.coupled(P, G, schedule, power=power)
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)
        assert graphs() == 1


@pytest.mark.few(1)
@pytest.mark.parametrize("restarts", [(), (1,), (1, 2)])
def test_the_gram_form_compiles_too(traced, restarts, seed, device):
    X = random(*SHAPE, seed=seed, device=device)
    for lower in (0.1, 0.2):
        schedule = designed(degree=(5, 9, 5), lower=lower).schedule
        found = compiled.gram(X, schedule, restarts)
        assert (found - execute.gram(X, schedule, restarts)).abs().max() <= rounding(schedule, "float64")
    assert graphs() == 1


def test_the_matrix_sign_compiles_too(traced, seed, device):
    X = random(8, 8, seed=seed, device=device)
    X = X + X.mT
    for lower in (0.1, 0.2):
        schedule = designed(degree=(5, 9), lower=lower).schedule
        found = compiled.matrix_sign(X / 2, schedule)
        assert (found - execute.matrix_sign(X / 2, schedule)).abs().max() <= rounding(schedule, "float64")
    assert graphs() == 1


@pytest.mark.alike
def test_a_third_shape_compiles_nothing(traced, seed, device):
    schedule = designed(degree=(5, 9), lower=0.1).schedule
    seen = []
    for shape in ((4, 9), (6, 8), (5, 30), (20, 21)):
        X = random(*shape, seed=seed, device=device)
        assert (compiled.direct(X, schedule) - execute.direct(X, schedule)).abs().max() <= rounding(
            schedule, "fp64"
        )
        seen.append(graphs())
    assert seen == [1, 2, 2, 2]


def test_gradients_agree(traced, seed, device):
    schedule = designed(degree=(5, 9), lower=0.1).schedule
    X = random(*SHAPE, seed=seed, device=device).requires_grad_()
    weights = random(*SHAPE, seed=seed + 1, device=device)
    found, expected = (
        torch.autograd.grad((form.direct(X, schedule) * weights).sum(), X)[0] for form in (compiled, execute)
    )
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-12)
    assert expected.abs().max() > 0.1


@pytest.mark.parametrize("degrees", DEGREES)
def test_vmap_gives_what_a_loop_gives(degrees, seed, device):
    schedule = designed(degree=degrees, lower=0.1).schedule
    X = random(3, *SHAPE, seed=seed, device=device)
    found = torch.func.vmap(lambda M: execute.direct(M, schedule))(X)
    loop = torch.stack([execute.direct(M, schedule) for M in X])
    assert (found - loop).abs().max() <= rounding(schedule, "float64")
    layout, numbers = compiled._split(schedule)
    traced_op = torch.func.vmap(lambda M: compiled._direct(M, layout, numbers))(X)
    assert (traced_op - loop).abs().max() <= rounding(schedule, "float64")


def test_the_traced_product_has_right_gradients(seed):
    generator = torch.Generator().manual_seed(seed)
    c, a, b = (
        torch.randn((3, 3), generator=generator, dtype=torch.float64, requires_grad=True) for _ in range(3)
    )
    alpha, beta = torch.tensor(1.5, dtype=torch.float64), torch.tensor(-0.5, dtype=torch.float64)
    torch.autograd.gradcheck(lambda *m: ops.mm_add(*m, alpha=alpha, beta=beta), (c, a, b))


@pytest.mark.filterwarnings("default")  # inductor warns of torch's own use of itself while it is imported
@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler: apt-get install g++")
def test_inductor_runs_msign(monkeypatch, tmp_path, seed, device, request):
    # A kernel kept from elsewhere may be for another processor's instructions.
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    if not request.config.getoption("kernels"):
        # Without vectors: inductor tries what g++ builds for this processor, which takes half of the time.
        from torch._inductor import config

        monkeypatch.setattr(config.cpp, "vec_isa_ok", False)
    for count, dtype in enumerate(("float32", "bfloat16"), 1):
        M = random(*SHAPE, seed=seed, dtype=getattr(torch, dtype), device=device)
        for lower in (0.1, 0.2):
            table = designed(degree=(5, 9), lower=lower)
            found, expected = (
                msign(M, table, Plan(compile=chosen, float32_side=0)) for chosen in (True, False)
            )
            if dtype == "float32":
                assert (found - expected).abs().max() <= rounding(table.schedule, dtype)
            exact = msign(M.double(), table)
            assert off(found, exact) <= 3 * off(expected, exact) + 8 * UNIT_ROUNDOFF[dtype]
        assert graphs() == count


def test_what_makes_operators_is_marked_as_torch_marks_it():
    """By hand, for torch's decorator loads the compiler; where torch changes its mark, ours has to."""

    def ours(value: int) -> int:
        return value

    unmarked = dict(vars(ours))
    assert vars(torch.compiler.assume_constant_result(ours)) == vars(base._number) != unmarked


def test_inference_first_and_training_after(traced, seed, device):
    schedule = designed(degree=(5, 9), lower=0.15).schedule
    X = random(*SHAPE, seed=seed, device=device)
    with torch.inference_mode():
        compiled.direct(X, schedule)
    X.requires_grad_()
    compiled.direct(X, schedule).sum().backward()
    assert X.grad is not None
