"""Exported functions on matrices, against the package's own operators and against what tables promise."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from texts import NAMES, ROOTS, SIGNS, run, table
from torch import Tensor

from polydesign.exporters.functions import promise
from polydesign.exporters.targets import TEXTS
from polydesign.model import DTYPES, InputError, Plan, Table, dtype_name
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.rounding.running import running_error
from polydesign.runtime import inverse_root, msign, normalize
from polydesign.verification.cases import Setting, wide
from polydesign.verification.metrics import deviation
from polydesign.verification.operators import choose
from polydesign.verification.roots import lowest_eigenvalue
from polydesign.verification.spectra import sample, sample_positive

QUINTICS = "sign-d5x6-l1e-3-bf16"
MIXED = "sign-m16-l1e-3-bf16"
ROOT4 = "root4-d9x4-l0.1-bf16"
CONSTANT = "8.230358729732423"  # of the first step of QUINTICS

Function = Callable[[Tensor, str], Tensor]
"""A tensor and the name of a dtype to the result, a tensor again."""


def torch_function(text: str) -> Function:
    made = run(text)
    f = getattr(made, "newton_schulz_func", None) or made.inverse_root
    return lambda M, dtype: f(M, dtype=getattr(torch, dtype))


def numpy_function(text: str) -> Function:
    made = run(text)
    f = getattr(made, "msign", None) or made.inverse_root
    return lambda M, dtype: torch.from_numpy(f(M.cpu().numpy(), dtype).copy())


def jax_function(text: str, transform: str = "") -> Function:
    """transform: jit or vmap, by which it is run."""
    jax = pytest.importorskip("jax", reason="jax is not installed: pip install jax")
    jax.config.update("jax_enable_x64", True)
    made = run(text)
    f = getattr(made, "msign", None) or made.inverse_root

    def call(M: Tensor, dtype: str) -> Tensor:
        def of_dtype(X: Any) -> Any:
            return f(X, dtype)

        applied = getattr(jax, transform)(of_dtype) if transform else of_dtype
        return torch.from_numpy(np.array(applied(jax.numpy.asarray(M.double().cpu().numpy())), np.float64))

    return call


FUNCTIONS = {"torch-function": torch_function, "numpy": numpy_function, "jax": jax_function}


def exported(target: str, made: Table, change: Callable[[str], str] = str) -> Function:
    text = TEXTS[target].write(made)
    changed = change(text)
    assert (changed == text) == (change is str)
    return FUNCTIONS[target](changed)


def as_sign(name: str) -> Table:
    """A table for clipping is written as a polar factor."""
    return replace(table(name), purpose="sign", form="")


def designed(made: Table) -> str:
    """The precision that a table was designed for, where it says so; float32 for others."""
    return made.dtype or "float32"


def judged(f: Function, made: Table, dtype: str, spectrum: str, device: str = "cpu") -> tuple[float, float]:
    """The worst error of f and what the table and rounding allow, as polydesign verify has them."""
    schedule = made.schedule
    _, how = choose(made, None, 1)
    if how.positive:
        known = sample_positive(spectrum, (24, 24), lower=lowest_eigenvalue(schedule, dtype, 24, 1))
    else:
        known = sample(spectrum, (24, 40), lower=schedule.interval[0])
    case = how.case(Setting(known, made, Plan(dtype=dtype), 1, torch.device(device), 0))
    low, high = schedule.interval
    inside = (case.x >= low * (1 - 1e-9)) & (case.x <= high * (1 + 1e-9))
    allowed = schedule.promise(case.exponent) + case.explained(inside) + 40 * 2.0**-52
    X = wide(f(known.matrix.to(device), dtype))
    assert torch.isfinite(X).all()
    worst = deviation(X, case.left, case.right, inside).worst
    assert worst is not None
    return worst, allowed


def with_binary_maximum(*shape: int, seed: int) -> Tensor:
    """Gaussian matrices whose largest entry is 1/2: what divides it out is exact, here and there."""
    M = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(
        torch.bfloat16
    )
    M = M.clamp(-2, 2).double() / 8
    M[..., 0, 0] = 0.5
    return M


def reordering(made: Table, side: int) -> float:
    """What another order of the sums may change of an entry in float64, to first order, for both orders.

    A step errs by side·u times the running error of its program, and the whole map carries that on by its
    slope at most (divided differences of an odd function do not exceed it).
    """
    schedule = made.schedule
    x = np.linspace(0, schedule.interval[1], 100_001)
    slope = np.max(np.abs(np.diff(schedule(x)) / np.diff(x)))
    errors = sum(running_error(s.program, schedule.root, s.domain[1]) for s in schedule.steps)
    return float(2 * side * UNIT_ROUNDOFF["float64"] * errors * slope)


# torch, bit for bit

BITS = [dtype for dtype in DTYPES if dtype != "float16"]
"""On CPUs the package multiplies float16 in float32, whose sums run in another order than those of float16."""


@pytest.fixture
def divided_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small matrices are divided in float64 by the package, and in float32 by the texts."""
    monkeypatch.setattr(normalize, "SMALL", 0)


