"""Schedule -> Certificate: what is proved of a schedule's error, of the optimum, and of the room above u.

Certificates of kind "proved" are made here and nowhere else, and those of files are checked here. Every
statement is about exact arithmetic with exactly the float64 constants of the file, and about singular values
(or eigenvalues^(1/r)) in [l, u]; what rounding does on a machine is measured, not proved.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from fractions import Fraction
from typing import Any

from polydesign.approximation.edge import edge, safe_up_to
from polydesign.approximation.enclosure import Enclosure, exact_rows, exactly, levelled_error, step_image
from polydesign.approximation.high_degree import levelled
from polydesign.approximation.remez import best_approximation
from polydesign.approximation.scalar import arithmetic, rational
from polydesign.model import Certificate, ClaimError, InputError, Schedule, digest, quoted
from polydesign.program.basis import defines

RELATIVE_WIDTH = Fraction(1, 10**24)
"""To this an error is enclosed; certificates state it to DIGITS digits, rounded outward."""

DIGITS = 20

BELOW_FLOAT64 = Fraction(1, 10**330)
"""An error proved to be smaller needs no lower bound."""

MOST_BITS = 1 << 15

READING_BITS = 1 << 12
"""Of precision, at most, when a file is read: others may have made it so that it takes very many."""

_OPTIMUM_DIGITS = 30
_ANGLE_BITS = 16
"""Of the reference's angles: a bound loses the square of their error. Between kernels they differ by 2e-8 at
most, where the interval begins at 1e-9 (lattigo_sign_30), which is a small part of the last bit."""

Bracket = tuple[Fraction, Fraction]


def certify(schedule: Schedule, purpose: str = "") -> Certificate:
    """Prove what the schedule does; deterministic. purpose: of the table, for the digest.

    error: encloses max |f − 1| over [l, u]. optimum: encloses the least error that any schedule with these
    degrees, in this order and without headroom, can have there. safe_edge: brackets the largest X such that
    for every x in [u, X] all steps' values stay inside (0, 2) and f(x) within [1 − E, 1 + E], E the upper
    end of `error`; basin_edge: the same with (0, 2) for f(x) too; None where u itself is outside already (or
    f(u) is so near to 1 ± E that the precision does not tell). Decimals of 20 digits, rounded outward.

    Raises ArithmeticError where MOST_BITS of precision do not decide, ClaimError where a step's coefficients
    are not those of its program.
    """
    for index, step in enumerate(schedule.steps):
        if not defines(step.program, step.coefficients):
            raise ClaimError(f"steps[{index}].coefficients", "are not those that its program defines")
    error = _decimals(enclose(schedule)[-1].half_width)
    highest = Fraction(error[1])
    safe, basin = edge(schedule, highest), edge(schedule, None)
    if safe and basin:
        safe = min(safe[0], basin[1]), min(safe[1], basin[1])  # the basin bounds the promise
    return Certificate(
        kind="proved",
        error=error,
        digest=digest(schedule, purpose),
        optimum=_proved_optimum(schedule, highest),
        safe_edge=safe and _decimals(safe),
        basin_edge=basin and _decimals(basin),
    )


def _proved_optimum(schedule: Schedule, highest: Fraction) -> tuple[str, str]:
    """As a certificate states it; highest: a bound of the schedule's own error."""
    try:
        least = optimum(schedule)
    except (ArithmeticError, InputError):  # the solver's range is smaller than what a file may hold
        least = Fraction(0), highest
    return _decimals((min(least[0], highest), min(least[1], highest)))  # it is one of the schedules


def enclose(schedule: Schedule, most_bits: int = MOST_BITS) -> list[Enclosure]:
    """The exact image of [l, u] after each step, enclosed to RELATIVE_WIDTH of its half width about 1.

    Raises ArithmeticError where so many bits do not do.
    """
    # What cancels in a long step takes more than the first would have.
    bits = 256 if any(step.long for step in schedule.steps) else 128
    while bits <= most_bits:
        found = _images(schedule, bits)
        if all(_narrow(image) for image in found):
            return found
        bits *= 2
    raise ArithmeticError(f"the error is not enclosed with {most_bits} bits")


