"""Polynomials for Newton-Schulz iterations: designed by minimax theory, written as tables, run on matrices.

    import polydesign

    table = polydesign.design(root=2, degree=5, steps=6, lower=1e-3)
    polydesign.certify(table).error, table.as_tuples(), polydesign.save(table, "coeffs/mine.json")
    polydesign.verify("coeffs/mine.json"), polydesign.export("sign-d5x5-l1e-3-bf16", "optax")

Commands of the command line are functions of the same name here (search is `design`, list is `tables`, import
is `import_table`). Where
one asks for a table it takes a Table, the path of its file, its name in the catalogue, a list of rows, or a
source file with such a list, as FILE or FILE:NAME.

Matrices are in polydesign.runtime, a Muon with any table in polydesign.optim, test matrices and measurements
in polydesign.verification; these need torch, and what measures. Targets of export are in
polydesign.exporters. What other rooms offer is in the `__all__` of each, and all else is private.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from polydesign.text.lazy import lazy

if TYPE_CHECKING:
    from polydesign.designer.certifying import certify
    from polydesign.designer.design import design
    from polydesign.designer.exporting import export
    from polydesign.designer.folding import fold, unfold
    from polydesign.designer.sweeping import sweep
    from polydesign.identification.identify import Identification, identify
    from polydesign.identification.imported import import_table
    from polydesign.model import (
        Certificate,
        ClaimError,
        DivergenceError,
        InputError,
        Measurement,
        Plan,
        Problem,
        PromiseWarning,
        Provenance,
        Schedule,
        Step,
        Table,
    )
    from polydesign.optim.advice import advise
    from polydesign.reporting.compare import Comparison, compare
    from polydesign.reporting.plot import plot
    from polydesign.reporting.report import report
    from polydesign.search.minimax import Equioscillation
    from polydesign.table import load, save
    from polydesign.table.listing import tables
    from polydesign.table.rows import from_rows
    from polydesign.table.sheets import sheet_of as sheet_of  # not public, see below
    from polydesign.verification.conformance import conformance
    from polydesign.verification.doctor import doctor
    from polydesign.verification.verify import verify

__version__ = "0.1.0"

# Loaded on first use: `import polydesign` costs nothing that the caller does not ask for.
__getattr__ = lazy(
    __name__,
    {
        "designer.certifying": "certify",
        "designer.design": "design",
        "designer.exporting": "export",
        "designer.folding": "fold unfold",
        "designer.sweeping": "sweep",
        "identification.identify": "identify Identification",
        "identification.imported": "import_table",
        "model": "Certificate ClaimError DivergenceError InputError Measurement Plan Problem PromiseWarning "
        "Provenance Schedule Step Table",
        "optim.advice": "advise",
        "reporting.compare": "compare Comparison",
        "reporting.plot": "plot",
        "reporting.report": "report",
        "search.minimax": "Equioscillation",
        "table": "load save",
        "table.listing": "tables",
        "table.rows": "from_rows",
        "table.sheets": "sheet_of",  # for the reprs of the words, which are in a room below; not public
        "verification.conformance": "conformance",
        "verification.doctor": "doctor",
        "verification.verify": "verify",
    },
)

__all__ = ["advise", "certify", "compare", "conformance", "design", "doctor", "export", "fold", "from_rows"]
__all__ += ["identify", "import_table"]
__all__ += ["load", "plot", "report", "save", "sweep", "tables", "unfold", "verify"]
__all__ += ["Certificate", "ClaimError", "Comparison", "DivergenceError", "Equioscillation", "Identification"]
__all__ += ["InputError", "Measurement", "Plan", "Problem", "PromiseWarning", "Provenance", "Schedule"]
__all__ += ["Step", "Table", "__version__"]


def __dir__() -> list[str]:
    return sorted(__all__)
