"""Steps of four m×m products that are no Chebyshev program: how much better they are, and how they round.

Four products reach inner degree 16, but a set of dimension 16 among its 17 coefficients. Here the best step
of that set is searched for itself: the linear constants by least squares, the others from seeded random
starts by Gauss-Newton's method, then all of them for the least max |1 − p| by linear programs in a trust
region, and by hops from the best. It is set beside the best step of degree 17 (three products), compositions
of as many products, and the best polynomial of inner degree 15 and 16; its running error beside that of
degree 17; then schedules that end with it are run on matrices. Writes figures/reachable.json.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, cast

import click
import numpy as np
import torch
from scipy.optimize import least_squares, linprog

from polydesign import Equioscillation, Problem
from polydesign.approximation.high_degree import levelled
from polydesign.approximation.remez import best_approximation
from polydesign.model.program import IDENTITY, A, Combination, Line, Program
from polydesign.program.basis import program_for
from polydesign.rounding.running import running_error
from polydesign.runtime.execute import direct
from polydesign.text.files import write_atomically
from polydesign.verification.machine import machine
from polydesign.verification.metrics import deviation
from polydesign.verification.spectra import sample

OUTPUT = Path(__file__).resolve().parents[2] / "figures" / "reachable.json"
INTERVALS = (0.2, 0.1, 0.03, 1e-3)
BENT = 11  # constants of the products; six more are linear
COSTS = {1: 2, 2: 3, 4: 4, 8: 5}  # inner degree -> products of a step
SPECTRA = ("gaussian", "logspace:1e-2", "harmonic", "rank1", "rank2", "levels:0.1")
PRECISIONS = ("bfloat16", "float16", "float32")
Effort = dict[str, int]
FULL: Effort = {"starts": 200, "refined": 8, "hops": 30, "seeds": 4, "rounds": 80}
SMALL: Effort = {"starts": 2, "refined": 1, "hops": 0, "seeds": 1, "rounds": 10}


def four_products(p: Any, scale: float = 2.0) -> Program:
    """T = 2B² − I, Y = T(T + p₀B), Z = (Y + p₁B + p₂T)(Y + p₃B + p₄T), W = (Z + …)(Z + …) with six more,

    and q = p₁₁ + p₁₂B + p₁₃T + p₁₄Y + p₁₅Z + p₁₆W, B = scale·A − I. Every program of four products is one
    of these or a limit of them: constants and lower products in a factor move into the sums after it.
    """

    def factor(start: int, count: int) -> Combination:
        return (*((2 + j, p[start + j]) for j in range(count)), (2 + count, 1))

    linear = tuple((2 + j, p[12 + j]) for j in range(4))
    lines = (
        Line(((A, scale), (IDENTITY, -1))),
        Line(((IDENTITY, -1),), ((2, 1),), ((2, 1),), 2),
        Line((), ((3, 1),), ((2, p[0]), (3, 1))),
        Line((), factor(1, 2), factor(3, 2)),
        Line(linear, factor(5, 3), factor(8, 3), p[16]),
    )
    return Program(lines, (6, 1), p[11])


def points(lower: float) -> Any:
    """12 points between neighbouring extremes of the best polynomial of inner degree 16 on [lower, 1]."""
    angles = np.array(levelled(2, 16, lower).angles)
    theta = np.interp(np.linspace(0, 17, 17 * 12 + 1), np.arange(18), angles)
    return np.sqrt(lower**2 + (1 - lower**2) * np.sin(theta / 2) ** 2)


def deviations(p: Any, x: Any) -> Any:
    return x * four_products(p)(x**2) - 1


def slopes(p: Any, x: Any) -> Any:
    """∂(p − 1)/∂constants, by steps along the imaginary axis, exact to rounding."""
    table = np.empty((len(x), len(p)))
    for j in range(len(p)):
        moved = np.array(p, dtype=complex)
        moved[j] += 1e-30j
        table[:, j] = deviations(moved, x).imag / 1e-30
    return table


def with_linear(bent: Any, x: Any) -> Any:
    """The constants whose linear six are the least-squares ones."""
    start = np.concatenate([bent, np.zeros(6)])
    return start + np.concatenate(
        [np.zeros(BENT), np.linalg.lstsq(slopes(start, x)[:, BENT:], np.ones(len(x)), rcond=None)[0]]
    )


def descend(p: Any, x: Any, rounds: int) -> tuple[float, Any]:
    """The least max |1 − p| near p: a linear program a round, in a box that grows and shrinks."""
    e, radius = deviations(p, x), 0.1
    best = float(np.max(abs(e)))
    ones = np.ones((len(x), 1))
    for _ in range(rounds):
        scale = np.maximum(abs(p), 0.1)
        J = slopes(p, x) * scale / best
        rows, right = np.block([[J, -ones], [-J, -ones]]), np.concatenate([-e, e]) / best
        bounds = [(-radius, radius)] * len(p) + [(0, None)]
        solve: Any = linprog  # whose type takes a tenth of the time of all types to infer
        found = solve(np.r_[np.zeros(len(p)), 1], A_ub=rows, b_ub=right, bounds=bounds, method="highs")
        moved = p + found.x[:-1] * scale if found.status == 0 else p
        new = float(np.max(abs(deviations(moved, x))))
        if new >= best:
            radius /= 4
            if radius < 1e-8:
                break
            continue
        gained, predicted = 1 - new / best, 1 - found.x[-1]
        radius = (
            min(2 * radius, 2)
            if gained > 0.7 * predicted
            else radius / 2
            if gained < predicted / 4
            else radius
        )
        p, e, best = moved, deviations(moved, x), new
        if gained < 1e-9:
            break
    return best, p


def rounding(p: Any) -> float:
    return running_error(four_products(p), 2, 1.0)


def searched(lower: float, seeds: list[Any], effort: Effort) -> list[tuple[float, Any]]:
    """The best found on [lower, 1], from random starts and from `seeds`, best first."""
    x, random = points(lower), np.random.default_rng(6)
    starts = []
    for _ in range(effort["starts"]):
        bent = random.normal(size=BENT) * random.choice([0.1, 0.5, 1, 2])
        fitted: Any = least_squares
        fit = fitted(
            deviations, with_linear(bent, x), jac=cast("Any", slopes), args=(x,), x_scale="jac", max_nfev=150
        )
        starts.append((float(np.max(abs(fit.fun))), fit.x))
    starts.sort(key=lambda pair: pair[0])
    pool = [descend(p, x, effort["rounds"]) for p in [p for _, p in starts[: effort["refined"]]] + seeds]
    for _ in range(effort["hops"]):
        pool.sort(key=lambda pair: pair[0])
        bent = pool[random.integers(min(4, len(pool)))][1][:BENT]
        hop = bent + random.normal(size=BENT) * random.choice([0.03, 0.1, 0.3]) * np.maximum(abs(bent), 0.1)
        pool.append(descend(with_linear(hop, x), x, effort["rounds"] // 2))
    return sorted(pool, key=lambda pair: pair[0])


def quiet(pool: list[tuple[float, Any]]) -> tuple[float, Any]:
    """The one that rounds least of those whose error is at most 1.3 times the best."""
    return min((pair for pair in pool if pair[0] <= 1.3 * pool[0][0]), key=lambda pair: rounding(pair[1]))


def best_error(inner_degree: int, ratio: float) -> float:
    return math.exp(levelled(2, inner_degree, ratio).log_error)


def composed(products: int, lower: float) -> tuple[float, tuple[int, ...]]:
    """The best schedule of degrees 3, 5, 9 and 17 with so many products at most, in exact arithmetic."""
    found = (1.0, ())
    for n, cost in COSTS.items():
        if cost > products:
            continue
        error = best_error(n, lower)
        rest = composed(products - cost, (1 - error) / (1 + error)) if error > 1e-7 else (1.0, ())
        found = min(found, (error, (2 * n + 1,)), (rest[0], (2 * n + 1, *rest[1])), key=lambda pair: pair[0])
    return found


def compared(lower: float, pool: list[tuple[float, Any]]) -> dict[str, Any]:
    """The best found and the quietest near it, beside the others on [lower, 1]."""
    step = best_approximation(2, 8, lower, 1.0)
    seventeen = program_for("chebyshev", step.coefficients, 1)
    entry: dict[str, Any] = {
        "lower": lower,
        "degree_17": {"error": step.error, "running_error": running_error(seventeen, 2, 1.0)},
        "composition_of_six_products": dict(zip(("error", "degrees"), composed(6, lower), strict=True)),
        "best_of_inner_degree": {n: best_error(n, lower) for n in (14, 15, 16)},
    }
    for name, (error, p) in (("four_products", pool[0]), ("four_products_quiet", quiet(pool))):
        entry[name] = {"error": error, "running_error": rounding(p), "constants": list(map(float, p))}
    return entry


def schedule_ending(
    headroom: float, floor: float, effort: Effort, seeds: list[Any]
) -> tuple[list[Program], float]:
    """Degrees 17, 17 and a step of four products: 16 products on [1e-3, 1]; its programs and its error."""
    strategy = Equioscillation(headroom=headroom, image_floor=floor or None, evaluation="chebyshev")
    first = strategy.search(Problem(2, (17, 17), 1e-3))
    low, high = first.steps[-1].image
    top = high * headroom
    _, p = quiet(searched(low / top, seeds, {**effort, "starts": 0}))
    p = np.concatenate([p[:BENT], p[BENT:] / top])
    codes = [*(step.program for step in first.steps), four_products(p, 2 / top**2)]
    x = np.linspace(low, high, 20001)
    return codes, float(np.max(abs(1 - x * codes[-1](x**2))))


def measured(codes: list[Program], dtype: str, shape: tuple[int, int]) -> dict[str, float | None]:
    """The largest |σ − 1| on [1e-3, 1], Frobenius norm, by spectrum; None where a result is not finite."""
    found = {}
    for spectrum in SPECTRA:
        known = sample(spectrum, shape)
        norm = torch.linalg.matrix_norm(known.matrix)
        X = direct((known.matrix / norm[:, None, None]).to(getattr(torch, dtype)), codes).double()
        inside = known.sigma / norm[:, None] >= 1e-3
        finite = bool(torch.isfinite(X).all())
        found[spectrum] = deviation(X, known.U, known.V, inside).worst if finite else None
    return found


def largest(errors: dict[str, float | None]) -> str:
    known = [error for error in errors.values() if error is not None]
    return f"{max(known):.3g}" if len(known) == len(errors) else "not finite"


def contestants(effort: Effort, seeds: list[Any]) -> list[tuple[str, list[Program], float]]:
    """Of 16 products each, with the headroom and image floors that design work found by hand."""
    found = []
    for degrees, headroom, floor in (
        ((9, 9, 9, 9), 1.015, (0.12, 0.12, 0.12, 0.0)),
        ((9, 9, 9, 9), 1.005, (0.06, 0.06, 0.06, 0.0)),
        ((3, 9, 17, 17), 1.005, (0.06, 0.06, 0.06, 0.0)),
        ((3, 9, 17, 17), 1.0, None),
    ):
        words = tuple("monomial" if d < 7 else "chebyshev" for d in degrees)
        found_schedule = Equioscillation(headroom=headroom, image_floor=floor, evaluation=words).search(
            Problem(2, degrees, 1e-3)
        )
        name = f"{degrees} headroom {headroom}, floor {floor[0] if floor else 0}"
        found.append((name, [step.program for step in found_schedule.steps], found_schedule.error))
    for headroom, floor in ((1.05, 0.2), (1.005, 0.1), (1.0, 0.0)):
        codes, error = schedule_ending(headroom, floor, effort, seeds)
        found.append((f"(17, 17, four products) headroom {headroom}, floor {floor}", codes, error))
    return found


@click.command(help=__doc__)
@click.option("--small", is_flag=True, help="few starts, small matrices, one interval; for a test")
@click.option("-o", "--output", type=click.Path(path_type=Path), default=OUTPUT)
def main(small: bool, output: Path) -> None:
    effort = SMALL if small else FULL
    steps, seeds = [], []
    wide: list[Any] = []
    for lower in INTERVALS[1:2] if small else INTERVALS:
        pool = searched(lower, seeds, effort)
        seeds = [p for _, p in (*pool[:3], quiet(pool))][: effort["seeds"]]
        wide = wide or seeds  # of the first interval, which is near the last step's
        steps.append(compared(lower, pool))
        click.echo(json.dumps({k: v for k, v in steps[-1].items() if "four" not in k}))
        for name in ("four_products", "four_products_quiet"):
            found = steps[-1][name]
            click.echo(f"  {name}: {found['error']:.6g}, running error {found['running_error']:.0f} u")
    shape = (32, 48) if small else (128, 256)
    runs = []
    for name, codes, error in contestants(effort, wide):
        products = sum(code.products + 2 for code in codes)
        errors = {dtype: measured(codes, dtype, shape) for dtype in PRECISIONS}
        runs.append({"schedule": name, "products": products, "exact": error, "measured": errors})
        worst = ", ".join(f"{d} {largest(e)}" for d, e in errors.items())
        click.echo(f"{name}: {products} products, exact {error:.3g}, worst {worst}")
    body = {"machine": machine(), "effort": effort, "shape": shape, "steps": steps, "schedules": runs}
    write_atomically(output, json.dumps(body, indent=1) + "\n")


if __name__ == "__main__":
    main()
