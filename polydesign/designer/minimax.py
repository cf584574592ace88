"""Method equioscillation: the composition that is best for the worst case, with a precision's safety."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from polydesign.designer import commands, naming, summaries
from polydesign.designer.strategy import Found, Strategy, Task, given
from polydesign.model import (
    EVALUATIONS,
    HALF,
    MOST_STEPS,
    InputError,
    PerStep,
    Problem,
    SafetyWarning,
    Table,
    check_choice,
    check_purpose,
)
from polydesign.program.programs import preferred
from polydesign.search import pace
from polydesign.table.catalogue import is_shipped, load

if TYPE_CHECKING:
    from polydesign.model import Schedule
    from polydesign.search.minimax import Equioscillation

DEFAULT_SAFETY: dict[str, dict[str, Any]] = {
    "bfloat16": {"headroom": 1.01, "image_floor": 0.1, "floor_free_tail": 2},
    "float16": {"headroom": 1.005, "image_floor": 0.1, "floor_free_tail": 2},
    "float32": {"headroom": 1.0001},
    "float64": {"headroom": 1.000001},
}
"""What a precision gets when headroom, cushion and image floor are not given.

These come from experiment, not from a bound. In half precision the headroom is for roots and inverses only:
for msign every step gets its own (search/settling.py), because 1.01, the published habit (Polar Express,
arXiv 2505.16932), blows up matrices whose roundings agree. In float32 and float64 a step's rounding moves a
singular value by far less than the headroom. The image floor of roots and inverses is another, ROOT_FLOOR.
"""


ROOT_FLOOR = 0.1
"""Of tables for roots and inverses, in every precision: the image floor of what is stored, λ = xʳ.

