"""The codebases themselves run our exports: a matrix with known singular values comes out as the table says.

Behind the marker `consumers`: what is not installed is skipped. `make test-consumers` installs all of it in an
environment of its own.
"""

from __future__ import annotations

import ast
import importlib
import importlib.machinery
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import polydesign
from polydesign import export
from polydesign.identification import inventory
from polydesign.model import Table
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.rounding.gram import choose_restarts, limit
from polydesign.rounding.running import INPUT_ROUNDINGS, STEP_ROUNDINGS, SUM_ROUNDINGS
from tests.tables import table_of

pytestmark = pytest.mark.consumers

os.environ["KERAS_BACKEND"] = "torch"
os.environ["DEV"] = "PYTHON"  # tinygrad's own interpreter: it needs no compiler

MISSING = "is not installed: make test-consumers installs it in an environment of its own"
SHAPE = (24, 40)
PADE = (1.875, -1.25, 0.375)


def namespace(text: str) -> dict[str, Any]:
    """What the exported text defines."""
    found: dict[str, Any] = {}
    exec(compile(text, "exported", "exec"), found)
    del found["__builtins__"]
    return found


def arguments(text: str) -> dict[str, Any]:
    (found,) = namespace(text).values()
    return found


def library(name: str) -> Any:
    return pytest.importorskip(name, reason=f"{name} {MISSING}")


def run_torch(text: str, M: np.ndarray) -> np.ndarray:
    torch = library("torch")
    weight = torch.nn.Parameter(torch.zeros(M.shape))
    weight.grad = torch.tensor(M, dtype=torch.float32)
    plain = {"lr": 1.0, "momentum": 0.0, "nesterov": False, "weight_decay": 0.0}
    torch.optim.Muon([weight], **plain, **arguments(text)).step()
    return -weight.detach().double().numpy()


def run_optax(text: str, M: np.ndarray) -> np.ndarray:
    library("optax")
    from optax.contrib import MuonDimensionNumbers, scale_by_muon  # pyright: ignore[reportMissingImports]

    jnp = library("jax.numpy")
    plain = {"beta": 0.0, "nesterov": False, "weight_dimension_numbers": {"w": MuonDimensionNumbers()}}
    muon = scale_by_muon(**plain, **arguments(text))
    gradient = {"w": jnp.asarray(M, jnp.float32)}
    updates, _ = muon.update(gradient, muon.init(gradient))
    return np.asarray(updates["w"], dtype=np.float64)


def run_pytorch_optimizer(text: str, M: np.ndarray) -> np.ndarray:
    torch, package = library("torch"), library("pytorch_optimizer")
    weight = torch.nn.Parameter(torch.zeros(M.shape))
    weight.grad = torch.tensor(M, dtype=torch.float32)
    groups = [{"params": [weight], "use_muon": True}]
    package.Muon(groups, lr=1.0, momentum=0.0, nesterov=False, **arguments(text)).step()
    return -weight.detach().double().numpy()


def run_pytorch_optimizer_function(text: str, M: np.ndarray) -> np.ndarray:
    torch = library("torch")
    library("pytorch_optimizer")
    from pytorch_optimizer.optimizer.utils.matrix import (  # pyright: ignore[reportMissingImports]
        zero_power_via_newton_schulz_5,
    )

    given = arguments(text)
    X = zero_power_via_newton_schulz_5(
        torch.tensor(M, dtype=torch.float32),
        num_steps=given["ns_steps"],
        weights=given["ns_coeffs"],
        dtype=torch.float32,
    )
    return X.double().numpy()


@cache
def timm_muon() -> Any:
    """timm.optim.muon without the rest of timm, which wants torchvision."""
    library("torch")
    found = importlib.util.find_spec("timm")
    if found is None or found.submodule_search_locations is None:
        pytest.skip(f"timm {MISSING}")
    root = found.submodule_search_locations[0]
    for name, folder in (("timm", root), ("timm.optim", os.path.join(root, "optim"))):
        package = ModuleType(name)
        package.__path__ = [folder]
        sys.modules[name] = package
    return importlib.import_module("timm.optim.muon")


