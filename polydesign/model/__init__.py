"""The words of the product as frozen dataclasses, checked when they are made.

Layer 0: imports nothing of the package and no heavy library. Every refusal is an `InputError` that
names the field and says what to write instead. Everything here is public.
"""

from __future__ import annotations

from polydesign.model.checks import (
    ADAPTIVE,
    DTYPES,
    EVALUATIONS,
    FORMS,
    LEAST_RATIO,
    MOST_DEPTH,
    MOST_HEADROOM,
    MOST_INNER_DEGREE,
    MOST_LONG_DEGREE,
    MOST_ROOT,
    MOST_STEPS,
    NORMALIZATIONS,
    PURPOSES,
    ClaimError,
    DivergenceError,
    FormatNote,
    InputError,
    InputWarning,
    PerStep,
    PromiseWarning,
    SafetyWarning,
    check_choice,
    check_degree,
    check_integer,
    check_interval,
    check_normalization,
    check_number,
    check_plain,
    check_purpose,
    dtype_name,
    located,
    purpose_of,
)
from polydesign.model.digest import digest
from polydesign.model.given import check_folder, check_path, check_several, check_shape, check_texts
from polydesign.model.measurement import AfterStep, MeasuredMap, Measurement
from polydesign.model.plan import Plan
from polydesign.model.quoting import not_plain, obeyed, quoted, shortened, visible
from polydesign.model.safety import HALF, LOOPS, STANDINGS, Trial, blown, half_of, standing, stated, weakest
from polydesign.model.schedule import Problem, Schedule, Step, evaluate, horner
from polydesign.model.table import Certificate, Provenance, Table

__all__ = ["ADAPTIVE", "DTYPES", "EVALUATIONS", "FORMS", "LEAST_RATIO", "MOST_HEADROOM", "MOST_INNER_DEGREE"]
__all__ += ["MOST_LONG_DEGREE"]
__all__ += ["MOST_ROOT", "MOST_STEPS", "NORMALIZATIONS", "PURPOSES"]
__all__ += ["AfterStep", "Certificate", "ClaimError", "DivergenceError", "FormatNote", "InputError"]
__all__ += ["InputWarning", "MeasuredMap", "Measurement", "PerStep", "Plan", "Problem", "PromiseWarning"]
__all__ += ["Provenance", "Schedule", "Step"]
__all__ += ["HALF", "LOOPS", "STANDINGS", "SafetyWarning", "Trial", "blown", "half_of", "standing", "stated"]
__all__ += ["weakest"]
__all__ += ["Table", "check_choice", "check_degree", "check_integer", "check_interval", "check_normalization"]
__all__ += ["check_folder", "check_path", "check_several", "check_shape", "check_texts"]
__all__ += ["check_number", "check_plain", "check_purpose", "digest", "dtype_name", "evaluate", "horner"]
__all__ += ["MOST_DEPTH", "located", "not_plain", "obeyed", "purpose_of", "quoted", "shortened", "visible"]