def _images(schedule: Schedule, bits: int) -> list[Enclosure]:
    found = []
    received = exactly(*schedule.interval)
    for row in exact_rows(schedule):
        received = step_image(row, schedule.root, received, bits)
        found.append(received)
    return found


def _narrow(image: Enclosure) -> bool:
    low, high = image.half_width
    return high - low <= RELATIVE_WIDTH * high or high <= BELOW_FLOAT64


def optimum(schedule: Schedule) -> Bracket:
    """An enclosure of the least error that schedules with these degrees on this interval can have.

    The best error on [a, b] depends on a/b alone and falls as a/b rises, so the best composition is the
    greedy one (search/minimax.py), and a lower bound E' of a step's best error bounds the next one's from
    below on [1 − E', 1 + E']: there de la Vallée-Poussin's levelled error at any n + 2 points is one
    (enclosure.levelled_error). From above, any steps will do: those of the solver, enclosed. For long steps
    there is none, and the schedule's own error is the bound.
    """
    if any(step.long for step in schedule.steps):
        return _optimum_from_below(schedule), Fraction(1)
    root = schedule.root
    low = high = (Fraction(schedule.interval[0]), Fraction(schedule.interval[1]))
    below = above = Fraction(1)
    for step in schedule.steps:
        n = step.inner_degree
        delta = (high[1] - high[0]) / (high[1] + high[0])
        if delta == 0:
            return Fraction(0), Fraction(0)  # a single point, which a step maps to 1 exactly
        taylor = _taylor_bound(root, n, high)
        if taylor <= BELOW_FLOAT64:
            return Fraction(0), taylor
        # A narrow interval needs digits for its width; twice as many keep the solver from its limit step.
        lost = max(0, -_exponent(delta))
        ends = _ends(high, 2 * lost + _OPTIMUM_DIGITS)
        # The next error is about this one to the power n + 1, and the levelled error loses as much again.
        bits = 256 + 7 * lost * (n + 2)
        found = best_approximation(root, n, *ends, digits=_OPTIMUM_DIGITS + 2 * lost)
        above = _balanced_error(found.coefficients, root, high, bits)
        below = levelled_error(_reference(found.reference, low), root, bits)
        if below == 0:
            return below, above  # later steps do better than `above` too: x itself is one of their steps
        low, high = (1 - below, 1 + below), (1 - above, 1 + above)
    return below, above


def _optimum_from_below(schedule: Schedule) -> Fraction:
    """The lower end of the optimum, from references of the solver in float64: any points give a bound.

    The last digits of float64 depend on the processor, and a bound proved on one machine is checked on
    another. So the solver's angles are rounded to _ANGLE_BITS, which takes their noise away unless it lies
    at the boundary between two roundings; what follows is the same arithmetic everywhere.
    """
    root, below = schedule.root, Fraction(0)
    low = Fraction(schedule.interval[0]), Fraction(schedule.interval[1])
    for step in schedule.steps:
        lost = max(0, -_exponent((low[1] - low[0]) / (low[1] + low[0])))
        angles = levelled(root, step.inner_degree, float(low[0] / low[1])).angles
        points = _points(angles, root, low[0] / low[1], _OPTIMUM_DIGITS + 2 * lost)
        bits = 256 + 7 * lost * (step.inner_degree + 2)
        below = levelled_error(_reference(points, low), root, bits)
        if below == 0:
            break
        low = 1 - below, 1 + below
    return below


def _points(angles: Sequence[float], root: int, ratio: Fraction, digits: int) -> list[Any]:
    """x in [ratio, 1] at which x^root is (1 − cos angle)/2 of the way from ratio^root to 1."""
    context = arithmetic(digits)
    bottom = (context.mpf(ratio.numerator) / ratio.denominator) ** root
    short = arithmetic(1)
    short.prec = _ANGLE_BITS
    part = [context.sin(context.convert(+short.mpf(angle)) / 2) ** 2 for angle in angles]
    return [context.root(bottom + (1 - bottom) * one, root) for one in part]


