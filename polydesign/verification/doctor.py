"""What works in this process: the package's tables by default, under its settings, versions and devices."""

from __future__ import annotations

import warnings
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that was tried.

    Attributes:
        name: What was tried.
        device: Where: "cpu", "cuda:0", or "" for all.
        state: "ok", "note" for what concerns other code than the operators, or "breaks".
        found: What came out.
        cure: The line that mends it, or "".
    """

    name: str
    device: str
    state: str
    found: str
    cure: str = ""


def doctor(device: str | None = None) -> tuple[Finding, ...]:
    """Run the tables that are taken by default, as this process is set, and say what breaks.

    It takes some ten seconds, and leaves every setting as it was.

    Args:
        device: "cpu" or "cuda:0"; None for the CPU and every CUDA device.

    Returns:
        What was tried; `state` "breaks" is what needs the line in `cure`.

    Raises:
        InputError: There is no such device.
    """
    from polydesign.verification import attempts  # these need torch, and the name of doctor does not

    found = [Finding("versions", "", "ok", attempts.versions())]
    found.append(Finding("settings", "", "ok", attempts.settings()))
    for place in attempts.devices(device):
        for name, attempt in attempts.attempts(place):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    found.append(Finding(name, place, *attempt()))
                except Exception as problem:  # what breaks may raise anything
                    said = f"{type(problem).__name__}: {str(problem).strip().partition(chr(10))[0]}"
                    found.append(Finding(name, place, "breaks", said, attempts.cure_of(name)))
    return tuple(found)
