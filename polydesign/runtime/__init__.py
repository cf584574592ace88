"""Tables run on matrices by products alone: signs, functions of singular values, roots and inverses, and the
equations that they solve.

An operator is an object, made once and checked then: `Sign(table, plan)`; calling it gives the tensor, and
`run` a `Run`, which says what was done. The functions are those objects, made once and kept.
"""

from polydesign.model import Plan
from polydesign.runtime.base import Operator
from polydesign.runtime.clipping import Clip, spectral_clip, spectral_clip_with_info
from polydesign.runtime.derivative import inverse_root_differentiable, msign_differentiable
from polydesign.runtime.equations import (
    Lyapunov,
    Riccati,
    Sylvester,
    lyapunov,
    lyapunov_with_info,
    riccati,
    riccati_with_info,
    sylvester,
    sylvester_with_info,
)
from polydesign.runtime.identities import (
    GeometricFactor,
    PrincipalSqrtAndInverseSqrt,
    geometric_factor,
    principal_sqrt_and_inverse_sqrt,
)
from polydesign.runtime.lowrank import (
    EffectiveRank,
    PseudoInverse,
    RangeProjector,
    Truncate,
    effective_rank,
    pseudo_inverse,
    pseudo_inverse_with_info,
    range_projector,
    spectral_truncate,
    spectral_truncate_with_info,
)
from polydesign.runtime.matrix_sign import MatrixSign, mcsgn, mcsgn_with_info
from polydesign.runtime.operators import Sign, msign, msign_with_info
from polydesign.runtime.powers import SpectralPower, spectral_power
from polydesign.runtime.roots import (
    Inverse,
    InverseRoot,
    MatmulInverseRoot,
    Root,
    SqrtAndInverseSqrt,
    TwoSidedInverseRoot,
    inverse,
    inverse_root,
    inverse_root_with_info,
    matmul_inverse_root,
    matmul_inverse_root_with_info,
    root,
    sqrt_and_inverse_sqrt,
    two_sided_inverse_root,
)
from polydesign.runtime.run import Run
from polydesign.runtime.sharded.cost import Machine
from polydesign.runtime.sharded.layouts import explain
from polydesign.runtime.sharded.many import sign_many
from polydesign.runtime.soft_clipping import SoftClip, soft_clip
from polydesign.runtime.spectral import (
    SpectralPolynomial,
    SpectralRelu,
    SpectralStep,
    spectral_polynomial,
    spectral_relu,
    spectral_step,
)
from polydesign.runtime.structured.column_row import ColumnRow, column_row
from polydesign.runtime.structured.monarch import monarch_apply, monarch_dense, monarch_project
from polydesign.runtime.structured.state_space import bilinear, hippo_legs, hippo_legt
from polydesign.runtime.structured.triangular import lower_solve, triangular_inverse
from polydesign.search.sector import sector_table

__all__ = ["Clip", "ColumnRow", "EffectiveRank", "GeometricFactor", "Inverse", "InverseRoot", "Lyapunov"]
__all__ += ["Machine", "MatmulInverseRoot", "MatrixSign", "Operator", "Plan", "PrincipalSqrtAndInverseSqrt"]
__all__ += ["PseudoInverse", "RangeProjector", "Riccati", "Root", "Run", "Sign", "SoftClip"]
__all__ += [
    "SpectralPolynomial",
    "SpectralPower",
    "SpectralRelu",
    "SpectralStep",
    "SqrtAndInverseSqrt",
    "Sylvester",
    "Truncate",
]
__all__ += ["TwoSidedInverseRoot"]
__all__ += ["bilinear", "column_row", "effective_rank", "geometric_factor", "hippo_legs", "hippo_legt"]
__all__ += ["explain", "inverse", "inverse_root", "inverse_root_differentiable", "inverse_root_with_info"]
__all__ += ["lower_solve", "lyapunov", "lyapunov_with_info", "matmul_inverse_root"]
__all__ += ["matmul_inverse_root_with_info", "mcsgn", "mcsgn_with_info", "monarch_apply", "monarch_dense"]
__all__ += ["monarch_project", "msign", "msign_differentiable", "msign_with_info"]
__all__ += ["principal_sqrt_and_inverse_sqrt", "pseudo_inverse", "pseudo_inverse_with_info"]
__all__ += ["range_projector", "riccati", "riccati_with_info", "root", "sector_table", "sign_many"]
__all__ += ["soft_clip", "spectral_clip"]
__all__ += ["spectral_clip_with_info", "spectral_polynomial", "spectral_power", "spectral_relu"]
__all__ += ["spectral_step"]
__all__ += ["spectral_truncate", "spectral_truncate_with_info", "sqrt_and_inverse_sqrt", "sylvester"]
__all__ += ["sylvester_with_info", "triangular_inverse", "two_sided_inverse_root"]