def _taylor_bound(root: int, inner_degree: int, interval: Bracket) -> Fraction:
    """A rational upper bound of the best error on the interval, that of Taylor's step (remez._limit_step).

    |binom(−1/r, n+1)| δ^(n+1) (1 + δ)^(1/r) (1 − δ)^(−1/r − n − 1), with the powers 1/r rounded up to 1.
    """
    bottom, top = (end**root for end in interval)
    delta = (top - bottom) / (top + bottom)
    binomial = Fraction(1)
    for j in range(inner_degree + 1):
        binomial *= Fraction(1 + j * root, root * (j + 1))
    return binomial * delta ** (inner_degree + 1) * (1 + delta) / (1 - delta) ** (inner_degree + 2)


def _ends(interval: Bracket, digits: int) -> list[Any]:
    """Both ends as mpmath numbers of so many digits."""
    context = arithmetic(digits)
    return [context.mpf(end.numerator) / end.denominator for end in interval]


def _exponent(x: Fraction) -> int:
    """About log10 of x > 0."""
    return math.floor((x.numerator.bit_length() - x.denominator.bit_length()) * math.log10(2))


def _balanced_error(coefficients: Any, root: int, ends: Bracket, bits: int) -> Fraction:
    """An upper bound of the error of p/m on the interval, m the middle of the image of p."""
    row = tuple(rational(c) for c in coefficients)
    bottom, top = step_image(row, root, exactly(*ends), bits, narrow=True).outer
    return (top - bottom) / (top + bottom)


def _reference(points: Any, ends: Bracket) -> list[Fraction]:
    """The solver's points, moved from its own interval, wider by the bracket's width, into this one."""
    low, high = ends
    first, *inner, last = (rational(x) for x in points)
    return [low, *(low + (x - first) * (high - low) / (last - first) for x in inner), high]


def _decimals(bracket: Bracket) -> tuple[str, str]:
    """Both ends to DIGITS digits, rounded outward."""
    low, high = bracket
    down, up = Context(prec=DIGITS, rounding=ROUND_FLOOR), Context(prec=DIGITS, rounding=ROUND_CEILING)
    for context in (down, up):
        context.Emin, context.Emax = -(10**6), 10**6
    return tuple(  # pyright: ignore[reportReturnType]
        str(context.divide(Decimal(x.numerator), Decimal(x.denominator)))
        for context, x in ((down, low), (up, high))
    )


def check_certificate(
    schedule: Schedule, stated: Certificate, purpose: str = "", *, published: bool = False
) -> Certificate:
    """Prove everything again from the constants alone, and refuse what the certificate states beyond it.

    Returns the new certificate. Raises ClaimError naming the first claim that does not follow: the images
    and half widths of the steps (and with `published` their domains), the digest, and of a proved certificate
    the error, the optimum and the edges.
    """
    check_images(schedule, published=published)
    if stated.digest != digest(schedule, purpose):
        raise ClaimError("certificate.digest", "is of another purpose or interval, or of other constants")
    fresh = certify(schedule, purpose)
    if stated.kind != "proved":
        return fresh
    for name in ("error", "optimum"):
        claim, proof = getattr(stated, name), getattr(fresh, name)
        if Fraction(claim[0]) > Fraction(proof[0]) or Fraction(claim[1]) < Fraction(proof[1]):
            raise _not_following(name, claim, proof)
    _check_edges(schedule, stated)
    return fresh


def check_bounds(schedule: Schedule, stated: Certificate) -> None:
    """Prove what a proved certificate states but for its optimum, and what the steps state: milliseconds.

    Raises ClaimError naming the first claim that does not follow, or that READING_BITS do not decide.
    """
    try:
        images = check_images(schedule, most_bits=READING_BITS)
    except ArithmeticError as problem:
        raise ClaimError("certificate.error", f"is not decided: {problem}") from problem
    low, high = map(Fraction, stated.error)
    proved = images[-1].half_width
    if not low <= proved[0] <= proved[1] <= high:  # decided by more digits, where it is near
        proved = _images(schedule, 2 * READING_BITS)[-1].half_width
    if not low <= proved[0] <= proved[1] <= high:
        raise _not_following("error", stated.error, _decimals(proved))
    _check_edges(schedule, stated)


