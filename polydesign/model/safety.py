"""What became of matrices whose roundings agree, in half precision, and what a table is called after it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from polydesign.model.checks import (
    InputError,
    check_choice,
    check_integer,
    check_number,
    check_plain,
    dtype_name,
)

HALF = ("bfloat16", "float16")
"""Precisions that are coarse enough for it to matter; products are summed in a higher one."""

LOOPS = ("fused", "compiled", "separate")
"""How a loop rounds: fused, a product together with what is added to it, as torch.addmm does; compiled, every
product, and then every sum of products once; separate, one operation after the other, as PyTorch runs
B = b*A + c*A@A in bfloat16."""

STANDINGS = ("plain", "fused", "unsafe", "untried")
"""plain: nothing that was tried blew up, in any loop. fused: nothing did in fused loops, which this package
and torch.optim.Muon have, but some in another. unsafe: some in fused loops. untried: not every loop was."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What members of one family of matrices became in one kind of loop.

    Args:
        digest: Of the schedule and its purpose.
        family: A name of rounding.families.FAMILIES, or of what was enumerated or hunted.
        loop: One of LOOPS.
        dtype: Precision of the state.
        tried: How many members, of them
        blown: so many ended with a singular value above 1.5, or above 1.25 + E where that is more,
        lost: so many with one that ended 0.25 or more beyond the promised error; of singular values on the
            range, and above what rounding the input alone may take.
        worst: The largest |v − 1| of those; None where a result was not finite.
        seed: Of the random numbers.

    Raises:
        InputError: A field is out of its range; it names the field.
    """

    digest: str
    family: str
    loop: str
    dtype: str
    tried: int
    blown: int
    lost: int
    worst: float | None
    seed: int = 0

    def __post_init__(self) -> None:
        check_plain("family", self.family)
        check_choice("loop", self.loop, LOOPS)
        object.__setattr__(self, "dtype", dtype_name(self.dtype))
        for name in ("tried", "blown", "lost", "seed"):
            object.__setattr__(self, name, check_integer(name, getattr(self, name), 0))
            if name in ("blown", "lost") and getattr(self, name) > self.tried:
                raise InputError(name, f"is {getattr(self, name)}, and {self.tried} were tried")
        if self.worst is not None:
            object.__setattr__(self, "worst", check_number("worst", self.worst))
            if self.worst < 0:
                raise InputError("worst", f"is a distance, and cannot be {self.worst!r}")


def blown(trials: Iterable[Trial], dtype: str, *loops: str) -> tuple[int, int]:
    """How many members blew up in these loops, in a precision, and how many were tried."""
    counted = [one for one in trials if one.dtype == dtype and one.loop in loops]
    return sum(one.blown for one in counted), sum(one.tried for one in counted)


def standing(trials: Iterable[Trial], dtype: str) -> str:
    """One of STANDINGS, for a precision."""
    trials = tuple(trials)
    found = {loop: blown(trials, dtype, loop) for loop in LOOPS}
    if found["fused"][0]:
        return "unsafe"
    if not found["fused"][1]:
        return "untried"
    if any(bad for bad, _ in found.values()):
        return "fused"
    return "plain" if all(tried for _, tried in found.values()) else "untried"


def weakest(standings: Iterable[str]) -> str:
    """Of several that may run in one call, the one that is worth least: an unsafe one counts most."""
    return max(standings, key=("plain", "fused", "untried", "unsafe").index)


def stated(trials: Iterable[Trial], dtype: str) -> str:
    """The standing in a precision and what it means, in words."""
    trials = tuple(trials)
    word = standing(trials, dtype)
    among = "matrices whose roundings agree"
    if word == "untried":
        return f"untried in {dtype} on {among}"
    (bad, tried), (others, in_others) = blown(trials, dtype, "fused"), blown(trials, dtype, *LOOPS[1:])
    if word == "unsafe":
        return f"unsafe in {dtype}: {bad:,} of {tried:,} {among} blew up in fused loops"
    if word == "fused":
        return (
            f"fused in {dtype}: of {tried:,} {among} none blew up in fused loops (addmm), "
            f"and {others:,} of {in_others:,} did in other loops"
        )
    return f"plain in {dtype}: of {tried + in_others:,} {among} none blew up in any loop"


def half_of(purpose: str, dtype: str | None) -> str | None:
    """The half precision in which a table's standing matters.

    Args:
        purpose: Of the table.
        dtype: That the table was made for.

    Returns:
        The precision itself, bfloat16 for a table made for none; None where the table is not for the sign, or
        was made for a finer precision.
    """
    dtype = dtype or HALF[0]
    return dtype if purpose == "sign" and dtype in HALF else None
