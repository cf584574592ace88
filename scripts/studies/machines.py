"""The kernels that one machine can be made to run: a row is a setting of the environment, one at a time."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Row:
    """name; what is set; flags of /proc/cpuinfo without which the setting means nothing, or is not obeyed."""

    name: str
    environment: Mapping[str, str]
    needs: tuple[str, ...] = ()

    def lacking(self) -> str:
        """Why this processor cannot run it, or an empty text."""
        if not self.environment:
            return ""
        if platform.machine() not in ("x86_64", "AMD64"):
            return f"{platform.machine()} has none of these settings"
        missing = sorted(set(self.needs) - flags())
        return f"the processor has no {', '.join(missing)}" if missing else ""

    def variables(self) -> dict[str, str]:
        """The whole environment of a process that runs as this row says: one thread, unless it says more."""
        return {**os.environ, "OMP_NUM_THREADS": "1", **self.environment}


def flags() -> set[str]:
    """Of the processor; empty where the system does not say."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return {flag for line in lines if line.startswith("flags") for flag in line.partition(":")[2].split()}


_PLAIN = {
    "ATEN_CPU_CAPABILITY": "default",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "MKL_CBWR": "COMPATIBLE",
    "OPENBLAS_CORETYPE": "Prescott",
}

ROWS = (
    Row("as it is", {}),
    Row("aten=default", {"ATEN_CPU_CAPABILITY": "default"}),
    Row("onednn=SSE41", {"ONEDNN_MAX_CPU_ISA": "SSE41"}, ("sse4_1",)),
    Row("mkl=COMPATIBLE", {"MKL_CBWR": "COMPATIBLE"}),
    Row("mkl=AVX2", {"MKL_CBWR": "AVX2"}, ("avx2",)),
    Row("openblas=Prescott", {"OPENBLAS_CORETYPE": "Prescott"}, ("pni",)),
    Row("two threads", {"OMP_NUM_THREADS": "2"}),
    Row("slowest", _PLAIN, ("sse4_1", "pni")),
)
"""What the tests run in. The last has the slowest kernels of all libraries at once: CI adds it to its own."""

MORE = (
    Row("aten=avx2", {"ATEN_CPU_CAPABILITY": "avx2"}, ("avx2",)),
    Row("aten=avx512", {"ATEN_CPU_CAPABILITY": "avx512"}, ("avx512f",)),
    Row("onednn=AVX512_CORE", {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"}, ("avx512bw",)),
    Row("mkl=AVX512", {"MKL_CBWR": "AVX512"}, ("avx512f",)),
    Row("openblas=Haswell", {"OPENBLAS_CORETYPE": "Haswell"}, ("avx2",)),
)
"""What the rounding models are calibrated over besides."""
