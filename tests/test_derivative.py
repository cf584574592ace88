"""Derivatives of msign and of inverse roots by their equations: against decompositions, finite differences
and torch's gradcheck."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest
import torch
from references import inverse_root_derivative
from tables import prototype, table_of
from torch import Tensor
from torch.autograd.gradcheck import GradcheckError

import polydesign
from polydesign.model import InputError, Plan, Table
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.runtime import (
    derivative,
    implicit,
    inverse_root,
    inverse_root_differentiable,
    msign,
    msign_differentiable,
)
from polydesign.runtime.operators import RESIDUAL_ROUNDINGS
from polydesign.verification.metrics import msign_derivative, spectral

# torch's own, from the first use of its forward mode.
pytestmark = [
    pytest.mark.numerics,
    pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning"),
]

CONDITION = 10.0
SHAPES = {
    "square": (5, 5),
    "wide": (3, 6),
    "tall": (6, 3),
    "batch": (2, 3, 5),
    "row": (1, 4),
    "column": (4, 1),
    "one": (1, 1),
}
ROOTS = (1, 2, 4, 8)
FINITE = 1e-7
"""The asked relative error against central differences in float64. With σ >= 0.1 and a step of 5e-6 they are
off by some (5e-6)²·6/0.1³/6 = 2.5e-8 and by the rounding of both ends, 1e-15/5e-6 = 2e-10."""
STEP = 5e-6
POOR = prototype("quintics_15")
"""Off by 0.13."""


def random(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def matrix(shape: tuple[int, ...], seed: int) -> Tensor:
    """Singular values log-spaced from 1 to 1/CONDITION."""
    sigma = torch.logspace(0, -torch.tensor(CONDITION).log10().item(), min(shape[-2:]), dtype=torch.float64)
    U, _, Vt = torch.linalg.svd(random(*shape, seed=seed), full_matrices=False)
    return (U * sigma) @ Vt


def positive(n: int, seed: int, batch: tuple[int, ...] = ()) -> Tensor:
    """Eigenvalues from 1 to 1/CONDITION."""
    M = matrix((*batch, n, n), seed)
    values, V = torch.linalg.eigh(M @ M.mT)
    P = (V * values.sqrt()[..., None, :]) @ V.mT
    return (P + P.mT) / 2


@cache
def root_table(root: int) -> Table | None:
    """Converged in float64: the catalogue's for 1 and 2 are, and for 4 and 8 eigenvalues from 0.01 ‖P‖_F."""
    degrees = {4: (9, 6), 8: (17, 6)}
    if root not in degrees:
        return None
    degree, steps = degrees[root]
    lower = 0.01 ** (1 / root)
    found = polydesign.design(root=root, degree=degree, steps=steps, lower=lower, dtype="float64")
    assert found.schedule.error < 1e-14
    return found


def of_root(root: int, **keywords: object) -> Callable[[Tensor], Tensor]:
    """inverse_root_differentiable with tables that converge in float64."""
    table = root_table(root)
    return lambda P: inverse_root_differentiable(
        P,
        root,
        table,
        **({"backward_table": table} | keywords),  # pyright: ignore[reportArgumentType]
    )


def relative(X: Tensor, exact: Tensor) -> float:
    size = torch.linalg.matrix_norm(exact).clamp(min=1e-300)
    return (torch.linalg.matrix_norm(X.cpu().double() - exact) / size).max().item()


def forward(function: Callable[[Tensor], Tensor], M: Tensor, D: Tensor) -> Tensor:
    return torch.func.jvp(function, (M,), (D,))[1]


def backward(function: Callable[[Tensor], Tensor], M: Tensor, G: Tensor) -> Tensor:
    M = M.detach().clone().requires_grad_()
    return torch.autograd.grad(function(M), M, G)[0]


def differences(function: Callable[[Tensor], Tensor], M: Tensor, D: Tensor) -> Tensor:
    return (function(M + STEP * D) - function(M - STEP * D)) / (2 * STEP)


