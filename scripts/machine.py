"""What a measurement was taken on, for the scripts that write one."""

from __future__ import annotations

import datetime
import os
import platform
from pathlib import Path


def machine() -> dict[str, str]:
    """Processor, cores, Python and date; nothing that names a host or a user."""
    info = Path("/proc/cpuinfo")
    names = (
        [line.partition(":")[2] for line in info.read_text().splitlines() if "model name" in line]
        if info.exists()
        else []
    )
    return {
        "processor": names[0].strip() if names else platform.machine(),
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
        "system": platform.system(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
