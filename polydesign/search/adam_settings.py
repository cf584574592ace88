"""The settings of a gradient search. search/adam.py runs it, with torch, which nothing here needs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from polydesign.model import InputError, check_choice, check_integer, check_number

PARAMETERS = ("coefficients", "fixed-points")


@dataclass(frozen=True, slots=True)
class Adam:
    """torch.optim.Adam on all coefficients, or on fixed points, of a schedule.

    After a resumption Adam's averages start afresh. The source (search/adam.py) takes a perturbation of 0.05
    and no bias correction. The same seed on the same machine with the same number of threads gives the same
    digits. Other machines and other versions of torch sum in another order, and a search of thousands of
    steps enlarges that: there the values agree to a few digits, the coefficients need not.

    Args:
        objective: topk:50, sup, mean-square:LAW, slope:0.3, or a weighted sum of them.
        iterations: In all, those that are done already included.
        begin: So many of them are done already.
        rate: Learning rate.
        drop_after: Iterations after which the rate is multiplied by drop.
        drop: Factor on the rate after drop_after iterations.
        start: minimax, classical, random, youjiacheng, a published table, a file.
        shared: One polynomial for all steps.
        restarts: Starts run as one batch; the best counts. random is drawn for each.
        spread: Other starts are multiplied, from the second on, by 1 + this·N(0, 1), each coefficient.
        seed: Of random starts and restarts.
        perturbation: Average gradients over shifts of all coefficients by this; 0 for none.
        cap: Largest norm of a gradient.
        bias_correction: Of Adam's averages.
        parameters: What moves; fixed-points is q(y) = 1 + γ(y − 1)Π(y − zᵢ), which keeps p(1) = 1.
        polish: Linear programs or least squares after adam, for coefficients and an objective that is no
            sum.
        round: Grid of the coefficients, reached step after step at the end: 1/1024 (any 1/N), decimals:4,
            bf16, fp16 or fp32.
        device: As in torch; auto is a GPU where there is one.

    Raises InputError naming the field.
    """

    objective: str = "topk:50"
    iterations: int = 20_000
    begin: int = 0
    rate: float = 1e-3
    drop_after: int = 10_000
    drop: float = 0.1
    start: str = "minimax"
    shared: bool = False
    restarts: int = 1
    spread: float = 0.02
    seed: int = 0
    perturbation: float = 0.0
    cap: float = 1.0
    bias_correction: bool = True
    parameters: str = field(default="coefficients", metadata={"choices": PARAMETERS})
    polish: bool = True
    round: str | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        from polydesign.search.grids import grid  # numpy
        from polydesign.search.objectives import parse  # torch

        parse(self.objective)
        for name, least in (("iterations", 0), ("begin", 0), ("drop_after", 0), ("restarts", 1), ("seed", 0)):
            object.__setattr__(self, name, check_integer(name, getattr(self, name), least))
        for name in ("rate", "drop", "spread", "perturbation", "cap"):
            object.__setattr__(self, name, check_number(name, getattr(self, name)))
            if getattr(self, name) < 0 or (getattr(self, name) == 0 and name in ("rate", "drop", "cap")):
                raise InputError(name, f"must be positive, and is {getattr(self, name)!r}")
        check_choice("parameters", self.parameters, PARAMETERS)
        if self.round is not None:
            object.__setattr__(self, "round", grid(self.round).word)
            if self.parameters != "coefficients":
                raise InputError(
                    "round", f"is for parameters = coefficients: on a grid {self.parameters} do not stay"
                )

    def rate_at(self, iteration: int) -> float:
        """The rate of an iteration, counted from 0.

        Without bias correction Adam moves by (1 − 0.9ᵗ)/(1 − 0.999ᵗ)^(1/2) of what it does with it, t being
        counted from 1: up to 6.6 times as far in the beginning.
        """
        rate = self.rate * (self.drop if iteration >= self.drop_after else 1.0)
        t = iteration - self.begin + 1
        return rate if self.bias_correction else rate * (1 - 0.9**t) / math.sqrt(1 - 0.999**t)
