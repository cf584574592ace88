"""What each layout costs on a mesh: operations, bytes and collectives of the rank that has most to do.

The model of the time is operations/speed + bytes/bandwidth + collectives·latency, with nothing overlapped.
Bytes are those that a rank sends where collectives go round a ring: 2(p − 1)/p of its tensor for an
all-reduce, p − 1 shards for an all-gather, and for an all-to-all what leaves the rank. meter.py counts what
runs by the same rules.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from polydesign.model import InputError, check_number
from polydesign.model.plan import LAYOUTS
from polydesign.runtime.sharded.placed import Placed, chunks, place


@dataclass(frozen=True, slots=True)
class Machine:
    """What a rank can do; every number is an assumption until it was measured.

    Attributes:
        flops: Operations a second of matrix products in the state's precision.
        bandwidth: Bytes a second that a rank sends.
        latency: Seconds of a collective beside its bytes.
    """

    flops: float
    bandwidth: float
    latency: float

    def __post_init__(self) -> None:
        for name in ("flops", "bandwidth", "latency"):
            object.__setattr__(self, name, check_number(name, getattr(self, name)))
            if getattr(self, name) <= 0:
                raise InputError(name, f"must be greater than 0, not {getattr(self, name)!r}")

    def seconds(self, cost: Cost) -> float:
        """What the model gives for a cost."""
        return cost.flops / self.flops + cost.sent / self.bandwidth + cost.collectives * self.latency


MACHINES = {
    ("cuda", 2): Machine(4e14, 1e11, 2e-5),
    ("cuda", 4): Machine(4e13, 1e11, 2e-5),
    ("cuda", 8): Machine(4e13, 1e11, 2e-5),
    ("cpu", 2): Machine(3e10, 1e9, 1e-4),
    ("cpu", 4): Machine(6e10, 1e9, 1e-4),
    ("cpu", 8): Machine(3e10, 1e9, 1e-4),
}
"""Device and bytes of an entry of the state -> what is assumed where nobody says: a present accelerator with
links of 100 GB/s in one node, and a processor core over a local network. Round numbers, and not measured."""


class Cost(NamedTuple):
    """Of one call, of the rank that has most to do.

    flops: operations of its products. sent: bytes that it sends. collectives: that it takes part in.
    """

    flops: float
    sent: float
    collectives: int

    def __add__(self, other: object) -> Cost:
        assert isinstance(other, Cost)
        return Cost(self.flops + other.flops, self.sent + other.sent, self.collectives + other.collectives)


@dataclass(frozen=True, slots=True)
class Work:
    """What the cost of an operator follows from, whatever lies where.

    Attributes:
        gram: Products X Xᵀ of a matrix.
        wide: Products of an m×m matrix with X.
        symmetric: Products of two m×m matrices.
        stretches: Gram matrices that the gram layout sums, that of the normalization with them.
        gathered: Bytes of an entry of the input.
        result: Bytes of an entry of the result.
        summed: Bytes of an entry of the Gram matrices that are summed.
        sums: Other sums along the long side, of one number a matrix: of the norm, the guard.
        vouched: Whether lengths of rows are summed, where nothing normalizes.
        checked: Whether ranks agree on what they found.
        layouts: Those that can run it.
        coarse: The bytes of an entry of the state.
    """

    gram: int
    wide: int
    symmetric: int
    stretches: int
    gathered: int
    result: int
    summed: int
    sums: int
    vouched: bool
    checked: bool
    layouts: tuple[str, ...] = LAYOUTS
    coarse: int = 4


def costs(where: Placed, work: Work, *, turn: bool = False) -> dict[str, Cost]:
    """The cost of each layout that can run; `local` alone where no matrix is split.

    turn: whether a square matrix may be run as its transpose. The same on every rank: all of them have to
    choose alike.
    """
    where = place(where.mesh, where.placements, where.shape, [0] * where.mesh.ndim)
    if not where.splits:
        return {"local": _run(where, work, 1, _batch(where)) + _agreed(where, work)}
    each = {"gram": _gram, "owner": _owner, "gather": _gather}
    return {name: each[name](where, work, turn) for name in LAYOUTS if name in work.layouts}


def chosen(found: dict[str, Cost], machine: Machine) -> str:
    """The layout that takes the least time by the model; of equal ones the first."""
    return min(found, key=lambda name: machine.seconds(found[name]))


def long_side(where: Placed, turn: bool) -> int:
    """−1 where the columns are the long side, else −2; of a square one that may be turned the split side."""
    m, n = where.shape[-2:]
    if m == n and turn and all(split.side == -2 for split in where.splits):
        return -2
    return -1 if m <= n else -2


def _batch(where: Placed) -> int:
    """Matrices that a rank has a part of."""
    return math.prod(where.local[:-2])


def _run(where: Placed, work: Work, ranks: int, batch: int) -> Cost:
    """The products, where the long side is one of `ranks` parts."""
    m, n = sorted(where.shape[-2:])
    wide, square = 2.0 * m * m * math.ceil(n / ranks), 2.0 * m**3
    return Cost(batch * ((work.gram + work.wide) * wide + work.symmetric * square), 0, 0)


def _agreed(where: Placed, work: Work, dims: tuple[int, ...] | None = None, size: int = 4) -> Cost:
    """One number, of so many bytes, over these mesh dimensions; None: over all."""
    if not work.checked:
        return Cost(0, 0, 0)
    dims = tuple(k for k in range(where.mesh.ndim) if where.mesh.size(k) > 1) if dims is None else dims
    return Cost(0, sum(_ring(where.mesh.size(k), size) for k in dims), len(dims))


def _ring(ranks: int, size: float) -> float:
    return 2 * (ranks - 1) / ranks * size


def _gram(where: Placed, work: Work, turn: bool) -> Cost:
    batch, m = _batch(where), min(where.shape[-2:])
    side = long_side(where, turn)
    total, local = Cost(0, 0, 0), list(where.local)
    for split in reversed(where.splits):
        if split.side != side:
            parts = chunks(local[side], split.ranks)
            there = Cost(0, batch * local[split.side] * (local[side] - parts[0]) * work.gathered, 1)
            local[side], local[split.side] = parts[0], sum(split.sizes)
            back = Cost(0, batch * local[side] * (local[split.side] - split.sizes[0]) * work.result, 1)
            total += there + back
    sums = work.stretches * batch * (m * (m + 1) // 2) * work.summed + work.sums * batch * 8
    sums += work.vouched * batch * m * 8
    for split in where.splits:
        total += Cost(0, _ring(split.ranks, sums), work.stretches + work.sums + work.vouched)
    if work.vouched:
        total += _agreed(where, work)
    ranks = math.prod(split.ranks for split in where.splits)
    return total + _run(where, work, ranks, batch) + _agreed(where, work, where.others, 8)


def _gather(where: Placed, work: Work, turn: bool) -> Cost:
    batch, total, local = _batch(where), Cost(0, 0, 0), list(where.local)
    for split in reversed(where.splits):
        # The shards of an all-gather are of one size; the last ones are filled up.
        local[split.side] = split.sizes[0]
        sent = (split.ranks - 1) * batch * local[-1] * local[-2] * work.gathered
        local[split.side] = sum(split.sizes)
        total += Cost(0, sent, 1)
    return total + _run(where, work, 1, batch) + _agreed(where, work)


def _owner(where: Placed, work: Work, turn: bool) -> Cost:
    batch, total, local = _batch(where), Cost(0, 0, 0), list(where.local)
    for split in reversed(where.splits):
        parts = chunks(batch, split.ranks)
        there = (batch - parts[0]) * local[-1] * local[-2] * work.gathered
        local[split.side] = sum(split.sizes)
        other = local[-3 - split.side]
        back = parts[0] * other * (sum(split.sizes) - split.sizes[0]) * work.result
        batch = parts[0]
        total += Cost(0, there + back, 2)
    return total + _run(where, work, 1, batch) + _agreed(where, work)


@dataclass(frozen=True)
class Explanation:
    """Why a layout runs, in numbers; printed it is a table.

    Attributes:
        layout: What runs.
        costs: What each layout that can run costs the rank with most to do.
        seconds: What the model makes of that.
        machine: What was assumed.
        reason: Why that layout, in words.
    """

    layout: str
    costs: dict[str, Cost]
    machine: Machine
    reason: str

    @property
    def seconds(self) -> dict[str, float]:
        return {name: self.machine.seconds(cost) for name, cost in self.costs.items()}

    def __str__(self) -> str:
        lines = [f"{self.layout}: {self.reason}"]
        lines.append(
            f"{'layout':8} {'operations':>12} {'bytes sent':>12} {'collectives':>12} {'seconds':>10}"
        )
        for name, cost in self.costs.items():
            lines.append(
                f"{name:8} {cost.flops:12.4g} {cost.sent:12.4g} {cost.collectives:12d} "
                f"{self.seconds[name]:10.3g}"
            )
        machine = self.machine
        lines.append(
            f"of the rank with most to do, at {machine.flops:.3g} operations/s, {machine.bandwidth:.3g} "
            f"bytes/s and {machine.latency:.3g} s a collective, which are assumed"
        )
        return "\n".join(lines)


def explained(
    where: Placed, work: Work, asked: str | None, machine: Machine, *, turn: bool, why_not: str = ""
) -> Explanation:
    """Which layout runs, and why.

    Raises InputError where the one that is asked for cannot run this.
    """
    found = costs(where, work, turn=turn)
    if not where.splits:
        return Explanation("local", found, machine, "no matrix is split, and nothing but refusals travels")
    if asked is not None:
        if asked not in found:
            raise InputError("plan.layout", f"is {asked}, {why_not}: write {' or '.join(found)}")
        return Explanation(asked, found, machine, "the plan says so")
    best = chosen(found, machine)
    others = [name for name in found if name != best]
    reason = "no other can run this"
    if others:
        second = min(others, key=lambda name: machine.seconds(found[name]))
        times = machine.seconds(found[second]) / machine.seconds(found[best])
        reason = f"the model gives {second} {times:.3g} times its time"
    reason += f"; {why_not}" if why_not else ""
    return Explanation(best, found, machine, reason)


def machine_of(device: str, itemsize: int) -> Machine:
    """What is assumed of a device for a state of so many bytes an entry."""
    return MACHINES.get((device, itemsize)) or MACHINES["cuda" if device != "cpu" else "cpu", 4]
