"""The rounding model (rounding/direct.py) beside matrices: single steps, then whole schedules.

Single steps: a state whose singular values are those that the step meets in its schedule is rounded, and
decomposed as it then is; one step in the precision is compared with p of those very values. What is off, and
by what angle it turns singular vectors, is divided by what the model says: these ratios fix its constants.
Blocks: how far one step takes one in 100,000 random blocks of equal entries beyond its image, over what the
model has without its constant, COHERENT. Whole schedules: predict(...).error beside the largest |σ − 1| that
verify measures. Writes figures/rounding_model.json, with every schedule's run, and .png beside it, and prints
the pages' part.
"""

from __future__ import annotations

import json
import math
import runpy
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from functools import cache
from itertools import groupby, product
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
import torch

import polydesign
from polydesign.approximation.remez import best_approximation
from polydesign.drawing.figures import save_figure
from polydesign.model import DTYPES, EVALUATIONS, Provenance, Schedule, Step, Table
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.program.basis import program_for
from polydesign.program.cost import matmuls
from polydesign.rounding import direct as model
from polydesign.rounding.algebras import all_equal
from polydesign.rounding.direct import turning_points
from polydesign.rounding.followed import follow
from polydesign.runtime.execute import direct
from polydesign.search.rounding_aware import Terms, propose
from polydesign.table.catalogue import catalogue
from polydesign.text.files import write_atomically
from polydesign.verification.gallery import COPIES
from polydesign.verification.machine import machine
from polydesign.verification.spectra import Sample, sample
from polydesign.verification.sweep import measure

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = ROOT / "figures" / "rounding_model.json"
SCATTER: Any = runpy.run_path(str(ROOT / "scripts" / "figures" / "scatter.py"))
PRECISIONS = ("bfloat16", "float16", "float32")
CAUTIONS = (0.25, 0.6, 1.0)
TURN = 0.1  # of `propose`, radians
LOWER, MOST = 1e-3, 20
BLOCKS = "rank1"
OTHERS = (
    *("levels:0.1", "swept", "rank2", "rankk:8", "clustered"),
    *("gaussian", "rankk:32", "logspace:1e-2", "harmonic"),
)
SHAPES = ((64, 64), (128, 256), (96, 384), (256, 256), (64, 128), (512, 512), (128, 128))
SPECTRA = 3  # of OTHERS, for each schedule
BROKEN = 1.0
"""A measured error from which on a value may have been lost."""

FIGURES = ("moved", "shift", "turn", "random", "coherent", "stored")
CONSTANTS = ("RANDOM", "COHERENT", "TURN", "STORED", "SUMS")

BLOCK_LOWER = (0.005, 0.02, 0.06, 0.15)
BLOCK_COUNT, RARE = 2_000_000, 1e-5
LARGEST = 4095  # of the sides

LOUD = 2.0  # rounding of terms, in units of p: from here on what a step errs by shows their constants


class Case(NamedTuple):
    name: str
    dtype: str
    table: Table


def proposed(dtype: str) -> Iterator[Case]:
    for caution in CAUTIONS:
        for one in propose(Terms(2, LOWER, 1.0, dtype), MOST, cautions=(caution,), turns=(TURN,)):
            if one.cost >= 9:
                name = f"caution-{caution}-d{'-'.join(map(str, one.schedule.degrees))}"
                made = Provenance(polydesign.__version__, "joint", {"caution": caution})
                yield Case(name, dtype, Table(name, one.schedule, made))


def cases(small: bool) -> list[Case]:
    found = [] if small else [case for dtype in PRECISIONS for case in proposed(dtype)]
    for name in catalogue():
        table = polydesign.load(name)
        if name.startswith("sign-") and table.purpose == "sign" and not name.endswith("fp64"):
            found += [Case(name, dtype, table) for dtype in PRECISIONS]
    tables: Any = runpy.run_path(str(ROOT / "tests" / "tables.py"))
    for entry in tables["prototypes"]():
        table = tables["prototype"](entry["name"], "chebyshev")
        found += [Case(f"prototype {entry['name']}", dtype, table) for dtype in PRECISIONS]
    return found[::10] if small else found


