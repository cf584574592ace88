"""Tables run on real matrices: msign(M) = U Vᵀ by matrix products alone."""

from polydesign.model import Plan
from polydesign.runtime.operators import Info, msign, msign_with_info

__all__ = ["Info", "Plan", "msign", "msign_with_info"]
