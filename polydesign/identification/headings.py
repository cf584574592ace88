"""Which coefficient a column has, from what it is called: a, b, c; c0, c1; a1, a3, a5; x, x^3, x⁵."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile

from polydesign.identification.nested import LETTERS

_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_STEMS = r"(?:coefficient|coeff|coef)?(?:of)?"
COUNTS = (
    "",
    "#",
    "i",
    "id",
    "idx",
    "index",
    "iter",
    "iteration",
    "k",
    "layer",
    "n",
    "no",
    "row",
    "step",
    "t",
)
"""What a column is called that counts the rows."""


def columns_of(names: Sequence[str]) -> list[int] | None:
    """The places of the columns of coefficients, in increasing powers; None where their names do not say it.

    Columns of powers of x that no step has come last, after a place that is −1.
    """
    plain = [_plain(name) for name in names]
    powers = {
        index: int(name[1:] or 1) for index, name in enumerate(plain) if re.fullmatch(r"x\d{0,2}", name)
    }
    if len(powers) > 1 and len(set(powers.values())) == len(powers):
        odd = sorted((index for index, power in powers.items() if power % 2), key=powers.__getitem__)
        even = [index for index, power in powers.items() if power % 2 == 0]
        gaps = [powers[index] for index in odd] != [*range(1, 2 * len(odd), 2)]
        return None if gaps or not odd else [*odd, *([-1, *even] if even else [])]
    for letters in LETTERS:
        found = [plain.index(letter) for letter in takewhile(plain.__contains__, letters)]
        if len(found) > 1:
            return found
    return None


def leaves_out(names: Sequence[str]) -> bool:
    """Whether the names are of coefficients, and one between is missing: x and x^5, a and c, c1 and c5."""
    plain = [_plain(name) for name in names]
    powers = tuple(f"x{power}" if power > 1 else "x" for power in range(1, 26, 2))
    if columns_of(names) is not None:
        return False
    return any(sum(name in letters for name in plain) > 1 for letters in (*LETTERS, powers))


def _plain(name: str) -> str:
    bare = re.sub(r"[^a-z0-9#]", "", name.translate(_SUPERSCRIPTS).lower().replace("**", ""))
    return re.sub(rf"^{_STEMS}(?=[a-z]\d*$)", "", bare)
