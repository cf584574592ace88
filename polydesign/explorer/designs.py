"""From what the page shows to a schedule: at once as a preview, and as the table that `design` makes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from polydesign.designer.design import design
from polydesign.designer.methods import METHODS
from polydesign.designer.minimax import SETTLED_FLOOR, default_safety, settles
from polydesign.designer.strategy import Task
from polydesign.explorer.state import State
from polydesign.model import Problem, Schedule, Table
from polydesign.search.minimax import Equioscillation
from polydesign.search.pace import nobody

QUICK_DEGREE = 5
"""Up to here a preview has the numbers of the table: above it a table's step is run by a program, whose
rounded constants move the map by less than anybody sees."""


def preview(state: State, degrees: tuple[int, ...] | None = None, lower: float | None = None) -> Schedule:
    """The schedule of these degrees from this l on, with the safety asked for, in powers of A.

    degrees, lower: what the last search found, where the state asks for what must be searched. Headroom that
    is to be found is the precision's usual one so far. Raises InputError.
    """
    if state.goal == "products":
        degrees = degrees or (5,) * max(1, state.products // 3)
        degrees = degrees if state.root == 2 else (1 + 2 * state.root,) * len(degrees)
    else:
        degrees = state.degrees
    low = state.lower if state.goal != "band" or lower is None else lower
    strategy = Equioscillation(**_usual(state), evaluation="monomial")
    return strategy.search(Problem(state.root, degrees, low))


def table(state: State, tell: Callable[[str], None] = nobody) -> Table:
    """The table that `design` makes, proved. Raises InputError naming a keyword of design."""
    asked: dict[str, Any] = {"root": state.root, "dtype": state.dtype, "doing": tell}
    if state.purpose == "root":
        asked["purpose"] = "root"
    degrees = state.degrees
    lower: dict[str, Any] = {"lower": state.lower}
    if state.goal == "band":
        lower = {"band": state.band}
    if state.goal == "products":
        bare = state.safety != "found"
        found = design(**asked, **lower, matmuls=state.products, headroom=1 if bare else None)
        if state.safety != "own":
            return found
        degrees = found.schedule.degrees
    return design(**asked, **lower, degree=list(degrees), **_settings(state))


def command(made: Table) -> tuple[str, str]:
    """The command that makes the table again, and what to know of it; the first may be empty."""
    method = METHODS.get(made.provenance.strategy)
    if method is None:
        return f"polydesign show {made.name}", "A table of the catalogue, or one that was given."
    return method.command(made)


def precise(state: State) -> bool:
    """Whether the preview has the numbers of the table that design makes."""
    return state.goal == "degrees" and state.safety != "found" and max(state.degrees) <= QUICK_DEGREE


def _settings(state: State) -> dict[str, Any]:
    """Of a strategy of degrees; nothing where the precision's own safety is asked for."""
    if state.safety == "none":
        return {"headroom": 1, "cushion": 0}
    if state.safety == "found":
        return {}
    own: dict[str, Any] = {"headroom": state.headroom}
    if state.floor:
        own |= {"image_floor": state.floor, "floor_free_tail": state.tail}
    return own


def _usual(state: State) -> dict[str, Any]:
    """The same for a preview, which does not search for a headroom."""
    if state.safety != "found":
        return _settings(state)
    task = Task("equioscillation", state.root, dtype=state.dtype, purpose=state.purpose)
    usual = default_safety(task)
    return usual | SETTLED_FLOOR if settles(task) else usual
