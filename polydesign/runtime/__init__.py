"""Tables run on matrices by products alone: signs, functions of singular values, roots and inverses, and the
equations that they solve.

An operator is an object, made once and checked then: `Sign(table, plan)`; calling it gives the tensor, and
`run` a `Run`, which says what was done. The functions are those objects, made once and kept.
"""

from polydesign.model import Plan as Plan
from polydesign.runtime.base import Operator as Operator
from polydesign.runtime.clipping import Clip as Clip
from polydesign.runtime.clipping import spectral_clip as spectral_clip
from polydesign.runtime.clipping import spectral_clip_with_info as spectral_clip_with_info
from polydesign.runtime.derivative import inverse_root_differentiable as inverse_root_differentiable
from polydesign.runtime.derivative import msign_differentiable as msign_differentiable
from polydesign.runtime.equations import Lyapunov as Lyapunov
from polydesign.runtime.equations import Riccati as Riccati
from polydesign.runtime.equations import Sylvester as Sylvester
from polydesign.runtime.equations import lyapunov as lyapunov
from polydesign.runtime.equations import lyapunov_with_info as lyapunov_with_info
from polydesign.runtime.equations import riccati as riccati
from polydesign.runtime.equations import riccati_with_info as riccati_with_info
from polydesign.runtime.equations import sylvester as sylvester
from polydesign.runtime.equations import sylvester_with_info as sylvester_with_info
from polydesign.runtime.identities import GeometricFactor as GeometricFactor
from polydesign.runtime.identities import PrincipalSqrtAndInverseSqrt as PrincipalSqrtAndInverseSqrt
from polydesign.runtime.identities import geometric_factor as geometric_factor
from polydesign.runtime.identities import principal_sqrt_and_inverse_sqrt as principal_sqrt_and_inverse_sqrt
from polydesign.runtime.lowrank import EffectiveRank as EffectiveRank
from polydesign.runtime.lowrank import PseudoInverse as PseudoInverse
from polydesign.runtime.lowrank import RangeProjector as RangeProjector
from polydesign.runtime.lowrank import Truncate as Truncate
from polydesign.runtime.lowrank import effective_rank as effective_rank
from polydesign.runtime.lowrank import pseudo_inverse as pseudo_inverse
from polydesign.runtime.lowrank import pseudo_inverse_with_info as pseudo_inverse_with_info
from polydesign.runtime.lowrank import range_projector as range_projector
from polydesign.runtime.lowrank import spectral_truncate as spectral_truncate
from polydesign.runtime.lowrank import spectral_truncate_with_info as spectral_truncate_with_info
from polydesign.runtime.operators import MatrixSign as MatrixSign
from polydesign.runtime.operators import Sign as Sign
from polydesign.runtime.operators import mcsgn as mcsgn
from polydesign.runtime.operators import mcsgn_with_info as mcsgn_with_info
from polydesign.runtime.operators import msign as msign
from polydesign.runtime.operators import msign_with_info as msign_with_info
from polydesign.runtime.roots import Inverse as Inverse
from polydesign.runtime.roots import InverseRoot as InverseRoot
from polydesign.runtime.roots import MatmulInverseRoot as MatmulInverseRoot
from polydesign.runtime.roots import Root as Root
from polydesign.runtime.roots import SqrtAndInverseSqrt as SqrtAndInverseSqrt
from polydesign.runtime.roots import TwoSidedInverseRoot as TwoSidedInverseRoot
from polydesign.runtime.roots import inverse as inverse
from polydesign.runtime.roots import inverse_root as inverse_root
from polydesign.runtime.roots import inverse_root_with_info as inverse_root_with_info
from polydesign.runtime.roots import matmul_inverse_root as matmul_inverse_root
from polydesign.runtime.roots import matmul_inverse_root_with_info as matmul_inverse_root_with_info
from polydesign.runtime.roots import root as root
from polydesign.runtime.roots import sqrt_and_inverse_sqrt as sqrt_and_inverse_sqrt
from polydesign.runtime.roots import two_sided_inverse_root as two_sided_inverse_root
from polydesign.runtime.run import Run as Run
from polydesign.runtime.spectral import SpectralPolynomial as SpectralPolynomial
from polydesign.runtime.spectral import SpectralRelu as SpectralRelu
from polydesign.runtime.spectral import SpectralStep as SpectralStep
from polydesign.runtime.spectral import spectral_polynomial as spectral_polynomial
from polydesign.runtime.spectral import spectral_relu as spectral_relu
from polydesign.runtime.spectral import spectral_step as spectral_step
from polydesign.runtime.structured.column_row import ColumnRow as ColumnRow
from polydesign.runtime.structured.column_row import column_row as column_row
from polydesign.runtime.structured.monarch import monarch_apply as monarch_apply
from polydesign.runtime.structured.monarch import monarch_dense as monarch_dense
from polydesign.runtime.structured.monarch import monarch_project as monarch_project
from polydesign.runtime.structured.state_space import bilinear as bilinear
from polydesign.runtime.structured.state_space import hippo_legs as hippo_legs
from polydesign.runtime.structured.state_space import hippo_legt as hippo_legt
from polydesign.runtime.structured.triangular import lower_solve as lower_solve
from polydesign.runtime.structured.triangular import triangular_inverse as triangular_inverse
from polydesign.search.sector import sector_table as sector_table
