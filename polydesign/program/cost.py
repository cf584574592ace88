"""What a schedule costs: how many matrix products of each kind it takes, times what one of each kind costs.

Counted from the same programs that run, and without coefficients, which a search does not have yet. What is
left out: sums of matrices, the normalization, and the thin products of its power method.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from polydesign import model
from polydesign.model import InputError, Schedule, Table, check_choice, check_integer, check_number
from polydesign.program.programs import products

FORMS = (*model.FORMS, "coupled")

Steps = Schedule | Sequence[tuple[int, str]]
"""A schedule, or for each step (inner degree, evaluation)."""


@dataclass(frozen=True, slots=True)
class Products:
    """How many products of each kind; matrices are m×m (A, Q, P, W) or m×n (X), or n×m (G).

    gram: A = X Xᵀ, m×n times n×m; the result is symmetric. wide: Q·X or G·W, an m×m matrix and one whose
    other side is n; the result is not. symmetric: of two m×m matrices whose product is symmetric, as that of
    two polynomials of one matrix is.
    """

    gram: int = 0
    wide: int = 0
    symmetric: int = 0

    def __add__(self, other: Products) -> Products:
        return Products(self.gram + other.gram, self.wide + other.wide, self.symmetric + other.symmetric)

    @property
    def total(self) -> int:
        return self.gram + self.wide + self.symmetric


@dataclass(frozen=True, slots=True)
class Prices:
    """What one product of each kind costs (see Products), and in which unit: products, flops, seconds.

    Raises InputError for a price that is not a positive number.
    """

    gram: float
    wide: float
    symmetric: float
    unit: str

    def __post_init__(self) -> None:
        for name in ("gram", "wide", "symmetric"):
            object.__setattr__(self, name, check_number(name, getattr(self, name)))
            if getattr(self, name) <= 0:
                raise InputError(name, f"must be greater than 0, not {getattr(self, name)!r}")

    def of(self, count: Products) -> float:
        """What so many products cost."""
        return count.gram * self.gram + count.wide * self.wide + count.symmetric * self.symmetric


UNIT = Prices(1.0, 1.0, 1.0, "products")
"""Every product costs one: the cost of a schedule is then its `matmuls`."""


def sides(shape: tuple[int, int], form: str = "direct") -> tuple[int, int]:
    """(m, n) of Products: the side of the square matrices, and the other side of X or G.

    shape: direct and gram: of the input, which is transposed so that m <= n. Coupled: of G, whose columns are
    the side of P; of P itself where there is no G.
    """
    check_choice("form", form, FORMS)
    if not isinstance(shape, (tuple, list)) or len(shape) != 2:
        raise InputError("shape", f"must be two sides such as (512, 1024), not {shape!r}")
    for side in shape:
        check_integer("shape", side, 1)
    rows, columns = shape
    if form == "coupled":
        return columns, rows
    return min(rows, columns), max(rows, columns)


def flops(shape: tuple[int, int], *, form: str = "direct", symmetric: float = 1.0, batch: int = 1) -> Prices:
    """Prices in operations: 2·m·k·n for (m×k)(k×n), times the batch.

    shape: as in `sides`. symmetric: what a product costs whose result is known to be symmetric, relative to
    one where it is not: 1 for what torch has, 1/2 for a kernel that computes one half. Square products of
    which nothing is known, as mcsgn takes, cost what a wide one of a square shape costs.
    """
    m, n = sides(shape, form)
    symmetric = check_number("symmetric", symmetric)
    if not 0 < symmetric <= 1:
        raise InputError("symmetric", f"must lie above 0 and be at most 1, not {symmetric!r}")
    batch = check_integer("batch", batch, 1)
    wide, square = 2.0 * m * m * n * batch, 2.0 * m * m * m * batch
    return Prices(symmetric * wide, wide, symmetric * square, "flops")


def form_of(root: int) -> str:
    """The form that a root's operators run in where nobody says: direct, or coupled."""
    return "direct" if root == 2 else "coupled"


def power_products(*exponents: int) -> int:
    """Products that the powers Wᵉ take by repeated squaring, from W; the squarings are shared.

    For one exponent: ⌊log₂ e⌋ + (ones in e) − 1.
    """
    squarings = max(exponent.bit_length() for exponent in exponents) - 1
    return squarings + sum(exponent.bit_count() - 1 for exponent in set(exponents))


def step_products(
    inner: int,
    *,
    form: str = "direct",
    root: int = 2,
    power: int = 1,
    from_identity: bool = False,
    first: bool = False,
    last: bool = False,
) -> Products:
    """The products of one step whose q takes `inner`; those of a schedule are their sum, step by step.

    Direct: A = X Xᵀ, Q·X, and those of q. Gram: those of q, and three symmetric ones, Z·Q and the two of
    R ← (Z + cI) R (Z + cI); the last step of a stretch between restarts has none of the three, but takes the
    stretch's X Xᵀ and Q·X. Coupled, with power s (kexue.fm 11175): those of q, one for G ← G Wˢ, one for
    P ← P Wʳ, and those of Wˢ and Wʳ together; the last step leaves out P and Wʳ. from_identity: G = I; the
    first step takes Wˢ as it is, and later products with Wˢ are symmetric.

    first, last: of the schedule; gram: last of its stretch. Direct looks at neither, gram not at first.
    """
    check_choice("form", form, FORMS)
    if form == "coupled":
        powers = power_products(power) if last else power_products(power, root) + 1
        if from_identity:
            return Products(symmetric=inner + powers + (not first))
        return Products(wide=1, symmetric=inner + powers)
    if form == "direct" or last:
        return Products(gram=1, wide=1, symmetric=inner)
    return Products(symmetric=inner + 3)


