"""A batch of restarts on its way down: the loop of Adam, and the best that it has seen."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from polydesign.search.adam_settings import Adam
from polydesign.search.composition import Composition
from polydesign.search.objectives import Looks
from polydesign.search.starts import Rows

MIX = (0.6, 0.2, 0.2)
"""Weights of the gradients at the coefficients, and at all of them shifted up and down."""

RECORDED = 500
"""Rows of a trajectory, about."""

Watch = Callable[[int, float, float], None]
"""Called now and then with (iterations done, current value, best value)."""


class Descent:
    """What changes during a search: parameters, the best ones, and the value of each.

    limit: of |f − 1| on the guarded points, in place of that of the starts.
    """

    def __init__(
        self,
        config: Adam,
        space: Composition,
        looks: Looks,
        starts: list[Rows],
        guard: np.ndarray | None,
        limit: float | None = None,
    ) -> None:
        self.config, self.space, device = config, space, space.device
        self.terms = [(weight, objective, torch.from_numpy(x).to(device)) for weight, objective, x in looks]
        self.limit = torch.full((len(starts),), torch.inf, dtype=torch.float64, device=device)
        self.guard = None if guard is None else torch.from_numpy(guard).to(device)
        self.parameters = self.space.parameters_of(starts)
        if self.guard is not None:
            # Where the objective does not look, an error of 1 is let pass, or the start's where that is more.
            found = self._guarded(self.space.coefficients(self.parameters)).clamp(min=1.0)
            self.limit = found if limit is None else torch.full_like(found, limit)
        self.best = self.parameters.clone()
        # The start's own value, before the first step.
        self.least, _ = self._look(self.parameters[None])
        self.first = self.least.clone()
        self.done = config.begin
        self._path: list[tuple[int, float, float, float]] = []

    def go(self, timeout: float | None, watch: Watch | None) -> str:
        """All iterations; returns why it stopped."""
        begun = time.monotonic()  # what torch loads for its optimizer takes seconds
        config = self.config
        optimizer = torch.optim.Adam([self.parameters], lr=config.rate, eps=1e-10)
        shifts = [0.0, config.perturbation, -config.perturbation] if config.perturbation else [0.0]
        mix = torch.tensor(MIX if config.perturbation else (1.0,), device=self.parameters.device)
        shift = torch.tensor(shifts, dtype=torch.float64, device=self.parameters.device)[:, None, None, None]
        every = max(1, config.iterations // RECORDED)
        try:
            for iteration in range(config.begin, config.iterations):
                rate = config.rate_at(iteration)
                value, gradient = self._look(self.parameters + shift * self.space.free, gradient=True)
                assert gradient is not None
                self._keep(value)
                norm = gradient.flatten(2).norm(dim=2)[:, :, None, None]
                capped = gradient / (norm / config.cap).clamp(min=1.0)
                if iteration % every == 0:
                    self._record(iteration, rate, value, watch)
                    # A restart that has left float64 goes back to its best.
                    lost = ~gradient.flatten(2).isfinite().all(2).all(0)[:, None, None]
                    self.parameters.copy_(torch.where(lost, self.best, self.parameters))
                self.parameters.grad = (mix[:, None, None, None] * capped.nan_to_num(0.0, 0.0, 0.0)).sum(0)
                optimizer.param_groups[0]["lr"] = rate
                optimizer.step()
                self.done = iteration + 1
                if timeout is not None and time.monotonic() - begun > timeout:
                    return self._finish("timeout", watch)
        except KeyboardInterrupt:
            return "interrupted"
        return self._finish("done", watch)

    def _finish(self, stopped: str, watch: Watch | None) -> str:
        value, _ = self._look(self.parameters[None])
        self._keep(value)
        self._record(self.done, 0.0, value, watch)
        return stopped

    def _keep(self, value: Tensor) -> None:
        better = value < self.least
        # In this order: an interruption between the two leaves a better schedule under an older value.
        self.best = torch.where(better[:, None, None], self.parameters, self.best)
        self.least = torch.where(better, value, self.least)

    def _record(self, iteration: int, rate: float, value: Tensor, watch: Watch | None) -> None:
        current, best = float(value.nan_to_num(torch.inf).min()), float(self.least.min())
        self._path.append((iteration, rate, current, best))
        if watch is not None:
            watch(iteration, current, best)

    def _look(self, variants: Tensor, *, gradient: bool = False) -> tuple[Tensor, Tensor | None]:
        """Values (b,) at variants[0], infinite where a step is not positive; gradients (v, b, T, n + 1)."""
        batch = variants.shape[1]
        leaf = variants.flatten(0, 1).requires_grad_(gradient)
        coefficients = self.space.coefficients(leaf)
        fixed = coefficients.detach()
        value = torch.zeros(batch, dtype=torch.float64, device=leaf.device)
        total = torch.zeros_like(fixed)
        if self.guard is not None:
            value = torch.where(self._guarded(fixed[:batch]) <= self.limit, value, torch.inf)
        for weight, objective, x in self.terms:
            f, lowest = self.space.forward(fixed, x, batch)
            value = value + weight * objective.value(f[:batch], x)
            value = torch.where(lowest > 0, value, torch.inf)
            if gradient:
                at = objective.active(f)
                f, back = self.space.trace(fixed, x if at is None else x[at])
                f.requires_grad_()
                (down,) = torch.autograd.grad(objective.loss(f, x).sum(), f)
                total = total + weight * back(down)
        if not gradient:
            return value, None
        (found,) = torch.autograd.grad(coefficients, leaf, total)
        return value, found.view(variants.shape) * self.space.free

    def _guarded(self, fixed: Tensor) -> Tensor:
        """max |f − 1| on the guarded points, infinite where a step is not positive."""
        assert self.guard is not None
        f, lowest = self.space.forward(fixed, self.guard, fixed.shape[0])
        return torch.where(lowest > 0, (f - 1).abs().amax(-1), torch.inf)

    def value_of(self, rows: Rows) -> float:
        """The objective of one schedule, infinite where a step is not positive."""
        fixed = self.space.tensor([rows])
        if self.guard is not None and not float(self._guarded(fixed)) <= float(self.limit.max()):
            return np.inf
        total = 0.0
        for weight, objective, x in self.terms:
            f, lowest = self.space.forward(fixed, x, 1)
            total += weight * float(objective.value(f, x)) if float(lowest) > 0 else np.inf
        return total

    def sorted(self) -> tuple[tuple[float, ...], tuple[Rows, ...]]:
        """Values and rows of all restarts, best first."""
        order = torch.argsort(self.least, stable=True).tolist()
        rows = self.space.rows(self.best)
        return tuple(float(self.least[i]) for i in order), tuple(rows[i] for i in order)

    def trajectory(self) -> tuple[tuple[int, float, float, float], ...]:
        return tuple(self._path)
