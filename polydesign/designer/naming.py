"""Names of tables, made from what they were asked for."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from polydesign.model import DTYPES, Schedule
from polydesign.program.cost import form_of
from polydesign.program.programs import preferred

if TYPE_CHECKING:
    from polydesign.search.minimax import Equioscillation

_SIGN_NAMES = {1: "inverse", 2: "sign"}


def family(root: int) -> str:
    """The word that a root's tables begin with: sign, inverse, root4."""
    return _SIGN_NAMES.get(root, f"root{root}")


def table_name(
    schedule: Schedule,
    strategy: Equioscillation | None,
    dtype: str | None,
    normalization: str = "frobenius",
    band: float | None = None,
    *,
    own_safety: bool = False,
    rounded: str | None = None,
) -> str:
    """A name made from the parameters: sign-d5x6-l1e-3-bf16, sign-d5-9x3-l1e-3, root4-d9x3-l0.1-h1.01.

    strategy: None where there is no safety to name. dtype: the precision that it is made for; own_safety:
    with headroom, cushion and floor of one's own in place of that precision's, which the name then says:
    sign-d5x6-l1e-3-h1.02-bf16. band: in place of the lower end, where the smallest one for this error was
    asked for. An evaluation is named where it is not the
    preferred one; a grid that coefficients are rounded to as -r1_1024, -rdecimals4, -rbf16.
    """
    low, high = schedule.interval
    parts = [family(schedule.root)]
    degrees = runs(schedule.degrees) if len(schedule.steps) > 1 else f"{schedule.degrees[0]}x1"
    parts += [f"d{degrees}", _goal(low, band)]
    if high != 1:
        parts.append(f"u{short(high)}")
    if strategy is not None and (dtype is None or own_safety):
        safety = []
        for letter, value, neutral in (
            ("h", strategy.headroom, 1.0),
            ("c", strategy.cushion, 0.0),
            ("f", strategy.image_floor or 0.0, 0.0),
            ("t", strategy.floor_free_tail, 0),
        ):
            values = value if isinstance(value, tuple) else (value,)
            if any(v != neutral for v in values):
                safety.append(letter + runs(values))
        # Without any it is not the precision's own safety either.
        parts += safety or ([] if dtype is None else ["h1"])
    parts += [] if dtype is None else [DTYPES[dtype]]
    other = {s.evaluation for s in schedule.steps if s.evaluation != preferred(s.inner_degree)}
    parts += sorted(other)
    if rounded is not None:
        parts.append("r" + rounded.replace("/", "_").replace(":", ""))
    if normalization != "frobenius":
        parts.append(normalization)
    return "-".join(parts)


def ending(root: int, dtype: str | None, purpose: str | None) -> str:
    """The end of a name: the precision, and whether a table of root 2 is for P^(−1/2) and not for signs."""
    coupled = "-coupled" if root == 2 and purpose == "root" else ""
    return (f"-{DTYPES[dtype]}" if dtype else "") + coupled


def budget_name(
    root: int = 2,
    matmuls: int | None = None,
    error: float | None = None,
    lower: float | None = 1e-3,
    upper: float = 1.0,
    dtype: str | None = None,
    shape: tuple[int, int] | None = None,
    form: str = "direct",
    normalization: str = "frobenius",
) -> str:
    """A name for what a budget search was asked: sign-m15-l1e-3-bf16, sign-e0.02-l1e-3-fp16-1024x4096-auto,
    sign-m12-band0.3-bf16.

    lower: None where the smallest was asked for, which error then is of. dtype: None for exact arithmetic.
    shape: where not the default.
    """
    goal = f"m{matmuls}" if matmuls is not None else f"e{short(error or 0.0)}"
    parts = [family(root), goal, _goal(lower or 0.0, error if lower is None else None)]
    parts += [f"u{short(upper)}"] if upper != 1 else []
    parts.append("exact" if dtype is None else DTYPES[dtype])
    parts += ["x".join(map(str, sorted(shape)))] if shape is not None else []
    parts += [form] if form not in ("direct", form_of(root)) else []
    parts += [normalization] if normalization != "frobenius" else []
    return "-".join(parts)


def _goal(lower: float, band: float | None) -> str:
    return f"l{short(lower)}" if band is None else f"band{short(band)}"


def runs(values: Sequence[float]) -> str:
    """5, 9, 9, 9 as "5-9x3"."""
    found = [(value, len(list(group))) for value, group in groupby(values)]
    return "-".join(short(value) + (f"x{count}" if count > 1 else "") for value, count in found)


def short(x: float) -> str:
    """The shortest exact decimal: 1e-3 for 0.001, 0.1 for 0.1."""
    plain = repr(int(x)) if x == int(x) and abs(x) < 1e6 else repr(x)
    digits, _, exponent = f"{x:e}".partition("e")
    scientific = f"{digits.rstrip('0').rstrip('.')}e{int(exponent)}"
    return scientific if float(scientific) == x and len(scientific) < len(plain) else plain