def run_timm(text: str, M: np.ndarray) -> np.ndarray:
    module = timm_muon()
    torch = library("torch")
    weight = torch.nn.Parameter(torch.zeros(M.shape))
    weight.grad = torch.tensor(M, dtype=torch.float32)
    plain = {"lr": 1.0, "momentum": 0.0, "nesterov": False, "weight_decay": 0.0, "adjust_lr_fn": "original"}
    module.Muon([weight], **plain, **arguments(text)).step()
    return -weight.detach().double().numpy()


def run_gram(text: str, M: np.ndarray) -> np.ndarray:
    torch, package = library("torch"), library("gram_newton_schulz")
    orthogonalize = package.GramNewtonSchulz(ns_use_kernels=False, compile_kwargs=None, **arguments(text))
    return orthogonalize(torch.tensor(M, dtype=torch.float32)).double().numpy()


def run_standard(text: str, M: np.ndarray) -> np.ndarray:
    """With ns_coefficients alone, as the text says."""
    torch, package = library("torch"), library("gram_newton_schulz")
    rows = arguments(text)["ns_coefficients"]
    orthogonalize = package.StandardNewtonSchulz(
        ns_use_kernels=False, compile_kwargs=None, ns_coefficients=rows
    )
    return orthogonalize(torch.tensor(M, dtype=torch.float32)).double().numpy()


def run_adam_atan2(text: str, M: np.ndarray) -> np.ndarray:
    torch = library("torch")
    library("adam_atan2_pytorch")
    from adam_atan2_pytorch.polar_adam_atan2 import PolarAdamAtan2  # pyright: ignore[reportMissingImports]

    weight, other = torch.nn.Parameter(torch.zeros(M.shape)), torch.nn.Parameter(torch.zeros(2))
    weight.grad = torch.tensor(M, dtype=torch.float32)
    scale = max(M.shape) ** -0.5  # it multiplies by the root of the larger side
    plain = {"lr": 1.0, "polar_beta1": 0.0, "polar_rms_factor": scale}
    PolarAdamAtan2([weight], [weight, other], **plain, **arguments(text)).step()
    return -weight.detach().double().numpy()


def run_keras(text: str, M: np.ndarray) -> np.ndarray:
    keras = library("keras")
    variable = keras.Variable(np.zeros(M.shape, dtype=np.float32))
    plain = {"learning_rate": 1.0, "momentum": 0.0, "nesterov": False, "rms_rate": None, "weight_decay": None}
    optimizer = keras.optimizers.Muon(**plain, **arguments(text))
    optimizer.apply([keras.ops.convert_to_tensor(M.astype(np.float32))], [variable])
    return -variable.value.detach().double().numpy()


def run_tinygrad(text: str, M: np.ndarray) -> np.ndarray:
    library("tinygrad")
    from tinygrad import Context, Tensor  # pyright: ignore[reportMissingImports]
    from tinygrad.nn.optim import Muon  # pyright: ignore[reportMissingImports]

    weight = Tensor(np.zeros(M.shape, dtype=np.float32)).contiguous()
    optimizer = Muon([weight], lr=1.0, momentum=0.0, weight_decay=0.0, **arguments(text))
    weight.grad = Tensor(M.astype(np.float32))
    with Context(TRAINING=1):
        optimizer.step()
    return -weight.numpy().astype(np.float64)


@dataclass(frozen=True)
class Consumer:
    """A codebase: how it runs an export, in which precision, and the tables that it takes."""

    to: str
    run: Callable[[str, np.ndarray], np.ndarray]
    dtype: str
    one_row: bool = False
    shape: tuple[int, int] = SHAPE


CONSUMERS = {
    "torch": Consumer("torch", run_torch, "bfloat16", one_row=True),
    "optax": Consumer("optax", run_optax, "float32"),
    "pytorch_optimizer": Consumer("pytorch_optimizer", run_pytorch_optimizer, "bfloat16"),
    "pytorch_optimizer in float32": Consumer("pytorch_optimizer", run_pytorch_optimizer_function, "float32"),
    "timm": Consumer("timm", run_timm, "bfloat16"),
    "gram-newton-schulz": Consumer("gram-newton-schulz", run_gram, "float16"),
    "gram-newton-schulz, standard": Consumer("gram-newton-schulz", run_standard, "float16"),
    "adam-atan2": Consumer("adam-atan2", run_adam_atan2, "float32"),
    "keras": Consumer("keras", run_keras, "float32", one_row=True),
    "tinygrad": Consumer("tinygrad", run_tinygrad, "float32", one_row=True, shape=(6, 8)),
}


