"""Straight-line programs: what computes q, and what it costs.

Public are two modules: `cost`, which counts products, operations and bytes, and `calibration`, the prices
that were measured on a machine.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polydesign.program import calibration, cost

__all__ = ["calibration", "cost"]
