"""What a code did that a kit finds wrong: known mistakes are run on the kit's matrices and compared."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from polydesign.model import DTYPES
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.verification.expected import KitCase, distance, members
from polydesign.verification.kit_spectra import CORRECTNESS
from polydesign.verification.mistakes import EVERYWHERE, EXCHANGES, Mistake, all_mistakes
from polydesign.verification.on_mesh import Sharding, sharded_mistakes
from polydesign.verification.plain_code import Code

SLACK = 8.0
"""Times the tolerance: a wrong code may amplify its rounding more than the right one does."""

LEFT = 0.02
"""Of the error: what a mistake may leave unexplained."""

BLOWN = 1e4
"""Times the largest entry that is expected: what is larger has blown up."""

BLOWN_UP, BY_VALUE = 1, 2
"""How a mistake agrees with what was found."""

MOST_NAMED = 4
"""So many mistakes are named where all of them blow up, and nothing tells them apart."""

FACTORS = (0.5, 2.0)
"""Between which a factor on the input is looked for."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a code made of a case that was judged: its result, what is allowed, and whether it failed."""

    case: KitCase
    found: np.ndarray
    allowed: float
    failed: bool


def guesses(code: Code, seen: Sequence[Seen], dtype: str, sharded: Sharding | None = None) -> dict[str, str]:
    """For failed cases, by name, what was probably done; cases that nothing explains are left out.

    A mistake counts only where what it gives agrees with all that the code gave: with the failures that it
    explains, and with the cases that passed. Of several the one that explains most is named.

    Args:
        code: The table as it should be applied.
        seen: Everything that was judged.
        dtype: The precision that was judged in.
        sharded: How the matrices were, where they were.
    """
    failures = [one for one in seen if one.failed]
    mistakes = (sharded_mistakes(sharded) if sharded else {}) | all_mistakes()
    if factor := _factor(code, failures):
        mistakes |= {_factor_in_words(factor): lambda code, case: _scaled(code, case, factor)}
    explained: dict[str, dict[str, int]] = {}
    for name, mistake in mistakes.items():
        with np.errstate(all="ignore"):
            levels = {one.case.name: _agreement(code, mistake, one) for one in failures}
            reached = {case: level for case, level in levels.items() if level}
            if name in EVERYWHERE and len(reached) < len(failures):
                continue
            if name in EXCHANGES and BY_VALUE not in reached.values():
                continue
            if reached and all(_agreement(code, mistake, one) for one in seen if not one.failed):
                explained[name] = reached
    found = {one.case.name: _named(one.case.name, explained) for one in failures}
    coarse = _of_precision(failures, dtype)
    told = [one.case.name for one in failures if one.case.kind == CORRECTNESS]
    if 2 * sum(bool(found[case]) for case in told) < len(coarse):
        # What explains far fewer than rounding does looks like it by chance.
        found = {case: guess for case, guess in found.items() if case not in told}
    return coarse | {case: guess for case, guess in found.items() if guess}


def _named(case: str, explained: Mapping[str, Mapping[str, int]]) -> str:
    """What explains this case and most of the others; a few, where nothing tells them apart."""
    worth = {
        name: (len(levels), sum(levels.values())) for name, levels in explained.items() if case in levels
    }
    if not worth:
        return ""
    best = [name for name, value in worth.items() if value == max(worth.values())]
    if max(explained[best[0]].values()) == BY_VALUE:
        return best[0]
    return "; or ".join(best) if len(best) <= MOST_NAMED else ""


def _agreement(code: Code, mistake: Mistake, one: Seen) -> int:
    """BY_VALUE where the mistake gives what was found, and in a failed case not what is expected; BLOWN_UP
    where both have blown up; else 0."""
    try:
        made = mistake(code, one.case)
    except (ValueError, np.linalg.LinAlgError):  # shapes that do not go together, NaN in a decomposition
        return 0
    if made.shape != one.found.shape:
        return 0
    made, found = members(made), members(one.found)
    # What is large may be compared where it is finite; where one overflowed on the way, both are lost.
    for largest in (math.inf, BLOWN * (float(np.abs(one.case.expected).max()) or 1.0)):
        lost, lost_too = (_lost(part, largest) for part in (made, found))
        if (lost == lost_too).all() and _near(one, made, found, lost):
            return BY_VALUE if _tells(one, ~lost) else BLOWN_UP
    return 0


def _tells(one: Seen, kept: np.ndarray) -> bool:
    """Whether these matrices of a result say anything: zero comes out of zero in nearly every code."""
    given = members(one.case.input)
    if len(given) != len(kept) or not given.any():
        return bool(kept.any())
    return bool(given[kept].any())


def _near(one: Seen, made: np.ndarray, found: np.ndarray, lost: np.ndarray) -> bool:
    if lost.all():
        return True
    left, error = distance(found[~lost], made[~lost]), _error(one, ~lost)
    near = left <= max(SLACK * one.allowed, LEFT * min(error, 1.0))
    return near and (not one.failed or bool(lost.any()) or left <= error / 4)


def _lost(array: np.ndarray, largest: float) -> np.ndarray:
    """Which matrices are not finite, or as large as that."""
    return np.array([not np.abs(one).max() < largest for one in array])


def _error(one: Seen, kept: Any) -> float:
    if one.found.shape != one.case.expected.shape:
        return math.inf
    return distance(members(one.found)[kept], members(one.case.expected)[kept])


def _scaled(code: Code, case: KitCase, factor: float) -> np.ndarray:
    return code(case.input, lambda M: factor * code.guarded(M))


def _factor(code: Code, failures: Sequence[Seen]) -> float | None:
    """The factor on the norm that comes nearest to the first failure that is finite, to four digits."""
    from scipy.optimize import minimize_scalar

    for one in failures:
        if np.isfinite(one.found).all() and one.found.shape == one.case.expected.shape:
            break
    else:
        return None

    def left(logarithm: float) -> float:
        with np.errstate(all="ignore"):
            found = distance(one.found, _scaled(code, one.case, math.exp(logarithm)))
        return found if math.isfinite(found) else 1e300

    low, high = map(math.log, FACTORS)
    grid = np.linspace(low, high, 81)
    best = float(grid[np.argmin([left(float(at)) for at in grid])])
    width = float(grid[1] - grid[0])
    found = minimize_scalar(
        left, bounds=(best - width, best + width), method="bounded", options={"xatol": 1e-7}
    )
    return float(f"{math.exp(float(found.x)):.4g}")


def _factor_in_words(factor: float) -> str:
    return f"the input is divided by {factor:.4g} times the norm: a factor is applied once more, or left out"


def _of_precision(failures: Sequence[Seen], dtype: str) -> dict[str, str]:
    """Failures of correctness that are all as small as the rounding of a lower precision."""
    wider = sorted(DTYPES, key=UNIT_ROUNDOFF.__getitem__)
    for lower in wider[wider.index(dtype) + 1 :]:
        told = [one for one in failures if one.case.kind == CORRECTNESS and one.case.tolerance[lower]]
        if told and all(_error(one, ...) <= (one.case.tolerance[lower] or 0.0) for one in told):
            words = f"the error is no larger than rounding in {lower} makes it: a lower precision inside, "
            words += f"which dtype {lower} allows for, or coefficients that differ a little"
            return {one.case.name: words for one in told}
    return {}