def table_for(consumer: Consumer) -> Table:
    if consumer.one_row:
        return table_of([PADE] * 5, name="pade", headroom=1.01)
    return polydesign.load("sign-d5x5-l1e-3-bf16")


def sample(shape: tuple[int, int], seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """M = U diag(σ) Vᵀ with ‖M‖_F = 7, σ over two decades; M, U, σ/‖M‖_F, V."""
    random = np.random.default_rng(seed)
    rows, columns = shape
    U = np.linalg.qr(random.standard_normal((rows, rows)))[0]
    V = np.linalg.qr(random.standard_normal((columns, rows)))[0]
    x = np.geomspace(0.02, 1, rows)
    x /= np.linalg.norm(x)
    return 7 * (U * x) @ V.T, U, x, V


def tolerance(table: Table, x: np.ndarray, dtype: str, shape: tuple[int, int]) -> np.ndarray:
    """How far rounding may carry each uᵀXv from f(x), to first order, by the model of rounding/running.py.

    x₀ is off by its entries' roundings, and by two more for norm and quotient; a step by the roundings of A
    and A², independent ones, so that uᵀEu is of the size u·‖A‖_F/m; by those of its result, and of its sums.
    Every error is multiplied by the slopes of the steps that follow.
    """
    u = UNIT_ROUNDOFF[dtype]
    error = INPUT_ROUNDINGS * u / np.sqrt(np.prod(shape)) + 2 * u * x
    for a, *higher in table.as_tuples():
        powers = range(1, len(higher) + 1)
        stored = sum(abs(c) * np.linalg.norm(x ** (2 * j)) for j, c in zip(powers, higher, strict=True))
        slope = a + sum((1 + 2 * j) * c * x ** (2 * j) for j, c in zip(powers, higher, strict=True))
        off = INPUT_ROUNDINGS * u * x * stored / shape[0]
        x = x * (a + sum(c * x ** (2 * j) for j, c in zip(powers, higher, strict=True)))
        lost = STEP_ROUNDINGS * u + SUM_ROUNDINGS * min(u, UNIT_ROUNDOFF["float32"])
        error = abs(slope) * error + off + lost * abs(x)
    return error


def off(consumer: Consumer, table: Table, text: str, seed: int) -> float:
    """The largest |uᵀXv − f(x)| in units of what rounding explains; X is what the consumer made of M."""
    M, U, x, V = sample(consumer.shape, seed)
    X = consumer.run(text, M)
    assert X.shape == M.shape
    found = np.einsum("ij,ij->j", U, X @ V)
    allowed = tolerance(table, x, consumer.dtype, consumer.shape)
    return float(np.max(abs(found - table.schedule(x)) / allowed))


CASES = pytest.mark.parametrize("name", CONSUMERS)


@CASES
@pytest.mark.parametrize("draw", range(3))
def test_the_target_runs_the_tables_map(name, draw, seed):
    consumer = CONSUMERS[name]
    table = table_for(consumer)
    assert off(consumer, table, export(table, consumer.to), seed + draw) <= 1


def changed(table: Table) -> list[Table]:
    """The table with the last step's second coefficient 5 % larger; and with its steps in reverse."""
    *rows, last = table.as_tuples()
    a, b, *rest = last
    other = (a, 1.05 * b, *rest)
    if len(set(table.as_tuples())) == 1:
        return [table_of([other] * (len(rows) + 1), name="changed")]
    return [table_of([*rows, other], name="changed"), table_of(table.as_tuples()[::-1], name="reversed")]


@CASES
def test_a_changed_table_is_seen(name, seed):
    """Negative control of the tolerance."""
    consumer = CONSUMERS[name]
    table = table_for(consumer)
    for other in changed(table):
        assert off(consumer, table, export(other, consumer.to), seed) > 1


def test_rows_without_the_factor_are_seen(seed):
    """Negative control of the compensation: the table's own rows in adam-atan2, which divides by 1.01 too."""
    consumer = CONSUMERS["adam-atan2"]
    table = table_for(consumer)
    text = f"polar_arguments = dict(polar_express_coefs={table.as_tuples()!r}, polar_steps=5)"
    assert off(consumer, table, text, seed) > 1


def normalized(M: np.ndarray, normalization: str) -> np.ndarray:
    """x₀ as polydesign.runtime.normalize defines it, in float64."""
    A = M @ M.T
    if normalization == "schatten4":
        return M / np.sqrt(np.linalg.norm(A))
    return M / np.sqrt(abs(A).sum(axis=1, keepdims=True))


@pytest.mark.parametrize("normalization", ["schatten4", "aol"])
def test_optax_divides_by_what_the_table_was_made_for(normalization, seed):
    consumer = CONSUMERS["optax"]
    table = replace(table_for(consumer), normalization=normalization)
    M = sample(consumer.shape, seed)[0]
    U, x, Vt = np.linalg.svd(normalized(M, normalization), full_matrices=False)
    expected = (U * table.schedule(x)) @ Vt
    allowed = tolerance(table, x, "float32", consumer.shape).max()
    assert np.linalg.norm(consumer.run(export(table, "optax"), M) - expected, 2) <= allowed * np.sqrt(x.size)
    other = export(table_for(consumer), "optax")  # negative control: the Frobenius norm
    assert np.linalg.norm(consumer.run(other, M) - expected, 2) > 100 * allowed


def test_optax_refuses_fewer_steps_than_rows_as_the_text_says(seed):
    consumer = CONSUMERS["optax"]
    text, (M, *_) = export(table_for(consumer), "optax"), sample(SHAPE, seed)
    with pytest.raises(ValueError, match="Not enough coeffs to perform 4 steps"):
        consumer.run(text.replace("ns_steps=5", "ns_steps=4"), M)
    more = consumer.run(text.replace("ns_steps=5", "ns_steps=9"), M)
    assert np.array_equal(more, consumer.run(text, M))


SIX = "sign-d5x6-l1e-3-fp16"


def beyond(run: Callable[[np.ndarray], np.ndarray], seed: int) -> float:
    """The largest |σ − 1| of what is made of a wide Gaussian matrix, in units of what the gram form may add."""
    M = np.random.default_rng(seed).standard_normal((48, 96))
    schedule = polydesign.load(SIX).schedule
    off = abs(np.linalg.svd(run(M), compute_uv=False) - 1).max()
    return float(off / limit(schedule, "float16"))


def test_the_gram_form_there_restarts_where_this_one_does(seed):
    text = export(SIX, "gram-newton-schulz")
    restarts = list(choose_restarts(polydesign.load(SIX).schedule, "float16"))
    assert arguments(text)["gram_newton_schulz_reset_iterations"] == restarts
    assert beyond(lambda M: run_gram(text, M), seed) <= 1
    left_out = text.replace(f"gram_newton_schulz_reset_iterations={restarts},", "")  # the control
    assert left_out != text
    assert beyond(lambda M: run_gram(left_out, M), seed) > 3
    torch, package = library("torch"), library("gram_newton_schulz")
    muon = package.Muon(
        [torch.nn.Parameter(torch.zeros(4, 8))],
        ns_coefficients=arguments(text)["ns_coefficients"],
        gram_newton_schulz_restart_iterations=restarts,
        ns_use_kernels=False,
    )
    assert muon.gram_newton_schulz_reset_iterations == restarts


def test_the_gram_form_of_pytorch_optimizer_needs_the_restarts_that_the_text_names(seed):
    torch = library("torch")
    library("pytorch_optimizer")
    from pytorch_optimizer.optimizer.utils.matrix import (  # pyright: ignore[reportMissingImports]
        zero_power_via_gram_newton_schulz,
    )

    text = export(SIX, "pytorch_optimizer")
    (named,) = re.findall(r"ns_reset_steps=(\(.*?\))", " ".join(text.replace("#", "").split()))
    told, rows = ast.literal_eval(named), arguments(text)["ns_coeffs"]

    def run(restarts: dict[str, tuple[int, ...]]) -> Callable[[np.ndarray], np.ndarray]:
        def of(M: np.ndarray) -> np.ndarray:
            X = torch.tensor(M, dtype=torch.float32)
            return zero_power_via_gram_newton_schulz(X, len(rows), weights=rows, **restarts).double().numpy()

        return of

    assert beyond(run({"reset_steps": told}), seed) <= 1
    assert beyond(run({}), seed) > 3  # the control: its own


def test_pytorch_optimizer_refuses_lists_as_the_text_says(seed):
    consumer = CONSUMERS["pytorch_optimizer"]
    rows = [list(row) for row in table_for(consumer).as_tuples()]
    with pytest.raises(ValueError, match="tuple"):
        consumer.run(f"muon_arguments = dict(ns_coeffs={rows!r}, ns_steps=5)", sample(SHAPE, seed)[0])


def test_torch_takes_no_table_which_is_why_we_refuse(seed):
    rows = table_for(CONSUMERS["optax"]).as_tuples()
    with pytest.raises(ValueError, match="exactly 3 values"):
        run_torch(f"muon_arguments = dict(ns_coefficients={rows!r}, ns_steps=5)", sample(SHAPE, seed)[0])


SCRIPT = """
import jax
import jax.numpy as jnp
import optax

key = jax.random.key(0)
inputs, wanted = jax.random.normal(key, (64, 24)), jax.random.normal(jax.random.key(1), (24, 40))
weights = {"w": jnp.zeros((24, 40))}


def loss(weights):
    return jnp.mean((inputs @ (weights["w"] - wanted)) ** 2)


optimizer = optax.contrib.muon(learning_rate=0.3, **muon_arguments)
state = optimizer.init(weights)
print(float(loss(weights)))
for _ in range(3):
    updates, state = optimizer.update(jax.grad(loss)(weights), state, weights)
    weights = optax.apply_updates(weights, updates)
    print(float(loss(weights)))
"""


def test_pasted_into_a_script_with_optax_it_trains():
    library("optax")
    text = export(table_for(CONSUMERS["optax"]), "optax")
    result = subprocess.run(
        [sys.executable, "-c", text + SCRIPT], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    losses = [float(line) for line in result.stdout.split()]
    assert len(losses) == 4
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0]


HELD = {
    "adam_atan2_pytorch": {"jordan_5", "polar_express_deg5_folded_1.01"},
    "gram_newton_schulz": {"youjiacheng_5", "polar_express_deg5", "polar_express_gram_ns_1.05"},
    "keras": {"jordan_5"},
    "optax": {"jordan_5", "youjiacheng_5", "muon_baseline_2_-1.5_0.5"},
    "pytorch_optimizer": {
        *("jordan_5", "youjiacheng_5", "polar_express_emerging_optimizers"),
        *("polar_express_timm", "polar_express_timm_safer"),
    },
    "timm": {"jordan_5", "youjiacheng_5", "polar_express_timm", "polar_express_timm_safer"},
    "tinygrad": {"jordan_5"},
}
"""The tables in the sources of each codebase, tests among them."""

OTHERS = {
    ("keras", "backend/openvino/numpy.py"): "a series of a Bessel function",
    ("tinygrad", "mixin/elementwise.py"): "a polynomial of the arcsine",
}
"""Lists that look like steps, and are not known on purpose."""


@pytest.mark.parametrize("package", HELD)
def test_every_table_in_the_codebase_is_known(package):
    """By its file alone: nothing is imported. What is not known is one of OTHERS."""
    # Not by find_spec, which looks at what is imported: timm is, in part, by another test.
    found = importlib.machinery.PathFinder.find_spec(package)
    if found is None or not found.submodule_search_locations:
        pytest.skip(f"{package} {MISSING}")
    sightings = inventory(Path(found.submodule_search_locations[0])).sightings
    assert {one.table for one in sightings if one.table} == HELD[package]
    assert all(one.kind == "known" for one in sightings if one.table)
    unknown = {one.path for one in sightings if one.table is None}
    assert {(package, path.partition(f"{package}/")[2].removeprefix("src/")) for path in unknown} <= set(
        OTHERS
    )