@pytest.mark.usefixtures("divided_here")
@pytest.mark.parametrize("dtype", BITS)
@pytest.mark.parametrize("name", SIGNS)
def test_torch_rounds_where_the_package_does(name: str, dtype: str, device: str, seed: int) -> None:
    M = with_binary_maximum(3, 12, 20, seed=seed).to(device, getattr(torch, dtype))
    found = exported("torch-function", table(name))(M, dtype)
    expected = msign(M, as_sign(name), Plan(dtype=dtype, float32_side=0, check=False))
    # In bfloat16 a table without headroom for it may diverge, here and there.
    assert torch.allclose(found, expected, rtol=0.0, atol=0.0, equal_nan=True)
    assert torch.isfinite(found).all() or UNIT_ROUNDOFF[dtype] > UNIT_ROUNDOFF[designed(table(name))]


@pytest.mark.usefixtures("divided_here")
@pytest.mark.parametrize("dtype", BITS)
@pytest.mark.parametrize("name", ROOTS)
def test_torch_roots_round_where_the_package_does(name: str, dtype: str, device: str, seed: int) -> None:
    """All but the last multiplication by a power of the norm, which is in float64 here: two roundings of it."""
    X = with_binary_maximum(3, 12, 12, seed=seed)
    P = X @ X.mT + 0.5 * torch.eye(12, dtype=X.dtype)
    P = (P / P.amax(dim=(-2, -1), keepdim=True)).to(device, getattr(torch, dtype))
    P[:, 0, 0] = 1.0
    found = exported("torch-function", table(name))(P, dtype)
    # Where a call would compute it again in float32, the function does not.
    how = Plan(dtype=dtype, check=False)
    expected = inverse_root(P, table(name).schedule.root, 1, table(name), how)
    u = UNIT_ROUNDOFF[dtype]
    sums = UNIT_ROUNDOFF["float64" if dtype == "float64" else "float32"]
    assert ((found - expected).abs() <= (2 * u + 8 * sums) * expected.abs()).all()


@pytest.mark.usefixtures("divided_here")
def test_another_bit_in_one_constant_changes_bits(seed: int) -> None:
    """Negative control of both."""
    M = with_binary_maximum(3, 12, 20, seed=seed).float()
    changed = exported("torch-function", table(QUINTICS), lambda text: text.replace(CONSTANT, "8.2304"))
    assert not torch.equal(changed(M, "float32"), msign(M, table(QUINTICS), Plan(dtype="float32")))


# promises


@pytest.mark.parametrize("spectrum", ["gaussian", "rank2"])
@pytest.mark.parametrize("name", SIGNS)
@pytest.mark.parametrize("target", FUNCTIONS)
def test_polar_factors_keep_the_promise(target: str, name: str, spectrum: str, device: str) -> None:
    dtype = designed(table(name))
    if target == "numpy" and dtype == "bfloat16":
        dtype = "float16"  # numpy has no bfloat16; iterated in float32
    worst, allowed = judged(exported(target, table(name)), as_sign(name), dtype, spectrum, device)
    assert worst <= allowed


@pytest.mark.parametrize("name", ROOTS)
@pytest.mark.parametrize("target", FUNCTIONS)
def test_roots_keep_the_promise(target: str, name: str, device: str) -> None:
    dtype = designed(table(name))
    if target == "numpy" and dtype == "bfloat16":
        dtype = "float16"
    worst, allowed = judged(exported(target, table(name)), table(name), dtype, "harmonic", device)
    assert worst <= allowed


@pytest.mark.parametrize("target", FUNCTIONS)
def test_a_changed_constant_breaks_the_promise(target: str) -> None:
    """Negative control: a thousandth of the last step's coefficient, in float32."""
    made = table("sign-d5x6-l1e-3-bf16")
    f = exported(target, made, lambda text: text.replace("1.918889264072676", "1.928889264072676"))
    worst, allowed = judged(f, made, "float32", "gaussian")
    assert worst > allowed


