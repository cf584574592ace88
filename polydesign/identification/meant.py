"""Whether a list in a file could be meant in another way: refused then, with what each way comes to."""

from __future__ import annotations

import warnings

from polydesign.identification.matches import Match
from polydesign.model import InputError, SafetyWarning, purpose_of
from polydesign.table.catalogue import find, glance, is_shipped
from polydesign.table.layouts import LAYOUTS, SOME_GOOD, Plain, error_of, other_roots, readings
from polydesign.table.published import names, published

MUCH = 4
"""A reading whose error is so many times smaller is one that the author may have meant. Of 77 lists for the
sign, ours and the literature's, the error as another root on [WIDE_LOWER, 1] is at least 0.42 of their own,
but for prism3_alpha_1, which is known."""

WIDE_LOWER = 0.3
"""Lower end on which roots are told apart: even eighth roots have tables that begin there."""


def check_known(best: Match | None, layout: str | None, where: str) -> None:
    """Refuse a misprint, and a known list that was turned round; warn of one that blows up."""
    if best is None:
        return
    if best.name in names() and published(best.name).misprint and (best.exact or best.repeats):
        raise InputError(
            "path", f"{where} is {best.name}, a misprint that diverges: take the list as it is run"
        )
    if best.order and layout is None:
        raise InputError(
            "layout",
            f"{where} is {best}: turn it round there, or say layout steps to take it as it stands",
        )
    if best.unsafe and best.exact:
        warnings.warn(f"{where} is {best.unsafe}", SafetyWarning, stacklevel=3)


def check_like(best: Match, root: int | None, purpose: str | None, where: str) -> None:
    """Refuse what comes from a known list that is for something else than the sign, until that is decided."""
    own = of_the_known(best)[0] or purpose_of(best.root)
    for field, given, theirs, usual in (("root", root, best.root, 2), ("purpose", purpose, own, "sign")):
        if given is None and theirs != usual and best.root == (root or best.root):
            raise InputError(
                field,
                f"{where} is {best}, whose {field} is {theirs}: say {field} {theirs}, or {field} {usual}",
            )


def of_the_known(known: Match | None) -> tuple[str | None, float | None]:
    """Purpose and lower end of a known table; None where nothing is said."""
    if known is None:
        return None, None
    if known.name in names():
        entry = published(known.name)
        return entry.purpose, entry.interval[0] if entry.interval else None
    if not is_shipped(known.name):  # of an earlier version
        return None, None
    body = glance(find(known.name))
    return body["purpose"], body["interval"][0]


def check_layout(rows: Plain, root: int, interval: tuple[float, float], where: str) -> None:
    """Refuse an unknown list whose numbers may be meant in another layout, with what each comes to."""
    error = error_of(rows, root, interval)
    low, high = interval
    for layout, (meant, other) in readings(rows, root, interval).items():
        if layout != "steps" and (error >= SOME_GOOD or layout == "columns" or other < error / MUCH):
            raise InputError(
                "layout",
                f"{where} can be read in two ways on [{low:g}, {high:g}]: steps, {LAYOUTS['steps']}, has "
                f"{len(rows)} steps and an error of {error:.3g}; {layout}, {LAYOUTS[layout]}, has "
                f"{len(meant)} steps and an error of {other:.3g}: say layout steps, or layout {layout}",
            )


def check_root(rows: Plain, root: int, where: str) -> None:
    """Refuse an unknown list that does much better as steps of another root."""
    error = error_of(rows, root, (WIDE_LOWER, 1.0))
    others = {
        one: found
        for one, (_, found) in other_roots(rows, root, WIDE_LOWER).items()
        if found < min(error / MUCH, SOME_GOOD)
    }
    if others:
        each = ", ".join(f"as steps of root {one} {found:.3g}" for one, found in others.items())
        raise InputError(
            "root",
            f"{where} can be read in {1 + len(others)} ways: on [{WIDE_LOWER:g}, 1] the error is as steps of "
            f"root {root} {error:.3g}, {each}: say root {root}, or root {' or '.join(map(str, others))}",
        )
