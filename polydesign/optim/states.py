"""Matrices of checkpoints and of states of optimizers, read without running what a file may hold."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from polydesign.model import InputError, shortened
from polydesign.optim.matrices import Layout

MOMENTA = ("momentum_buffer", "exp_avg", "momentum", "mu")
"""What optimizers call the average of gradients: where a state has one of these, the first, nothing else
of it is read."""

NO_AVERAGES = (
    *("square_avg", "exp_avg_sq", "max_exp_avg_sq", "exp_inf"),
    *("sum", "acc_delta", "prev", "step_size"),
)
"""What optimizers of torch keep beside them or in their place, second moments and step sizes among them: no
step is made of their spectra."""

MOST_DEPTH = 64
"""Of what is nested in a file."""


@dataclass(frozen=True, slots=True)
class Found:
    """What is looked at: name -> tensor of two dimensions or more. left_out: reason -> names. key: of
    MOMENTA."""

    tensors: dict[str, Tensor]
    left_out: dict[str, list[str]] = field(default_factory=dict)
    key: str | None = None

    def leave_out(self, reason: str, name: str) -> None:
        self.left_out.setdefault(reason, []).append(name)


def read_states(states: Sequence[Any], only: Sequence[str] = ()) -> Found:
    """The matrices of files, state dicts and optimizers.

    Args:
        states: Paths of .pt, .pth, .bin, .safetensors, .npz and .npy files, optimizers of torch, tensors, and
            dicts and lists of these.
        only: Patterns as of a shell, one of which a name fits; none for all.

    Returns:
        The tensors by name, that of a file before its own where there are several.

    Raises:
        InputError: With the file, or the tensor's name, and what helps.
    """
    leaves: dict[str, Tensor] = {}
    if not states:
        raise InputError("states", "none is given: write the path of a checkpoint")
    for index, state in enumerate(states):
        is_file = isinstance(state, (str, os.PathLike))
        where = str(state) if is_file else f"states[{index}]"
        prefix = f"{Path(state).name}:" if is_file and len(states) > 1 else ""
        content = _read(Path(state)) if is_file else state
        before = len(leaves)
        for name, tensor in _leaves(_named(content), where):
            leaves[prefix + name] = tensor
        if len(leaves) == before:
            what = f"holds no tensors{_of(content)}: save state_dict() of a model or an optimizer"
            raise InputError(where, what)
    return _chosen(leaves, only)


def _chosen(leaves: dict[str, Tensor], only: Sequence[str]) -> Found:
    last = {name: re.split(r"[.:]", name)[-1] for name in leaves}
    key = next((one for one in MOMENTA if one in last.values()), None)
    found = Found({}, key=key)
    for name, tensor in leaves.items():
        if only and not any(fnmatchcase(name, pattern) for pattern in only):
            found.leave_out("of other names", name)
        elif key is not None and last[name] != key:
            found.leave_out(f"no {key}", name)
        elif last[name] in NO_AVERAGES:
            found.leave_out("no averages of gradients", name)
        elif tensor.is_complex() or not tensor.is_floating_point():
            found.leave_out(str(tensor.dtype).removeprefix("torch."), name)
        elif not tensor.numel():
            found.leave_out("empty", name)
        elif tensor.ndim < 2 or min(Layout().sides(tuple(tensor.shape))) == 1:
            found.leave_out("vectors", name)
        else:
            found.tensors[name.removesuffix(f".{key}")] = tensor
    if not found.tensors:
        reasons = ", ".join(f"{len(names)} {reason}" for reason, names in found.left_out.items())
        if only and set(found.left_out) == {"of other names"}:
            known = ", ".join(list(leaves)[:6])
            raise InputError("only", f"no name fits {', '.join(only)}; there are {shortened(known, 300)}")
        if "no averages of gradients" in found.left_out:
            reasons += "; the optimizer keeps no momentum"
        raise InputError("states", f"hold no matrix of real numbers ({reasons}): give the state of layers")
    return found


def _of(content: Any) -> str:
    return " (it is empty)" if isinstance(content, (Mapping, list, tuple)) and not content else ""


def _named(content: Any) -> Any:
    """An optimizer as its state dict; a state dict with names of parameters in place of their numbers."""
    if isinstance(content, torch.optim.Optimizer):
        content = content.state_dict()
    if isinstance(content, torch.nn.Module):
        return content.state_dict()
    if not isinstance(content, Mapping):
        return content
    groups, state = content.get("param_groups"), content.get("state")
    if isinstance(groups, (list, tuple)) and isinstance(state, Mapping):
        names: dict[Any, str] = {}
        for group in groups:
            if isinstance(group, Mapping) and isinstance(group.get("param_names"), (list, tuple)):
                names |= dict(zip(group.get("params", ()), map(str, group["param_names"]), strict=False))
        return {names.get(key, str(key)): value for key, value in state.items()}
    return {key: _named(value) for key, value in content.items()}


def _leaves(content: Any, where: str, path: str = "", depth: int = 0) -> Iterator[tuple[str, Tensor]]:
    """Every tensor, by the way to it."""
    if depth > MOST_DEPTH:
        raise InputError(
            where, f"is nested more than {MOST_DEPTH} deep: give the part that holds the tensors"
        )
    if isinstance(content, Tensor):
        yield path or "matrix", _plain(content, f"{where}: {path}" if path else where)
    elif isinstance(content, np.ndarray):
        yield path or "matrix", _from_numpy(content, f"{where}: {path}" if path else where)
    elif isinstance(content, (Mapping, list, tuple)):
        items = content.items() if isinstance(content, Mapping) else enumerate(content)
        for key, value in items:
            yield from _leaves(value, where, f"{path}.{key}" if path else str(key), depth + 1)


def _plain(tensor: Tensor, name: str) -> Tensor:
    tensor = tensor.detach()
    if hasattr(tensor, "full_tensor"):
        raise InputError(name, "is a DTensor: write what full_tensor() gives")
    if tensor.is_meta:
        raise InputError(name, "is on the meta device, and has no values: load it on the CPU")
    if tensor.layout != torch.strided:
        raise InputError(name, "is sparse: write what to_dense() gives")
    return tensor.dequantize() if tensor.is_quantized else tensor


def _from_numpy(array: np.ndarray, name: str) -> Tensor:
    if array.dtype.kind not in "fiubc" or array.dtype.itemsize > 16:
        raise InputError(
            name,
            f"has dtype {array.dtype}, which is no number here: save arrays of float32 (bfloat16 has no "
            "place in .npz)",
        )
    wide = np.float64 if array.dtype.kind == "f" and array.dtype.itemsize > 8 else array.dtype
    return torch.from_numpy(np.array(array, dtype=np.dtype(wide).newbyteorder("="), order="C"))


def _read(path: Path) -> Any:
    if path.suffix not in READERS:
        raise InputError(str(path), f"cannot be read: save it as one of {', '.join(READERS)}")
    if not path.is_file():
        raise InputError(str(path), "there is no such file")
    if not path.stat().st_size:
        raise InputError(str(path), "is empty: save it again")
    try:
        return READERS[path.suffix](path)
    except InputError:
        raise
    except Exception as problem:  # libraries raise whatever the bytes of a file lead them to
        objects = any(word in str(problem).lower() for word in ("pickle", "weights", "allow_pickle"))
        # The first sentence: what follows is how to load it with what it would run.
        plain = re.sub(r"\x1b\[[\d;]*m", "", str(problem)).partition("\n")[0].partition(". ")[0]
        reason = shortened(plain or type(problem).__name__, 200)
        cure = (
            "it holds more than tensors, and nothing in it is run: save the state alone, "
            'torch.save({"optimizer": optimizer.state_dict()}, path)'
            if objects
            else "save it again"
        )
        what = f"is not a readable {path.suffix} file of tensors ({reason}): {cure}"
        raise InputError(str(path), what) from problem


def _read_torch(path: Path) -> Any:
    return torch.load(path, map_location="cpu", weights_only=True)


def _read_safetensors(path: Path) -> Any:
    try:
        from safetensors.torch import load_file
    except ImportError as problem:
        raise InputError(str(path), "safetensors cannot be loaded: pip install safetensors") from problem
    return load_file(path)


def _read_numpy(path: Path) -> Any:
    with path.open("rb") as file:
        if file.read(6)[:2] not in (b"PK", b"\x93N"):
            raise InputError(str(path), "is no file of NumPy's, whatever its name says: save it again")
        file.seek(0)
        content = np.load(file, allow_pickle=False)
        return content if isinstance(content, np.ndarray) else {name: content[name] for name in content.files}


READERS: dict[str, Callable[[Path], Any]] = {
    ".pt": _read_torch,
    ".pth": _read_torch,
    ".bin": _read_torch,
    ".safetensors": _read_safetensors,
    ".npz": _read_numpy,
    ".npy": _read_numpy,
}