def wrong_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    right = implicit._linear
    monkeypatch.setattr(implicit, "_linear", lambda *given: -right(*given))


@pytest.mark.few(3)
@pytest.mark.parametrize("shape", [shape for name, shape in SHAPES.items() if name != "one"])
def test_gradcheck_of_msign(shape: tuple[int, ...], seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    M = matrix(shape, seed).requires_grad_()
    assert torch.autograd.gradcheck(msign_differentiable, (M,), check_forward_ad=True)
    wrong_sign(monkeypatch)
    with pytest.raises(GradcheckError, match="Jacobian mismatch"):
        torch.autograd.gradcheck(msign_differentiable, (M,))


@pytest.mark.few(2)
@pytest.mark.parametrize("root", ROOTS)
def test_gradcheck_of_inverse_roots(root: int, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    P = positive(4, seed).requires_grad_()
    # One entry moved alone leaves no symmetric matrix: the function is of the symmetric part.
    function = of_root(root, plan=Plan(check=False), backward_plan=Plan(check=False))
    assert torch.autograd.gradcheck(function, (P,), check_forward_ad=True)
    assert torch.autograd.gradcheck(lambda M: of_root(root)(M + M.mT), (P,))
    wrong_sign(monkeypatch)
    with pytest.raises(GradcheckError, match="Jacobian mismatch"):
        torch.autograd.gradcheck(function, (P,))


PRECISIONS = [
    # of M, of the state, of the derivative where it is given
    ("float64", None, None),
    ("float32", None, None),
    ("float32", "bfloat16", None),
    ("bfloat16", None, None),
    ("float16", None, None),
    ("bfloat16", None, "float64"),
    ("float64", "float32", "float32"),
    ("float64", "bfloat16", None),
]


@pytest.mark.few(20)
@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_against_a_decomposition(
    shape: tuple[int, ...], dtype: tuple[str, str | None, str | None], seed: int, device: str
) -> None:
    """Sign and block sign are each off by RESIDUAL_ROUNDINGS·u, which a division by σ magnifies to at most
    the condition; then the result is rounded once, to M's dtype, or in forward mode to the state's."""
    given, state, inner = dtype
    M = matrix(shape, seed).to(getattr(torch, given)).to(device)
    D = random(*shape, seed=seed + 1).to(M)
    plan = Plan(dtype=state, float32_side=0)
    ran = inner or ("float64" if given == "float64" else "float32")

    def function(M: Tensor) -> Tensor:
        return msign_differentiable(M, plan=plan, backward_plan=Plan(dtype=inner) if inner else None)

    X = function(M)
    assert torch.equal(X, msign(M, plan=plan))
    bound = 2 * CONDITION * RESIDUAL_ROUNDINGS[ran] * UNIT_ROUNDOFF[ran]
    exact = msign_derivative(M, D)
    for found, kept in (
        (backward(function, M, D.to(X.dtype)), M.dtype),
        (forward(function, M, D), X.dtype),
    ):
        assert found.dtype == kept
        assert found.shape == M.shape
        cotangent = found.dtype == M.dtype and X.dtype != M.dtype
        target = msign_derivative(M, D.to(X.dtype)) if cotangent else exact
        if shape == (1, 1):
            assert not found.any()
            continue
        off = relative(found, target)
        assert off <= bound + UNIT_ROUNDOFF[str(kept).removeprefix("torch.")]
        # The negative control: the derivative of an unconverged schedule.
        coarse = backward(lambda M: msign(M, POOR), M.double(), D.double())
        assert relative(coarse, target) > 2 * bound + UNIT_ROUNDOFF["bfloat16"]
    # Autocast does not reach it.
    with torch.autocast(M.device.type, dtype=torch.bfloat16):
        assert torch.equal(forward(function, M, D), forward(function, M, D))


@pytest.mark.parametrize("root", ROOTS)
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_inverse_roots_against_a_decomposition(root: int, dtype: str, seed: int, device: str) -> None:
    P = positive(5, seed, (2,)).to(getattr(torch, dtype))
    P = ((P + P.mT) / 2).to(device)
    D = random(2, 5, 5, seed=seed + 1).to(P)
    # In bfloat16 the rounded steps of a table for float64 diverge; the derivative runs in float32.
    table = None if dtype == "bfloat16" and root < 8 else root_table(root)
    if dtype == "bfloat16" and root == 8:
        pytest.skip("no table of root 8 for bfloat16")

    def function(P: Tensor) -> Tensor:
        return inverse_root_differentiable(P, root, table, backward_table=root_table(root))

    assert torch.equal(function(P), inverse_root(P, root, 1, table))
    ran = "float64" if dtype == "float64" else "float32"
    # Y is off by RESIDUAL_ROUNDINGS·u, twice in Z dP Z; each Lyapunov equation adds as much. All of it may be
    # in directions where the exact result is smaller by the condition.
    solves = 2 + (root - 1).bit_length()
    bound = solves * CONDITION * RESIDUAL_ROUNDINGS[ran] * UNIT_ROUNDOFF[ran] + UNIT_ROUNDOFF[dtype]
    exact = inverse_root_derivative(P, D, root)
    for found in (backward(function, P, D), forward(function, P, D)):
        assert torch.equal(found, found.mT)
        assert relative(found, exact) <= bound
        assert relative(inverse_root_derivative(P, D, 2 * root), exact) > bound  # the control: another root


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_against_finite_differences(shape: tuple[int, ...], seed: int) -> None:
    """Of the exact function also where the forward run is not converged; autograd through that run is off."""
    M, D = matrix(shape, seed), random(*shape, seed=seed + 1)
    D = D / torch.linalg.matrix_norm(D, keepdim=True)
    exact = differences(msign, M, D)
    if shape == (1, 1):
        return
    assert relative(forward(msign_differentiable, M, D), exact) <= FINITE
    assert relative(backward(msign_differentiable, M, D), exact) <= FINITE
    assert relative(forward(lambda M: msign_differentiable(M, POOR), M, D), exact) <= FINITE
    assert relative(forward(lambda M: msign(M, POOR), M, D), exact) > FINITE


@pytest.mark.parametrize("root", ROOTS)
def test_roots_against_finite_differences(root: int, seed: int) -> None:
    P, D = positive(5, seed), random(5, 5, seed=seed + 1)
    D = (D + D.mT) / torch.linalg.matrix_norm(D)
    exact = differences(of_root(root), P, D)
    assert relative(forward(of_root(root), P, D), exact) <= FINITE
    assert relative(forward(of_root(root), P, 1.001 * D), exact) > FINITE


def deficient(shape: tuple[int, int], rank: int, seed: int) -> Tensor:
    return matrix((shape[0], rank), seed) @ matrix((rank, shape[1]), seed + 1)


@pytest.mark.few(1)
@pytest.mark.parametrize("shape", [(5, 5), (3, 6), (6, 3)])
def test_rank_deficient_input(shape: tuple[int, int], seed: int) -> None:
    eps = 0.05
    M = deficient(shape, 2, seed)
    size = eps * torch.linalg.matrix_norm(M)

    def function(M: Tensor) -> Tensor:
        return msign_differentiable(M, eps=eps)

    torch.testing.assert_close(
        function(M), spectral(M, lambda s: s / (s.square() + size**2).sqrt()), rtol=0, atol=1e-13
    )
    assert torch.autograd.gradcheck(function, (M.requires_grad_(),), check_forward_ad=True)
    M = M.detach()
    U, _, Vt = torch.linalg.svd(M)
    D = U[:, 2:3] @ Vt[2:3]
    torch.testing.assert_close(forward(function, M, D), D / size, rtol=1e-12, atol=1e-12)
    D = random(*shape, seed=seed + 2)
    assert torch.linalg.matrix_norm(forward(function, M, D), 2) <= torch.linalg.matrix_norm(D) / size
    # Without eps the derivative is refused, and what runs unjudged is no derivative of anything.
    assert msign_differentiable(M).shape == shape
    with pytest.raises(InputError, match=r"^M: msign has no derivative there.*rank-deficient.*give eps="):
        backward(msign_differentiable, M, D)
    unjudged = backward(lambda M: msign_differentiable(M, plan=Plan(check=False)), M, D)
    assert torch.isfinite(unjudged).all()


@pytest.mark.parametrize("smallest", [1e-4, 1e-5])
def test_a_second_pass_reaches_below_the_table(smallest: float, seed: int) -> None:
    U, sigma, Vt = torch.linalg.svd(random(4, 6, seed=seed), full_matrices=False)
    sigma = torch.logspace(0, torch.tensor(smallest).log10().item(), 4, dtype=torch.float64)
    M, D = (U * sigma) @ Vt, random(4, 6, seed=seed + 1)
    bound = 2 / smallest * RESIDUAL_ROUNDINGS["float64"] * UNIT_ROUNDOFF["float64"]
    exact = msign_derivative(M, D)
    assert relative(backward(msign_differentiable, M, D), exact) <= bound
    # Unjudged there is one pass, which is the control.
    one = backward(lambda M: msign_differentiable(M, plan=Plan(check=False)), M, D)
    assert relative(one, exact) > bound


def test_the_refusal_names_the_matrix_of_the_batch(seed: int) -> None:
    M = random(2, 3, 3, 4, seed=seed)
    M[1, 2] = 0
    with pytest.raises(InputError, match=r"^M\[1, 2\]: is a zero matrix"):
        backward(msign_differentiable, M, torch.ones_like(M))
    M[1, 2] = M[0, 0]
    M[0, 1, 2] = M[0, 1, 1]
    with pytest.raises(InputError, match=r"^M\[0, 1\]: msign has no derivative there"):
        backward(msign_differentiable, M, torch.ones_like(M))


def test_a_zero_matrix_is_refused_in_the_derivative() -> None:
    M = torch.zeros(3, 4, dtype=torch.float64)
    for eps in (0.0, 0.1):
        with pytest.raises(InputError, match=r"is a zero matrix, where msign has no derivative"):
            backward(lambda M, eps=eps: msign_differentiable(M, eps=eps), M, torch.ones_like(M))
    unjudged = backward(lambda M: msign_differentiable(M, plan=Plan(check=False)), M, torch.ones_like(M))
    assert torch.isfinite(unjudged).all()


@pytest.mark.parametrize(("dtype", "power"), [("float32", 60), ("float64", 400)])
def test_powers_of_two(dtype: str, power: int, seed: int, device: str) -> None:
    M, D = (X.to(getattr(torch, dtype)).to(device) for X in (matrix((3, 5), seed), random(3, 5, seed=seed)))
    plain = backward(msign_differentiable, M, D)
    for k in (power, -power):
        assert torch.equal(backward(msign_differentiable, M * 2.0**k, D), plain * 2.0**-k)
        assert torch.equal(backward(msign_differentiable, M, D * 2.0**k), plain * 2.0**k)
    P, table = positive(4, seed).to(M), root_table(4)
    D = random(4, 4, seed=seed).to(P)

    def function(P: Tensor) -> Tensor:
        return inverse_root_differentiable(P, 4, table, backward_table=table)

    plain = backward(function, P, D)
    for k in (power // 5, -power // 5):
        assert torch.equal(backward(function, P * 2.0 ** (4 * k), D), plain * 2.0 ** (-5 * k))
    assert not backward(function, P, torch.zeros_like(D)).any()
    assert not backward(msign_differentiable, M, torch.zeros_like(M)).any()


def test_under_torch_func(seed: int, device: str) -> None:
    """Checks and all: what is mapped over becomes a batch."""
    M = matrix((4, 3, 5), seed).to(device)
    weights = random(3, 5, seed=seed + 1).to(device)
    for function in (msign_differentiable, lambda M: msign_differentiable(M, eps=0.1)):
        grad = torch.func.grad(lambda M, function=function: (function(M) * weights).sum())
        loop = torch.stack([grad(one) for one in M])
        torch.testing.assert_close(torch.func.vmap(grad)(M), loop, rtol=1e-11, atol=1e-12)
        torch.testing.assert_close(
            torch.func.vmap(grad, in_dims=2)(M.permute(1, 2, 0)), loop, rtol=1e-11, atol=1e-12
        )
        # The derivative is self-adjoint where eps does not follow the norm.
        by_rows, by_columns = torch.func.jacrev(function)(M[0]), torch.func.jacfwd(function)(M[0])
        torch.testing.assert_close(by_rows, by_columns, rtol=1e-10, atol=1e-11)
    P = positive(4, seed).to(device)
    by_rows, by_columns = torch.func.jacrev(of_root(4))(P), torch.func.jacfwd(of_root(4))(P)
    torch.testing.assert_close(by_rows, by_columns, rtol=1e-10, atol=1e-11)


def test_a_second_derivative_is_refused(seed: int) -> None:
    M = matrix((3, 5), seed)

    def loss(M: Tensor) -> Tensor:
        return msign_differentiable(M).pow(3).sum()

    def by_autograd() -> None:
        leaf = M.clone().requires_grad_()
        (first,) = torch.autograd.grad(loss(leaf), leaf, create_graph=True)
        torch.autograd.grad(first.sum(), leaf)

    for second in (
        by_autograd,
        lambda: torch.func.grad(lambda M: torch.func.grad(loss)(M).sum())(M),
        lambda: torch.func.hessian(loss)(M),
        lambda: forward(lambda M: forward(msign_differentiable, M, M), M, M),
    ):
        with pytest.raises(InputError, match=r"^M: has a first derivative here and no second: write msign"):
            second()


def test_what_is_kept_does_not_depend_on_the_steps(seed: int) -> None:
    """The input, and no matrix more; autograd through the loop is the control."""
    M = matrix((6, 9), seed).requires_grad_()
    plan = Plan(check=False)
    kept: dict[tuple[str, int], int] = {}
    for steps in (4, 40):
        table = polydesign.design(degree=5, steps=steps, dtype="float64", certify=False)
        for name, operator in (("equation", msign_differentiable), ("autograd", msign)):
            saved: list[Tensor] = []
            with torch.autograd.graph.saved_tensors_hooks(lambda X, s=saved: s.append(X) or X, lambda X: X):
                operator(M, table, plan)
            kept[name, steps] = sum(X.numel() * X.element_size() for X in saved)
    assert kept["equation", 4] == kept["equation", 40] == M.numel() * M.element_size()
    assert kept["autograd", 40] > 5 * kept["autograd", 4] > 25 * kept["equation", 4]


def test_a_table_and_precision_of_its_own(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    M, D = matrix((4, 6), seed), random(4, 6, seed=seed + 1)
    ran: list[tuple[object, ...]] = []
    for name in ("msign_with_info", "lyapunov"):
        right = getattr(derivative, name)

        def noted(*given: object, right: Callable[..., object] = right) -> object:
            ran.append((given[-2], given[-1]))
            return right(*given)

        monkeypatch.setattr(derivative, name, noted)
    table = polydesign.load("sign-d5x7-l0.01-fp32")
    plan = Plan(dtype="float32", form="gram", normalization="schatten4")

    def function(M: Tensor) -> Tensor:
        return msign_differentiable(M, backward_table=table, backward_plan=plan)

    found = backward(function, M, D)
    block = Plan(dtype="float32", normalization="frobenius")  # of a block that is not msign's
    assert ran == [(table, plan), (table, block)]
    off = relative(found, msign_derivative(M, D))
    assert 1e-12 < off <= 2 * CONDITION * RESIDUAL_ROUNDINGS["float32"] * UNIT_ROUNDOFF["float32"]
    narrow = Plan(dtype="bfloat16")
    coarser = backward(lambda M: msign_differentiable(M, backward_plan=narrow), M, D)
    bound = 2 * CONDITION * RESIDUAL_ROUNDINGS["bfloat16"] * UNIT_ROUNDOFF["bfloat16"]
    assert 10 * off < relative(coarser, msign_derivative(M, D)) <= bound


def test_inputs_stay_and_empty_ones_work(seed: int) -> None:
    M, G = matrix((3, 5), seed), random(3, 5, seed=seed + 1)
    copies = M.clone(), G.clone()
    backward(msign_differentiable, M, G)
    backward(lambda M: msign_differentiable(M, eps=0.1), M, G)
    assert torch.equal(M, copies[0])
    assert torch.equal(G, copies[1])
    for shape in ((0, 3), (3, 0), (0, 2, 2)):
        M = torch.zeros(shape)
        for eps in (0.0, 0.1):
            found = backward(lambda M, eps=eps: msign_differentiable(M, eps=eps), M, M)
            assert found.shape == shape
    assert backward(lambda P: inverse_root_differentiable(P, 2), torch.zeros(0, 0), torch.zeros(0, 0)).shape


ONE = torch.ones(2, 2)
CLIMB = table_of([(1.001, 0.0, 0.0)], lower=0.1)
"""Hardly moves anything."""
REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "eps": (lambda: msign_differentiable(ONE, eps=-1.0), r"^eps: must not be negative, and is -1\.0"),
    "aol": (
        lambda: msign_differentiable(ONE, plan=Plan(normalization="aol")),
        r"^normalization: aol rescales each row .* msign_differentiable of that is another matrix",
    ),
    "aol, backward": (
        lambda: msign_differentiable(ONE, backward_plan=Plan(normalization="aol")),
        r"^normalization: aol",
    ),
    "matrix": (lambda: msign_differentiable(torch.ones(3)), r"^M: must have shape \(\.\.\., m, n\)"),
    "nan": (lambda: msign_differentiable(ONE * torch.nan, eps=0.1), r"^M: holds NaN or infinity"),
    "table": (
        lambda: msign_differentiable(ONE, backward_table=root_table(4)),
        r"^table: \S+ has root 4, and the derivative of msign needs a table of root 2",
    ),
    "root": (
        lambda: inverse_root_differentiable(ONE, 3),
        r"^root: 3 is not a power of two.*write inverse_root",
    ),
    "square": (lambda: inverse_root_differentiable(torch.ones(2, 3), 2), r"^P: must be square"),
    "tables": (
        lambda: inverse_root_differentiable(ONE, 2, backward_table=root_table(4)),
        r"^table: \S+ has root 4, and the derivative of P\^\(-1/2\) needs a table of root 2",
    ),
    "equation": (
        lambda: inverse_root_differentiable(ONE, 4, equation_table=root_table(4)),
        r"^table: \S+ has root 4, and its equation needs a table of root 2",
    ),
    "singular": (
        lambda: backward(
            lambda P: inverse_root_differentiable(P, 2, plan=Plan(check=False), backward_plan=Plan()),
            ONE.double(),
            ONE.double(),
        ),
        r"^P: P\^\(-1/2\) has no derivative that the table can reach: the residual is",
    ),
    "below the table": (
        lambda: backward(msign_differentiable, torch.diag(torch.tensor([1.0, 1e-8])), ONE),
        r"^M: msign has no derivative there: .* after two passes of sign-d5x7-l1e-3-fp32.*below 1e-06 of its norm",
    ),
    "coarse": (
        lambda: backward(lambda M: msign_differentiable(M, backward_table=CLIMB), ONE + torch.eye(2), ONE),
        r"^M: has no derivative that the table can reach: A: mcsgn of .* with test",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals(case: str) -> None:
    call, message = REFUSED[case]
    with pytest.raises(InputError, match=message):
        call()
