"""Plan: how a table is run on matrices."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from polydesign.model.checks import (
    ADAPTIVE,
    FORMS,
    NORMALIZATIONS,
    InputError,
    check_choice,
    check_integer,
    check_number,
    dtype_name,
)

FLOAT32_SIDE = 32
"""The default. Up to this side a state in float32 takes at most a tenth longer than one in a half precision,
and less in most cases, alone and in a batch (scripts/benchmarks/small_state.py, on a CPU)."""

SPLIT = "split"
"""A step whose matrices are sums of two bfloat16 numbers, where that matters: three products for one."""

STEP_PRECISIONS = (SPLIT, "bfloat16", "float16", "float32")
"""What a step may run in (Plan.precision)."""

CHOICES = ("host", "device")
"""Who chooses the table (Plan.choice)."""

LAYOUTS = ("gram", "owner", "gather")
"""How the ranks of a mesh share the work of sharded matrices."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a table is run on matrices.

    Args:
        dtype: Precision of the iterated state and of the result; None means the input's own.
        out_dtype: Precision of what an operator returns, such as that of the parameter; None means the
            state's. The iteration does not change.
        check: Look at the data, and raise for input that is refused and for a result that cannot be right.
            "warn" warns of such a result: an exception would end a training run. "input" looks at the input
            alone, as measuring does. False looks at nothing, which torch.func.vmap needs; nor does anything
            look while a CUDA graph is captured.
        form: Of msign; gram takes fewer operations on wide matrices (see runtime/execute.py).
        restarts: Of the gram form, the indices from 0 of the steps before which it starts again, run as
            given; None has them chosen for the precision (rounding/gram.py), () is none.
        normalization: One of NORMALIZATIONS in place of the table's own; None for the table's. "adaptive", of
            msign with matmuls or error, chooses the table by the matrix, with the promise of the one that
            runs otherwise and never more products (runtime/adaptive.py).
        compile: Run the iteration through torch.compile, which takes seconds at first and then serves every
            table of the same degrees; the checks stay outside.
        matmuls: Run the package's best table for so many products, where none is given.
        error: Run the cheapest one that was measured at this error (runtime/defaults.py), where none is
            given.
        float32_side: Of msign and what is made of it. A matrix whose shorter side is at most this is
            iterated in float32 also where the state is a half precision, by the same table with as many
            products, and its result rounded once. Where few entries differ, as in small matrices, all
            may be rounded alike, and push a singular value to where the table blows up. 0 switches it off.
        dither: Of msign and what is made of it, in a state of half precision: entries of the normalized
            matrix are multiplied by 1 + u·r before they are rounded, u the unit roundoff and r in (−1, 1) a
            hash of their indices, so that equal ones are not rounded alike. Permuted rows then give another
            rounding, and the error of the direction grows. Where dtype is None and the input is wider, or the
            state is float32 by float32_side, it does nothing.
        choice: Of adaptive, who chooses: the host, one table for all matrices of a batch, and with fewer
            products where they allow it; or the device, for each matrix by index, among the members of a
            family: tables of as many products that differ in their constants (runtime/indexed.py). There the
            family is that of the table that runs otherwise, or of a given one; nothing waits for the device.
        every: Of adaptive: an operator looks at the matrix to choose in one of so many calls with matrices of
            this shape, and in between runs what it chose then. A call for which that promises less is
            warned of, and the next one chooses again.
        layout: Of DTensors whose matrices are split over ranks, how ranks share the work: "gram", "owner" or
            "gather" (runtime/sharded/); None for the one that a model of the cost chooses. The map is the
            same.
        blockwise: True, of DTensors: each shard is a matrix of its own, as of heads, and nothing travels.
            Sizes such as (512, 128, 128), of msign: so many rows each, of every matrix, sharded or not, are
            matrices of their own, as in a fused projection. Both are other maps than the one of the whole
            matrix, and run only where they are asked for.
        precision: Of `inverse_root` with an even root, power 1 and a half precision: what the products of
            each step run in, a word or a tuple, of which the last goes on: ("split", "bf16"). P and the
            result are then held in float32 between the steps, products are summed in it, and P stays
            symmetric. In a step that is split, q(P) is formed in dtype, and what the next P depends on in
            pairs of bfloat16 numbers, three products for one (runtime/stepwise.py).

    Raises:
        InputError: A field is not one of its words, or two of them do not go together.
    """

    dtype: Any = None
    check: bool | str = True
    form: str = "direct"
    restarts: tuple[int, ...] | None = None
    normalization: str | None = None
    compile: bool = False
    matmuls: int | None = None
    error: float | None = None
    float32_side: int = FLOAT32_SIDE
    dither: bool = False
    out_dtype: Any = None
    every: int = 1
    layout: str | None = None
    blockwise: bool | tuple[int, ...] = False
    precision: Any = None
    choice: str = CHOICES[0]

    def __post_init__(self) -> None:
        if self.matmuls is not None:
            object.__setattr__(self, "matmuls", check_integer("matmuls", self.matmuls, 1))
            if self.error is not None:
                raise InputError("error", "and matmuls are both given: say one of them")
        if self.error is not None:
            object.__setattr__(self, "error", check_number("error", self.error))
            if self.error <= 0:
                raise InputError("error", f"must be greater than 0, not {self.error!r}")
        for name in ("dtype", "out_dtype"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, dtype_name(getattr(self, name), name))
        if self.normalization is not None:
            check_choice("normalization", self.normalization, (*NORMALIZATIONS, ADAPTIVE))
        if not isinstance(self.check, bool):
            check_choice("check", self.check, ("warn", "input"))
        if self.layout is not None:
            check_choice("layout", self.layout, LAYOUTS)
            if self.blockwise is True:
                raise InputError("layout", "is of whole matrices, and blockwise of shards: say one of them")
        self._check_adaptive()
        self._check_precision()
        for name in ("compile", "dither"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(name, f"must be True or False, not {getattr(self, name)!r}")
        self._check_blockwise()
        if self.dither and self.dtype in ("float32", "float64"):
            raise InputError("dither", f"is of bfloat16 and float16, and dtype is {self.dtype}: leave it out")
        check_choice("form", self.form, FORMS)
        object.__setattr__(self, "float32_side", check_integer("float32_side", self.float32_side, 0))
        if self.restarts is not None:
            if self.form != "gram":
                raise InputError(
                    "restarts", f'are of the gram form, and form is {self.form}: write form="gram"'
                )
            if not isinstance(self.restarts, (tuple, list)):
                raise InputError("restarts", f"must be a tuple such as (2,), not {self.restarts!r}")
            restarts = tuple(check_integer(f"restarts[{k}]", one, 1) for k, one in enumerate(self.restarts))
            if any(later <= earlier for earlier, later in pairwise(restarts)):
                raise InputError("restarts", f"must increase, and are {list(restarts)}")
            object.__setattr__(self, "restarts", restarts)

    def _check_blockwise(self) -> None:
        sizes = self.blockwise
        if isinstance(sizes, bool):
            return
        if not isinstance(sizes, (tuple, list)) or not sizes:
            raise InputError("blockwise", f"must be True, False, or sizes such as (512, 128), not {sizes!r}")
        whole = tuple(check_integer(f"blockwise[{k}]", size, 1) for k, size in enumerate(sizes))
        object.__setattr__(self, "blockwise", whole)

    def _check_precision(self) -> None:
        if self.precision is None:
            return
        given = self.precision if isinstance(self.precision, (tuple, list)) else (self.precision,)
        if not given:
            raise InputError("precision", 'is empty: write one word a step, such as ("split", "bf16")')
        words = tuple(SPLIT if word == SPLIT else _step_precision(word) for word in given)
        if self.dtype in ("float32", "float64"):
            raise InputError(
                "precision", f'goes with a half precision, and dtype is {self.dtype}: write dtype="bf16"'
            )
        if self.compile is True:
            raise InputError("compile", "runs one precision, and there is one a step: leave one of them out")
        object.__setattr__(self, "precision", words)

    def _check_adaptive(self) -> None:
        object.__setattr__(self, "every", check_integer("every", self.every, 1))
        check_choice("choice", self.choice, CHOICES)
        device = self.choice == "device"
        if self.normalization != ADAPTIVE:
            for name, value in (("every", self.every != 1), ("choice", device)):
                if value:
                    cure = f'write normalization="{ADAPTIVE}" too' if device else "leave it out"
                    raise InputError(
                        name,
                        f'is of normalization="adaptive", and {self.normalization} chooses nothing: {cure}',
                    )
            return
        if not device:
            self._check_looking()
        elif self.every > 1:
            raise InputError(
                "every", 'is of choice="host", and the device chooses in each call: leave it out'
            )
        elif self.form != "direct":
            raise InputError("form", f'{self.form} goes with choice="host": leave one of them out')
        if self.restarts is not None:
            raise InputError(
                "restarts", "are of one table, and adaptive chooses among several: leave restarts out"
            )

    def _check_looking(self) -> None:
        """Of a choice on the host, which looks at the data."""
        if self.matmuls is None and self.error is None:
            raise InputError(
                "normalization",
                "adaptive chooses among tables for an error, or a number of products: write error=0.05 or "
                "matmuls=15 too",
            )
        if self.check is False:
            raise InputError(
                "normalization",
                "adaptive looks at the data to choose, and check=False looks at nothing: write "
                'choice="device", or leave one of them out',
            )
        if self.every > 1 and not self.guards:
            raise InputError(
                "every",
                f"needs a look at the result, and check={self.check!r} has none: write check=True or leave "
                "every out",
            )

    @property
    def guards(self) -> bool:
        """Whether results are looked at."""
        return self.check in (True, "warn")

    def in_dtype(self, dtype: Any) -> Plan:
        """The same plan in this precision and for results in it, without dither where that does nothing."""
        dither = self.dither and dtype_name(dtype) in ("bfloat16", "float16")
        return replace(self, dtype=dtype, out_dtype=None, dither=dither)


def _step_precision(word: Any) -> str:
    try:
        name = dtype_name(word, "precision")
    except InputError:
        name = str(word)
    check_choice("precision", name, STEP_PRECISIONS)
    return name