def with_proved_optimum(schedule: Schedule, stated: Certificate) -> Certificate:
    """A proved certificate with the optimum that is proved here, in some ten milliseconds.

    Raises ClaimError where what it states is disproved by it, and what check_bounds raises.
    """
    check_bounds(schedule, stated)
    proof = _proved_optimum(schedule, Fraction(stated.error[1]))
    claim = stated.optimum or proof
    if Fraction(claim[0]) > Fraction(proof[1]) or Fraction(claim[1]) < Fraction(proof[0]):
        raise _not_following("optimum", claim, proof)
    return replace(stated, optimum=proof)


def _not_following(name: str, claim: tuple[str, str], proof: tuple[str, str]) -> ClaimError:
    return ClaimError(
        f"certificate.{name}",
        f"[{claim[0]}, {claim[1]}] does not follow from the coefficients, which give "
        f"[{proof[0]}, {proof[1]}]; polydesign certify --write renews it",
    )


def _check_edges(schedule: Schedule, stated: Certificate) -> None:
    for name, band in (("safe_edge", Fraction(stated.error[1])), ("basin_edge", None)):
        _check_edge(schedule, name, getattr(stated, name), band)


def _check_edge(schedule: Schedule, name: str, claim: Any, band: Fraction | None) -> None:
    """A bracket of an edge is right if its lower end is safe and its upper end is not: prove both."""
    u = Fraction(schedule.interval[1])
    if claim is None:
        follows = safe_up_to(schedule, u, band) is not True
    else:
        verdicts = [safe_up_to(schedule, max(u, Fraction(end)), band) for end in claim]
        basin = name == "safe_edge" and safe_up_to(schedule, max(u, Fraction(claim[1])), None)
        follows = verdicts == [True, False] or (verdicts == [True, None] and basin is False)
    if not follows:
        raise ClaimError(
            f"certificate.{name}",
            f"{quoted(claim and list(claim))} does not follow from the coefficients; "
            "polydesign certify --write renews it",
        )


def check_images(
    schedule: Schedule, *, published: bool = False, most_bits: int = MOST_BITS
) -> list[Enclosure]:
    """Compare every step's image and half_width with the exact one, and return those.

    Raises ClaimError naming the field, and what enclose raises.

    The file states them rounded to float64: one unit in the last place is allowed. published: also compare
    every domain with what the step really receives, which is what it means in a published table.
    """
    images = enclose(schedule, most_bits)
    received = [exactly(*schedule.interval), *images]
    for index, (step, image) in enumerate(zip(schedule.steps, images, strict=True)):
        ends = received[index].outer
        claims = [
            *((f"domain[{k}]", step.domain[k], (ends[k], ends[k])) for k in (0, 1) if published),
            ("image[0]", step.image[0], (image.outer[0], image.outer[0])),
            ("image[1]", step.image[1], (image.outer[1], image.outer[1])),
            ("half_width", step.half_width, image.half_width),
        ]
        for name, claim, (low, high) in claims:
            unit = Fraction(math.ulp(claim))
            if not low - unit <= Fraction(claim) <= high + unit:
                raise ClaimError(
                    f"steps[{index}].{name}",
                    f"is {claim!r}, and the coefficients give {float(high)!r}; "
                    "design the table again with polydesign search",
                )
    return images


def ratio_to_optimum(certificate: Certificate) -> tuple[float, float]:
    """Bracket of error/optimum; the upper end is inf where the optimum is not bounded from below."""
    if certificate.optimum is None:
        raise InputError("certificate.optimum", "is not there; polydesign certify --write adds it")
    (low, high), (least, most) = (tuple(map(Fraction, b)) for b in (certificate.error, certificate.optimum))
    return _float(low, most), _float(high, least)


def _float(a: Fraction, b: Fraction) -> float:
    """a/b as a float, inf where it is too large for one."""
    try:
        return float(a / b) if b else math.inf
    except OverflowError:
        return math.inf
