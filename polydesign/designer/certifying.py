"""What a table does, proved again from its coefficients alone."""

from __future__ import annotations

import os

from polydesign.approximation.certificate import certify as prove
from polydesign.approximation.certificate import check_certificate, check_images
from polydesign.identification.tables import table_of
from polydesign.model import Certificate, ClaimError
from polydesign.table.catalogue import find
from polydesign.table.given import Source


def certify(table: Source, *, renew: bool = False) -> Certificate:
    """Prove a table's error, how far it is from the best possible, and how much room there is above u.

    Everything is computed from the coefficients, and compared with what the table states.

    Args:
        table: A Table, its name in the catalogue, the path of its file, rows, or a source file with a list.
        renew: Leave the table's own certificate out of the comparison.

    Returns:
        The new certificate. It is not written into the table: `dataclasses.replace(table, certificate=…)`.

    Raises:
        ClaimError: Where the table states what does not follow from its coefficients; the field is the claim.
        InputError: Where there is no such table.
        ArithmeticError: Where nothing can be proved.

    >>> certify("sign-d5x5-l1e-3-bf16").error[1][:8]
    '0.193606'
    """
    found = table_of(table, proving=False)
    published = found.provenance.source is not None
    try:
        if not renew and found.certificate is not None:
            return check_certificate(found.schedule, found.certificate, found.purpose, published=published)
        check_images(found.schedule, published=published)
        return prove(found.schedule, found.purpose)
    except ClaimError as problem:
        where = find(table) if isinstance(table, (str, os.PathLike)) else "table"
        raise ClaimError(f"{where}: $.{problem.field}", problem.problem) from problem