@pytest.mark.parametrize("name", [QUINTICS, MIXED, ROOT4])
@pytest.mark.parametrize("target", FUNCTIONS)
def test_the_fourth_schatten_norm_divides_by_less(target: str, name: str, seed: int) -> None:
    made = replace(table(name), normalization="schatten4")
    worst, allowed = judged(exported(target, made), made, "float32", "swept")
    assert worst <= allowed
    # x = 0.3·(1, …, 1): by the Frobenius norm it comes in as 1/√n, by this one as n^(−1/4).
    one_step = replace(made.schedule, steps=made.schedule.steps[:1])
    bare = replace(
        made,
        schedule=one_step,
        certificate=None,
        measured=(),
        tried=(),
        provenance=replace(made.provenance, parameters={}),
    )
    P = 0.3 * torch.eye(16, dtype=torch.float64)
    root = made.schedule.root
    for normalization, x in (("schatten4", 16**-0.25), ("frobenius", 16**-0.5)):
        found = exported(target, replace(bare, normalization=normalization))(P, "float64")
        mapped = float(one_step(x ** (1 / root))) if root != 2 else float(one_step(x))
        expected = mapped * 0.3 ** (-1 / root) if root != 2 else mapped
        assert found[0, 0].item() == pytest.approx(expected, rel=1e-12)


# shapes, scales and dtypes


@pytest.mark.parametrize("name", [QUINTICS, MIXED])
@pytest.mark.parametrize("target", FUNCTIONS)
def test_batches_tall_matrices_and_scales(target: str, name: str, seed: int) -> None:
    f = exported(target, table(name))
    M = torch.randn((2, 3, 8, 12), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    M[0, 1] = 0.0
    M[1, 0] *= 1e300
    M[1, 1] *= 1e-300
    kept, tolerance = M.clone(), reordering(table(name), 12)
    X = f(M, "float64")
    assert X.shape == M.shape
    assert torch.isfinite(X).all()
    assert torch.equal(M, kept)
    assert not X[0, 1].any()
    for index in ((0, 0), (1, 0), (1, 1), (1, 2)):
        alone = f(M[index] / M[index].abs().max(), "float64")
        assert (X[index] - alone).abs().max() <= tolerance
        assert (f(M[index].mT, "float64").mT - X[index]).abs().max() <= tolerance
    assert (X[0, 0] - X[0, 2]).abs().max() > tolerance  # the control: another matrix is seen


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("target", FUNCTIONS)
def test_zero_gives_zero_in_every_precision(target: str, name: str) -> None:
    f = exported(target, table(name))
    for dtype in DTYPES:
        if target == "numpy" and dtype == "bfloat16":
            continue
        assert not f(torch.zeros((2, 4, 4), dtype=torch.float64), dtype).any()


@pytest.mark.parametrize("name", [QUINTICS, MIXED, ROOT4, "root4-m17-l0.1-fp32"])
@pytest.mark.parametrize("target", FUNCTIONS)
def test_without_a_dtype_the_input_decides(target: str, name: str) -> None:
    if target == "jax":
        pytest.importorskip("jax", reason="jax is not installed: pip install jax")
    made = run(TEXTS[target].write(table(name)))
    P = np.eye(4, 4) * np.arange(3, 7)
    if target == "numpy":
        f = getattr(made, "msign", None) or made.inverse_root
        for dtype in ("float16", "float32", "float64"):
            assert f(P.astype(dtype)).dtype == dtype
        assert f(P.astype(int)).dtype == "float64"
        assert f(P.tolist()).shape == (4, 4)
        assert f(np.zeros((0, 4, 4))).shape == (0, 4, 4)
    elif target == "jax":
        jnp = pytest.importorskip("jax.numpy")
        f = getattr(made, "msign", None) or made.inverse_root
        for dtype in (jnp.bfloat16, jnp.float16, jnp.float32):
            assert f(jnp.asarray(P, dtype)).dtype == dtype
        assert f(jnp.zeros((0, 4, 4), jnp.float32)).shape == (0, 4, 4)
    else:
        f = getattr(made, "newton_schulz_func", None) or made.inverse_root
        designed_for = getattr(torch, str(table(name).dtype))
        for dtype in DTYPES:
            X = torch.from_numpy(P).to(getattr(torch, dtype))
            assert f(X).dtype == designed_for
            assert f(X, dtype=None).dtype == X.dtype
        assert f(torch.zeros((0, 4, 4))).shape == (0, 4, 4)


@pytest.mark.parametrize("name", [QUINTICS, MIXED])
def test_float16_holds_what_is_large_or_small(name: str, device: str, seed: int) -> None:
    """A power of two changes no bit, also where squares of entries would overflow or vanish."""
    f = exported("torch-function", table(name))
    M = with_binary_maximum(12, 20, seed=seed).to(device)
    M = torch.where(M.abs() < 2**-6, 0.0, M).half()  # so that nothing becomes subnormal below
    for scale in (2.0**16, 2.0**-8):
        scaled = M * scale
        assert torch.isfinite(scaled).all()
        assert torch.equal(f(scaled, "float16"), f(M, "float16"))
    assert torch.isinf((M * 2.0**16).square().sum())  # the control


@pytest.mark.parametrize("transform", ["jit", "vmap"])
@pytest.mark.parametrize("name", [QUINTICS, MIXED, ROOT4])
def test_jax_transforms_it(name: str, transform: str) -> None:
    f = jax_function(TEXTS["jax"].write(table(name)), transform)
    worst, allowed = judged(f, table(name), "bfloat16", "harmonic")
    assert worst <= allowed


# torch only


def test_autocast_does_not_change_the_precision(device: str, seed: int) -> None:
    M = with_binary_maximum(12, 20, seed=seed).to(device).float()
    f = exported("torch-function", table(MIXED))
    expected = f(M, "float32")
    with torch.autocast(device, dtype=torch.bfloat16):
        assert (M @ M.mT).dtype == torch.bfloat16  # the control
        assert torch.equal(f(M, "float32"), expected)


@pytest.mark.parametrize("name", [QUINTICS, MIXED, ROOT4])
def test_torch_traces_it_without_a_break(name: str, seed: int) -> None:
    f = exported("torch-function", table(name))
    X = torch.randn((12, 20), generator=torch.Generator().manual_seed(seed))
    P = X @ X.mT
    whole = torch.compile(lambda M: f(M, "float32"), backend="eager", fullgraph=True, dynamic=False)
    assert torch.equal(whole(P), f(P, "float32"))
    torch._dynamo.reset()


@pytest.mark.parametrize("shape", [(12, 20), (2, 12, 8)])
def test_codebases_call_it_with_an_epsilon(shape: tuple[int, ...], seed: int) -> None:
    """As microsoft/dion does: func(X, epsilon=a tensor), two or three dimensions."""
    f = run(TEXTS["torch-function"].write(table(QUINTICS))).newton_schulz_func
    M = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).bfloat16()
    assert torch.equal(f(M, epsilon=torch.tensor(1e-8)).reshape(shape), f(M))
    assert f(M).dtype == torch.bfloat16


