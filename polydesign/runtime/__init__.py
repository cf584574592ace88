"""Tables run on matrices by products alone: msign(M) = U Vᵀ, mcsgn; functions of
singular values; roots and inverses of positive P."""

from polydesign.model import Plan
from polydesign.runtime.clipping import ClipInfo, spectral_clip, spectral_clip_with_info
from polydesign.runtime.operators import Info, mcsgn, mcsgn_with_info, msign, msign_with_info
from polydesign.runtime.prepare import RootInfo
from polydesign.runtime.roots import (
    inverse,
    inverse_root,
    inverse_root_with_info,
    matmul_inverse_root,
    matmul_inverse_root_with_info,
    root,
    sqrt_and_inverse_sqrt,
    two_sided_inverse_root,
)
from polydesign.runtime.spectral import spectral_polynomial, spectral_relu, spectral_step

__all__ = [
    "ClipInfo",
    "Info",
    "Plan",
    "RootInfo",
    "inverse",
    "inverse_root",
    "inverse_root_with_info",
    "matmul_inverse_root",
    "matmul_inverse_root_with_info",
    "mcsgn",
    "mcsgn_with_info",
    "msign",
    "msign_with_info",
    "root",
    "spectral_clip",
    "spectral_clip_with_info",
    "spectral_polynomial",
    "spectral_relu",
    "spectral_step",
    "sqrt_and_inverse_sqrt",
    "two_sided_inverse_root",
]
