"""From a Problem to a Schedule: one module a strategy.

Public: `Equioscillation`, the strategy that `polydesign.design` takes by default, and `exact_front`, the
least errors that any number of products can reach. The others are methods of `polydesign.design`.
"""

from typing import TYPE_CHECKING

from polydesign.text.lazy import lazy

if TYPE_CHECKING:
    from polydesign.search.budget import exact_front
    from polydesign.search.minimax import Equioscillation

# The settings of a strategy are read without the numerical libraries that its search loads.
__getattr__ = lazy(__name__, {"budget": "exact_front", "minimax": "Equioscillation"})

__all__ = ["Equioscillation", "exact_front"]
