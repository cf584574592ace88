"""What the tests of expectations share: tables designed deep enough, and the count of the cases of each row.

A row is a line of the table in docs/measurements.md. A test says with `expects` which row it belongs to, and
tests/test_expectations.py compares the counts with the page.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import ArrayLike
from torch import Tensor

import polydesign
from polydesign.model import InputError, Table

LOWEST = 1e-8
"""Smallest eigenvalue, relative to the norm, that the tables here are designed for."""


class Count(NamedTuple):
    """How many cases a row has, and how many of them are met."""

    cases: int
    met: int


ROWS: dict[str, list[Callable[..., Any]]] = {}
"""Row -> the tests that belong to it."""


def expects(row: str) -> Callable[[Any], Any]:
    """The test belongs to this row: the outermost decorator, above those of parametrize."""

    def register(test: Any) -> Any:
        ROWS.setdefault(row, []).append(test)
        return test

    return register


def unmet(*values: Any, reason: str, raises: Any = AssertionError, name: str | None = None) -> Any:
    """A case that is not met: it must fail, and in this way."""
    return pytest.param(*values, marks=pytest.mark.xfail(strict=True, raises=raises, reason=reason), id=name)


EMPTY: list[Any] = [
    unmet(torch.int64, reason="integers are refused, and scipy makes them float64", raises=InputError),
    torch.float64,
    torch.float32,
    torch.complex128,
    torch.complex64,
]
"""Of the empty matrices that scipy tries."""


def count(row: str) -> Count:
    """Of all tests of the row, from what they are parametrized with."""
    cases = met = 0
    for test in ROWS[row]:
        total = passing = 1
        for mark in getattr(test, "pytestmark", ()):
            if mark.name == "parametrize":
                values = mark.args[1]
                total *= len(values)
                passing *= sum(not (hasattr(one, "marks") and one.marks) for one in values)
        cases, met = cases + total, met + passing
    return Count(cases, met)


@cache
def root_table(root: int, inner: int = 4, lowest: float = LOWEST) -> Table:
    """Of degree 1 + inner·root, for float64: eigenvalues down to `lowest`, to the precision's rounding."""
    return polydesign.design(
        root=root,
        degree=1 + inner * root,
        error=1e-14,
        lower=lowest ** (1 / root),
        dtype="float64",
        purpose="root" if root == 2 else None,
    )


@cache
def sign_table() -> Table:
    """For float64: singular values down to `LOWEST`, to the precision's rounding."""
    return polydesign.design(degree=9, error=1e-14, lower=LOWEST, dtype="float64")


def tensor(values: ArrayLike) -> Tensor:
    """With entries in float64, or complex ones; other precisions stay what they are."""
    array = np.asarray(values)
    return torch.as_tensor(array.astype(np.float64) if array.dtype.kind in "iu" else array.copy())
