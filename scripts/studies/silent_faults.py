"""Call the operators at random, and look for a wrong result that nobody is told of.

A draw is an operator, a precision, a shape, a plan, a matrix and what surrounds the call. Its result is
compared with a reference in float64 that is made here, from the singular values or eigenvalues of the matrix
as it was given. Right is what is within the promise and a wide allowance for rounding; what is not right has
to be raised, or warned about. Writes figures/silent_faults.json; exit code 1 where anything else was found.
"""

from __future__ import annotations

import json
import random
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor

from polydesign.model import DivergenceError, InputError, Plan, SafetyWarning
from polydesign.runtime import (
    Clip,
    InverseRoot,
    MatmulInverseRoot,
    MatrixSign,
    Operator,
    PseudoInverse,
    Root,
    Sign,
    SqrtAndInverseSqrt,
)
from polydesign.text.files import write_atomically
from polydesign.verification.machine import machine

OUTPUT = Path(__file__).resolve().parents[2] / "figures" / "silent_faults.json"
PRECISIONS = ("bfloat16", "float16", "float32", "float64")
ALLOWED = {"bfloat16": 0.25, "float16": 0.25, "float32": 1e-3, "float64": 1e-8}
"""Beyond the promise, relatively: what nobody would call rounding."""

RELATIVE = {"bfloat16": 2**-8, "float16": 2**-11, "float32": 2**-24, "float64": 2**-53}
SIDES = (1, 2, 3, 4, 5, 8, 12, 15, 24, 33, 40, 48, 64)


@dataclass(frozen=True)
class Draw:
    """What is called: an operator on data, in a surrounding; judge gives how far off, and what is allowed."""

    name: str
    operator: Operator
    data: tuple[Tensor, ...]
    judge: Callable[[Any, Any], tuple[float, float]]


def spectrum(draw: random.Random, k: int) -> Tensor:
    """Of k values in (0, 1], the largest 1."""
    kind = draw.choice(("equal", "log", "log", "uniform", "one large", "deficient", "tiny"))
    g = torch.Generator().manual_seed(draw.getrandbits(40))
    u = torch.rand(k, generator=g, dtype=torch.float64)
    reach = draw.choice((1.0, 2.0, 3.0, 4.0, 6.0))
    values = {
        "equal": torch.ones_like(u),
        "log": 10 ** (-reach * u),
        "uniform": u,
        "one large": torch.full_like(u, 10**-reach),
        "deficient": torch.where(u < 0.5, torch.zeros_like(u), u),
        "tiny": 1e-9 * u,
    }[kind]
    values[0] = 1.0
    return values


def orthogonal(draw: random.Random, m: int, k: int) -> Tensor:
    g = torch.Generator().manual_seed(draw.getrandbits(40))
    return torch.linalg.qr(torch.randn((m, k), generator=g, dtype=torch.float64)).Q


def structured(draw: random.Random, m: int, n: int) -> Tensor:
    """Few different entries, so that roundings agree."""
    kind = draw.choice(("aI + bJ", "block", "signs", "few", "ones"))
    if kind == "aI + bJ":
        small, repeated = min(m, n), max(m, n) // min(m, n)
        M = draw.uniform(-3, 3) * small**0.5 * torch.eye(small) - torch.ones(small, small)
        M = M.double().repeat_interleave(repeated, 1)
        M = torch.nn.functional.pad(M, (0, max(m, n) - M.shape[1]))
        return M if m <= n else M.mT
    g = torch.Generator().manual_seed(draw.getrandbits(40))
    if kind == "block":
        M = torch.zeros(m, n, dtype=torch.float64)
        M[: 1 + draw.randrange(m), : 1 + draw.randrange(n)] = draw.uniform(0.3, 1)
        M[-1, -1] = draw.uniform(0.1, 1)
        return M
    if kind == "few":
        return torch.randint(-2, 3, (m, n), generator=g).double()
    M = torch.randn((m, n), generator=g, dtype=torch.float64).sign()
    return M if kind == "signs" else M.abs()


def rectangular(draw: random.Random) -> Tensor:
    m, n = draw.choice(SIDES), draw.choice(SIDES)
    if draw.random() < 0.3:
        M = structured(draw, m, n)
    else:
        k = min(m, n)
        M = orthogonal(draw, m, k) @ torch.diag(spectrum(draw, k)) @ orthogonal(draw, n, k).mT
    return M * 10 ** draw.uniform(-8, 8) if draw.random() < 0.5 else M


