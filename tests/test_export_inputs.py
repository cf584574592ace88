"""Exported functions on what is no ordinary matrix: zero, empty, complex, meta, distributed, huge and tiny."""

from __future__ import annotations

import multiprocessing
import re
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from texts import run, table

from polydesign import export
from polydesign.exporters.target import is_polar
from polydesign.exporters.targets import CODEBASES, TEXTS
from polydesign.model import InputError, Table
from polydesign.table.catalogue import entries
from tests.tables import table_of

QUINTICS = "sign-d5x6-l1e-3-bf16"
MIXED = "sign-m16-l1e-3-bf16"
COUPLED = "sign-m14-l0.01-fp32-coupled"
ROOT4 = "root4-d9x4-l0.1-bf16"
INVERSE = "inverse-d3x7-l1e-4-bf16"
NAMES = [QUINTICS, MIXED, COUPLED, ROOT4, INVERSE]
TARGETS = ["torch-function", "numpy", "jax"]
JAX = "jax is not installed: make test-consumers installs it in an environment of its own"

Function = Callable[..., Any]


def function(target: str, made: Table) -> Function:
    """What the text defines."""
    if target == "jax":
        pytest.importorskip("jax", reason=JAX)
    namespace = run(TEXTS[target].write(made))
    names = ("newton_schulz_func", "msign", "inverse_root")
    (name,) = [name for name in names if hasattr(namespace, name)]
    return getattr(namespace, name)


def array(target: str, M: np.ndarray) -> Any:
    if target == "jax":
        return pytest.importorskip("jax.numpy", reason=JAX).asarray(M)
    return torch.from_numpy(M.copy()) if target == "torch-function" else M


def dtype_of(target: str, name: str) -> Any:
    return getattr(torch, name) if target == "torch-function" else name


def call(target: str, f: Function, M: np.ndarray, dtype: str) -> np.ndarray:
    X = f(array(target, M), dtype=dtype_of(target, dtype))
    return X.numpy() if target == "torch-function" else np.array(X)


def matrices(made: Table, *shape: int, seed: int) -> np.ndarray:
    """Gaussian, or for roots MMᵀ + I/2; float32, the largest entry 1."""
    random = np.random.default_rng(seed)
    M = random.standard_normal(shape)
    if not is_polar(made):
        M = M @ M.swapaxes(-1, -2) + np.eye(shape[-2]) / 2
    return (M / np.abs(M).max(axis=(-2, -1), keepdims=True)).astype(np.float32)


# gradients


def gradient(target: str, f: Function, M: np.ndarray, dtype: str) -> np.ndarray:
    """Of a sum with different weights, whose direction is no symmetry of f."""
    weights = np.cos(np.arange(M[0].size, dtype=np.float32)).reshape(M[0].shape)
    if target == "jax":
        jax = pytest.importorskip("jax", reason=JAX)
        given = jax.numpy.asarray(M)
        return np.array(jax.grad(lambda X: (f(X, dtype).astype(np.float32) * weights).sum())(given))
    leaf = torch.from_numpy(M.copy()).requires_grad_()
    (f(leaf, dtype=getattr(torch, dtype)).float() * torch.from_numpy(weights)).sum().backward()
    assert leaf.grad is not None
    return leaf.grad.numpy()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
