"""Operators in the surroundings they are used in: settings of the process, transforms, tensors of other kinds."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor
from torch.func import grad, jacfwd, jacrev, vmap

import polydesign
from polydesign.model import DivergenceError, InputError, Plan, PromiseWarning
from polydesign.optim import Muon
from polydesign.optim.spectra import spectrum
from polydesign.runtime import (
    Sign,
    bilinear,
    column_row,
    effective_rank,
    inverse_root,
    inverse_root_differentiable,
    inverse_root_with_info,
    mcsgn,
    monarch_dense,
    monarch_project,
    msign,
    msign_differentiable,
    msign_with_info,
    ops,
    pseudo_inverse,
    root,
    spectral_clip,
    spectral_truncate_with_info,
    sqrt_and_inverse_sqrt,
)
from polydesign.runtime.evidence import norm_evidence
from polydesign.runtime.surroundings import pinned

pytestmark = pytest.mark.numerics

PRECISIONS = ["bfloat16", "float16", "float32", "float64"]


def random(*shape: int, seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def positive(*shape: int, seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    M = random(*shape, shape[-1], seed=seed, dtype=dtype)
    return M @ M.mH + torch.eye(shape[-1], dtype=M.dtype)


def polar(M: Tensor) -> Tensor:
    U, _, Vh = torch.linalg.svd(M.to(torch.promote_types(M.dtype, torch.float64)), full_matrices=False)
    return U @ Vh


CALLS: dict[str, Callable[[Tensor], Any]] = {
    "msign": msign,
    "gram": lambda P: msign(P, plan=Plan(form="gram")),
    "matmuls": lambda P: msign(P, plan=Plan(matmuls=15)),
    "error": lambda P: msign(P, plan=Plan(error=0.1)),
    "schatten4": lambda P: msign(P, plan=Plan(normalization="schatten4")),
    "mcsgn": mcsgn,
    "inverse_root": lambda P: inverse_root(P, 4),
    "root": lambda P: root(P, 2),
    "sqrt_and_inverse_sqrt": sqrt_and_inverse_sqrt,
    "clip": lambda P: spectral_clip(P, high=2.0),
    "pseudo_inverse": lambda P: pseudo_inverse(P, 0.5),
    "relative": lambda P: pseudo_inverse(P, rtol=0.01),
}
"""Of a symmetric positive matrix."""


def parts(found: Any) -> tuple[Tensor, ...]:
    return found if isinstance(found, tuple) else (found,)


def same(found: Any, expected: Any) -> bool:
    return all(torch.equal(a, b) for a, b in zip(parts(found), parts(expected), strict=True))


# settings of the process


@pytest.fixture
def setting() -> Iterator[Callable[[str], None]]:
    """Set what training scripts set, and put it back."""
    yield torch.set_float32_matmul_precision
    torch.set_float32_matmul_precision("highest")


def test_products_of_float32_are_float32(
    setting: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here no processor need have other products: what they would read is seen to."""
    read: list[str] = []
    product = ops.mm

    def watched(a: Tensor, b: Tensor) -> Tensor:
        read.append(torch.backends.mkldnn.matmul.fp32_precision)  # pyright: ignore
        return product(a, b)

    monkeypatch.setattr(ops, "mm", watched)
    M = random(64, 128, seed=1)
    for precision in ("medium", "high"):
        setting(precision)
        before = torch.backends.mkldnn.matmul.fp32_precision  # pyright: ignore
        assert before not in ("ieee", "none")  # the control
        assert (msign(M).double() - polar(M)).abs().max() < 1e-4
        assert torch.backends.mkldnn.matmul.fp32_precision == before  # pyright: ignore
        assert torch.get_float32_matmul_precision() == precision
    assert set(read) == {"ieee"}