def symmetric(draw: random.Random) -> Tensor:
    n = draw.choice(SIDES)
    values = spectrum(draw, n)
    if draw.random() < 0.1:  # indefinite
        values[-1] = -draw.choice((1e-6, 1e-2, 0.5))
    if draw.random() < 0.15:
        X = structured(draw, n, n)
        return X @ X.mT
    V = orthogonal(draw, n, n)
    P = (V * values) @ V.mT
    return (P + P.mT) / 2 * (10 ** draw.uniform(-3, 3) if draw.random() < 0.3 else 1.0)


def plan_of(draw: random.Random, *, gram: bool = False) -> Plan:
    return Plan(
        dtype=draw.choice((None, *PRECISIONS)),
        normalization=draw.choice((None, None, "schatten4", "schatten8", "power")),
        form="gram" if gram and draw.random() < 0.2 else "direct",
        float32_side=draw.choice((32, 32, 0)),
        out_dtype=draw.choice((None, None, "float32")),
    )


def state_of(plan: Plan, M: Tensor) -> str:
    """The coarser precision of the state and the result."""
    state = str(plan.dtype or str(M.dtype).removeprefix("torch."))
    return max(state, plan.out_dtype or state, key=lambda name: RELATIVE[name])


def worst(values: Tensor) -> float:
    return values.nan_to_num(nan=torch.inf, posinf=torch.inf).max().item() if values.numel() else 0.0


def sign_draw(draw: random.Random, given: torch.dtype) -> Draw:
    plan, M = plan_of(draw, gram=True), rectangular(draw).to(given)

    def judge(X: Tensor, run: Any) -> tuple[float, float]:
        """Singular values on the promised interval, and none that is far above."""
        U, S, Vh = torch.linalg.svd(M.double(), full_matrices=False)
        if not torch.isfinite(X).all():
            return torch.inf, 0.0
        if not M.any():
            return X.abs().max().item(), 0.0
        state = state_of(plan, M)
        error = (1 + run.promised) ** 0.5 - 1
        # Rounding the input to the state moves a value by u·‖M‖_F at most.
        low = max(run.interval[0].item(), 2.5 * RELATIVE[state] * torch.linalg.matrix_norm(M.double()).item())
        ends = (U.mT @ X.double() @ Vh.mT).diagonal()[low * 1.001 <= S]
        off = worst((ends - 1).abs())
        top = torch.linalg.matrix_norm(X.double(), 2).item()
        above = top - max(1.5, 1.25 + error)
        return (torch.inf, 0.0) if above > 0 else (off, error + ALLOWED[state])

    return Draw("msign", Sign(plan=plan), (M,), judge)


def eigen(P: Tensor) -> tuple[Tensor, Tensor]:
    P = P.double()
    return torch.linalg.eigh((P + P.mT) / 2)


def matrix_sign_draw(draw: random.Random, given: torch.dtype) -> Draw:
    plan, M = plan_of(draw), symmetric(draw)
    values, V = eigen(M)
    turned = values * torch.where(torch.arange(len(values)) % 2 == 0, 1.0, -1.0)
    M = ((V * turned) @ V.mT).to(given)

    def judge(X: Tensor, run: Any) -> tuple[float, float]:
        found, V = eigen(M)
        state = state_of(plan, M)
        if not torch.isfinite(X).all():
            return torch.inf, 0.0
        low = max(run.interval[0].item(), 2.5 * RELATIVE[state] * torch.linalg.matrix_norm(M.double()).item())
        ends = (V.mT @ X.double() @ V).diagonal()
        inside = found.abs() >= low * 1.001
        off = worst((ends[inside] - found[inside].sign()).abs())
        error = (1 + run.promised) ** 0.5 - 1
        return off, error + ALLOWED[state]

    return Draw("mcsgn", MatrixSign(plan=plan), (M,), judge)