@pytest.mark.parametrize("normalization", ["frobenius", "schatten4"])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("target", ["torch-function", "jax"])
def test_a_zero_matrix_has_a_gradient_and_touches_no_other(
    target: str, name: str, normalization: str, dtype: str, seed: int
) -> None:
    made = replace(table(name), normalization=normalization)
    if name == COUPLED and dtype != "float32":
        pytest.skip("made for float32")
    f, M = function(target, made), matrices(table(name), 3, 4, 4, seed=seed)
    expected = gradient(target, f, M, dtype)
    assert np.isfinite(expected).all()
    M[1] = 0
    found = gradient(target, f, M, dtype)
    assert np.isfinite(found).all()
    assert np.abs(found[1]).max() <= 1e5  # the slope at zero; 0 for roots
    np.testing.assert_allclose(found[[0, 2]], expected[[0, 2]], rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    assert np.abs(found[0]).max() > 0


@pytest.mark.parametrize("name", [QUINTICS, ROOT4])
def test_a_norm_that_is_zero_has_none(name: str, seed: int) -> None:
    """The control: the text as it was."""
    text = TEXTS["torch-function"].write(table(name))
    changed = text.replace(
        "return torch.where(squares == 0, of_zero**2, squares).sqrt()", "return squares.sqrt()"
    )
    changed = changed.replace("norm = _norm(X)\n", "norm = _or_one(_norm(X))\n")
    assert changed.count("_or_one(_norm(X))") == changed.count("return squares.sqrt()") == 1
    namespace = run(changed)
    f = getattr(namespace, "newton_schulz_func", None) or namespace.inverse_root
    M = matrices(table(name), 3, 4, 4, seed=seed)
    M[1] = 0
    assert np.isnan(gradient("torch-function", f, M, "float32")[1]).all()


# empty, and not a matrix

EMPTY = [(0,), (0, 4), (4, 0), (0, 0), (3, 0, 5), (0, 4, 4), (2, 0, 4, 4), (2, 5, 0)]


@pytest.mark.parametrize("shape", EMPTY)
@pytest.mark.parametrize("name", [QUINTICS, COUPLED, ROOT4])
@pytest.mark.parametrize("target", TARGETS)
def test_nothing_gives_nothing(target: str, name: str, shape: tuple[int, ...]) -> None:
    f = function(target, table(name))
    for dtype in ("float16", "float32"):
        found = call(target, f, np.zeros(shape, np.float32), dtype)
        assert found.shape == shape
        assert found.dtype == dtype
    assert f(array(target, np.zeros(shape, np.float32))).shape == shape


@pytest.mark.parametrize("shape", [(), (5,)])
@pytest.mark.parametrize("name", [QUINTICS, ROOT4])
@pytest.mark.parametrize("target", TARGETS)
def test_what_has_no_rows_and_columns_is_refused(target: str, name: str, shape: tuple[int, ...]) -> None:
    f = function(target, table(name))
    with pytest.raises(TypeError, match=rf"has shape {re.escape(str(shape))}, and is a matrix, or a batch"):
        f(array(target, np.ones(shape, np.float32)))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_what_is_not_finite_stays_so_and_in_its_matrix(target: str, name: str, bad: float, seed: int) -> None:
    f, M = function(target, table(name)), matrices(table(name), 3, 4, 4, seed=seed)
    expected = call(target, f, M, "float32")
    M[1, 2, 2] = bad
    found = call(target, f, M, "float32")
    assert not np.isfinite(found[1]).any()
    np.testing.assert_allclose(found[[0, 2]], expected[[0, 2]], rtol=1e-5, atol=1e-6)


# scales


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("target", TARGETS)
def test_no_scale_matters(target: str, name: str, seed: int) -> None:
    """Powers of two, and what is left of M where its small entries are subnormal."""
    made = table(name)
    f, root = function(target, made), made.schedule.root
    M = matrices(made, 2, 6, 6, seed=seed)
    for exponent in (127, 126, 100, 33, -33, -100, -122, -126, -130, -140):
        scaled = M * np.float32(2.0**127 * (1 - 2.0**-24) if exponent == 127 else 2.0**exponent)
        factor = 2.0**exponent if exponent < 127 else 2.0**127 * (1 - 2.0**-24)
        kept = (scaled.astype(np.float64) / factor).astype(np.float32)
        expected = call(target, f, kept, "float32").astype(np.float64)
        if not is_polar(made):
            expected *= factor ** (-1 / root)
            if not 1e-37 < np.abs(expected).max() < 1e38 or np.abs(expected).min() < 1e-37:
                continue  # the result itself does not fit in float32
        found = call(target, f, scaled, "float32").astype(np.float64)
        # Tables for bfloat16 multiply a rounding by their slope.
        assert np.abs(found - expected).max() <= 2e-4 * np.abs(expected).max(), exponent


@pytest.mark.parametrize("name", [QUINTICS, ROOT4])
@pytest.mark.parametrize("target", TARGETS)
def test_scales_may_differ_in_a_batch(target: str, name: str, seed: int) -> None:
    made = table(name)
    f, root = function(target, made), made.schedule.root
    M = matrices(made, 5, 6, 6, seed=seed)
    scales = np.array([2.0**127, 1.0, 2.0**-120, 0.0, 2.0**-60]).reshape(-1, 1, 1)
    found = call(target, f, (M * scales).astype(np.float32), "float32")
    assert np.isfinite(found).all()
    assert not found[3].any()
    powers = np.where(scales > 0, 1.0 if is_polar(made) else np.maximum(scales, 1e-300) ** (-1 / root), 0.0)
    expected = call(target, f, M, "float32") * powers
    for one, other in zip(found, expected, strict=True):
        assert np.abs(one - other).max() <= 2e-4 * np.abs(other).max()


# complex


@pytest.mark.parametrize("shape", [(6, 6), (2, 6, 6)])
@pytest.mark.parametrize("name", [QUINTICS, ROOT4])
@pytest.mark.parametrize("target", TARGETS)
def test_the_cure_of_complex_matrices_cures(
    target: str, name: str, shape: tuple[int, ...], seed: int
) -> None:
    made = table(name)
    f, random = function(target, made), np.random.default_rng(seed)
    M = random.standard_normal(shape) + 1j * random.standard_normal(shape)
    U, sigma, Vh = np.linalg.svd(M)
    power = sigma ** (-1 / made.schedule.root)
    exact = U @ Vh if is_polar(made) else (U * power[..., None, :]) @ U.conj().swapaxes(-1, -2)
    if not is_polar(made):
        M = (U * sigma[..., None, :]) @ U.conj().swapaxes(-1, -2)
    given = array(target, M.astype(np.complex64))
    with pytest.raises(TypeError, match="is for real matrices") as refusal:
        f(given)
    (cure,) = re.findall(r"sides, (.*), whose result", str(refusal.value))
    module = {"torch-function": "torch", "numpy": "np", "jax": "jnp"}[target]
    library = {"torch": torch, "np": np}.get(module) or pytest.importorskip("jax.numpy", reason=JAX)
    real = eval(cure, {module: library, "M": given, "P": given})
    found = f(real, dtype=dtype_of(target, "float32"))
    found = found.numpy() if target == "torch-function" else np.array(found)
    n = shape[-1]
    found = found[..., :n, :n] + 1j * found[..., n:, :n]  # as the message says
    assert np.abs(found - exact).max() <= 2 * made.schedule.error * np.abs(exact).max() + 1e-4
    assert np.abs(found.conj() - exact).max() > 0.1 * np.abs(exact).max()  # the control


# meta


@pytest.mark.parametrize("shape", [(4, 4), (2, 3, 4, 4), (3, 0, 4, 4)])
@pytest.mark.parametrize("name", NAMES)
def test_meta_tensors_give_a_meta_result(name: str, shape: tuple[int, ...]) -> None:
    f = function("torch-function", table(name))
    for given, asked, expected in (
        (torch.float32, None, torch.float32),
        (torch.float32, torch.bfloat16, torch.bfloat16),
        (torch.bfloat16, torch.float32, torch.float32),
    ):
        found = f(torch.empty(shape, dtype=given, device="meta"), dtype=asked)
        assert (found.is_meta, found.shape, found.dtype) == (True, shape, expected)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert f(torch.empty(shape, dtype=given, device="meta"), dtype=asked).dtype == expected
    if is_polar(table(name)):
        assert f(torch.empty((7, 3), device="meta")).shape == (7, 3)


# distributed


def _on_a_rank(rank: int, folder: str, texts: dict[str, str]) -> None:
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh

    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    mesh = init_device_mesh("cpu", (2,))
    for name, text in texts.items():
        namespace = run(text)
        f = getattr(namespace, "newton_schulz_func", None) or namespace.inverse_root
        _distributed(f, mesh, is_polar(table(name)))
    Path(f"{folder}/{rank}").touch()
    dist.destroy_process_group()


def _distributed(f: Function, mesh: Any, polar: bool) -> None:
    from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor

    torch.manual_seed(0)
    for shape in [(1, 1), (6, 6), (2, 5, 5)] + [(1, 6), (6, 1), (0, 4)] * polar:
        X = torch.randn(shape)
        M = X if polar else X @ X.mT + torch.eye(shape[-1])
        whole = f(M, dtype=torch.float32)
        for place in (Shard(0), Shard(len(shape) - 1), Replicate()):
            found = f(distribute_tensor(M, mesh, [place]), dtype=torch.float32)
            assert found.placements == (place,), (shape, place)
            assert torch.equal(found.full_tensor(), whole), (shape, place)
        half = DTensor.from_local(M / 2, mesh, [Partial()])
        assert torch.equal(f(half, dtype=torch.float32).full_tensor(), whole)
    leaf = distribute_tensor(torch.ones(1, 1), mesh, [Shard(0)]).requires_grad_()
    f(leaf, dtype=torch.float32).full_tensor().sum().backward()
    assert leaf.grad is not None
    assert leaf.grad.shape == (1, 1)


@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch has no distributed")
def test_ranks_may_hold_nothing() -> None:
    """DTensors whose parts are uneven: none of the two ranks fails, and none waits."""
    context = multiprocessing.get_context("spawn")
    texts = {name: TEXTS["torch-function"].write(table(name)) for name in (QUINTICS, ROOT4)}
    with tempfile.TemporaryDirectory() as folder:
        ranks = [context.Process(target=_on_a_rank, args=(rank, folder, texts)) for rank in range(2)]
        for rank in ranks:
            rank.start()
        for rank in ranks:
            rank.join(200)
        for rank in ranks:
            rank.kill()
        assert all(Path(folder, str(rank)).exists() for rank in range(2))


# what a table is for


def coupled_quintics() -> Table:
    rows = [(1.875, -1.25, 0.375)] * 4
    return replace(table_of(rows, name="quintics-coupled"), purpose="root", form="", certificate=None)


TAKING = [name for name, target in CODEBASES.items() if target.reason is None and name != "newtonschulz.jl"]


@pytest.mark.parametrize("name", TAKING)
def test_tables_for_inverse_square_roots_are_no_polar_factor(name: str) -> None:
    made = coupled_quintics()
    with pytest.raises(InputError, match=r"made for P\^\(-1/2\).*--to torch-function") as refusal:
        export(made, name)
    (taken,) = re.findall(r"for the polar factor take (\S+)$", refusal.value.problem)
    (entry,) = [one for one in entries() if one.name == taken]
    assert (entry.purpose, entry.dtype, entry.standing()) == ("sign", "bfloat16", "plain")
    if name not in ("torch", "keras", "tinygrad", "distributed-shampoo"):  # these take one row alone
        assert export(taken, name)
    assert export(replace(made, purpose="sign", form=""), name)  # the control


def test_where_there_are_roots_they_are_what_is_named() -> None:
    made = coupled_quintics()
    julia = export(made, "newtonschulz.jl")
    assert "mrsqrt(A, coeffs)" in julia
    assert "newton_schulz(A, coeffs)" not in julia
    assert "newton_schulz(A, coeffs)" in export(replace(made, purpose="sign", form=""), "newtonschulz.jl")


@pytest.mark.parametrize("name", [one.name for one in entries() if one.form == "coupled"])
@pytest.mark.parametrize("target", TARGETS)
def test_functions_of_coupled_tables_are_inverse_roots(target: str, name: str, seed: int) -> None:
    """Of all shipped ones, and never the polar factor."""
    import polydesign

    made = polydesign.load(name)
    f = function(target, made)
    assert f.__name__ == "inverse_root"
    root, (low, high) = made.schedule.root, made.schedule.interval
    Q = np.linalg.qr(np.random.default_rng(seed).standard_normal((8, 8)))[0]
    # What P is divided by is a little above its largest eigenvalue.
    inside = np.geomspace((1.05 * max(low, 0.3)) ** root, high**root, 8) / 4
    P = (Q * inside) @ Q.T
    exact = (Q * inside ** (-1 / root)) @ Q.T
    wide = made.dtype in ("float32", "float64")
    found = call(target, f, P, str(made.dtype) if wide else "float32")
    allowed = made.schedule.error + (1e-4 if made.dtype != "float64" else 1e-9)
    assert np.linalg.norm(found - exact, 2) <= allowed * np.linalg.norm(exact, 2)
