"""Muon with any table: the arguments and the state of torch.optim.Muon, matrices of one shape in one call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from polydesign.model import InputError, Plan, check_integer
from polydesign.optim.gradients import check_finite, gradient_of
from polydesign.optim.groups import KEPT, Map, check_parameter, check_state, moving, names_of, settled
from polydesign.optim.maps import TORCH_EPS, TORCH_STEPS
from polydesign.optim.moves import Held, Moves
from polydesign.optim.readings import Reading
from polydesign.optim.shards import local_of, placed_as
from polydesign.runtime.sharded.placed import is_placed
from polydesign.table.given import Source


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalized: torch.optim.Muon with the table that you choose.

    B ← μB + (1 − μ)G, then p ← (1 − lr·λ)p − lr·s·O, where O is the table's map of the singular values of
    (1 − μ)G + μB, with nesterov, or of B. Without table, plan, matmuls, error and ns_coefficients the table
    is the package's best one for as many products as torch.optim.Muon takes, 15, in bfloat16. With
    ns_coefficients it is that optimizer, within rounding. A group may have any argument but log of its own.

    Parameters that are DTensors, as of FSDP2, move as the whole ones would within rounding, whatever their
    placement, and every rank of their mesh calls `step`, with gradients of the same parameters. What travels
    is said in docs/sharded.md; plan.layout names it. Fused matrices that are split across what is fused, and
    such weights of convolutions, travel once more each way.

    State dicts have torch.optim.Muon's fields, and either optimizer loads the other's. What runs is decided
    by the arguments: a state that is loaded does not change ns_coefficients, ns_steps and eps.

    Matrices of one shape, and their transposes, run in one call. Under torch.compile the map is one
    operation. With plan.check, which is "warn" where no plan is given, NaN and infinity in a gradient are
    refused before anything is changed.

    Args:
        params: Matrices, stacks of them and weights of convolutions, or groups of these, as for any optimizer
            of torch. Give vectors, embeddings and the last layer to another one, such as AdamW.
        lr: Learning rate, a number or a tensor with one.
        weight_decay: λ, decoupled.
        momentum: μ.
        nesterov: Whether the gradient is mixed in again.
        ns_coefficients: (a, b, c) of aX + bXXᵀX + c(XXᵀ)²X, run ns_steps times, in place of a table.
        eps: The least norm that a matrix is divided by.
        ns_steps: How often ns_coefficients run.
        adjust_lr_fn: s for a matrix of m rows and n columns: None or "original" √max(1, m/n),
            "match_rms_adamw" 0.2·√max(m, n).
        table: A Table, its name, path, or rows; it runs in the precision that it was made for, one of the
            literature in bfloat16.
        plan: How it runs; given, nothing of the defaults above is added to it.
        matmuls: The package's best table for so many products.
        error: The package's cheapest table that was measured at this error.
        matrices: "auto": three dimensions are a stack, such as experts, more are the weight of a convolution,
            (out, in·…). "stack": the last two dimensions are the matrix. "flatten": all but the first are
            one, as for convolutions in one dimension.
        split: Sizes of matrices that are fused in one, such as (q, k, v): each is orthogonalized by itself,
            and has its own s.
        split_dim: 0 where they lie above each other, 1 where side by side.
        log: Called with a Reading for every matrix; it costs a product and singular values each. DTensors
            are gathered for it, and every rank gets all readings.
        log_every: In every so-manieth step, the first one among them.

    Raises:
        InputError: For arguments as in torch.optim.Muon and those above, with the name of the argument or of
            the parameter; for vectors, complex parameters, and DTensors that are terms of a sum or
            interleaved. In step, for sparse gradients and those that are not finite, on all ranks alike.

    Source: Keller Jordan, kellerjordan.github.io/posts/muon; adjust_lr_fn: arXiv 2502.16982.

    >>> layer = torch.nn.Linear(4, 3, bias=False)
    >>> optimizer = Muon(layer.parameters(), lr=0.02, error=0.3)
    >>> optimizer.param_groups[0]["table"]
    'sign-m14-l1e-3-bf16'
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] | None = None,
        eps: float = TORCH_EPS,
        ns_steps: int = TORCH_STEPS,
        adjust_lr_fn: str | None = None,
        *,
        table: Source | None = None,
        plan: Plan | None = None,
        matmuls: int | None = None,
        error: float | None = None,
        matrices: str = "auto",
        split: tuple[int, ...] | None = None,
        split_dim: int = 0,
        log: Callable[[Reading], object] | None = None,
        log_every: int = 1,
    ) -> None:
        log_every = check_integer("log_every", log_every, 1)
        if log is not None and not callable(log):
            raise InputError("log", "must be a function of one Reading, such as readings.append of a list")
        self.log, self.log_every, self.calls = log, log_every, 0
        self._maps: list[Map] = []
        named = {"matrices": matrices, "split": split, "split_dim": split_dim}
        self._own = {"table": table, "plan": plan, "matmuls": matmuls, "error": error, **named}
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group: its params, and arguments that are its own.

        Args:
            param_group: "params", and any argument but log.

        Raises:
            InputError: As when the optimizer is made; the groups are then what they were.
        """
        given, how = settled(param_group, self._own, self.defaults)
        super().add_param_group(given)
        try:
            group = self.param_groups[-1]
            for name, p in zip(names_of(group, len(self.param_groups) - 1), group["params"], strict=True):
                check_parameter(name, p)
                list(how.layout.pieces(tuple(p.shape), name))
                if is_placed(p):
                    how.spread(name, p).check_layout(how.sign, p.dtype)
        except InputError:
            self.param_groups.pop()
            raise
        self._maps.append(how)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state of this optimizer or of torch.optim.Muon; what runs stays as the arguments have it.

        Args:
            state_dict: As `state_dict()` gives it.

        Raises:
            InputError: It is of another optimizer or model, or a momentum is not finite; nothing is changed.
        """
        check_state(state_dict, self.param_groups, self._maps)
        kept = [{name: group[name] for name in KEPT} for group in self.param_groups]
        super().load_state_dict(state_dict)
        for index, (group, own) in enumerate(zip(self.param_groups, kept, strict=True)):
            group.update(own)
            for name, p in zip(names_of(group, index), group["params"], strict=True):
                state = self.state.get(p, {})
                if "momentum_buffer" in state:
                    buffer = placed_as(f"momentum of {name}", state["momentum_buffer"], p)
                    state["momentum_buffer"] = buffer

    def __getstate__(self) -> dict[str, Any]:
        """Without the log, which is a function of somebody."""
        own = {"_maps": self._maps, "_own": self._own, "calls": self.calls, "log_every": self.log_every}
        return {**super().__getstate__(), **own, "log": None}

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step.

        Args:
            closure: Computes the loss and its gradients again.

        Returns:
            What closure returns, or None.
        """
        if torch.compiler.is_compiling() and any(
            is_placed(p) for group in self.param_groups for p in group["params"]
        ):
            return _apart(self, closure)
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        found = [
            [(name, p, gradient_of(name, p)) for name, p in moving(group, index)]
            for index, group in enumerate(self.param_groups)
        ]
        if not torch.compiler.is_compiling():
            looked = zip(found, self._maps, strict=True)
            check_finite(
                [(name, grad) for one, how in looked if how.sign.plan.check for name, _, grad in one]
            )
        for one, group, how in zip(found, self.param_groups, self._maps, strict=True):
            if one:
                self._step(one, group, how)
        self.calls += 1
        return loss

    def _step(self, found: list[tuple[str, Tensor, Tensor]], group: dict[str, Any], how: Map) -> None:
        for _, p, grad in found:
            if "momentum_buffer" not in self.state[p]:
                zero = torch.zeros_like(grad, memory_format=torch.preserve_format)
                self.state[p]["momentum_buffer"] = zero
        lr = group["lr"].squeeze() if isinstance(group["lr"], Tensor) else group["lr"]
        logs = self.log is not None and self.calls % self.log_every == 0
        moves = Moves(how, group, lr, self.log if logs else None, self.calls)
        # Of a DTensor what this rank has: all that is done entry by entry needs no other.
        params, grads = [local_of(p) for _, p, _ in found], [local_of(grad) for _, _, grad in found]
        buffers = [local_of(self.state[p]["momentum_buffer"]) for _, p, _ in found]
        torch._foreach_lerp_(buffers, grads, 1 - group["momentum"])  # pyright: ignore
        torch._foreach_mul_(params, 1 - lr * group["weight_decay"])  # pyright: ignore
        held = [
            (name, p, Held(*rows))
            for (name, p, _), *rows in zip(found, params, grads, buffers, strict=True)
            if p.numel()
        ]
        moves.plain([(name, one) for name, p, one in held if not is_placed(p)])
        moves.spread([(how.spread(name, p), one) for name, p, one in held if is_placed(p)])


@torch.compiler.disable(reason="Muon's step of DTensors runs collectives, and is not traced")
def _apart(optimizer: Muon, closure: Callable[[], Any] | None) -> Any:
    """A step outside the graph."""
    return optimizer.step(closure)