@cache
def known(spectrum: str, shape: tuple[int, int]) -> Sample:
    """Of a batch every third: there are as many runs as time allows, and each schedule meets its own."""
    found = sample(spectrum, shape, lower=LOWER)
    few = slice(None, None, 1 if len(found.matrix) <= COPIES else 3)
    return Sample(found.name, found.matrix[few], found.U[few], found.sigma[few], found.V[few])


def settings(index: int, most: int) -> Iterator[tuple[str, tuple[int, int]]]:
    """rank1 and some of the others, each at another shape: turn and turn about."""
    others = [OTHERS[(SPECTRA * index + k) % len(OTHERS)] for k in range(SPECTRA)]
    for k, spectrum in enumerate((BLOCKS, *others)):
        shape = SHAPES[(index + k) % len(SHAPES)]
        yield spectrum, (min(shape[0], most), min(shape[1], most))


def states(case: Case, index: int, most: int) -> Iterator[tuple[Step, int, str, Any]]:
    """What the steps of a schedule receive of some matrices, exact but for one rounding.

    (step, its place, spectrum, X) for each.
    """
    for k, step in enumerate(case.table.schedule.steps):
        for spectrum, shape in settings(index + k, most):
            found = known(spectrum, shape)
            at = (index + k) % len(found.matrix)
            x = (found.sigma[at] / torch.linalg.matrix_norm(found.matrix[at])).numpy()
            for before in case.table.schedule.steps[:k]:
                x = before(x)
            X = (found.U[at] * torch.from_numpy(x)) @ found.V[at].mT
            yield step, k, spectrum, X.to(getattr(torch, case.dtype))


def single(case: Case, step: Step, place: int, spectrum: str, X: torch.Tensor) -> dict[str, Any] | None:
    """One step of a state, in units of the model's: what it adds, how it turns, what storing the result adds.

    moved: ||X' - p(X)||_2 over the model's largest shift. shift: the largest change of a singular value over
    the same. turn: the angle, to first order, by which the polar factor's vectors turn, over the model's.
    random, coherent: ||X' - p(X)||_2 over what the model has without its constant, where the terms are LOUD.
    stored: as STORED. None where the state has left the domain by far.
    """
    u = model.roundoff(case.dtype)
    U, sigma, Vt = torch.linalg.svd(X.double(), full_matrices=False)
    s = sigma.numpy()
    lower = (step.domain[0] if place else case.table.schedule.interval[0]) * 0.9
    p = step(s)
    served = (s >= lower) & (p > 0)
    if s[0] > 2 * step.domain[1] or not served.any():
        return None
    exact = (U * torch.from_numpy(p)) @ Vt
    Y = direct(X, [step]).double()
    E = Y - exact
    upper = float(max(s[0], step.domain[1]))
    mass = None if place else 1 / min(X.shape)
    found = model.noise(step.program, step.coefficients, 2, upper, mass=mass)
    random, coherent = (np.interp(s, found.x, of) for of in (found.random, found.coherent))
    moved = u * np.max(np.maximum(random, coherent) + abs(p))
    size = torch.linalg.matrix_norm(E, 2).item()
    off = (torch.linalg.svdvals(Y).numpy() - np.sort(abs(p))[::-1])[: int(served.sum())]
    turn = (model.TURN * random + model.STORED * found.root_mean_square) * u / np.maximum(p, 1e-300)
    rounded = (exact.to(X.dtype).double() - exact) @ Vt.mT
    name, most = (
        ("coherent", coherent / model.COHERENT) if spectrum == BLOCKS else ("random", random / model.RANDOM)
    )
    loud = {name: size / (u * np.max(most))} if np.max(most) > LOUD * np.max(abs(p)) else {}
    return {
        "evaluation": step.evaluation,
        "dtype": case.dtype,
        "spectrum": spectrum,
        "moved": size / moved,
        "shift": float(np.max(abs(off))) / moved,
        "turn": float(np.max(turned(E, U, Vt, p)[served]) / np.max(turn[served])),
        "stored": float(torch.linalg.vector_norm(rounded, dim=0).max())
        / (UNIT_ROUNDOFF[case.dtype] * float(np.sqrt(np.mean(p**2)))),
        **loud,
    }


