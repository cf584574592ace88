"""The tables that names resolve to, in groups."""

from __future__ import annotations

import warnings
from typing import Any

from polydesign.model import InputError, InputWarning, check_integer, dtype_name
from polydesign.table.catalogue import ADAPTIVE_FOLDER, Entry, catalogue, entry

GROUPS = {
    "sign": "ours, for the sign and the polar factor",
    "adaptive": 'ours, for the same, among which normalization="adaptive" chooses',
    "families": 'ours, for the same, among whose members choice="device" chooses',
    "bands": "ours, for the sign: within a band around 1, from the smallest l",
    "roots": "ours, for roots and inverses",
    "clip": "ours, for clipping singular values",
    "published": "of the literature, as printed or as run",
    "here": "of ./coeffs",
}
"""Group -> its heading, in the order in which they are shown."""


def group(one: Entry) -> str:
    """The group of GROUPS that a table is in."""
    if not one.shipped:
        return "here"
    if one.published:
        return "published"
    if one.path.parent.name == ADAPTIVE_FOLDER:
        return "families" if one.members else "adaptive"
    if one.purpose == "sign" and one.band is not None:
        return "bands"
    return one.purpose if one.purpose in ("sign", "clip") else "roots"


def tables(
    *,
    root: int | None = None,
    degree: int | None = None,
    dtype: Any = None,
    published: bool = False,
    own: bool = False,
) -> list[Entry]:
    """The tables that come with the package, ours and the literature's, and those of ./coeffs.

    An entry is what a table's file says of itself; `load` checks it, `certify` proves it. A file that is no
    table is left out, with an InputWarning.

    Args:
        root: Only those of this root.
        degree: Only those whose highest degree this is.
        dtype: Only those that were designed for this precision.
        published: Only the literature's.
        own: Only those of this package's own design.

    Returns:
        Their entries, in the order of GROUPS, and by name within a group.

    Raises:
        InputError: For a precision that is none, and for `published` and `own` together.

    >>> [one.name for one in tables(root=2, own=True, dtype="bf16") if one.matmuls == 8]
    ['sign-m8-l1e-3-bf16', 'sign-m8-band0.3-bf16']
    """
    for field, value, least in (("root", root, 1), ("degree", degree, 2)):
        if value is not None:
            check_integer(field, value, least)
    precision = dtype_name(dtype) if dtype else None
    if published and own:
        raise InputError("own", "and --published leave nothing: take one of them, or neither")
    found = []
    for name, path in catalogue().items():
        try:
            one = entry(name, path)
        except InputError as problem:
            warnings.warn(f"left out {problem}", InputWarning, stacklevel=2)
            continue
        except (OSError, LookupError, TypeError, AttributeError, ValueError) as problem:
            what = f"{path}: {problem!r}; polydesign show {path} says what is wrong"
            warnings.warn(f"left out {what}", InputWarning, stacklevel=2)
            continue
        if (published and group(one) != "published") or (own and group(one) in ("published", "here")):
            continue
        if root in (None, one.root) and degree in (None, max(one.degrees)) and precision in (None, one.dtype):
            found.append(one)
    return sorted(found, key=lambda one: list(GROUPS).index(group(one)))
