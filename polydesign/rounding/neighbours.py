"""The worst members of a family, and members close to them: how worse ones are found than random ones are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from polydesign.rounding.families import Parameters

FARTHEST = 0.1
"""The most by which a number changes, relatively; the least is 2^−OCTAVES of it, below an ulp."""

OCTAVES = 12


class Kept(NamedTuple):
    """Members, and how bad each is: the larger the rank, the worse; shape (count,)."""

    members: Parameters
    rank: np.ndarray


def worst(kept: Kept | None, members: Parameters, rank: np.ndarray, most: int) -> Kept:
    """The worst of those that are kept and of these, at most so many, the worst first."""
    if kept is not None:
        members, rank = joined(kept.members, members), np.concatenate([kept.rank, rank])
    order = np.argsort(-rank, kind="stable")[:most]
    return Kept(taken(members, order), rank[order])


def climbed(
    rng: np.random.Generator,
    kept: Kept,
    children: int,
    changed: Callable[[np.random.Generator, Parameters], Parameters],
    ranked: Callable[[Parameters], np.ndarray],
) -> Kept:
    """The worst child of each in its parent's place, where it is worse.

    changed: one member close to each of the given ones. ranked: how bad members are.
    """
    parents, rank = kept
    count = len(rank)
    members = changed(rng, taken(parents, np.repeat(np.arange(count), children)))
    ranks = ranked(members).reshape(count, children)
    best = ranks.argmax(axis=1)
    worse = ranks[np.arange(count), best] > rank
    places = np.where(worse, np.arange(count) * children + best + count, np.arange(count))
    return Kept(taken(joined(parents, members), places), np.maximum(ranks.max(axis=1), rank))


def near(rng: np.random.Generator, parents: Parameters, limits: Sequence[tuple[int, int]] = ()) -> Parameters:
    """One member close to each of the parents.

    Half of the sizes stay, of the others most go up or down by one, and some by a factor up to two; limits
    are the least and the largest of each, and without them all stay. Half of the numbers change.
    """
    sizes = parents.sizes
    if limits:
        by_one = rng.integers(0, 2, sizes.shape) * 2 - 1
        by_factor = np.rint(sizes * np.exp2(2 * rng.random(sizes.shape) - 1)) - sizes
        moves = np.where(rng.random(sizes.shape) < 0.75, by_one, by_factor)
        least, most = np.array(limits).T[..., None]
        sizes = np.clip(sizes + moves * (rng.random(sizes.shape) < 0.5), least, most)
    numbers = parents.numbers * _factors(rng, parents.numbers.shape)
    norm = np.minimum(parents.norm * _factors(rng, parents.norm.shape), 1.0)
    return Parameters(sizes, numbers, norm)


def _factors(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    by = FARTHEST * np.exp2(-OCTAVES * rng.random(shape)) * (rng.integers(0, 2, shape) * 2 - 1)
    return 1 + by * (rng.random(shape) < 0.5)


def joined(one: Parameters, other: Parameters) -> Parameters:
    """Both, one after the other."""
    return Parameters(*(np.concatenate(pair, axis=-1) for pair in zip(one, other, strict=True)))


def taken(of: Parameters, which: Any) -> Parameters:
    """The members at these places."""
    return Parameters(*(x[..., which] for x in of))
