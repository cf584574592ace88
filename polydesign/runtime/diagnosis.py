"""What to say of a result of the coupled form that its evidence does not bear out, and what helps."""

from __future__ import annotations

import torch
from torch import Tensor

from polydesign.model import DivergenceError, InputError, Table
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.runtime.checks import symmetry_tolerance
from polydesign.runtime.coupled import Ended, Side, members

DAMPING = 25.0
"""Times u of the state: what eps is proposed at least, so that rounding leaves the spectrum where it is."""


def unexplained(ended: Ended, word: str, table: Table, state: str, root: int) -> str:
    """Of a result outside of what was promised: its numbers, why that may be, and what helps."""
    side, evidence = ended.side, ended.evidence
    assert evidence is not None
    beyond = evidence.beyond()
    worst = _worst(evidence.residual, beyond)
    lowest = table.schedule.interval[0] ** root
    divisor = (side.scaled_norm.double() * torch.exp2(side.exponent.double()))[..., 0, 0]
    where = f" in {members(side.name, beyond)}" if beyond.ndim else ""
    more = f", or rounding to {state} moves them too far" if state in ("bfloat16", "float16") else ""
    found, explained, least = (
        one.flatten()[worst].item() for one in (evidence.residual, evidence.explained(), lowest * divisor)
    )
    return (
        f"the residual is {found:.2g}{where}, and the table with the rounding of {state} explains "
        f"{explained:.2g}: some eigenvalues of {side.name} may have begun below {least:.3g}, where nothing "
        f"is promised, or be negative{more}: {_cures(word, table, state, side)}"
    )


def diagnosed(ended: Ended, word: str, table: Table, state: str, root: int) -> Exception:
    """What to raise for a result that cannot be right; the eigenvalues of that matrix are computed for it."""
    side, evidence = ended.side, ended.evidence
    assert evidence is not None
    wrong = evidence.refuted()
    wrong = (wrong if wrong.any() else evidence.beyond()) | ~torch.isfinite(ended.G.detach()).flatten(-2).all(
        dim=-1
    )
    which = members(side.name, wrong)
    worst = _worst(evidence.residual, wrong)
    residual = evidence.residual.flatten()[worst].item()
    X = side.wide.detach().reshape(-1, *side.wide.shape[-2:])[worst].to("cpu", torch.float64)
    values = torch.linalg.eigvalsh(X)
    low, high = values[0].item(), values[-1].item()
    rounding = symmetry_tolerance(side.given, X.shape[-1])
    lowest = table.schedule.interval[0] ** root
    size = "of what it is divided by"
    if low < -rounding * high:
        return InputError(
            side.name,
            f"is not positive: the eigenvalues of {which} go from {low:.3g} to {high:.3g} {size}, and a "
            f"negative one has no real root: look for what made it, or damp beyond it with "
            f"eps={_round_up((-low + _damping(lowest, state, side.given)) / side.share):g}",
        )
    found = f"{word}: what came out for {which} cannot be right, its residual is {residual:.2g}: "
    if low < lowest:
        return DivergenceError(
            f"{found}its eigenvalues go from {low:.3g} to {high:.3g} {size}, and {table.name} serves "
            f"{lowest:.3g} and more: {_cures(word, table, state, side)}"
        )
    wider = "float32" if state in ("bfloat16", "float16") else "float64"
    return DivergenceError(
        f"{found}{table.name} loses eigenvalues to the rounding of {state}, though they are all in its "
        f"interval: leave table= out, or give {_designed(table, state)}, or write Plan(dtype={wider!r})"
    )


def _designed(table: Table, state: str) -> str:
    """One for the same interval that keeps what is stored off zero."""
    schedule = table.schedule
    degrees = list(schedule.degrees) if len(set(schedule.degrees)) > 1 else schedule.degrees[0]
    steps = "" if isinstance(degrees, list) else f", steps={len(schedule.degrees)}"
    purpose = ", purpose='root'" if schedule.root == 2 else ""
    return (
        f"table=polydesign.design(root={schedule.root}, degree={degrees}{steps}, "
        f"lower={schedule.interval[0]!r}, dtype={state!r}{purpose})"
    )


def _cures(word: str, table: Table, state: str, side: Side) -> str:
    damping = _damping(table.schedule.interval[0] ** table.schedule.root, state, side.given)
    number, cut = _round_up(damping / side.share), _round_up(damping)
    wider = ", or write Plan(dtype='float32')" if state in ("bfloat16", "float16") else ""
    if table.purpose == "sign":
        wider += f"; {table.name} is made for signs, and what is stored here may round to zero: then give "
        wider += _designed(table, state)
    if word == "root":
        return f"give eps={number:g} for damping{wider}"
    if word == "sqrt_and_inverse_sqrt":
        return (
            f"give eps={number:g} for damping, or take root(P, 2) alone, which may have a null space{wider}"
        )
    rank = f"rank_rtol={cut:g}" if cut < 1 else "rank_rtol="
    return (
        f"give eps={number:g} for damping, {rank} for zero on the null space, or a table with a smaller "
        f"lower end{wider}"
    )


def _damping(lowest: float, state: str, given: torch.dtype) -> float:
    """eps that brings an eigenvalue of zero, and what rounding makes of it, into the interval."""
    coarse = max(UNIT_ROUNDOFF[state], torch.finfo(given).eps / 2)
    return max(min(10 * lowest, max(0.1, 2 * lowest)), DAMPING * coarse)


def _round_up(value: float) -> float:
    """To two digits."""
    found = float(f"{value:.1e}")
    return found if found >= value else float(f"{value * 1.05:.1e}")


def _worst(residual: Tensor, which: Tensor) -> int:
    """The index, in the flat batch, of the worst of these; what is not a number is worse than all."""
    shown = torch.where(which, residual.nan_to_num(nan=torch.inf), torch.full_like(residual, -1.0))
    return int(shown.argmax())