def root_draw(draw: random.Random, given: torch.dtype) -> Draw:
    r = draw.choice((1, 2, 3, 4, 8))
    s = draw.choice((1, 1, 1, 2, 3, 5))
    plan, P = plan_of(draw), symmetric(draw).to(given)
    kind = draw.choice(("inverse_root", "inverse_root", "root", "sqrt", "matmul"))
    operator: Operator
    power = -s / r
    data: tuple[Tensor, ...] = (P,)
    if kind == "root":
        r = max(r, 2)
        operator, power = Root(r, plan=plan), 1 / r
    elif kind == "sqrt":
        operator, power, r = SqrtAndInverseSqrt(plan=plan), -0.5, 2
    elif kind == "matmul":
        operator = MatmulInverseRoot(r, s, plan=plan)
        data = (orthogonal(draw, P.shape[-1], P.shape[-1]).to(given), P)
    else:
        operator = InverseRoot(r, s, plan=plan)

    def judge(X: Any, run: Any) -> tuple[float, float]:
        """Of roots the promised eigenvalues, of inverses the norm; of what is not positive there is none."""
        values, V = eigen(P)
        X = X[1] if isinstance(X, tuple) else X
        state = state_of(plan, P)
        if not torch.isfinite(X).all():
            return torch.inf, 0.0
        error = (1 + run.promised) ** (1 / r) - 1
        # What the rounding of P alone does to its eigenvalues.
        rounding = 8 * max(RELATIVE[state], RELATIVE[str(given).removeprefix("torch.")]) * len(values) ** 0.5
        if kind == "root":
            if values.min() < -rounding * values.max():
                return torch.inf, 0.0
            ends, low = (
                (V.mT @ X.double() @ V).diagonal(),
                run.interval[0].item() * 1.001 + rounding * values.max(),
            )
            if not values.any():
                return X.abs().max().item(), 0.0
            exact = values.clamp_min(0) ** power
            inside = worst((ends / exact - 1).abs()[values >= low])
            # Smaller ones come out too small.
            below = worst((ends.abs() - (low + 0 * ends) ** power)[values < low]) / exact.max().item()
            return max(inside, below), (1 + error) ** r - 1 + ALLOWED[state]
        if (values <= 0).any():
            return torch.inf, 0.0
        exact = (V * values**power) @ V.mT
        exact = data[0].double() @ exact if kind == "matmul" else exact
        off = (torch.linalg.matrix_norm(X.double() - exact, 2) / torch.linalg.matrix_norm(exact, 2)).item()
        moved = rounding * (values.max() / values.min()).item() * abs(power)
        return off, (1 + error) ** max(abs(s), r) - 1 + max(ALLOWED[state], moved)

    return Draw(f"{kind}", operator, data, judge)


def clip_draw(draw: random.Random, given: torch.dtype) -> Draw:
    plan, M = plan_of(draw), rectangular(draw).to(given)
    top = torch.linalg.matrix_norm(M.double(), 2).item()
    high = (top or 1.0) * 10 ** draw.uniform(-4, 0.5)

    def judge(X: Tensor, run: Any) -> tuple[float, float]:
        U, S, Vh = torch.linalg.svd(M.double(), full_matrices=False)
        if not torch.isfinite(X).all():
            return torch.inf, 0.0
        ends = (U.mT @ X.double() @ Vh.mT).diagonal()
        state = state_of(plan, M)
        # Rounding M to the state moves a value by u·‖M‖_F.
        moved = 4 * RELATIVE[state] * torch.linalg.matrix_norm(M.double()).item() / high
        return worst((ends - S.clamp_max(high)).abs()) / high, 0.02 + max(ALLOWED[state], moved)

    return Draw("spectral_clip", Clip(high=high, plan=plan), (M,), judge)


def inverse_draw(draw: random.Random, given: torch.dtype) -> Draw:
    """The pseudo-inverse, with a gap at the threshold."""
    m, n = draw.choice(SIDES), draw.choice(SIDES)
    k = min(m, n)
    S = torch.where(spectrum(draw, k) > 0.1, 1.0, 1e-4).double() * torch.linspace(1, 2, k).double()
    M = ((orthogonal(draw, m, k) * S) @ orthogonal(draw, n, k).mT).to(given)
    plan = plan_of(draw)

    def judge(X: Tensor, run: Any) -> tuple[float, float]:
        U, S, Vh = torch.linalg.svd(M.double(), full_matrices=False)
        exact = (Vh.mT * torch.where(S > 0.02, 1 / S, 0)) @ U.mT
        state = state_of(plan, M)
        return (
            worst(torch.linalg.matrix_norm(X.double() - exact, 2) / torch.linalg.matrix_norm(exact, 2)),
            0.05 + max(2 * ALLOWED[state], 8 * RELATIVE[state] * worst(S) / 0.02),
        )

    return Draw("pseudo_inverse", PseudoInverse(0.02, plan=plan), (M,), judge)


DRAWS = (sign_draw, sign_draw, matrix_sign_draw, root_draw, root_draw, root_draw, clip_draw, inverse_draw)


