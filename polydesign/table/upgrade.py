"""Files of earlier versions as the present one has them."""

from __future__ import annotations

import warnings
from typing import Any

from polydesign.model import InputError, dtype_name

EARLIER = "polydesign/schedule/v1"


class FormatNote(UserWarning):
    """A file of an earlier version was read."""


def upgraded(body: Any) -> Any:
    """The JSON object of a table as v2 has it; what is no object of v1 comes back as it is.

    v1 said in its provenance what a table is for, in which precision and form, and what its search measured.
    A table that someone has described otherwise there is one of its root, for exact arithmetic.
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
    return body | known


def _precision(said: Any) -> str | None:
    try:
        return dtype_name(said)
    except InputError:
        return None