def blocks(small: bool) -> list[dict[str, Any]]:
    """Steps of inner degree 4 and 8 in each evaluation: a row each, in units of the model's."""
    rows: list[dict[str, Any]] = []
    for dtype, n, lower in product(("bfloat16", "float16"), (4, 8), BLOCK_LOWER):
        u = UNIT_ROUNDOFF[dtype]
        best = best_approximation(2, n, lower, 1.0)
        row = tuple(map(float, best.coefficients))
        image = (1 - float(best.error), 1 + float(best.error))
        for evaluation in EVALUATIONS:
            if evaluation == "monomial":
                continue
            code = program_for(evaluation, row, Fraction(1))
            step = Step(1 + 2 * n, row, (lower, 1.0), image, float(best.error), evaluation, code)
            count = 10_000 if small else BLOCK_COUNT
            rng = np.random.default_rng(1)
            h, w = np.floor(LARGEST ** rng.random((2, count)) + 1)
            # Room for the rounding of X and A: what they do is to move x along the step.
            x = np.clip(rng.random(count), lower * (1 + 4 * u), 1 - 4 * u)
            members = all_equal(h).members((x, np.zeros(count)), w / h)
            schedule = Schedule(2, (lower, 1.0), (step,))
            after = members.transformed(follow(schedule, members, dtype)[-1])[0]
            beyond = np.maximum(after - image[1], image[0] - after) / u
            found = model.noise(step.program, row, 2, 1.0)
            peaks = turning_points(row, 2, 1.0)
            unit = np.max(np.interp(peaks, found.x, found.coherent)) / model.COHERENT
            tail = np.sort(beyond)[-max(1, round(RARE * count))]
            rows.append(
                {"dtype": dtype, "inner_degree": n, "lower": lower, "evaluation": evaluation}
                | {"rare": float(f"{tail / unit:.3g}"), "largest": float(f"{beyond.max() / unit:.3g}")}
                | {"beyond": float(f"{tail:.3g}")}
            )
    return rows


def turned(E: torch.Tensor, U: torch.Tensor, Vt: torch.Tensor, p: np.ndarray) -> np.ndarray:
    """By what angles the vectors of the polar factor of U diag(p) Vt turn when E is added, to first order.

    Between two directions by (E_ij - E_ji)/(p_i + p_j), out of the row space by the rest of E over p_i.
    """
    B = (U.mT @ E @ Vt.mT).numpy()
    values = np.maximum(p, 1e-300)
    within = ((B - B.T) / (values[:, None] + values[None, :])) ** 2
    rest = (U.mT @ E).square().sum(dim=1).numpy()
    return np.sqrt(within.sum(axis=1) + np.maximum(0, rest - (B**2).sum(axis=1)) / values**2)


def ratios(found: list[dict[str, Any]], *by: str) -> list[dict[str, Any]]:
    """Median, 90 %, 95 % and largest of each figure, a row each group."""
    rows = []
    found = sorted(found, key=lambda one: [one[key] for key in by])
    for key, group in groupby(found, key=lambda one: [one[k] for k in by]):
        runs = list(group)
        row: dict[str, Any] = {**dict(zip(by, key, strict=True)), "count": len(runs)}
        for name in FIGURES:
            values = [one[name] for one in runs if name in one]
            if values:
                row[name] = [float(f"{v:.3g}") for v in np.quantile(values, (0.5, 0.9, 0.95, 1.0))]
        rows.append(row)
    return rows


def whole(case: Case, spectrum: str, shape: tuple[int, int]) -> dict[str, Any]:
    """A schedule predicted and measured; None for what is not finite."""
    schedule = case.table.schedule
    caution = case.table.provenance.parameters.get("caution")
    run = measure(case.table, dtype=case.dtype, matrix=known(spectrum, shape))

    def expected(part: float) -> float | None:
        error = model.predict(schedule, case.dtype, rows=min(shape), caution=part).error
        return error if math.isfinite(error) else None

    return {
        "schedule": case.name,
        "products": matmuls(schedule),
        "dtype": case.dtype,
        "spectrum": spectrum,
        "shape": shape,
        "exact": schedule.error,
        "predicted": expected(1.0),
        "measured": run.worst,
        # What the search expected of its own, which it makes for a part of the noise.
        **({} if caution is None else {"caution": caution, "expected": expected(caution)}),
    }


