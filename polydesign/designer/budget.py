"""Method budget: propose schedules for so many products, measure them, choose.

search/spending.py proposes and chooses and knows no matrix; verification/select.py measures and knows no
search; this joins them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from polydesign import __version__
from polydesign.designer import commands, naming, summaries
from polydesign.designer.strategy import Found, Strategy, Task, given
from polydesign.model import (
    EVALUATIONS,
    FORMS,
    InputError,
    Plan,
    Problem,
    Provenance,
    Table,
    check_choice,
    check_integer,
    check_number,
)
from polydesign.program import calibration
from polydesign.program.cost import UNIT, Prices, flops, form_of
from polydesign.program.programs import INNER_DEGREES
from polydesign.table.catalogue import is_shipped

if TYPE_CHECKING:
    from polydesign.search.candidates import Candidate
    from polydesign.verification.select import Measured

SHAPE = (512, 1024)
"""Of the matrices where nobody says."""

SEARCHED_FORMS = ("direct", "gram", "auto", "coupled")

STATED = ("matmuls", "shape", "form", "symmetric", "costs", "measure", "seed")
"""Fields that the provenance of a table names; the others show in its steps."""


@dataclass(frozen=True, slots=True)
class Budget(Strategy):
    """The best degrees for so many products, or the cheapest for --error.

    Degrees, evaluations, headroom and cushions come out of the search; a degree that is given says which ones
    it may use. Every root but 2 is run in the coupled form, whatever is said.

    Args:
        matmuls: Products that may be spent; without it, the least for an error.
        shape: Of the matrices; the shorter side enters the rounding model, both the costs.
        form: That it will run in; auto: gram where that costs less than direct; coupled: for roots.
            [default: by root and purpose]
        symmetric: What a symmetric product costs, 0.5 or 1, of another one; costs then count by shape.
        costs: File of bench --calibrate, whose seconds count in place of operations.
        measure: Measure the best candidates, or else trust the model, and take what it thinks safest.
        seed: Of the matrices that are measured.
        evaluation: That steps may have.  [default: all]
        headroom: 1: the optimum in exact arithmetic, without room for rounding.
        cushion: 0 beside headroom 1, or nothing.
        image_floor: 0 beside headroom 1, or nothing.

    Raises InputError naming the field.
    """

    matmuls: int | None = None
    shape: tuple[int, int] = SHAPE
    form: str | None = field(default=None, metadata={"choices": SEARCHED_FORMS})
    symmetric: float | None = None
    costs: str | None = None
    measure: bool = True
    seed: int = 0
    evaluation: str | None = field(default=None, metadata={"choices": EVALUATIONS})
    headroom: float | None = None
    cushion: float | None = None
    image_floor: float | None = None

    takes_long: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name in ("headroom", "cushion", "image_floor"):
            if getattr(self, name) not in (None, 1 if name == "headroom" else 0):
                raise InputError(
                    name,
                    "comes out of a budget search: leave it out, or take headroom=1 for exact arithmetic",
                )
        if self.matmuls is not None:
            object.__setattr__(self, "matmuls", check_integer("matmuls", self.matmuls, 1))
        if len(self.shape) != 2:
            raise InputError("shape", f"must be two sides such as (1024, 4096), not {self.shape!r}")
        for side in self.shape:
            check_integer("shape", side, 2)
        if self.form is not None:
            check_choice("form", self.form, SEARCHED_FORMS)
        if self.symmetric is not None:
            object.__setattr__(self, "symmetric", check_number("symmetric", self.symmetric))
        if self.costs is not None and self.symmetric is not None:
            raise InputError("symmetric", "is part of the measured costs: leave it out, or leave out costs")
        if self.matmuls is not None and (self.symmetric is not None or self.costs is not None):
            raise InputError(
                "matmuls",
                "counts products one by one: leave out symmetric and costs, or give an error instead",
            )
        object.__setattr__(self, "seed", check_integer("seed", self.seed, 0))

    def prices(self, form: str, dtype: str) -> Prices:
        """Of one product of each kind. Flops are in units of one product of the shape, 2·m²·n."""
        if self.costs is not None:
            return calibration.load(self.costs).prices(self.shape, dtype, form=form)
        if self.symmetric is None:
            return UNIT
        whole = flops(self.shape, form=form, symmetric=self.symmetric)
        return Prices(whole.gram / whole.wide, 1.0, whole.symmetric / whole.wide, "products with X")

    def search(self, task: Task) -> Found:
        """The schedule that errs least on matrices, or the cheapest that reaches the error on them."""
        from polydesign.search.spending import both  # mpmath

        if task.steps is not None:
            raise InputError("steps", "is not for a budget: leave it out")
        root, form = task.root, self._form(task)
        allowed = (task.degree,) if isinstance(task.degree, int) else tuple(task.degree or ())
        low = float(task.upper) / 2 if isinstance(task.lower, str) else float(task.lower)
        problem = Problem(root, allowed or (1 + root,), low, float(task.upper))
        problem = replace(problem, degrees=problem.degrees[:1], error=task.error)
        if self.matmuls is None and task.error is None:
            raise InputError("matmuls", "say how many products, or give the error that is needed")
        if task.smallest:
            both(self.matmuls, task.error)
        if root != 2 and form in ("gram", "auto"):
            raise InputError("form", f"{form} is of root 2: leave it out")
        degrees = tuple((one - 1) // root for one in allowed) if allowed else INNER_DEGREES
        found = (self._exact if self.headroom is not None else self._rounded)(problem, degrees, task)
        coupled = found.form == "coupled" and root == 2
        return replace(found, seed=self.seed, purpose=task.purpose or ("root" if coupled else ""))

    def _form(self, task: Task) -> str:
        if task.purpose == "sign" and self.form == "coupled":
            raise InputError("form", "coupled is of purpose root: leave out one of them")
        return self.form or ("coupled" if task.purpose == "root" and task.root == 2 else "direct")

    def _exact(self, problem: Problem, degrees: tuple[int, ...], task: Task) -> Found:
        from polydesign.search.spending import best_exactly  # mpmath

        form = "coupled" if self._form(task) == "coupled" else form_of(problem.root)
        options = {"inner_degrees": degrees, "prices": self.prices(form, task.precision), "form": form}
        schedule, strategy, path = best_exactly(problem, self.matmuls, smallest=task.smallest, **options)
        parameters = given(asdict(strategy))
        parameters |= {"exact": True, "cost": path.cost, "cost_unit": options["prices"].unit}
        goals = {"error": task.error, "matmuls": self.matmuls, "lower": "min" if task.smallest else None}
        return Found(schedule, parameters | given(goals), form=form)

    def _rounded(self, problem: Problem, degrees: tuple[int, ...], task: Task) -> Found:
        from polydesign.search import pace
        from polydesign.search.candidates import (  # mpmath
            MOST_GRAM_DEGREE,
            settles,
            smallest_for,
            widest_interval,
            widest_surviving,
        )
        from polydesign.search.rounding_aware import Terms
        from polydesign.search.spending import best, both

        dtype, asked = task.precision, self._form(task)
        wanted = form_of(problem.root) if asked == "direct" else asked
        terms = [
            Terms(
                problem.root,
                problem.lower,
                problem.upper,
                dtype,
                rows=min(self.shape),
                normalization=task.normalization,
                form=form,
                prices=self.prices(form, dtype),
                inner_degrees=tuple(n for n in degrees if form != "gram" or n <= MOST_GRAM_DEGREE),
                evaluations=EVALUATIONS if self.evaluation is None else (self.evaluation,),
            )
            for form in (("direct", "gram") if wanted == "auto" else (wanted,))
        ]
        measure = None
        if self.measure:
            from polydesign.verification.select import select  # torch, missed before the search, not after it

            measure = partial(self._measured, select, task)
        if task.smallest and settles(terms[0]) and wanted == "direct":
            goal = both(self.matmuls, task.error)
            chosen, measured, count = widest_surviving(terms[0], *goal, measure)
        else:
            if task.smallest:
                lower = smallest_for(terms[0], *both(self.matmuls, task.error))
                terms = [replace(one, lower=lower) for one in terms]
            chosen, measured, count = best(terms, dtype, self.matmuls, task.error, measure)
            if task.smallest and settles(terms[0]) and not pace.over():
                with pace.best_so_far():
                    chosen = widest_interval(chosen, both(self.matmuls, task.error)[1], terms[0])
                    measured = None if measure is None else next(iter(measure([chosen], None)), None)
        proposal = chosen.proposal
        stated = asdict(replace(self, form=asked))
        parameters = given(asdict(proposal.strategy)) | given({key: stated[key] for key in STATED})
        parameters |= {
            "dtype": dtype,
            "form": chosen.form,
            "cost": chosen.cost,
            "cost_unit": terms[0].prices.unit,
            "caution": proposal.caution,
            "expected": proposal.expected,
            "candidates": count,
        }
        lower = "min" if task.smallest else None
        unfinished = proposal.unfinished or None
        parameters |= given({"restarts": chosen.restarts, "error": task.error, "lower": lower})
        parameters |= given({"unfinished": unfinished})
        observed = None if measured is None else measured.worst
        if measured is not None:
            from polydesign.verification.select import reduced  # torch

            parameters |= {
                "measured": measured.worst,
                "measured_shape": list(reduced(self.shape)),
                "measured_spectra": list(dict.fromkeys(run.spectrum for run in measured.runs)),
            }
        return Found(proposal.schedule, parameters, dtype=dtype, form=chosen.form, observed=observed)

    def _measured(
        self,
        select: Callable[..., Sequence[Measured]],
        task: Task,
        candidates: list[Candidate],
        enough: float | None,
    ) -> Sequence[Measured]:
        """Candidates on matrices of the shape, in their form: what the search chooses by."""
        forms = [{"form": c.form, "restarts": c.restarts} if c.form in FORMS else {} for c in candidates]
        return select(
            [_candidate(index, one, task) for index, one in enumerate(candidates)],
            dtype=task.precision,
            shape=self.shape,
            plans=[Plan(task.precision, **form) for form in forms],
            seed=self.seed,
            enough=enough,
            watch=task.watch,
        )

    def name(self, found: Found, task: Task) -> str:
        """sign-m15-l1e-3-bf16: see naming.budget_name."""
        return self._named(task, *found.schedule.interval, found.dtype)

    def _named(self, task: Task, low: float, high: float, dtype: str | None) -> str:
        lower = None if task.smallest else low
        shape = None if dtype is None or sorted(self.shape) == sorted(SHAPE) else self.shape
        end = (dtype, shape, self._form(task), task.normalization)
        return naming.budget_name(task.root, self.matmuls, task.error, lower, high, *end)

    def known(self, task: Task) -> str | None:
        """The table of the package that has this search's name, where nothing else was asked for."""
        usual = replace(self, matmuls=None, shape=SHAPE, form=None, headroom=None)
        if usual != Budget() or task.degree is not None or self.headroom not in (None, 1):
            return None
        low = 0.0 if isinstance(task.lower, str) else float(task.lower)
        dtype = None if self.headroom is not None else task.precision
        name = self._named(task, low, float(task.upper), dtype)
        return name if is_shipped(name) else None

    def remembered(self, task: Task) -> bool:
        """But for costs, which are a file that may change."""
        return self.costs is None

    @classmethod
    def summary(cls, table: Table) -> list[str]:
        """The optimum, the safety that was found, and what was measured or expected."""
        stated = table.provenance.parameters
        lines = [summaries.optimum(table), summaries.safety(stated), f"budget    {_spent(stated)}"]
        return lines + summaries.smallest(table)

    @classmethod
    def command(cls, table: Table) -> tuple[str, str]:
        """What was asked; what was found is left to the search."""
        p = table.provenance.parameters
        if "stopped" in p:
            return "", "The best that a budget search had when it was cut short."
        options = [f"--matmuls {p['matmuls']}"] if "matmuls" in p else ["--method budget"]
        options += commands.problem(table, p.get("error"))
        if p.get("exact"):
            options.append("--headroom 1")
            return commands.search(table, options), "The same digits on the same platform."
        options.append(f"--dtype {p['dtype']}")
        if "shape" in p:
            options.append(f"--shape {'x'.join(map(str, p['shape']))}")
        if p.get("form", "direct") != form_of(table.schedule.root):
            options.append(f"--form {p['form']}")
        note = "It measures candidates in one order of sums; another version may choose another."
        return commands.search(table, options), note


def _candidate(index: int, one: Candidate, task: Task) -> Table:
    coupled = one.form == "coupled" and task.root == 2
    return Table(
        f"candidate-{index}",
        one.proposal.schedule,
        Provenance(__version__, task.method, {}),
        task.normalization,
        purpose="root" if coupled else "",
    )


def _spent(p: dict[str, Any]) -> str:
    if p.get("exact"):
        return "the best sequence of degrees in exact arithmetic, without headroom or cushion"
    where = f"in {p['dtype']}, {p['form']} form"
    if p.get("restarts") is not None:
        where += f" with restarts {p['restarts']}"
    cost = "" if p["cost_unit"] == "products" else f"; cost {p['cost']:.4g} {p['cost_unit']}"
    if "measured" not in p:
        unmeasured = "nothing was measured, run polydesign verify"
        return f"the model expects {p['expected']:.3g} {where}{cost}; {unmeasured}"
    return (
        f"at most {p['measured']:.3g} measured {where}, {'x'.join(map(str, p['measured_shape']))}, "
        f"{len(p['measured_spectra'])} spectra, the best of {p['candidates']} candidates{cost}"
    )
