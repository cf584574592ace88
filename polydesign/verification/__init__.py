"""Tables run on matrices with known singular values, in the real precision: what the promise is worth.

Public: `measure`, one run of `polydesign.verify`, by one of OPERATORS; test matrices, each a `Sample`: those
of SPECTRA by name (`sample`, `sample_positive`) and given ones (`read_matrix`, `from_matrix`); `hunt`, which
looks for matrices that half precision blows up, and gives a `Hunt`; and two
modules, `conformance`, whose `check` puts other code to the test, and `bench`, which times operators;
`conformance_test` makes a test of pytest from such a check.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from polydesign.text.lazy import lazy

if TYPE_CHECKING:
    from polydesign.verification import bench, conformance
    from polydesign.verification.files import read_matrix
    from polydesign.verification.hunting import Hunt, hunt
    from polydesign.verification.kit_tests import conformance_test
    from polydesign.verification.operators import OPERATORS
    from polydesign.verification.samples import Sample, from_matrix
    from polydesign.verification.spectra import SPECTRA, sample, sample_positive
    from polydesign.verification.sweep import measure

# Loaded on first use: all but the kit of conformance needs torch.
__getattr__ = lazy(
    __name__,
    {
        "files": "read_matrix",
        "hunting": "Hunt hunt",
        "kit_tests": "conformance_test",
        "operators": "OPERATORS",
        "samples": "Sample from_matrix",
        "spectra": "SPECTRA sample sample_positive",
        "sweep": "measure",
    },
)

__all__ = [
    "OPERATORS",
    "SPECTRA",
    "Hunt",
    "Sample",
    "bench",
    "conformance",
    "conformance_test",
    "from_matrix",
    "measure",
    "read_matrix",
]
__all__ += ["hunt", "sample", "sample_positive"]
