"""Members of a family close to given ones: what a hunt for the worst goes on with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from polydesign.rounding.families import Parameters

FARTHEST = 0.1
"""The most by which a number changes, relatively; the least is 2^−OCTAVES of it, below an ulp."""

OCTAVES = 12


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
