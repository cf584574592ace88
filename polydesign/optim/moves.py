"""What a step moves: matrices are mixed with their momentum, orthogonalized together, and taken off."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

from polydesign.model import InputError
from polydesign.optim.groups import Map, scale_of
from polydesign.optim.matrices import Piece
from polydesign.optim.parts import Part, batches, called, each_called, in_stack, joined
from polydesign.optim.readings import Reading, read
from polydesign.optim.shards import Spread, distributed
from polydesign.runtime.sharded.many import run_many
from polydesign.runtime.sharded.placed import as_placed, placed


class Held(NamedTuple):
    """What this rank has of a parameter, its gradient and its momentum."""

    parameter: Tensor
    gradient: Tensor
    momentum: Tensor


@dataclass(frozen=True)
class Moves:
    """A step of one group.

    log: What readings go to, None in a step without any. calls: Steps before this one.
    """

    how: Map
    group: dict[str, Any]
    lr: Any
    log: Callable[[Reading], object] | None
    calls: int

    def plain(self, found: list[tuple[str, Held]]) -> None:
        """Of parameters that this rank has whole."""
        parts = [
            Part(name, piece, *held)
            for name, held in found
            for piece in self.how.layout.pieces(tuple(held.parameter.shape), name)
        ]
        for batch in batches(parts):
            self._batch(batch)

    def _batch(self, batch: list[Part]) -> None:
        """Matrices of one shape, together."""
        M = joined([part.piece.matrices(part.momentum) for part in batch])
        if self.group["nesterov"]:
            M = self._mixed(joined([part.piece.matrices(part.gradient) for part in batch]), M)
        counts = [part.piece.of(part.parameter).numel() // (part.sides[0] * part.sides[1]) for part in batch]
        try:
            X = self.how.sign(M) if self.log is None else self._logged(M, each_called(batch, counts))
        except InputError as problem:  # the operator knows places in a stack, and users their parameters
            place = re.fullmatch(r"M\[(\d+)\]", problem.field)
            if place is None:
                raise
            title, _ = each_called(batch, counts)[int(place[1])]
            raise InputError(f"update of {title}", problem.problem) from problem
        for part, found in zip(batch, X.split(counts), strict=True):
            found = found if found.shape[-2:] == part.sides else found.mT
            self._take(part.piece.of(part.parameter), found, part.sides)

    def spread(self, found: list[tuple[Spread, Held]]) -> None:
        """Of DTensors, all in one call, on all ranks of their meshes."""
        given: list[Any] = []
        for one, held in found:
            M = self._mixed(held.gradient, held.momentum) if self.group["nesterov"] else held.momentum
            given += one.matrices(M)
        cuts = [(one, piece) for one, _ in found for piece in one.pieces]
        if self.log is None:
            names = [called(one.name, piece, one.length(piece)) for one, piece in cuts]
            results = iter(run_many(self.how.sign, given, names))
        else:
            results = (self._gathered(M, *cut) for M, cut in zip(given, cuts, strict=True))
        for one, held in found:
            X = one.joined([next(results) for _ in one.pieces])
            for piece in one.pieces:
                self._take(one.here(piece, held.parameter), one.here(piece, X), one.sides(piece))

    def _mixed(self, gradient: Tensor, momentum: Tensor) -> Tensor:
        return gradient.lerp(momentum, self.group["momentum"])

    def _gathered(self, M: Any, one: Spread, piece: Piece) -> Any:
        """The result for a DTensor, which every rank runs whole, for its readings."""
        blockwise = self.how.sign.plan.blockwise
        whole = M.to_local() if blockwise else M.full_tensor()
        stack = whole.reshape(-1, *whole.shape[-2:])
        names = in_stack(one.name, len(stack))
        sides = (whole.shape[-2], whole.shape[-1])
        titles = [(called(name, piece, one.length(piece)), sides) for name in names]
        X = self._logged(stack, titles).reshape(whole.shape)
        return as_placed(X, placed(one.name, M)) if blockwise else distributed(X, M)

    def _logged(self, M: Tensor, titles: list[tuple[str, tuple[int, int]]]) -> Tensor:
        run = self.how.sign.run(M)
        assert self.log is not None
        for reading in read(M, run, self.how.sign, self.calls, titles):
            self.log(reading)
        return run.result

    def _take(self, target: Tensor, found: Tensor, sides: tuple[int, int]) -> None:
        """Off a part of a parameter, scaled for a matrix of these sides."""
        step = self.lr * scale_of(self.group["adjust_lr_fn"], *sides)
        if isinstance(step, Tensor):
            target.sub_(found.reshape(target.shape) * step.to(found.device))
        else:
            target.add_(found.reshape(target.shape), alpha=-step)