@pytest.mark.parametrize("call", ["msign", "inverse_root", "root", "clip"])
def test_autograd_takes_exact_products_too(
    call: str, setting: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In `backward`, where the operator is long left."""
    read: list[tuple[str, bool]] = []
    product = ops.mm

    def watched(a: Tensor, b: Tensor) -> Tensor:
        if not torch.is_grad_enabled():
            precision = torch.backends.mkldnn.matmul.fp32_precision  # pyright: ignore
            read.append((precision, torch.is_autocast_enabled("cpu")))
        return product(a, b)

    P = positive(6, seed=1).requires_grad_()
    gradients = []
    for precision in ("highest", "medium"):
        setting(precision)
        if precision == "medium":
            monkeypatch.setattr(ops, "mm", watched)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "medium"):
            (gradient,) = torch.autograd.grad(CALLS[call](P).square().sum(), P)
        gradients.append(gradient)
    assert set(read) == {("ieee", False)}
    assert torch.equal(*gradients)


@pytest.mark.few(1)
@pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")
@pytest.mark.parametrize("call", ["msign", "gram", "inverse_root"])
def test_derivatives_of_autograd(call: str, seed: int) -> None:
    """The first two, and forward mode, in float64 beside differences."""
    P = positive(4, seed=seed, dtype=torch.float64).requires_grad_()

    def function(X: Tensor) -> Tensor:
        return CALLS[call]((X + X.mT) / 2)

    torch.autograd.gradcheck(function, P, check_forward_ad=True)
    torch.autograd.gradgradcheck(function, P)


def test_settings_come_back_after_an_error(setting: Callable[[str], None]) -> None:
    setting("medium")
    with pytest.raises(InputError):
        msign(torch.full((3, 4), torch.nan))
    assert torch.get_float32_matmul_precision() == "medium"


def test_threads_do_not_undo_what_another_needs(setting: Callable[[str], None]) -> None:
    """The first to leave must not restore the setting under the other."""
    setting("medium")
    inside, leave = threading.Event(), threading.Event()

    def other() -> None:
        with pinned("cpu"):
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    thread.start()
    assert inside.wait(10)
    with pinned("cpu"):
        leave.set()
        thread.join()
        assert torch.backends.mkldnn.matmul.fp32_precision == "ieee"  # pyright: ignore
    assert torch.backends.mkldnn.matmul.fp32_precision == "bf16"  # pyright: ignore


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_changes_nothing(name: str, dtype: torch.dtype, seed: int) -> None:
    P = positive(6, seed=seed)
    with torch.autocast("cpu", dtype):
        found = CALLS[name](P)
    assert same(found, CALLS[name](P))


@pytest.mark.parametrize("name", CALLS)
def test_the_default_dtype_changes_nothing(name: str, seed: int) -> None:
    P = positive(6, seed=seed)
    expected = CALLS[name](P)
    torch.set_default_dtype(torch.float64)
    try:
        assert same(CALLS[name](P), expected)
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("name", CALLS)
def test_the_default_device_changes_nothing(name: str, seed: int) -> None:
    P = positive(2, 12, seed=seed) / 4
    expected = CALLS[name](P)
    with torch.device("meta"):
        found = CALLS[name](P)
    assert same(found, expected)


def test_the_default_device_changes_no_run_and_no_step(seed: int) -> None:
    P, log = positive(12, seed=seed), []
    parameter = torch.nn.Parameter(P.clone())
    parameter.grad = P.clone()
    run, whole = inverse_root_with_info(P, 4)[1], spectrum(P, "P", exact=False)
    with torch.device("meta"):
        again, seen = inverse_root_with_info(P, 4)[1], spectrum(P, "P", exact=False)
        Muon([parameter], lr=0.1, log=log.append).step()
    assert torch.equal(again.interval, run.interval)
    assert torch.equal(again.residual, run.residual)
    assert seen == whole
    assert log[0].promised > 0


# torch.compile


UNCHECKED: dict[str, Callable[[Tensor], Any]] = {
    "msign, unchecked": lambda P: msign(P, plan=Plan(check=False)),
    "matmuls, unchecked": lambda P: msign(P, plan=Plan("bf16", False, matmuls=15, float32_side=0)),
    "inverse_root, unchecked": lambda P: inverse_root(P, 4, plan=Plan(check=False)),
    "clip, unchecked": lambda P: spectral_clip(P, high=2.0, plan=Plan(check=False)),
}


@pytest.mark.few(3)
@pytest.mark.parametrize(
    "name", [name for name in CALLS | UNCHECKED if name not in ("pseudo_inverse", "relative")]
)
def test_a_compiled_step_traces_whole_and_gives_the_same_bits(name: str, seed: int) -> None:
    torch._dynamo.reset()
    P = positive(2, 6, seed=seed)
    call = (CALLS | UNCHECKED)[name]
    step = torch.compile(lambda P: call(2 * P), backend="aot_eager", fullgraph=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert same(step(P), call(2 * P))
        assert same(step(P[:, :4, :4]), call(2 * P[:, :4, :4]))


def test_a_table_may_be_an_object_in_a_compiled_step(seed: int) -> None:
    torch._dynamo.reset()
    M, table = random(4, 6, seed=seed), polydesign.load("sign-m12-l1e-3-fp32")
    assert torch.equal(
        torch.compile(partial(msign, table=table), backend="aot_eager", fullgraph=True)(M), msign(M, table)
    )
    step = torch.compile(lambda M: msign(M, table, Plan(check=False)), backend="aot_eager", fullgraph=True)
    assert torch.equal(step(M), msign(M, table))


def test_a_compiled_step_runs_the_operator_that_it_is_given(seed: int) -> None:
    """Two of one class through one frame, and copies: each by its own number."""
    torch._dynamo.reset()
    M = random(4, 6, seed=seed)
    step = torch.compile(lambda one, M: one(M), backend="aot_eager", fullgraph=True)
    coarse, fine = (Sign(table) for table in ("sign-m8-l1e-3-fp32", "sign-m20-l1e-3-fp32"))  # pyright: ignore
    copies = pickle.loads(pickle.dumps(coarse)), copy.deepcopy(fine)
    for one in (coarse, fine, *copies, coarse):
        assert torch.equal(step(one, M), one(M))
    assert len({one.__dict__["_number"] for one in (coarse, fine, *copies)}) == 4
    assert not torch.equal(coarse(M), fine(M))


@pytest.mark.alike
def test_numbers_of_operators_are_of_one_process() -> None:
    """A compiler keeps graphs on disk, where the number stands for the operator."""
    code = "from polydesign.runtime import Sign; print(Sign().__dict__['_number'])"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert other.strip() != Sign().__dict__["_number"]


def test_a_compiled_step_refuses_what_is_refused(seed: int) -> None:
    """The check runs with the step, not while it is traced."""
    torch._dynamo.reset()
    step = torch.compile(lambda M: msign(M), backend="aot_eager", fullgraph=True)
    M = random(4, 6, seed=seed)
    assert torch.equal(step(M), msign(M))
    M[1, 2] = torch.inf
    with pytest.raises(InputError, match=r"^M: holds NaN"):
        step(M)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_compiled_step_has_the_derivative(dtype: str, seed: int) -> None:
    torch._dynamo.reset()
    M, D = (random(4, 6, seed=seed + k, dtype=getattr(torch, dtype)) for k in (0, 1))

    def loss(M: Tensor) -> Tensor:
        return (msign(M) * D).sum()

    found, expected = (M.clone().requires_grad_() for _ in range(2))
    torch.compile(loss, backend="aot_eager", fullgraph=True)(found).backward()
    loss(expected).backward()
    assert found.grad is not None
    assert expected.grad is not None
    torch.testing.assert_close(found.grad, expected.grad)
    assert expected.grad.abs().max() > 1e-3


# torch.func


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("name", ["msign", "gram", "mcsgn", "inverse_root", "root"])
def test_vmap_rounds_as_the_batch_does(name: str, dtype: str, seed: int) -> None:
    P = positive(5, 6, seed=seed, dtype=torch.float64).to(getattr(torch, dtype))
    plan = Plan(check=False, float32_side=0)
    calls: dict[str, Callable[[Tensor], Tensor]] = {
        "msign": lambda P: msign(P, plan=plan),
        "gram": lambda P: msign(P, plan=Plan(check=False, float32_side=0, form="gram")),
        "mcsgn": lambda P: mcsgn(P, plan=plan),
        "inverse_root": lambda P: inverse_root(P, 4, plan=plan),
        "root": lambda P: root(P, 2, plan=plan),
    }
    call = calls[name]
    assert torch.equal(vmap(call)(P), call(P))
    assert torch.equal(vmap(vmap(call))(P[None]), call(P[None]))


def test_vmap_under_the_default_check_says_what_to_write(seed: int) -> None:
    M = random(3, 4, 6, seed=seed)
    calls: list[Callable[[Tensor], Tensor]] = [msign, mcsgn, spectral_clip]
    for call in calls:
        with pytest.raises(InputError, match=r"plan\.check: looks at the data.*write Plan\(check=False\)"):
            vmap(call)(M[..., :4])
    assert vmap(lambda M: msign(M, plan=Plan(check=False)))(M).shape == M.shape


LOOKED_AT: dict[str, Callable[[Tensor], Any]] = {
    "column_row": lambda P: (lambda found: (found.left, found.right))(column_row(P, P, 2)),
    "monarch_project": monarch_project,
    "monarch_dense": lambda P: monarch_dense(
        P.unflatten(-1, (2, 2)).movedim(-2, -3), P.unflatten(-2, (2, 2))
    ),
    "bilinear": lambda P: bilinear(P, P, 0.1),
}
"""Of a square matrix of side 4, with no switch for the check but for the last."""


@pytest.mark.parametrize("name", LOOKED_AT)
def test_what_looks_at_data_runs_without_any(name: str, seed: int) -> None:
    P, call = positive(4, seed=seed), LOOKED_AT[name]
    expected = parts(call(P))
    blank = parts(call(P.to("meta")))
    assert all(one.is_meta for one in blank)
    assert [(one.shape, one.dtype) for one in blank] == [(one.shape, one.dtype) for one in expected]
    torch._dynamo.reset()
    assert same(torch.compile(call, backend="aot_eager", fullgraph=True)(P), call(P))


@pytest.mark.parametrize("name", LOOKED_AT)
def test_vmap_of_what_looks_at_data_says_what_to_write(name: str, seed: int) -> None:
    P, call = positive(3, 4, seed=seed), LOOKED_AT[name]
    with pytest.raises(InputError, match="vmap does not allow: write ") as refusal:
        vmap(call)(P)
    if refusal.value.problem.endswith("write the call with the whole batch in place of vmap"):
        for k in range(3):
            assert all(
                torch.allclose(a[k], b) for a, b in zip(parts(call(P)), parts(call(P[k])), strict=True)
            )
    else:
        assert refusal.value.problem.endswith("write Plan(check=False)")
        found = vmap(lambda P: bilinear(P, P, 0.1, plan=Plan(check=False)))(P)
        assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(found, parts(call(P)), strict=True))


@pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")
def test_derivatives_of_torch_func(seed: int) -> None:
    M = random(3, 4, seed=seed, dtype=torch.float64)

    def call(M: Tensor) -> Tensor:
        return msign(M, plan=Plan(check=False))

    forward, reverse = jacfwd(call)(M), jacrev(call)(M)
    torch.testing.assert_close(forward, reverse)
    batch = torch.stack([M, 2 * M])
    each = vmap(grad(lambda M: call(M)[0, 0]))(batch)
    torch.testing.assert_close(each[0], reverse[0, 0])
    torch.testing.assert_close(each[1], reverse[0, 0] / 2)


# tensors of other kinds


@pytest.fixture(scope="module")
def mesh() -> Iterator[Any]:
    """Of one process: what a DTensor does there it does anywhere."""
    store = dist.HashStore()  # pyright: ignore[reportPrivateImportUsage]
    dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    dist.destroy_process_group()


@pytest.mark.parametrize("placement", [Replicate(), Shard(0), Shard(1)])
@pytest.mark.parametrize("name", CALLS)
def test_a_dtensor_gives_what_its_matrix_gives(name: str, placement: Any, mesh: Any, seed: int) -> None:
    P = positive(6, seed=seed)
    found = CALLS[name](distribute_tensor(P, mesh, [placement]))
    for X, expected in zip(parts(found), parts(CALLS[name](P)), strict=True):
        assert isinstance(X, DTensor)
        assert X.placements == (placement,)
        assert torch.equal(X.full_tensor(), expected)


def test_a_dtensor_has_the_derivative(mesh: Any, seed: int) -> None:
    M = random(4, 6, seed=seed)
    plain = M.clone().requires_grad_()
    D: Any = distribute_tensor(M, mesh, [Shard(0)]).requires_grad_()
    msign(plain)[0].sum().backward()
    found: Any = msign(D)
    found.full_tensor()[0].sum().backward()
    assert isinstance(D.grad, DTensor)
    torch.testing.assert_close(D.grad.full_tensor(), plain.grad)
    found = msign_differentiable(D)
    assert torch.equal(found.full_tensor(), msign(M))
    P = positive(4, seed=seed)
    found = inverse_root_differentiable(distribute_tensor(P, mesh, [Shard(0)]), 4)
    assert torch.equal(found.full_tensor(), inverse_root_differentiable(P, 4))
    run = Sign().run(D)
    assert isinstance(run.result, DTensor)
    assert run.residual < 1e-3


@pytest.mark.parametrize("shape", [(4, 6), (6, 4), (3, 5, 5), (1, 4), (1, 1)])
@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_complex_matrices(shape: tuple[int, ...], dtype: torch.dtype, seed: int) -> None:
    M = torch.complex(*random(2, *shape, seed=seed, dtype=torch.float64)).to(dtype)
    X, run = msign_with_info(M)
    assert X.dtype == dtype
    tolerance = 1e-4 if dtype == torch.complex64 else 1e-12
    assert (X - polar(M)).abs().max() < tolerance
    assert run.residual.max() < tolerance
    # ν is that of the embedding, √2 times as large.
    assert torch.allclose(run.norm, 2**0.5 * torch.linalg.matrix_norm(M).double())
    assert torch.equal(msign(M), X)
    half = msign(M, plan=Plan("bf16"))
    assert half.dtype == torch.complex64
    assert (half - polar(M)).abs().max() < 0.05


def test_functions_of_hermitian_matrices(seed: int) -> None:
    H = torch.complex(*random(2, 5, 7, seed=seed, dtype=torch.float64))
    P = H @ H.mH + torch.eye(5)
    values, V = torch.linalg.eigh(P)
    for call, power in ((lambda P: inverse_root(P, 2), -0.5), (lambda P: root(P, 2), 0.5)):
        exact = (V * values**power) @ V.mH
        assert (call(P) - exact).abs().max() < 1e-4 * exact.abs().max()
    S, R = sqrt_and_inverse_sqrt(P)
    assert (S @ R - torch.eye(5)).abs().max() < 1e-4
    signs = mcsgn(P - 1.5 * values[2] * torch.eye(5))
    assert (signs @ signs - torch.eye(5)).abs().max() < 1e-4
    with pytest.raises(InputError, match=r"write \(P \+ P\.mH\)/2"):
        inverse_root(P + 0.1j * torch.eye(5).roll(1, 0), 2)
    # Each singular value stands twice in the embedding.
    low = H[:, :2] @ H.mH[:2, :]
    assert abs(effective_rank(low, 0.1).item() - 2) < 0.05


def test_a_rank_counts_complex_singular_values_once(seed: int) -> None:
    H = torch.complex(*random(2, 6, 7, seed=seed, dtype=torch.float64))
    low = H[:, :2] @ H.mH[:2, :]
    _, run = spectral_truncate_with_info(low, 0.1)
    assert abs(run.rank.item() - 2) < 0.05


def test_a_run_has_a_shape_without_data() -> None:
    run = Sign().run(positive(2, 6, seed=0).to("meta"))
    assert run.result.is_meta
    assert run.result.shape == (2, 6, 6)


@pytest.mark.parametrize("name", CALLS)
def test_partial_sums_are_refused(name: str, mesh: Any, seed: int) -> None:
    P = positive(6, seed=seed)
    D: Any = DTensor.from_local(P, mesh, [Partial()], run_check=False)
    with pytest.raises(InputError, match=r"terms of a sum.*write \w+\.redistribute\(placements=\[Replicate"):
        CALLS[name](D)
    CALLS[name](D.redistribute(placements=[Replicate()]))


def test_a_complex_matrix_has_the_derivative(seed: int) -> None:
    M = torch.complex(*random(2, 3, 4, seed=seed, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(lambda M: msign(M, plan=Plan(check=False)), M)


@pytest.mark.parametrize(
    "name", [name for name in CALLS if name not in ("inverse_root", "sqrt_and_inverse_sqrt")]
)
def test_meta_tensors_have_a_shape(name: str) -> None:
    P = positive(2, 6, seed=0)
    for found, expected in zip(parts(CALLS[name](P.to("meta"))), parts(CALLS[name](P)), strict=True):
        assert found.is_meta
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta:UserWarning")
@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning")
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
@pytest.mark.filterwarnings("ignore:The PyTorch API of MaskedTensors:UserWarning")
@pytest.mark.parametrize(
    ("make", "write"),
    [
        (lambda M: M.to_sparse(), "M.to_dense()"),
        (lambda M: M.to_sparse_csr(), "M.to_dense()"),
        (lambda M: M.to_mkldnn(), "M.to_dense()"),
        (lambda M: [M, M], "torch.stack(M)"),
        (lambda M: M.numpy(), "torch.as_tensor(M)"),
        (lambda M: M.tolist(), "torch.as_tensor(M)"),
        (lambda M: M.int(), "M.to(torch.float32)"),
        (lambda M: torch.quantize_per_tensor(M, 0.1, 0, torch.qint8), "M.dequantize()"),
        (lambda M: torch.nested.nested_tensor([M, M]), "M.unbind()"),
        (lambda M: torch.nested.nested_tensor([M, M], layout=torch.jagged), "M.unbind()"),
        (lambda M: M.flatten(), "M.view(m, n)"),
        (lambda M: torch.masked.masked_tensor(M, M > 0), "M.to_tensor(0.0)"),
    ],
)
def test_other_tensors_are_refused_with_a_cure_that_works(make: Any, write: str, seed: int) -> None:
    M = make(random(4, 6, seed=seed))
    with pytest.raises(InputError) as refused:
        msign(M)
    assert f"write {write}" in str(refused.value)
    cured = eval(write, {"torch": torch, "M": M, "m": 4, "n": 6})
    for one in cured if isinstance(cured, (tuple, list)) else (cured,):
        assert msign(one).shape[-2:] == (4, 6)


class Wrapped(Tensor):
    """A tensor that stands for another, as quantized ones do."""

    @staticmethod
    def __new__(cls, inner: Tensor) -> Wrapped:
        return Tensor._make_wrapper_subclass(cls, inner.shape, dtype=inner.dtype)  # pyright: ignore

    def __init__(self, inner: Tensor) -> None:
        self.inner = inner  # pyright: ignore[reportAttributeAccessIssue]

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["inner"], None

    @staticmethod
    def __tensor_unflatten__(inner: Any, *rest: Any) -> Wrapped:
        return Wrapped(inner["inner"])

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return args[0]  # as one that does not implement the operation


def test_a_subclass_that_may_lack_operations_is_refused() -> None:
    for call in (msign, mcsgn, lambda M: inverse_root(M, 2)):
        with pytest.raises(InputError, match="is a Wrapped, which need not implement every operation"):
            call(Wrapped(torch.eye(4)))
    assert torch.equal(msign(torch.nn.Parameter(torch.eye(4))).round(), torch.eye(4))


# plans and tables


def test_the_precision_of_the_result(seed: int) -> None:
    M = random(40, 60, seed=seed)
    half, wide = (msign(M, plan=Plan("bf16", out_dtype=out)) for out in (None, "fp32"))
    assert (half.dtype, wide.dtype) == (torch.bfloat16, torch.float32)
    assert torch.equal(half.float(), wide)
    assert Sign(plan=Plan("bf16", out_dtype="fp32")).run(M).result.dtype == torch.float32
    assert msign_differentiable(M, plan=Plan("bf16", out_dtype="fp32")).dtype == torch.float32
    P = positive(8, seed=seed)
    for found in sqrt_and_inverse_sqrt(P, plan=Plan("bf16", out_dtype="fp64")):
        assert found.dtype == torch.float64
    with pytest.raises(InputError, match=r"^out_dtype: int8 is not one of"):
        Plan(out_dtype="int8")


def test_weights_of_convolutions_are_warned_about(seed: int) -> None:
    for shape in ((8, 4, 3, 3), (8, 4, 1, 1), (8, 4, 3, 3, 3)):
        M = random(*shape, seed=seed)
        with pytest.warns(PromiseWarning, match=r"write msign\(M\.flatten\(1\)\)\.view_as\(M\)"):
            msign(M)
        assert msign(M.flatten(1)).view_as(M).shape == shape
    for shape in ((2, 3, 4, 6), (3, 3, 3), (8, 4, 16, 16), (2, 2, 1, 5)):
        msign(random(*shape, seed=seed))


def test_a_table_for_a_finer_precision_is_warned_about(seed: int) -> None:
    M, table = random(40, 60, seed=seed), polydesign.load("sign-m16-l1e-3-fp16")
    with pytest.warns(
        PromiseWarning, match=r"made for float16, and bfloat16 rounds more.*Plan\(dtype='float16'\)"
    ):
        msign(M.bfloat16(), table)
    msign(M.bfloat16(), table, Plan(dtype="float16"))
    msign(M, table)  # wider is no problem


def test_a_table_may_be_given_by_its_name(seed: int) -> None:
    M, name = random(40, 60, seed=seed), "sign-m16-l1e-3-fp32"
    assert torch.equal(msign(M, name), msign(M, polydesign.load(name)))  # pyright: ignore


@pytest.mark.parametrize(
    ("plan", "write"),
    [
        ("bf16", "Plan(dtype='bf16')"),
        (torch.bfloat16, "Plan(dtype=torch.bfloat16)"),
        (Plan, "Plan()"),
        ({"dtype": "bf16"}, "Plan()"),
    ],
)
def test_a_wrong_plan_is_refused_with_a_cure_that_works(plan: Any, write: str) -> None:
    for call in (msign, msign_differentiable, mcsgn):
        with pytest.raises(InputError) as refused:
            call(torch.eye(4), plan=plan)
        assert f"write plan={write}" in str(refused.value)
        call(torch.eye(4), plan=eval(write, {"Plan": Plan, "torch": torch}))


# the guard


def test_what_blew_up_is_raised() -> None:
    """11·I − J with every column three times, by a table with too little headroom for that."""
    M = (11 * torch.eye(15) - torch.ones(15, 15)).repeat_interleave(3, dim=1)
    table = polydesign.design(degree=5, steps=6, headroom=1.01, image_floor=0.1, dtype="bfloat16")
    calls = {check: partial(msign, table=table, plan=Plan("bf16", check, float32_side=0)) for check in CHECKS}
    X = calls[False](M)
    assert torch.linalg.matrix_norm(X.float(), 2) > 1e3
    with pytest.raises(
        DivergenceError, match=r"^M: .*blew up in bfloat16; take sign-d5x6-l1e-3-bf16.*\"warn\""
    ):
        calls[True](M)
    with pytest.warns(PromiseWarning, match="blew up"):
        assert torch.equal(calls["warn"](M), X)
    assert torch.equal(calls["input"](M), X)
    with pytest.raises(DivergenceError, match=r"^M\[1\]: "):
        calls[True](torch.stack([torch.eye(15, 45), M]))
    # What the message says to write.
    assert torch.linalg.matrix_norm(msign(M, plan=Plan("bf16", float32_side=0)).float(), 2) < 1.25
    assert torch.linalg.matrix_norm(msign(M, table, Plan("fp32")), 2) < 1.01


CHECKS = (True, "warn", "input", False)


@pytest.mark.parametrize("m", [8, 128, 1024])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_one_large_value_shows(m: int, dtype: torch.dtype, seed: int) -> None:
    """σ = 2 among others of 1, in a direction that nothing was said of."""
    Q = torch.linalg.qr(random(m + 5, m, seed=seed)).Q.mT
    v = random(1, m, seed=seed + 1)
    v = v / v.norm()
    X = (Q + v.mT @ (v @ Q)).to(dtype)
    assert norm_evidence(Q.to(dtype)) < 1.02
    assert 1.5 < norm_evidence(X) < 2.05
    assert torch.equal(norm_evidence(torch.stack([Q, 0 * Q]).to(dtype)).isfinite(), torch.ones(2).bool())
    X[0, 0] = torch.nan
    assert norm_evidence(X).isnan()


def test_a_value_outside_the_promise_is_warned_about() -> None:
    """A map that ends at 1.3 for x = 1, where its table says that it ends within 0.01 of 1."""
    table = polydesign.design(degree=3, steps=1, lower=0.9, headroom=1.0)
    (step,) = table.schedule.steps
    program = step.program.with_constants([1.3 * number for number in step.program.constants])
    steps = (replace(step, coefficients=tuple(1.3 * c for c in step.coefficients), program=program),)
    off = replace(table, schedule=replace(table.schedule, steps=steps), certificate=None)
    M = torch.diag(torch.tensor([1.0, 0.97, 0.95]))
    with pytest.warns(PromiseWarning, match="ends at"):
        msign(M, off, Plan(normalization="none"))
    msign(M, table, Plan(normalization="none"))


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (4, 6), (3, 4, 6), (0, 3), (2, 0, 3), (50, 70)])
def test_what_is_right_passes(shape: tuple[int, ...], dtype: str, seed: int) -> None:
    M = random(*shape, seed=seed)
    if M.ndim == 3 and M.numel():
        M[1] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.isfinite(msign(M, plan=Plan(dtype))).all()


def test_one_look_at_the_data(seed: int) -> None:
    """What a call waits for on a GPU: one number."""
    for call, M in ((msign, random(40, 60, seed=seed)), (mcsgn, positive(3, 8, seed=seed))):
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            call(M)
        looks = [
            e
            for e in profile.events() or ()
            if e.name in ("aten::_local_scalar_dense", "aten::is_nonzero", "aten::nonzero")
        ]
        assert len(looks) == 1