def points(body: dict[str, Any]) -> list[Any]:
    return [
        SCATTER["Point"](
            f"{run['schedule']}, {run['spectrum']} {'x'.join(map(str, run['shape']))}",
            run["dtype"],
            math.inf if run["predicted"] is None else run["predicted"],
            math.inf if run["measured"] is None else run["measured"],
        )
        for run in body["runs"]
    ]


def row(label: str, runs: list[Any]) -> str:
    safe = [point.factor for point in runs if math.isfinite(point.predicted)]
    unsafe = [point.measured >= BROKEN for point in runs if not math.isfinite(point.predicted)]
    wrong = f"{sum(factor > 1 for factor in safe)} of {len(safe)} | {max(safe, default=0.0):.3g}"
    return f"| {label} | {len(runs)} | {wrong} | {len(unsafe)} | {sum(unsafe)} |"


def markdown(body: dict[str, Any]) -> str:
    """The pages' tables and the sentences under them."""
    runs = list(zip(points(body), body["runs"], strict=True))
    columns = (
        "runs | measured above predicted | largest measured/predicted | called unsafe | of these 1 or more |"
    )
    lines = [f"| precision | matrices | {columns}", "|---|---|" + "---:|" * 5]
    for dtype, blocks in product(PRECISIONS, (False, True)):
        kind = "equal entries" if blocks else "random vectors"
        chosen = [p for p, run in runs if run["dtype"] == dtype and (run["spectrum"] == BLOCKS) == blocks]
        lines.append(row(f"{DTYPES[dtype]} | {kind}", chosen))
    lines += [
        "",
        f"| precision | made with, and predicted for, a part | {columns}",
        "|---|---:|" + "---:|" * 5,
    ]
    for dtype, caution in product(PRECISIONS, CAUTIONS):
        chosen = [
            replace(p, predicted=math.inf if run["expected"] is None else run["expected"])
            for p, run in runs
            if run["dtype"] == dtype and run.get("caution") == caution
        ]
        lines.append(row(f"{DTYPES[dtype]} | {caution}", chosen))
    wrong = sorted((p for p, _ in runs if p.measured > p.predicted), key=lambda p: -p.factor)
    named = "; ".join(
        f"`{p.name}` in {DTYPES[p.dtype]}, {p.measured:.3g} for {p.predicted:.3g}" for p in wrong
    )
    said = f"Measured above predicted: {named}." if wrong else "In no run was more measured than predicted."
    broken = [p for p, _ in runs if p.measured >= BROKEN]
    seen = sum(math.isinf(p.predicted) for p in broken)
    said += f" Of {len(broken)} runs with an error of 1 or more, {seen} had been called unsafe."
    return "\n".join([*lines, "", *textwrap.wrap(said, 110, break_long_words=False, break_on_hyphens=False)])


@click.command(help=__doc__)
@click.option("--small", is_flag=True, help="A few runs of tiny matrices, to see that it works.")
@click.option("-o", "--output", type=click.Path(path_type=Path), default=OUTPUT)
def main(small: bool, output: Path) -> None:
    most = 32 if small else 512
    listed = cases(small)
    steps: list[dict[str, Any]] = []
    runs: list[dict[str, Any]] = []
    for index, case in enumerate(listed):
        # Decompositions of full size are dear, and the model says nothing of the side but in the first step.
        found = [single(case, *state) for state in states(case, index, min(most, 128))]
        steps += [one for one in found if one is not None]
        runs += [whole(case, spectrum, shape) for spectrum, shape in settings(index, most)]
        click.echo(f"{index + 1} of {len(listed)}: {case.name} in {case.dtype}", err=True)
    shown = blocks(small)
    for one in shown:
        click.echo(f"blocks: {one}", err=True)
    body = {
        "machine": machine(),
        "torch": torch.__version__,
        "constants": {name: getattr(model, name) for name in CONSTANTS},
        "steps": ratios(steps, "evaluation", "dtype") + ratios(steps, "spectrum", "dtype"),
        "blocks": shown,
        "runs": runs,
    }
    if output.exists():  # what scripts/studies/calibrate_kernels.py has measured stays
        body |= {key: of for key, of in json.loads(output.read_text("utf-8")).items() if key == "kernels"}
    write_atomically(output, json.dumps(body, indent=1, allow_nan=False) + "\n")
    save_figure(SCATTER["prediction_figure"](points(body)), output.with_suffix(".png"))
    click.echo(markdown(body))


if __name__ == "__main__":
    main()