The coupled iteration keeps P, with eigenvalues p(x)ʳ, and rounding it moves the smallest by u times the root
mean square of all. A trough at a tenth of the peak is 1e-4 of it for r = 4, which bfloat16 does not see.
Without such a floor tables in bfloat16 were off by 0.44 (r = 4) to 7e15 (r = 8) on matrices of condition 100,
and in float32 by 0.004 where the lower end is small; with it by what rounding P once explains. Of 0.02 to
0.16, all alike in float32 and float64, 0.1 and 0.16 are the best in half precision."""


SETTLED_FLOOR: dict[str, Any] = {"image_floor": 0.08, "floor_free_tail": 2}
"""Where it is found. With 0.06, 0.08 and 0.1 five quintics in bfloat16 promise alike, 0.192 to 0.194."""

_BLOWN = (
    "whatever headroom was tried, degrees {degrees} in {dtype} blow up some matrix whose roundings agree: "
    "take lower ones"
)

_GAINS = 0.999
"""A step more that leaves more than this part of the error gains nothing, once the error is below 1/2."""


@dataclass(frozen=True, slots=True)
class Minimax(Strategy):
    """Best approximations one after the other, with room for rounding.

    Headroom, cushion and image floor are the precision's (DEFAULT_SAFETY) where none of them is given, for
    roots and inverses with an image floor that holds for xʳ (ROOT_FLOOR); giving any of them replaces all,
    and headroom=1, cushion=0 is the bare optimum. With loop the headroom of every step is found for the
    image floor and the cushion that are given. The formulas are in search/minimax.py.

    Args:
        headroom: Design each step up to u times this.
        cushion: Raise a step's lower end to u times this.
        image_floor: Least lower/upper of a step's designed image.
        floor_free_tail: So many steps at the end have no image floor.
        evaluation: How q is computed.  [default: chebyshev from inner degree 3 on]
        round: Coefficients on a grid: 1/1024 (any 1/N), decimals:4, bf16, fp16 or fp32; each step is designed
            for what the rounded ones before it leave.
        loop: Of which headroom is found in half precision, also beside an image floor or a cushion: any has
            room for loops that round every operation, as PyTorch runs B = b*A + c*A@A in bfloat16; fused only
            for products that are rounded together with what is added to them, as in torch.addmm and in this
            package.  [default: any]

    Raises InputError naming the field.
    """

    headroom: PerStep | None = None
    cushion: PerStep | None = None
    image_floor: PerStep | None = None
    floor_free_tail: int | None = None
    evaluation: str | None = field(default=None, metadata={"choices": EVALUATIONS})
    round: str | None = None
    loop: str | None = field(default=None, metadata={"choices": ("any", "fused")})

    def __post_init__(self) -> None:
        for name in ("headroom", "cushion", "image_floor"):
            object.__setattr__(self, name, _one_or_more(name, getattr(self, name)))
        if self.floor_free_tail is not None and self.image_floor is None:
            raise InputError("floor_free_tail", "is that of an image floor: give image_floor too")
        if self.loop is not None:
            check_choice("loop", self.loop, ("any", "fused"))
            if self.headroom is not None:
                raise InputError("loop", "is for headroom that is found: leave out loop, or the headroom")

    def resolved(self, task: Task, degrees: tuple[int, ...]) -> Equioscillation:
        """The search with the safety that the precision chooses, and with evaluations."""
        from polydesign.search.minimax import Equioscillation  # mpmath

        chosen = [self.evaluation or preferred((degree - 1) // task.root) for degree in degrees]
        evaluation = chosen[0] if len(set(chosen)) == 1 else tuple(chosen)
        safety = {}
        if self._of_the_precision:
            safety = SETTLED_FLOOR if settles(task) else default_safety(task)
        elif self.loop is not None:
            check_settles(task)
        own = {key: value for key, value in given(asdict(self)).items() if key != "loop"}
        return Equioscillation(**{**own, **safety, "evaluation": evaluation})

    @property
    def _of_the_precision(self) -> bool:
        return self.headroom is None and self.cushion is None and self.image_floor is None

    @property
    def _finds_headroom(self) -> bool:
        """Where it is found at all, which is for msign in half precision."""
        return self._of_the_precision or (self.headroom is None and self.loop is not None)

    def search(self, task: Task) -> Found:
        """The best schedule; with lower="min" on the widest interval from which the error is reached."""
        degrees = task.degrees()
        strategy, unfinished = self.resolved(task, degrees), ""
        warned = False
        if self._finds_headroom and settles(task):
            known = None if task.fresh else self._shipped(strategy, task, degrees)
            if known is not None:
                strategy = known
            else:
                strategy, degrees, unfinished, warned = _settled(strategy, task, degrees, self.loop)
            task = replace(task, error=None if not task.smallest else task.error)
        parameters = given(asdict(strategy)) | given({"unfinished": unfinished or None})
        with pace.unhurried() if unfinished else nullcontext():
            return replace(self._found(strategy, task, degrees, parameters), warned=warned)

    def remembered(self, task: Task) -> bool:
        """Where headroom is found."""
        return self._finds_headroom and settles(task)

    def _shipped(
        self, strategy: Equioscillation, task: Task, degrees: tuple[int, ...]
    ) -> Equioscillation | None:
        """The strategy with the headroom that this very search has found for a table of the package."""
        if task.error is not None:
            return None
        problem, bare = task.problem(degrees), replace(strategy, round=None)
        plain = replace(bare, headroom=1.0).search(problem)
        name = replace(self, round=None).name(Found(plain, {}, dtype=task.precision), task)
        if not is_shipped(name):
            return None
        table = load(name)
        stated, asked = dict(table.provenance.parameters), given(asdict(bare)) | {"dtype": task.precision}
        headroom = stated.pop("headroom")
        asked = {key: list(v) if isinstance(v, tuple) else v for key, v in asked.items() if key != "headroom"}
        same = table.schedule.degrees == degrees and table.schedule.interval == (problem.lower, problem.upper)
        if not same or asked | given({"loop": self.loop}) != stated:
            return None
        task.recalled(name)
        return replace(strategy, headroom=tuple(headroom))

    def _found(
        self, strategy: Equioscillation, task: Task, degrees: tuple[int, ...], parameters: dict[str, Any]
    ) -> Found:
        from polydesign.search.smallest_lower import smallest_lower  # mpmath

        if self._finds_headroom and "unfinished" not in parameters:
            parameters["dtype"] = task.precision
        if self.loop == "fused" or (self.loop is not None and not self._of_the_precision):
            check_settles(task)
            parameters["loop"] = self.loop
        if task.smallest and task.error is not None:
            lower = smallest_lower(strategy, task.root, degrees, task.error, float(task.upper))
            problem = Problem(task.root, degrees, lower, float(task.upper))
            parameters |= {"lower": "min", "error": task.error}
        else:
            problem = task.problem(degrees)
        schedule = strategy.search(problem)
        if strategy.round is not None:
            same = replace(problem, degrees=schedule.degrees, error=None)
            parameters["unrounded_error"] = replace(strategy, round=None).search(same).error
        return Found(schedule, parameters, dtype=task.precision if self._finds_headroom else task.dtype)

    def name(self, found: Found, task: Task) -> str:
        """sign-d5x6-l1e-3-bf16: see naming.table_name."""
        band = task.error if task.smallest else None
        schedule, own = found.schedule, not self._of_the_precision
        strategy = self.resolved(task, schedule.degrees)
        asked = (schedule, strategy, found.dtype, task.normalization, band)
        name = naming.table_name(*asked, own_safety=own, rounded=strategy.round)
        loop = f"-{self.loop}" if self.loop is not None and (own or self.loop == "fused") else ""
        return name + naming.ending(task.root, None, task.purpose) + loop

    @classmethod
    def summary(cls, table: Table) -> list[str]:
        """The optimum, the safety, and what a grid and the smallest lower end come to."""
        stated = table.provenance.parameters
        default = f"; the default for {stated['dtype']}" if "dtype" in stated else ""
        if _own_floor(stated):
            default = f"; headroom found for {stated['dtype']}" if "dtype" in stated else ""
        lines = [summaries.optimum(table), summaries.safety(stated) + default]
        if "round" in stated:
            free = stated["unrounded_error"]
            price = f"; it costs a factor {table.schedule.error / free:.5g}" if free > 1e-300 else ""
            lines.append(f"rounding  to {stated['round']}; without it {free:.9g}{price}")
        return lines + summaries.smallest(table)

    @classmethod
    def command(cls, table: Table) -> tuple[str, str]:
        """With the safety, or with the precision that has it."""
        stated, schedule = table.provenance.parameters, table.schedule
        options = [*commands.degrees(schedule), *commands.problem(table)]
        if "dtype" in stated:
            options.append(f"--dtype {stated['dtype']}")
            options += [f"--loop {stated['loop']}"] if "loop" in stated else []
            options += cls.options(_own_floor(stated))
        else:
            safety = {key: stated.get(key) for key in ("headroom", "cushion", "image_floor")}
            options += cls.options(safety | {"floor_free_tail": stated.get("floor_free_tail") or None})
            options += [f"--dtype {table.dtype}"] if table.dtype else []
        if "round" in stated:
            options.append(f"--round {stated['round']}")
        options += commands.evaluation(schedule)
        note = "The same digits on the same platform."
        if "dtype" in stated and not _own_floor(stated):
            note += " Headroom and floor are the defaults of that precision."
        return commands.search(table, options), note


def check_settles(task: Task) -> None:
    """Refuse a loop where headroom is not found."""
    if not settles(task):
        raise InputError("loop", "is for msign in half precision: leave it out")


def _own_floor(stated: dict[str, Any]) -> dict[str, Any]:
    """Cushion and image floor beside headroom that was found, where they are not those of SETTLED_FLOOR."""
    keys = ("cushion", "image_floor", "floor_free_tail")
    own = {key: stated[key] for key in keys if stated.get(key)}
    return own if "loop" in stated and own != SETTLED_FLOOR else {}


def settles(task: Task) -> bool:
    """Whether its headroom comes from matrices whose roundings agree: that of msign in half precision."""
    return task.root == 2 and task.purpose != "root" and task.precision in HALF


def default_safety(task: Task) -> dict[str, Any]:
    """Headroom and image floor of the precision, where the headroom is not found.

    The last step of the coupled form leaves P alone, so that all but the last have the floor of roots.
    """
    own = DEFAULT_SAFETY[task.precision]
    if check_purpose(task.purpose, task.root) in ("root", "inverse"):
        floor = float(f"{ROOT_FLOOR ** (1 / task.root):.3g}")
        return {"headroom": own["headroom"], "image_floor": floor, "floor_free_tail": 1}
    return own


def _settled(
    strategy: Equioscillation, task: Task, degrees: tuple[int, ...], loop: str | None
) -> tuple[Equioscillation, tuple[int, ...], str, bool]:
    """The strategy with a headroom for every step, the degrees, what is unfinished where it is cut short:
    with what has headroom by then, or else with what a few matrices need; and whether it is warned of."""
    from polydesign.search.settling import QUICK  # mpmath
    from polydesign.search.survival import LOOKED_AT, TYPICAL, UNTRIED, Trust, roomiest

    kept: list[tuple[Equioscillation, Schedule]] = []
    with pace.best_so_far():
        found, degrees, warned = _with_headroom(strategy, task, degrees, loop, lambda *one: kept.append(one))
        return found, degrees, "", warned
    for found, schedule in reversed(kept):
        if task.error is None or schedule.error <= task.error:
            return replace(found, round=strategy.round), schedule.degrees, UNTRIED, True
    if task.error is not None and not task.smallest:
        pace.check()
    bare, lower = replace(strategy, round=None), TYPICAL if isinstance(task.lower, str) else task.lower
    problem = Problem(task.root, degrees, float(lower) / float(task.upper), 1.0)
    with pace.unhurried():
        trust = Trust(QUICK, 0, QUICK)
        how: dict[str, Any] = {"fused": loop == "fused", "normalization": task.normalization}
        found, _ = roomiest(bare, problem, task.precision, trust=trust, **how)
    return replace(found, round=strategy.round), degrees, LOOKED_AT, True


def _with_headroom(
    strategy: Equioscillation,
    task: Task,
    degrees: tuple[int, ...],
    loop: str | None,
    seen: Callable[[Equioscillation, Schedule], None],
) -> tuple[Equioscillation, tuple[int, ...], bool]:
    """The strategy with a headroom for every step, the degrees: more and more steps until the error is
    reached, where no number of them is said; and whether there is a warning that it blows up."""
    from polydesign.search.survival import roomiest, surviving, widest  # mpmath

    bare = replace(strategy, round=None)
    how: dict[str, Any] = {"fused": loop == "fused", "normalization": task.normalization}

    def once(lower: float, degrees: tuple[int, ...]) -> tuple[Equioscillation, float, bool]:
        problem = Problem(task.root, degrees, lower / float(task.upper), 1.0)
        found = surviving(bare, problem, task.precision, seen=seen, **how)
        blown = found is None
        if found is None:
            found = roomiest(bare, problem, task.precision, **how)
            warnings.warn(_BLOWN.format(degrees=degrees, dtype=task.precision), SafetyWarning, stacklevel=2)
        return replace(found[0], round=strategy.round), found[1].error, blown

    if isinstance(task.lower, str) and task.error is not None:
        found = widest(bare, degrees, task.error, task.precision, seen=seen, **how)
        if found is None:
            raise InputError("degree", _BLOWN.format(degrees=degrees, dtype=task.precision))
        return replace(found, round=strategy.round), degrees, False
    problem = task.problem(degrees)
    if problem.error is None:
        found, _, blown = once(problem.lower, degrees)
        return found, degrees, blown
    # Rounding never makes do with fewer steps.
    best, degrees = math.inf, replace(bare, headroom=1.0, image_floor=None).search(problem).degrees
    while True:
        found, error, blown = once(problem.lower, degrees)
        if error <= problem.error:
            return found, degrees, blown
        if (error > _GAINS * best and error < 0.5) or len(degrees) == MOST_STEPS:
            raise InputError(
                "error",
                f"{problem.error!r} is out of reach: {len(degrees)} steps of degree {degrees[0]} in "
                f"{task.precision} reach {min(best, error):.3g}, and more gain nothing: take a higher one",
            )
        best, degrees = min(best, error), (*degrees, degrees[0])


def _one_or_more(name: str, value: Any) -> PerStep | None:
    if not isinstance(value, Sequence):
        return None if value is None else float(value)
    if not value:
        raise InputError(name, "is an empty list: give one number, or one a step")
    return tuple(map(float, value)) if len(value) > 1 else float(value[0])
