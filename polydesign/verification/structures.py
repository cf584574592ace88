"""The makers of test matrices with a structure: one function a spectrum, decomposed in float64.

Of m×n matrices they give the first m rows and n columns of the square one of order max(m, n), and of Monarch
matrices what the rectangular factors are.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from polydesign.model import InputError
from polydesign.runtime import hippo_legs, hippo_legt, monarch_dense
from polydesign.runtime.structured.monarch import balanced
from polydesign.verification.request import Request, number, refuse_argument
from polydesign.verification.samples import Sample, from_matrix

HEAD = 16
"""Keys of triangular have so many entries, if there is no argument."""

HIPPO: dict[str, Callable[[int], tuple[Tensor, Tensor]]] = {"legs": hippo_legs, "legt": hippo_legt}
"""Argument of hippo -> its A and B."""


def hippo(asked: Request) -> Sample:
    """A of HiPPO, LegS or LegT: far from normal, of order n with singular values from 0.5 or 1.6 on to about
    0.64·n²; not random."""
    if asked.argument not in HIPPO:
        known = " or ".join(f"hippo:{name}" for name in HIPPO)
        raise InputError("spectrum", f"{asked.name!r} is no matrix of HiPPO: write {known}")
    return _leading(asked, HIPPO[asked.argument](max(asked.shape))[0])


def monarch(asked: Request) -> Sample:
    """A Monarch matrix of Gaussian factors, of the blocks that `monarch_project` takes; where those would
    leave a null space, a block for every row."""
    refuse_argument(asked)
    m, n = asked.shape
    j, k = balanced(m, n)
    if j * k < min(m, n):
        j = m
    L, R = (
        torch.randn(shape, generator=asked.generator, dtype=torch.float64)
        for shape in ((j, m // j, k), (k, j, n // k))
    )
    return from_matrix(monarch_dense(L, R), asked.name)


def triangular(asked: Request) -> Sample:
    """I + the strictly lower part of diag(β)KKᵀ, as DeltaNet inverts it: rows of K random, of length 1, in as
    many dimensions as the argument says, β uniform in (0, 1)."""
    width = HEAD
    if asked.argument is not None:
        width = int(
            number(asked, "the entries of a key, a whole number", "triangular:16", 1, 4096, whole=True)
        )
    n = max(asked.shape)
    K = torch.randn((n, width), generator=asked.generator, dtype=torch.float64)
    K = K / torch.linalg.vector_norm(K, dim=-1, keepdim=True)
    beta = torch.rand((n, 1), generator=asked.generator, dtype=torch.float64)
    return _leading(asked, torch.eye(n, dtype=torch.float64) + ((beta * K) @ K.mT).tril(-1))


def toeplitz(asked: Request) -> Sample:
    """r^|i − j|, r the argument, below 1: symmetric positive, eigenvalues from (1 − r)/(1 + r) to its inverse
    (Kac, Murdock, Szegő 1953); not random."""
    ratio = number(asked, "a ratio in (0, 1)", "toeplitz:0.9", 0.0, 1 - 2.0**-20)
    index = torch.arange(max(asked.shape), dtype=torch.float64)
    return _leading(asked, ratio ** (index[:, None] - index).abs())


def _leading(asked: Request, M: Tensor) -> Sample:
    rows, columns = asked.shape
    return from_matrix(M[:rows, :columns], asked.name)