def count(
    steps: Steps,
    *,
    form: str | None = None,
    restarts: Sequence[int] = (),
    root: int | None = None,
    power: int = 1,
    from_identity: bool = False,
) -> Products:
    """The products of all steps, by kind; see step_products.

    form None: direct for root 2, coupled for the others. restarts: of gram, the indices from 0 of the steps
    before which it starts again. root: of bare steps, 2 unless given; a schedule has its own. power: s > r
    is P^(−1/r) from G = I, and then its power, times G where that is not I.

    Raises InputError for what does not exist: form, evaluation, a restart that is no step's.
    """
    if isinstance(steps, Schedule):
        root = steps.root if root is None else root
        if root != steps.root:
            raise InputError("root", f"is {root}, and the schedule has root {steps.root}: leave it out")
        inner = [step.program.products for step in steps.steps]
    else:
        inner = [products(evaluation, inner_degree) for inner_degree, evaluation in steps]
    root = 2 if root is None else root
    root = check_integer("root", root, 1)
    power = check_integer("power", power, 1)
    form = form or form_of(root)
    _check_restarts(restarts, form, len(inner))
    ends = {len(inner) - 1, *(restart - 1 for restart in restarts)}
    found = Products()
    if form == "coupled" and power > root:
        found += Products(wide=0 if from_identity else 1, symmetric=power_products(power))
        power, from_identity = 1, True
    how: dict[str, Any] = {"form": form, "root": root, "power": power, "from_identity": from_identity}
    for index, each in enumerate(inner):
        found += step_products(each, **how, first=index == 0, last=index in ends)
    return found


def count_powered(schedule: Schedule, power: int) -> Products:
    """The products of U Σᵖ Vᵀ, p = 1 − 2s/r, s = power, by kind, of a schedule of even root r.

    A step: those of q, XᵀX, X W^(r/2) and Y Wˢ, which are one where s = r/2, and those of the powers of W;
    the last leaves X alone.
    """
    half = schedule.root // 2
    found = Products()
    for index, step in enumerate(schedule.steps):
        last = index == len(schedule.steps) - 1
        powers = power_products(power) if last else power_products(power, half)
        wide = 1 if last or power == half else 2
        found += Products(gram=1, wide=wide, symmetric=step.program.products + powers)
    return found


def count_stepwise(schedule: Schedule, precision: Sequence[str]) -> Products:
    """The products of P^(−1/r), r even, with a precision a step, by kind; precision: the last word goes on.

    A step: those of q, of W^(r/2), two of P ← H P H, and one of G ← G W; the first takes G = W, and the last
    leaves P alone. In a split step each but those of q counts three times, as so many products of bfloat16
    run, and in one in bfloat16 that with P, as a pair of numbers, twice; products of float32, which cost
    more, count as one.
    """
    found = 0
    for index, step in enumerate(schedule.steps):
        word = precision[min(index, len(precision) - 1)]
        last = index == len(schedule.steps) - 1
        updates = 0 if last else power_products(schedule.root // 2) + 2
        found += step.program.products + (3 if word == "split" else 1) * (updates + (index > 0))
        found += word == "bfloat16" and not last
    return Products(symmetric=found)


def cost(steps: Steps, prices: Prices, **how: Any) -> float:
    """What the steps cost in the unit of the prices, of `flops`, a calibration, or UNIT; how: of `count`."""
    return prices.of(count(steps, **how))


def matmuls(schedule: Schedule, **how: Any) -> int:
    """Matrix products of a schedule, all counted as one; how: of `count`."""
    return count(schedule, **how).total


def matmuls_of(table: Table) -> int:
    """Those of its schedule in the form that it was made for; of gram those of direct, because which restarts
    run is decided later."""
    return matmuls(table.schedule, form="coupled" if table.form == "coupled" else None)


def _check_restarts(restarts: Sequence[int], form: str, steps: int) -> None:
    if restarts and form != "gram":
        raise InputError("restarts", f"are of the gram form, and form is {form}: leave them out")
    for index, restart in enumerate(restarts):
        check_integer(f"restarts[{index}]", restart, 1)
        if restart >= steps:
            raise InputError(
                f"restarts[{index}]", f"is {restart}, and there are {steps} steps, counted from 0"
            )
    if any(later <= earlier for earlier, later in pairwise(restarts)):
        raise InputError("restarts", f"must increase, and are {list(restarts)}")
