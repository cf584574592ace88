"""The shipped tables are what the strategies give today."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parent.parent / "scripts" / "build_coeffs.py"


def test_coeffs_are_rebuilt_bit_for_bit():
    out = subprocess.run([sys.executable, SCRIPT, "--check"], capture_output=True, text=True, check=False)
    assert out.returncode == 0, out.stdout + out.stderr
    assert "0 differing" in out.stdout


def test_the_check_notices_a_changed_table(tmp_path):
    """Negative control: in a copy of the checkout one table is renamed, and the check fails."""
    root = SCRIPT.parent.parent
    for folder in ("scripts", "coeffs"):
        (tmp_path / folder).mkdir()
        for path in (root / folder).glob("*.*"):
            (tmp_path / folder / path.name).write_bytes(path.read_bytes())
    table = tmp_path / "coeffs" / "sign-d5x6-l1e-3.json"
    table.write_text(table.read_text().replace('"headroom": 1.0', '"headroom": 1.5'))
    out = subprocess.run(
        [sys.executable, tmp_path / "scripts" / "build_coeffs.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert out.returncode == 1
    assert "differs: sign-d5x6-l1e-3.json" in out.stdout
