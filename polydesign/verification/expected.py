"""Matrices with what a table makes of them exactly, and by how much rounding may change it.

f is evaluated in DIGITS digits on known singular values. What correct codes may differ by is found by running
the table with every stored matrix rounded at random (perturbed.py), in the direct form, for roots the coupled
one: the gram form without restarts rounds more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from polydesign.approximation.scalar import arithmetic
from polydesign.model import DTYPES, InputError, Schedule, Table, check_integer, evaluate
from polydesign.model.precision import PRECISIONS, UNIT_ROUNDOFF
from polydesign.program.basis import expanded
from polydesign.rounding.followed import rounded
from polydesign.rounding.perturbed import (
    RandomRounding,
    perturbed_inverse_root,
    perturbed_sign,
)
from polydesign.rounding.running import MOST_EXPLAINED
from polydesign.verification.kit_spectra import CORRECTNESS, ROOT_CASES, SIGN_CASES, Spectrum

DRAWS = 16
"""Runs for a precision and matrix, half of them random and half coherent."""

MARGIN = 3.0
"""Times the worst of them: codes round more often than once a register (an unfused sum, a second cast)."""

SINGLE = 4.0
"""Times MARGIN where there is one singular value, whose errors nothing averages: unfused sums of a quintic's
terms round 23A and 17A² for a difference of 7, which is some four times what a fused step rounds."""

BELOW = 0.25
"""Times l: where the steepest spectrum ends. There f is far from 1, and every coefficient shows."""

DIGITS = 50

NORMS = {"frobenius": 2.0, "schatten4": 4.0, "schatten8": 8.0}
"""Normalization -> p of ν = (Σσᵖ)^(1/p). The others are no function of singular values."""

OPERATORS = {"msign": perturbed_sign, "inverse_root": perturbed_inverse_root}


@dataclass(frozen=True, slots=True)
class KitCase:
    """input and expected, (m, n) or (b, m, n) in float64, and the tolerance of each precision or None.

    kind, given and strided are those of Spectrum; a given precision holds the input exactly.
    """

    name: str
    about: str
    input: np.ndarray
    expected: np.ndarray
    tolerance: dict[str, float | None]
    kind: str = CORRECTNESS
    given: str | None = None
    strided: bool = False


def chosen_operator(table: Table, operator: str | None) -> str:
    """The operator; None is what the purpose says. Refuses what does not fit."""
    root = table.schedule.root
    operator = operator or ("inverse_root" if table.purpose in ("root", "inverse") else "msign")
    if operator not in OPERATORS:
        raise InputError("operator", f"{operator!r} is not one of {', '.join(OPERATORS)}")
    if operator == "msign" and root != 2:
        raise InputError("operator", f"msign has root 2, and the table {root}: take inverse_root")
    return operator


def listed_spectra(operator: str) -> dict[str, Spectrum]:
    """The cases of an operator by name, before they have numbers."""
    return SIGN_CASES if operator == "msign" else ROOT_CASES


def cases(table: Table, *, operator: str | None = None, seed: int = 0) -> list[KitCase]:
    """Matrices, with what the table makes of them.

    operator: msign (root 2 alone) or inverse_root, P^(−1/r) for symmetric positive P; None is msign for root
    2. Raises InputError for an operator that does not go with the root, for a normalization that is no
    function of singular values (power is an estimate, aol rescales rows, none is the caller's), and for an
    interval that the normalization leaves.
    """
    operator = chosen_operator(table, operator)
    if table.normalization not in NORMS:
        raise InputError(
            "table",
            f"is normalized by {table.normalization}, and what is expected must follow from singular values: "
            f"design it with one of {', '.join(NORMS)}",
        )
    if table.schedule.interval[1] < 1:
        raise InputError(
            "table",
            f"ends at u = {table.schedule.interval[1]:g}, and {table.normalization} gives singular values up "
            "to 1: design it with upper=1",
        )
    seed = check_integer("seed", seed, 0)
    listed = listed_spectra(operator)
    # A generator a case: a further case changes none of the others.
    return [
        _case(name, spectrum, table, operator, np.random.default_rng([seed, index]))
        for index, (name, spectrum) in enumerate(listed.items())
    ]


def members(array: np.ndarray) -> np.ndarray:
    """(m, n) or (b, m, n) as (b, m, n)."""
    return array.reshape(-1, *array.shape[-2:])


def distance(found: np.ndarray, expected: np.ndarray) -> float:
    """‖found − expected‖_F/‖expected‖_F, the largest of a batch; ‖found‖_F where zero is expected."""
    sizes = np.linalg.norm(expected, axis=(-2, -1))
    with np.errstate(over="ignore"):
        errors = np.linalg.norm(found - expected, axis=(-2, -1))
    return float(np.max(errors / np.where(sizes == 0, 1.0, sizes)))


def _case(
    name: str, spectrum: Spectrum, table: Table, operator: str, generator: np.random.Generator
) -> KitCase:
    schedule, p, positive = table.schedule, NORMS[table.normalization], operator == "inverse_root"
    root = schedule.root if positive else 1
    inputs, norms, results = [], [], []
    for scale in spectrum.scales:
        U, sigma, V = _decomposed(spectrum, schedule, root, p, positive, generator)
        if spectrum.given:
            U, sigma, V = _stored((U * sigma) @ V.T, spectrum.given, positive)
        sigma = sigma * scale
        norm = _norm(sigma, p)
        x = (sigma / norm) ** (1 / root)
        values = _map(schedule, x)
        values = values / sigma ** (1 / root) if positive else values
        M = (U * sigma) @ V.T
        M = (M + M.T) / 2 if positive else M
        inputs.append(rounded(M, spectrum.given) if spectrum.given else M)
        norms.append(norm)
        results.append((U * values) @ V.T)
    rounds = {dtype: _coarser(spectrum.given or dtype, dtype) for dtype in DTYPES}
    found = {
        by: _tolerance(by, inputs, norms, results, schedule, operator, generator)
        for by in dict.fromkeys(rounds.values())
    }
    tolerance = {dtype: found[by] for dtype, by in rounds.items()}
    given, expected = (np.stack(part) if len(spectrum.shape) == 3 else part[0] for part in (inputs, results))
    how = (spectrum.kind, spectrum.given, spectrum.strided)
    return KitCase(name, spectrum.about, given, expected, tolerance, *how)


def _decomposed(
    spectrum: Spectrum,
    schedule: Schedule,
    root: int,
    p: float,
    positive: bool,
    generator: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """U (m, k), σ (k,) and V (n, k) with orthonormal columns, the largest σ 1; positive: V is U."""
    *_, m, n = spectrum.shape
    if spectrum.equal and not positive:
        return np.full((m, 1), m**-0.5), np.ones(1), np.full((n, 1), n**-0.5)
    k = min(m, n) if spectrum.rank is None else spectrum.rank
    if spectrum.diagonal:
        return np.eye(m, k), np.geomspace(1.0, spectrum.lowest or 1.0, k), np.eye(n, k)
    U, V = (generator.standard_normal((side, k)) for side in (m, n))
    if spectrum.equal:
        U[:, 0] = 1.0
    U, V = np.linalg.qr(U).Q, np.linalg.qr(V).Q
    lowest = spectrum.lowest
    sigma = np.geomspace(1.0, lowest or 1.0, k)
    if spectrum.equal:
        sigma[1:] = sigma[-1]
    if lowest is None:
        # Where the last x is to be BELOW·l, ν depends on the others, a little.
        end = BELOW * schedule.interval[0]
        for _ in range(20):
            sigma = np.geomspace(1.0, end**root * _norm(sigma, p), k)
    return U, sigma, U if positive else V


def _stored(M: np.ndarray, dtype: str, positive: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """M as this precision holds it, decomposed: U, σ and V; what it is no longer has the chosen spectrum.

    The decomposition errs by some 2⁻⁵² of the largest σ, and the tolerances here are those of half precision.
    """
    held = rounded((M + M.T) / 2 if positive else M, dtype)
    if positive:
        values, vectors = np.linalg.eigh(held)
        return vectors, values, vectors
    U, sigma, Vt = np.linalg.svd(held, full_matrices=False)
    return U, sigma, Vt.T


def _norm(sigma: np.ndarray, p: float) -> float:
    """(Σσᵖ)^(1/p), 1 for zeros; the largest is 1 in the sum, so that nothing overflows."""
    if not sigma.any():
        return 1.0
    largest = float(sigma.max())
    return largest * math.fsum((sigma / largest) ** p) ** (1 / p)


def _map(schedule: Schedule, x: np.ndarray) -> np.ndarray:
    """f(x) of the exact polynomials that the programs define, in DIGITS digits, rounded once."""
    context = arithmetic(DIGITS)
    rows = [[context.convert(c) for c in expanded(step.program)] for step in schedule.steps]
    values = [context.convert(float(one)) for one in x]
    for row in rows:
        values = [evaluate(row, schedule.root, value) for value in values]
    return np.array([float(value) for value in values])


def _coarser(one: str, other: str) -> str:
    """The precision that rounds more."""
    return max(one, other, key=UNIT_ROUNDOFF.__getitem__)


def _tolerance(
    dtype: str,
    inputs: list[np.ndarray],
    norms: list[float],
    results: list[np.ndarray],
    schedule: Schedule,
    operator: str,
    generator: np.random.Generator,
) -> float | None:
    """MARGIN times the worst distance of DRAWS runs; 0 for zero, None where the precision is not judged."""
    largest = [float(np.abs(part).max()) for part in (*inputs, *results)]
    if not any(largest):
        return 0.0
    room = PRECISIONS[dtype].smallest_normal / UNIT_ROUNDOFF[dtype]
    if not all(size == 0 or room <= size <= PRECISIONS[dtype].largest for size in largest):
        return None
    worst, margin = 0.0, MARGIN * (SINGLE if min(inputs[0].shape) == 1 else 1)
    for coherent in (False, True):
        rounding = RandomRounding(dtype, generator, coherent)
        for given, norm, expected in zip(inputs, norms, results, strict=True):
            turned = given.shape[0] > given.shape[1]
            once = given.T if turned else given
            runs = np.broadcast_to(once, (DRAWS // 2, *once.shape))
            with np.errstate(all="ignore"):
                found = OPERATORS[operator](runs, norm, schedule, rounding)
            found = found.swapaxes(-1, -2) if turned else found
            worst = max(worst, distance(found, expected)) if np.isfinite(found).all() else math.inf
            if margin * worst > MOST_EXPLAINED:
                return None
    return float(f"{margin * worst:.3g}")
