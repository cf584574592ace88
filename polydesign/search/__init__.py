"""From a Problem to a Schedule: one module a strategy.

Public: `Equioscillation`, the strategy that `polydesign.design` takes by default, and `exact_front`, the
least errors that any number of products can reach. The others are methods of `polydesign.design`.
"""

from polydesign.search.budget import exact_front
from polydesign.search.minimax import Equioscillation

__all__ = ["Equioscillation", "exact_front"]
