"""What a measurement was taken on. Imports no torch, so that scripts without matrices need none."""

from __future__ import annotations

import datetime
import os
import platform
from pathlib import Path


def processor() -> str:
    """The name of the CPU as the system gives it, or else its architecture."""
    info = Path("/proc/cpuinfo")
    names = (
        [line.partition(":")[2] for line in info.read_text().splitlines() if "model name" in line]
        if info.exists()
        else []
    )
    return names[0].strip() if names else platform.machine()


def today() -> str:
    """The date in UTC, as 2026-01-31."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def machine() -> dict[str, str]:
    """Processor, cores, Python and date; nothing that names a host or a user."""
    return {
        "processor": processor(),
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
        "system": platform.system(),
        "date": today(),
    }
