"""Members of one family in one loop: the worst are kept, and members close to them take their place.

Two measures say what is worse: how far a result ends from its sign (error), and how near a value came to the
end of a step's domain, beyond which it is thrown out (near).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from polydesign.model import Table
from polydesign.rounding.families import Parameters
from polydesign.rounding.neighbours import Kept, climbed, taken, worst
from polydesign.rounding.trial import Outcome, Tally, most
from polydesign.verification.sought import Sought

GROUPS = 8
"""That are kept by each measure; members of a group are run together."""

MOST_ENTRIES = 1 << 20
"""Of a matrix that is written to a file, and decomposed to judge it."""

INFINITE = 1e300
"""In place of infinity, where members are ranked and in a file."""


class Case(NamedTuple):
    """The worst that was found in one family and loop.

    words: What it is. matrix: Of Frobenius norm 1; None where it has more than MOST_ENTRIES. error: the
    largest distance of a value from its sign. size: the largest value. Both are infinite where not finite.
    """

    family: str
    loop: str
    words: str
    matrix: np.ndarray | None
    error: float
    size: float


def badness(error: float, size: float, limit: float) -> tuple[bool, float]:
    """What is larger is worse: what was blown up by its size, and all else by its error."""
    return size > limit, size if size > limit else error


@dataclass(slots=True)
class Found:
    """What was tried of one family in one loop, and the worst by measure and group."""

    source: Sought
    tally: Tally = field(default_factory=Tally)
    kept: dict[str, Kept] = field(default_factory=dict)

    def fresh(self, rng: np.random.Generator, table: Table) -> None:
        """Random members; the worst of them and of those that are kept are kept."""
        members = self.source.draw(rng)
        end, ranks = self._judged(members)
        for measure, rank in ranks.items():
            name = f"{measure} {self.source.group(members)}"
            self.kept[name] = worst(self.kept.get(name), members, rank, self.source.kept)
            of_it = sorted(
                (n for n in self.kept if n.startswith(measure)), key=lambda n: -self.kept[n].rank.max()
            )
            for other in of_it[GROUPS:]:
                del self.kept[other]
        self.tally.add(table.schedule, end)

    def climb(self, rng: np.random.Generator, table: Table) -> None:
        """Members close to those that are kept by one measure; the worst child takes its parent's place."""
        names = list(self.kept)
        name = names[int(rng.integers(len(names)))]

        def ranked(members: Parameters) -> np.ndarray:
            end, ranks = self._judged(members)
            self.tally.add(table.schedule, end)
            return ranks[name.split()[0]]

        source = self.source
        self.kept[name] = climbed(rng, self.kept[name], source.children, source.changed, ranked)

    def _judged(self, members: Parameters) -> tuple[Outcome, dict[str, np.ndarray]]:
        end, near = self.source.outcome(members)
        ranks = {"error": end.error, "near": near}
        return end, {key: np.nan_to_num(x, nan=INFINITE, posinf=INFINITE) for key, x in ranks.items()}

    def worst(self, table: Table) -> Case:
        """By its badness."""
        limit = most(table.schedule)

        def one(kept: Kept) -> tuple[Parameters, Outcome]:
            members = taken(kept.members, [int(kept.rank.argmax())])
            return members, self.source.outcome(members)[0]

        candidates = [one(kept) for kept in self.kept.values()]
        members, end = max(candidates, key=lambda c: badness(c[1].error[0], c[1].size[0], limit))
        source, matrix = self.source, self.source.matrix(members)
        given = matrix if matrix.size <= MOST_ENTRIES else None
        error, size = float(end.error[0]), float(end.size[0])
        return Case(source.name, source.loop, source.words(members), given, error, size)
