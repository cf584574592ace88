"""A user's matrix from a file, read without running what the file may hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open

from polydesign.model import InputError, shortened
from polydesign.verification.spectra import Sample, from_matrix


def read_matrix(path: str | Path) -> Sample:
    """The matrix in a .npy, .pt or .safetensors file, with its decomposition.

    Of several tensors the first with two dimensions is taken, or the one named in "file.safetensors::NAME".
    Nothing is unpickled: .npy is read without objects, .pt as weights only. Raises InputError naming the
    file and what to do about it.
    """
    location, _, key = str(path).partition("::")
    file = Path(location)
    if file.suffix not in READERS:
        raise InputError(str(path), f"cannot be read as a matrix: save it as one of {', '.join(READERS)}")
    if not file.is_file():
        raise InputError(str(path), "there is no such file")
    try:
        matrix = READERS[file.suffix](file, key)
    except InputError:
        raise
    except Exception as problem:  # libraries raise whatever the bytes of a file lead them to
        reason = shortened(str(problem).partition("\n")[0] or type(problem).__name__, 160)
        raise InputError(
            str(path), f"is not a readable {file.suffix} file of plain tensors ({reason}); save it again"
        ) from problem
    return from_matrix(matrix, str(path))


def _read_npy(file: Path, key: str) -> torch.Tensor:
    if key:
        raise InputError(f"{file}::{key}", f"a .npy file holds one array without a name: write {file}")
    with file.open("rb") as content:
        array = np.load(content, allow_pickle=False)
    if not isinstance(array, np.ndarray):
        raise InputError(str(file), "holds several arrays: save one of them as .npy")
    if array.dtype.kind not in "fiu":
        raise InputError(str(file), f"holds {array.dtype}, and only real numbers are run: convert it first")
    return torch.from_numpy(array.astype(np.float64))


def _read_pt(file: Path, key: str) -> torch.Tensor:
    content = torch.load(file, map_location="cpu", weights_only=True)
    if isinstance(content, torch.Tensor) and not key:
        return content
    found: dict[Any, Any] = content if isinstance(content, dict) else {}
    tensors = {str(k): t for k, t in found.items() if isinstance(t, torch.Tensor)}
    shapes = {k: tuple(t.shape) for k, t in tensors.items()}
    return tensors[_choose(file, key, shapes)]


def _read_safetensors(file: Path, key: str) -> torch.Tensor:
    with safe_open(file, framework="pt") as content:
        shapes = {k: tuple(content.get_slice(k).get_shape()) for k in content.keys()}  # noqa: SIM118
        return content.get_tensor(_choose(file, key, shapes))


def _choose(file: Path, key: str, shapes: dict[str, tuple[int, ...]]) -> str:
    """The named tensor, or the first with two dimensions."""
    matrices = [name for name, shape in shapes.items() if len(shape) == 2]
    if not matrices:
        raise InputError(str(file), "holds no tensor with two dimensions: save one matrix")
    if not key:
        return matrices[0]
    if key not in matrices:
        shown = ", ".join(matrices[:8]) + (", …" if len(matrices) > 8 else "")
        raise InputError(f"{file}::{key}", f"there is no such matrix in the file; it holds {shown}")
    return key


READERS: dict[str, Callable[[Path, str], torch.Tensor]] = {
    ".npy": _read_npy,
    ".pt": _read_pt,
    ".safetensors": _read_safetensors,
}
