"""Files of earlier versions as the present one has them."""

from __future__ import annotations

import warnings
from typing import Any

from polydesign.model import FormatNote, InputError, dtype_name

EARLIER = "polydesign/schedule/v1"


def upgraded(body: Any) -> Any:
    """The JSON object of a table as v2 has it; what is no object of v1 comes back as it is.

    v1 said in its provenance what a table is for, in which precision and form, and what its search measured.
    A table that someone has described otherwise there is one of its root, for exact arithmetic. v1 named the
    constants of a few programs; v2 has the programs. Where a constant that runs was a difference of two, it
    was rounded as it ran: the step is then another by a part in 1e16, and is enclosed and proved anew.

    Raises InputError for a v1 step without its constants, ClaimError for a digest that is not the file's.
    """
    if not isinstance(body, dict) or body.get("schema") != EARLIER:
        return body
    warnings.warn(
        f"{body.get('name')} is a file of v1, which does not say what it is for: purpose, dtype and form are "
        "taken from its provenance; polydesign.save(polydesign.load(path), path, force=True) writes it as v2",
        FormatNote,
        stacklevel=2,
    )
    made = body.get("provenance")
    made = made if isinstance(made, dict) else {}
    said = made.get("parameters")
    said = said if isinstance(said, dict) else {}
    root = body.get("root")
    coupled = root != 2 or said.get("form") == "coupled"
    purpose = "inverse" if root == 1 else "root" if coupled else "sign"
    if made.get("strategy") == "clip":
        purpose, coupled = "clip", False
    error = body.get("error")
    known = {
        "schema": "polydesign/schedule/v2",
        "purpose": purpose,
        "dtype": _precision(said.get("dtype")),
        "form": "coupled" if coupled else "gram" if said.get("form") == "gram" else "direct",
    }
    if isinstance(error, dict):
        observed = said.get("measured")
        known["error"] = {"observed": observed if isinstance(observed, float) else None} | error
    for key in ("purpose", "dtype", "form"):
        if key in body:
            raise InputError(f"$.{key}", "is not a key of v1, which says it in its provenance")
    body = body | known
    from polydesign.table.v1_programs import with_programs  # numpy and flint, and few files are of v1

    try:
        return with_programs(body)
    except (AttributeError, KeyError, TypeError, ValueError) as problem:
        if isinstance(problem, InputError):
            raise
        return body  # the schema says where it is wrong


def _precision(said: Any) -> str | None:
    try:
        return dtype_name(said)
    except InputError:
        return None
