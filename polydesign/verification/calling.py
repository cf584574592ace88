"""Code of others called on a matrix of a kit, and what is seen of the call: result, dtype, input after it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from polydesign.model import InputError
from polydesign.verification.expected import KitCase

FRAMEWORKS = ("numpy", "torch")

AROUND = 7.0
"""What lies between the entries of a strided input; code that reads it computes with it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a call. value: in float64, None where there is none; dtype: of what was returned.

    problem: why there is no value, in words. overwritten: the input is another than before.
    """

    value: np.ndarray | None
    dtype: str = ""
    problem: str = ""
    overwritten: bool = False


WANTS_TENSORS = ": it was given an array of numpy; for tensors say framework torch"


def refused(case: KitCase, framework: str) -> str:
    """Why this case cannot be passed in this framework; empty where it can."""
    return "numpy has no bfloat16" if (case.given, framework) == ("bfloat16", "numpy") else ""


def call(function: Callable[[Any], Any], case: KitCase, dtype: str, framework: str = "numpy") -> Answer:
    """The function's answer on a case's input, as an array of numpy or a tensor of torch.

    The input is float64 for dtype float64 and else float32, since rounding is the function's own, or what
    the case is given in. What the function raises is the answer.

    Raises InputError for another framework.
    """
    if framework not in FRAMEWORKS:
        raise InputError("framework", f"{framework!r} is not one of {', '.join(FRAMEWORKS)}")
    wanted = case.given or ("float64" if dtype == "float64" else "float32")
    whole, view = _passed(strided_storage(case), case.strided, wanted, framework)
    before = whole.copy() if framework == "numpy" else whole.clone()
    try:
        found = function(view)
    except (Exception, SystemExit) as problem:  # another's code may raise what it likes, and may not end us
        said = f"raised {type(problem).__name__}: {problem}".partition("\n")[0]
        # Such as 'numpy.ndarray' object has no attribute 'bfloat16', or norm(): argument must be Tensor.
        tensors = framework == "numpy" and isinstance(problem, (AttributeError, TypeError))
        return Answer(None, problem=said + WANTS_TENSORS if tensors and "ndarray" in said else said)
    overwritten = not bool((whole == before).all())
    try:
        value, name = _read(found)
    except (TypeError, ValueError) as problem:
        return Answer(None, problem=f"returned no array of real numbers: {problem}")
    return Answer(value, name, overwritten=overwritten)


def strided_storage(case: KitCase) -> np.ndarray:
    """The memory that a case's input lies in: twice as many rows and columns where it is strided."""
    if not case.strided:
        return case.input.copy()
    *batch, m, n = case.input.shape
    whole = np.full((*batch, 2 * m, 2 * n), AROUND)
    whole[..., ::2, ::2] = case.input
    return whole


def _passed(storage: np.ndarray, strided: bool, dtype: str, framework: str) -> tuple[Any, Any]:
    """The memory in this dtype, and the input as a view of it."""
    if framework == "numpy":
        whole: Any = storage.astype(dtype)
    else:
        import torch

        whole = torch.from_numpy(storage).to(getattr(torch, dtype))
    return whole, whole[..., ::2, ::2] if strided else whole[...]


def _read(found: Any) -> tuple[np.ndarray, str]:
    """A result in float64 on the CPU, and its dtype's name."""
    if hasattr(found, "detach"):  # a tensor: bfloat16 is unknown to numpy, and a gradient is no matter
        return found.detach().cpu().double().numpy(), str(found.dtype).removeprefix("torch.")
    array = np.asarray(found)
    if array.dtype.kind not in "fiu" and array.dtype.name != "bfloat16":
        raise TypeError(f"its dtype is {array.dtype}")
    return array.astype(np.float64), array.dtype.name
