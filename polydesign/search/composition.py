"""Compositions of many schedules at once, as torch tensors: their values and derivatives.

A batch of schedules is a tensor (b, T, n + 1) of coefficients in increasing powers, shorter rows filled up
with zeros; x is (g,) for all or (b, g), one row a schedule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from polydesign.model import InputError
from polydesign.search.starts import Rows


class Composition:
    """The parameters of schedules of given degrees, their coefficients, and their values.

    parameters: (b, T, n + 1), or (b, 1, n + 1) where all steps share one polynomial; `free` is 1 where one
    may move and 0 where it fills up, and in the first `frozen` steps. See adam.Adam for the two kinds.
    """

    def __init__(
        self,
        root: int,
        degrees: tuple[int, ...],
        shared: bool,
        kind: str,
        device: torch.device,
        *,
        frozen: int = 0,
    ) -> None:
        self.root, self.device, self.kind = root, device, kind
        self.inner = [(degree - 1) // root for degree in degrees]
        self.shared = shared
        used = self.inner[:1] if shared else self.inner
        width = max(used) + 1
        free = [[float(j <= n - (kind == "fixed-points")) for j in range(width)] for n in used]
        self.free = torch.tensor(free, dtype=torch.float64, device=device)
        self.free[:frozen] = 0
        self._room: dict[tuple[int, int], list[Tensor]] = {}

    def tensor(self, schedules: Sequence[Rows]) -> Tensor:
        """(b, T, n + 1) of rows."""
        width = max(self.inner) + 1
        filled = [[(*row, *[0.0] * (width - len(row))) for row in rows] for rows in schedules]
        return torch.tensor(filled, dtype=torch.float64, device=self.device)

    def parameters_of(self, schedules: Sequence[Rows]) -> Tensor:
        """Raises InputError where a row has no fixed points to start from."""
        if self.shared:
            schedules = [rows[:1] for rows in schedules]
        if self.kind == "fixed-points":
            schedules = [tuple(map(_fixed_points, rows)) for rows in schedules]
        return self.tensor(schedules)

    def coefficients(self, parameters: Tensor) -> Tensor:
        """(b, T, n + 1); of fixed points q(y) = 1 + γ(y − 1)Π(y − zᵢ), parameters γ, z₁, …, z_(n−1)."""
        if self.kind == "fixed-points":
            steps = [
                self._expanded(parameters[:, t], n) for t, n in enumerate(self.inner[: parameters.shape[1]])
            ]
            parameters = torch.stack(steps, dim=1)
        return parameters.expand(-1, len(self.inner), -1)

    def _expanded(self, parameters: Tensor, n: int) -> Tensor:
        zero = torch.zeros_like(parameters[:, :1])
        product = torch.cat([-parameters[:, :1], parameters[:, :1]], dim=1)  # γ(y − 1)
        for i in range(1, n):
            z = parameters[:, i : i + 1]
            product = torch.cat([zero, product], dim=1) - z * torch.cat([product, zero], dim=1)
        product = torch.cat([1 + product[:, :1], product[:, 1:]], dim=1)
        return torch.nn.functional.pad(product, (0, parameters.shape[1] - n - 1))

    def rows(self, parameters: Tensor) -> list[Rows]:
        """The rows of every schedule of a batch, without what fills them up."""
        found = self.coefficients(parameters.detach()).tolist()
        return [tuple(tuple(row[: n + 1]) for row, n in zip(rows, self.inner, strict=True)) for rows in found]

    def forward(self, c: Tensor, x: Tensor, watched: int) -> tuple[Tensor, Tensor]:
        """f(x) (b, g), and the smallest value after any step, for the first `watched` schedules.

        f lies in memory that the next call of this size overwrites: fresh memory would cost more than the
        arithmetic.
        """
        size = (c.shape[0], x.shape[-1])
        if size not in self._room:
            self._room[size] = [torch.empty(size, dtype=torch.float64, device=self.device) for _ in range(3)]
        state, y, q = self._room[size]
        state.copy_(x.expand(size))
        lowest = torch.full((watched,), torch.inf, dtype=torch.float64, device=self.device)
        for t, n in enumerate(self.inner):
            if self.root == 2:
                torch.mul(state, state, out=y)
            else:
                torch.pow(state, self.root, out=y)
            step = c[:, t, :, None]
            torch.addcmul(step[:, n - 1], step[:, n], y, out=q)
            for j in range(n - 2, -1, -1):
                torch.addcmul(step[:, j], q, y, out=q)
            state.mul_(q)
            lowest = torch.minimum(lowest, state[:watched].amin(-1))
        return state, lowest

    def trace(self, c: Tensor, x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """f(x) (b, g), and the function that turns ∂L/∂f (b, g) into ∂L/∂c (b, T, n + 1).

        The chain rule by hand: with powers stacked, a step is two products of small matrices there and two
        back, and autograd's graph costs several times that.
        """
        width = c.shape[2]
        exponents = 1 + self.root * torch.arange(width, dtype=torch.float64, device=self.device)
        x = x.expand(c.shape[0], -1)
        steps = []
        for t in range(len(self.inner)):
            y = x * x if self.root == 2 else x**self.root
            powers = torch.empty((c.shape[0], width, x.shape[1]), dtype=torch.float64, device=self.device)
            powers[:, 0] = 1.0
            powers[:, 1] = y
            for j in range(2, width):
                torch.mul(powers[:, j - 1], y, out=powers[:, j])
            terms = x[:, None] * powers
            row = c[:, t : t + 1]
            steps.append((row, powers, terms))
            x = torch.bmm(row, terms)[:, 0]

        def back(down: Tensor) -> Tensor:
            found = []
            down = down[:, None]
            for row, powers, terms in reversed(steps):
                found.append(torch.bmm(down, terms.mT))
                down = down * torch.bmm(exponents * row, powers)
            return torch.cat(found[::-1], dim=1)

        return x, back


def _fixed_points(row: tuple[float, ...]) -> tuple[float, ...]:
    """γ and the fixed points z = xʳ other than 1 of p, the one nearest to 1 moved there."""
    found = np.roots([*row[:0:-1], row[0] - 1]) if row[-1] else np.array([1j])
    if len(found) != len(row) - 1 or np.iscomplex(found).any():
        raise InputError(
            "start",
            "has a step without as many real fixed points as its inner degree, which parameters = "
            "fixed-points needs: take another start, or parameters = coefficients",
        )
    points = sorted((float(z.real) for z in found), key=lambda z: abs(z - 1))
    return (row[-1], *sorted(points[1:]))
