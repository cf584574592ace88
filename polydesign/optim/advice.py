"""What table the momentum of a model asks for: `polydesign.advise`, and what it returns."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from polydesign.model import InputError, check_number, check_several, check_texts, dtype_name
from polydesign.optim.matrices import Layout
from polydesign.optim.serving import EXTRA, Choice, lows, serving
from polydesign.program.cost import cost, flops
from polydesign.table.catalogue import find, load

if TYPE_CHECKING:
    from polydesign.optim.spectra import Spectrum

ERRORS = (0.3, 0.1, 0.03)
USUAL = "jordan_5"
"""Five quintics, 15 products: what is replaced."""

LOWER = 1e-3
"""Of ‖M‖_F: singular values above are to be served."""


@dataclass(frozen=True, slots=True)
class Serves:
    """What serves a whole model at one error.

    Attributes:
        error: That every singular value above lower·‖M‖_F keeps to.
        each: For every matrix the cheapest table, None where no table of the package does.
        one: The cheapest one that serves all of them.
        products: Of every matrix by its own table; by `one`; by five quintics. None where one is missing.
        operations: The same in operations, over those of five quintics.
    """

    error: float
    each: tuple[Choice | None, ...]
    one: Choice | None
    products: tuple[int | None, int | None, int]
    operations: tuple[float | None, float | None]

    @property
    def saved(self) -> tuple[int | None, int | None]:
        """Products a step that are saved against five quintics: by a table for each, by one for all."""
        usual = self.products[2]
        first, second = (None if count is None else usual - count for count in self.products[:2])
        return first, second


@dataclass(frozen=True, slots=True)
class Advice:
    """What was found in a state.

    Attributes:
        spectra: A Spectrum for every matrix that is not zero.
        serves: A Serves for each of the errors.
        dtype: In which the tables run.
        lower: Singular values above lower·‖M‖_F are to be served.
        key: The name under which the momenta were found; None where all matrices were taken.
        left_out: Reason -> names of the tensors that were left out.
    """

    spectra: tuple[Spectrum, ...]
    serves: tuple[Serves, ...]
    dtype: str
    lower: float
    key: str | None = None
    left_out: dict[str, list[str]] = field(default_factory=dict)

    def lines(self, error: float = ERRORS[0]) -> str:
        """The lines of Python to paste, for one table that serves all matrices at this error; "" for none."""
        found = next((one for one in self.serves if one.error == error), None)
        if found is None:
            raise InputError("error", f"must be one of {[one.error for one in self.serves]}, not {error!r}")
        if found.one is None:
            return ""
        name = found.one.normalization
        normalization = "" if name == "frobenius" else f', normalization="{name}"'
        return (
            "from polydesign.optim import Muon\n"
            "from polydesign.runtime import Plan\n\n"
            f'plan = Plan("{self.dtype}", check="warn"{normalization})\n'
            f'optimizer = Muon(matrices, lr=lr, table="{found.one.table}", plan=plan)\n'
        )

    def to_json(self) -> dict[str, Any]:
        """All of it, as JSON has it."""
        body = asdict(self)
        for row, one in zip(body["spectra"], self.spectra, strict=True):
            row["rho"] = one.rho
        for row, one in zip(body["serves"], self.serves, strict=True):
            row["saved"] = one.saved
            row["lines"] = self.lines(one.error)
        return body


def advise(
    *states: Any,
    dtype: Any = "bfloat16",
    lower: float = LOWER,
    errors: Sequence[float] = ERRORS,
    only: Sequence[str] = (),
    exact: bool | None = None,
    seed: int = 0,
    progress: Callable[[int, int, str], None] | None = None,
) -> Advice:
    """Look at the matrices of a checkpoint, or of the state of an optimizer, and say which table serves them.

    Where there are momenta, they are taken, and nothing else. Of three dimensions a tensor is a stack of
    matrices, of more the weight of a convolution, (out, in·…). A table serves a matrix at an error where
    every singular value above lower·‖M‖_F ends within it of 1, proved in exact arithmetic, with what was
    measured of rounding. In half precision it is one that blew up nothing that was tried, divided by the norm
    that it was tried with; in others the Frobenius norm, schatten4 and schatten8 are considered. aol is not,
    because it gives another matrix.

    Args:
        *states: Paths of .pt, .pth, .bin, .safetensors, .npz and .npy files; or optimizers,
            state dicts and tensors.
        dtype: The precision that the optimizer will iterate in.
        lower: Singular values below lower·‖M‖_F are not served: their share is said.
        errors: For which a table is looked for.
        only: Patterns as of a shell, one of which a tensor's name fits; none for all.
        exact: Whether all singular values are computed; None where the shorter side is at most 1024.
        seed: Of the random vectors of estimates.
        progress: Called with how many matrices are done, how many there are, and the next one's name.

    Returns:
        An Advice.

    Raises:
        InputError: For files that are none of these, hold pickled objects or no matrix, and for matrices that
            hold NaN or infinity; it names the file or the tensor.
        OSError: A file cannot be read.

    >>> import torch
    >>> found = advise({"layer": {"momentum_buffer": torch.eye(4, 8)}}, errors=[0.3])
    >>> found.spectra[0].name, found.serves[0].one.table, found.serves[0].saved
    ('layer', 'prism5_alpha_29_20', (6, 6))
    """
    # These need torch, and the name of advise does not.
    from polydesign.optim.spectra import spectrum
    from polydesign.optim.states import read_states

    dtype = dtype_name(dtype)
    lower = check_number("lower", lower)
    if not 0 < lower < 1:
        raise InputError("lower", f"must lie between 0 and 1, and is {lower!r}")
    errors = check_several("errors", errors, (numbers.Real,))
    errors = tuple(check_number(f"errors[{index}]", error) for index, error in enumerate(errors))
    for index, error in enumerate(errors):
        if not 0 < error < 1:
            raise InputError(f"errors[{index}]", f"must lie between 0 and 1, and is {error!r}")
    found = read_states(states, check_texts("only", only))
    stacks = {
        name: next(Layout().pieces(tuple(tensor.shape), name)).matrices(tensor)
        for name, tensor in found.tensors.items()
    }
    total, spectra = sum(map(len, stacks.values())), []
    for name, stack in stacks.items():
        for index, M in enumerate(stack):
            called = f"{name}[{index}]" if len(stack) > 1 else name
            if progress is not None:
                progress(len(spectra), total, called)
            one = spectrum(M, called, exact=exact, seed=seed)
            if one is None:
                found.leave_out("zero", called)
            else:
                spectra.append(one)
    if not spectra:
        raise InputError("states", "hold zero matrices alone: take a state after some steps")
    serves = tuple(_serves(spectra, error, lower, dtype) for error in errors)
    return Advice(tuple(spectra), serves, dtype, lower, found.key, found.left_out)


def _serves(spectra: Sequence[Spectrum], error: float, lower: float, dtype: str) -> Serves:
    starts = [lows(one, lower) for one in spectra]
    each = tuple(serving(start, error, dtype) for start in starts)
    one = serving({name: min(start[name] for start in starts) for name in EXTRA}, error, dtype)
    served = [choice for choice in each if choice is not None]
    own = sum(choice.matmuls for choice in served) if len(served) == len(each) else None
    shapes = [found.shape for found in spectra]
    usual = sum(_operations(Choice(USUAL, "frobenius", 15, 1e-3), shape) for shape in shapes)
    operations = (
        None if own is None else sum(map(_operations, served, shapes)) / usual,
        None if one is None else sum(_operations(one, shape) for shape in shapes) / usual,
    )
    whole = None if one is None else one.matmuls * len(shapes)
    return Serves(error, each, one, (own, whole, 15 * len(shapes)), operations)


@lru_cache(maxsize=4096)
def _operations(choice: Choice, shape: tuple[int, int]) -> float:
    prices = flops(shape)
    schedule = load(find(choice.table), proving=False).schedule
    return cost(schedule, prices) + EXTRA[choice.normalization] * prices.symmetric
