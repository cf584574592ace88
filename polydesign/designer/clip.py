"""Method clip: schedules for runtime.spectral_clip."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from polydesign.designer import commands, naming, summaries
from polydesign.designer.strategy import Found, Strategy, Task, given
from polydesign.model import Table

if TYPE_CHECKING:
    from polydesign.search.clip import Clipping

SAFETY = {
    "bfloat16": {"headroom": 1.02, "image_floor": 0.12},
    "float16": {"headroom": 1.01, "image_floor": 0.05},
    "float32": {"headroom": 1.002},
    "float64": {"headroom": 1.0001},
}
"""What a precision gets where nothing is given, from experiment (degree 9 in bfloat16, 17 elsewhere): without
a floor, values of rank-2 matrices were lost in both half precisions, and degree 17 lost some in bfloat16."""


@dataclass(frozen=True, slots=True)
class ClipSearch(Strategy):
    """Straight lines below l and 1 above it, for clipping singular values.

    Headroom and image floor are the precision's (SAFETY) where neither is given. search/clip.py has the
    linear programs.

    Args:
        headroom: Each step behaves up to this, so that rounding may push values there.
        image_floor: No value above a step's threshold is sent below this, where rounding would lose it.
    """

    headroom: float | None = None
    image_floor: float | None = None

    serves = ("clip",)

    @property
    def _given(self) -> dict[str, float]:
        return given(asdict(self))

    def _resolved(self, task: Task) -> Clipping:
        from polydesign.search.clip import Clipping  # scipy

        return Clipping(**self._given or SAFETY[task.precision])

    def search(self, task: Task) -> Found:
        """The schedule with the smallest max |f(x) − min(x/l, 1)|."""
        from polydesign.approximation.sampling import stated_clip_error  # numpy

        strategy = self._resolved(task)
        schedule = strategy.search(task.problem())
        dtype = task.dtype if self._given else task.precision
        parameters = asdict(strategy) | ({} if self._given else {"dtype": dtype})
        parameters["clip_error"] = stated_clip_error(schedule)
        return Found(schedule, parameters, purpose="clip", dtype=dtype)

    def name(self, found: Found, task: Task) -> str:
        """clip-d9x3-l0.1-bf16, clip-d5x2-l0.5-h1.01-f0."""
        short, stated = naming.short, found.parameters
        name = f"clip-d{naming.runs(found.schedule.degrees)}-l{short(found.schedule.interval[0])}"
        name += f"-h{short(stated['headroom'])}-f{short(stated['image_floor'])}" if self._given else ""
        return name + naming.ending(2, found.dtype, "clip")

    @classmethod
    def summary(cls, table: Table) -> list[str]:
        """No optimum: a clip schedule is no approximation of 1, and the least error of that says nothing."""
        from polydesign.approximation.sampling import stated_clip_error  # numpy

        low, off = table.schedule.interval[0], stated_clip_error(table.schedule)
        return [
            summaries.safety(table.provenance.parameters),
            f"clipping  |f(x) - min(x/{low:g}, 1)| <= {off:g} on a grid of [0, 1]",
        ]

    @classmethod
    def command(cls, table: Table) -> tuple[str, str]:
        """With the safety, or with the precision that has it."""
        stated = table.provenance.parameters
        degrees = ",".join(map(str, table.schedule.degrees))
        options = ["--method clip", f"--degree {degrees}", *commands.problem(table)]
        options += [] if "dtype" in stated else cls.options(stated)
        options += [f"--dtype {table.dtype}"] if table.dtype else []
        return commands.search(table, options), "Linear programs: another solver may end with other digits."
