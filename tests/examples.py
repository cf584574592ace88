"""How many examples hypothesis tries: few in make test, as many as were asked for where all cases are run."""

from __future__ import annotations

WIDE = False
"""Whether all cases are run; conftest sets it before tests are collected."""


def examples(few: int, *, wide: int) -> int:
    """Of the same sequence: what is tried here is the beginning of what is tried there."""
    return wide if WIDE else few