MUON = {
    "usual": {},
    "without nesterov": {"nesterov": False, "momentum": 0.5},
    "no decay, as AdamW": {"weight_decay": 0.0, "adjust_lr_fn": "match_rms_adamw"},
    "lr in a tensor": {"lr": torch.tensor(0.05), "adjust_lr_fn": "original"},
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("how", MUON)
@pytest.mark.parametrize("name", [QUINTICS, MIXED])
def test_the_muon_that_it_writes_is_that_of_torch(
    name: str, how: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Bit for bit torch.optim.Muon with the table's function in it, for three steps on a wide and a tall matrix,
    one of them once without a gradient; and each goes on from the other's state."""
    muon = pytest.importorskip("torch.optim._muon", reason="torch.optim.Muon came with torch 2.9")
    made = run(TEXTS["torch-function"].write(table(name)))
    generator = torch.Generator().manual_seed(seed)
    starts = [torch.randn(shape, generator=generator).to(dtype) for shape in ((8, 12), (12, 8))]
    gradients = [
        [torch.randn(start.shape, generator=generator).to(dtype) for start in starts] for _ in range(3)
    ]

    def trained(*kinds: Any) -> list[Tensor]:
        """By one class a step, which loads what the one before left."""
        parameters = [torch.nn.Parameter(start.clone()) for start in starts]
        state: Any = None
        for number, (kind, step) in enumerate(zip(kinds, gradients, strict=True)):
            optimizer = kind(parameters, **{"lr": 0.1} | MUON[how])
            if state is not None:
                optimizer.load_state_dict(state)

            def closure(number: int = number, step: list[Tensor] = step) -> float:
                assert torch.is_grad_enabled()
                for index, (parameter, gradient) in enumerate(zip(parameters, step, strict=True)):
                    parameter.grad = None if (number, index) == (0, 1) else gradient.clone()
                return 1.5

            assert optimizer.step(closure) == 1.5
            state = optimizer.state_dict()
        return [p.data for p in parameters] + [one["momentum_buffer"] for one in state["state"].values()]

    ours, own = made.Muon, torch.optim.Muon
    other = trained(own, own, own)
    with monkeypatch.context() as patched:
        patched.setattr(muon, "_zeropower_via_newtonschulz", lambda grad, *_: made.newton_schulz_func(grad))
        expected = trained(own, own, own)
        mixed = trained(own, ours, own)
    found = trained(ours, ours, ours)
    for one in (found, mixed):
        assert all(torch.equal(*pair) for pair in zip(one, expected, strict=True))
    assert not torch.equal(found[0], other[0])  # the control: with torch's own row


def test_codebases_call_it_with_a_number_of_steps(seed: int) -> None:
    """By position, as zeropower_via_newtonschulz5(G, 5), or by name: every row runs once all the same."""
    f = run(TEXTS["torch-function"].write(table(QUINTICS))).newton_schulz_func
    M = torch.randn((6, 9), generator=torch.Generator().manual_seed(seed))
    for result in (f(M, 5), f(M, steps=5), f(M, steps=3), f(M, 1e-7, steps=9)):
        assert torch.equal(result, f(M))


@pytest.mark.parametrize(
    ("name", "normalization", "words"),
    [
        (
            "sign-d5x6-l1e-3-bf16",
            "frobenius",
            "Singular values of M from 0.001 to 1 times ‖M‖_F come out as 1",
        ),
        ("sign-d5x6-l1e-3-bf16", "schatten4", "from 0.001 to 1 times ‖M Mᵀ‖_F^(1/2) come out"),
        ("root4-d9x4-l0.1-bf16", "frobenius", "For eigenvalues of P from 0.0001 to 1 times ‖P‖_F it is off"),
        ("inverse-d3x7-l1e-4-bf16", "schatten4", "of P from 0.0001 to 1 times ‖P Pᵀ‖_F^(1/2) it is off"),
    ],
)
def test_the_promise_is_for_what_is_divided_by(name: str, normalization: str, words: str) -> None:
    """x = σ/norm, or x = (λ/norm)^(1/r): the fourth Schatten norm is that of M Mᵀ, to the 1/2."""
    assert words in " ".join(promise(replace(table(name), normalization=normalization)))
    designed = {
        "bfloat16": "the rounding of bfloat16.",
        "float32": "float32: in a coarser dtype it may diverge",
    }
    for dtype, said in designed.items():
        assert said in " ".join(promise(replace(table(name), dtype=dtype)))


@pytest.mark.parametrize("target", sorted({*TEXTS} & {"torch-function", "numpy", "jax"}))
@pytest.mark.parametrize(("stated", "written"), [("bf16", "torch.bfloat16"), (None, "None")])
def test_the_dtype_is_the_table_s(target: str, stated: str | None, written: str) -> None:
    text = TEXTS[target].write(replace(table("sign-d5x6-l1e-3-bf16"), dtype=stated))
    ast.parse(text)
    assert ("Designed for the rounding of bfloat16." in text) == (stated == "bf16")
    if target == "torch-function":
        assert f"*, dtype={written}, steps=None):" in text


@pytest.mark.parametrize(
    "stated", ["nonsense", 3, ["float32"], "float32\nimport os\nos.abort()", 'float32"""\nBAD = 1\n"""']
)
def test_what_a_file_calls_its_dtype_is_no_code(stated: Any) -> None:
    with pytest.raises(InputError, match="is not one of bfloat16"):
        replace(table("sign-d5x6-l1e-3-bf16"), dtype=stated)


@pytest.mark.parametrize("scale", [2.0**800, 2.0**-800])
def test_numpy_divides_before_it_rounds(scale: float) -> None:
    """What float32 does not hold, in float64: a power of 2 changes no bit of the quotient."""
    compute = run(TEXTS["numpy"].write(table("sign-d5x6-l1e-3-bf16"))).msign
    M = np.random.default_rng(0).standard_normal((6, 9))
    np.testing.assert_array_equal(compute(scale * M, np.float32), compute(M, np.float32))
    assert np.abs(compute(M, np.float32)).max() > 0.1


def test_dtype_names() -> None:
    assert {dtype_name(designed(table(name))) for name in NAMES} <= set(DTYPES)