@contextmanager
def surrounding(name: str) -> Any:
    if name == "autocast":
        with torch.autocast("cpu", torch.bfloat16):
            yield
    elif name == "medium":
        torch.set_float32_matmul_precision("medium")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision("highest")
    elif name == "float64 by default":
        torch.set_default_dtype(torch.float64)
        try:
            yield
        finally:
            torch.set_default_dtype(torch.float32)
    else:
        yield


def laid_out(name: str, M: Tensor, draw: random.Random) -> Tensor:
    """The same matrix in another layout."""
    if name == "transposed":
        return M.mT.contiguous().mT
    if name == "strided":
        wide = torch.zeros(*M.shape[:-1], 2 * M.shape[-1], dtype=M.dtype)
        wide[..., ::2] = M
        return wide[..., ::2]
    return M


SURROUNDINGS = (
    "plain",
    "plain",
    "autocast",
    "medium",
    "float64 by default",
    "transposed",
    "strided",
    "batch",
)


def outcome(seed: int, number: int) -> tuple[str, str, str]:
    """The operator, what became of the call, and what to say of it."""
    draw = random.Random(f"{seed}/{number}")
    given = getattr(torch, draw.choice(PRECISIONS))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SafetyWarning)  # of the norm: it says nothing of a result
            one = draw.choice(DRAWS)(draw, given)
    except InputError:
        return "when made", "raised: InputError", ""
    around = draw.choice(SURROUNDINGS)
    data = tuple(laid_out(around, M, draw) for M in one.data)
    if around == "batch":
        # Beside another member: it must not change.
        data = tuple(torch.stack([M, torch.eye(*M.shape, dtype=M.dtype)]) for M in data)
    before = [M.clone() for M in data]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        warnings.simplefilter("ignore", SafetyWarning)
        try:
            with surrounding(around):
                run = one.operator.run(*data)
                called = one.operator(*data)
        except (InputError, DivergenceError) as problem:
            return one.name, f"raised: {type(problem).__name__}", ""
    where = (
        f"draw {number}: {one.name}, {around}, {given}, {[tuple(M.shape) for M in data]}, {one.operator.plan}"
    )
    if any(not torch.equal(a, b) for a, b in zip(before, data, strict=True)):
        return one.name, "SILENT", f"{where}: the input was changed"
    result = run.result
    pairs = zip(*((X if isinstance(X, tuple) else (X,)) for X in (result, called)), strict=True)
    if any(not torch.equal(a, b) and not (a != a).any() for a, b in pairs):
        return one.name, "SILENT", f"{where}: run and call differ"
    warned = bool(said) or bool(run.warnings)
    if around == "batch":
        first = result[0] if not isinstance(result, tuple) else tuple(X[0] for X in result)
        result = first
        for name in ("interval", "residual", "norm"):
            value = getattr(run, name)
            if value is not None:
                object.__setattr__(run, name, value[0])
    off, allowed = one.judge(result, run)
    if off <= allowed:
        return one.name, "right, and warned" if warned else "right", ""
    if said:
        return one.name, "wrong, and warned", ""
    if warned:
        return one.name, "wrong, and warned in Run alone", f"{where}: off by {off:.3g}, {allowed:.3g} allowed"
    return one.name, "SILENT", f"{where}: off by {off:.3g}, {allowed:.3g} allowed"


@click.command(help=__doc__)
@click.option("--calls", type=int, default=20_000, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--only", type=int, help="One draw, printed.")
@click.option("--output", type=click.Path(path_type=Path), default=OUTPUT)
def main(calls: int, seed: int, only: int | None, output: Path) -> None:
    torch.set_num_threads(1)
    if only is not None:
        click.echo(outcome(seed, only))
        return
    began, counts, faults = time.monotonic(), Counter[tuple[str, str]](), list[str]()
    for number in range(calls):
        name, what, said = outcome(seed, number)
        counts[name, what] += 1
        if said:
            faults.append(f"{what}: {said}")
            if len(faults) <= 400:
                click.echo(faults[-1])
    table: dict[str, dict[str, int]] = {}
    for (name, what), count in sorted(counts.items()):
        table.setdefault(name, {})[what] = count
    silent = sum(count for (_, what), count in counts.items() if what == "SILENT")
    found = {"calls": calls, "seed": seed, "silent": silent, "counts": table, "machine": machine()}
    write_atomically(output, json.dumps(found, indent=1) + "\n")
    click.echo(
        f"{json.dumps(table, indent=1)}\n{silent} silent of {calls} ({time.monotonic() - began:.0f} s)"
    )
    sys.exit(silent > 0)


if __name__ == "__main__":
    main()
