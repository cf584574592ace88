"""Plan: how a table is run on matrices."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from polydesign.model.checks import (
    FORMS,
    InputError,
    check_choice,
    check_integer,
    check_normalization,
    check_number,
    dtype_name,
)


@dataclass(frozen=True, slots=True)
class Plan:
    """How a table is run on matrices.

    Args:
        dtype: Precision of the iterated state; None means the input's own.
        check: Refuse NaN and infinity in the input. This looks at the data: turn it off inside a compiled
            or captured training step, and under torch.func.vmap, which compile does not go with.
        form: Of msign; gram takes fewer operations on wide matrices (see runtime/execute.py).
        restarts: Of the gram form, the indices from 0 of the steps before which it starts again, run as
            given; None has them chosen for the precision (rounding/gram.py), () is none.
        normalization: One of NORMALIZATIONS in place of the table's own; None for the table's.
        compile: Run the iteration through torch.compile, which takes seconds at first and then serves every
            table of the same degrees; the checks stay outside.
        matmuls: Run the package's best table for so many products, where none is given.
        error: Run the cheapest one that was measured at this error (runtime/defaults.py), where none is
            given.

    Raises:
        InputError: A field is not one of its words, or two of them do not go together.
    """

    dtype: Any = None
    check: bool = True
    form: str = "direct"
    restarts: tuple[int, ...] | None = None
    normalization: str | None = None
    compile: bool = False
    matmuls: int | None = None
    error: float | None = None

    def __post_init__(self) -> None:
        if self.matmuls is not None:
            check_integer("matmuls", self.matmuls, 1)
            if self.error is not None:
                raise InputError("error", "and matmuls are both given: say one of them")
        if self.error is not None:
            check_number("error", self.error)
            if self.error <= 0:
                raise InputError("error", f"must be greater than 0, not {self.error!r}")
        if self.dtype is not None:
            object.__setattr__(self, "dtype", dtype_name(self.dtype))
        if self.normalization is not None:
            check_normalization(self.normalization)
        for name in ("check", "compile"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(name, f"must be True or False, not {getattr(self, name)!r}")
        check_choice("form", self.form, FORMS)
        if self.restarts is not None:
            if self.form != "gram":
                raise InputError(
                    "restarts", f'are of the gram form, and form is {self.form}: write form="gram"'
                )
            if not isinstance(self.restarts, (tuple, list)):
                raise InputError("restarts", f"must be a tuple such as (2,), not {self.restarts!r}")
            for index, restart in enumerate(self.restarts):
                check_integer(f"restarts[{index}]", restart, 1)
            if any(later <= earlier for earlier, later in pairwise(self.restarts)):
                raise InputError("restarts", f"must increase, and are {list(self.restarts)}")
            object.__setattr__(self, "restarts", tuple(self.restarts))
