"""The shipped tables are what the strategies give today."""

from __future__ import annotations

import hashlib
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from polydesign.approximation.certificate import certify
from polydesign.model import InputError
from polydesign.table import dumps, loads

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


FILES = sorted((SCRIPT.parent.parent / "coeffs").rglob("*.json"))


def own_digest(body: dict[str, Any]) -> str:
    """The digest as docs and schema describe it, from the JSON alone."""
    steps = []
    for step in body["steps"]:
        one = {
            "coefficients": [float(c).hex() for c in step["coefficients"]],
            "evaluation": step["evaluation"],
        }
        if "program" in step:
            one["program"] = [float(c).hex() for c in step["program"].values()]
        steps.append(one)
    content = {"root": body["root"], "interval": [float(x).hex() for x in body["interval"]], "steps": steps}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_file_is_canonical_and_proves_itself(path: Path) -> None:
    """The bytes are those that the table is written as; digest and certificate follow from its steps."""
    text = path.read_text("utf-8")
    table = loads(text)
    assert dumps(table) == text
    assert table.certificate is not None
    assert table.certificate.digest == own_digest(json.loads(text))
    assert certify(table.schedule) == table.certificate


def test_another_last_digit_is_seen() -> None:
    """Negative control: one unit in the last place of one constant has another digest, and is refused."""
    table = loads(FILES[0].read_text("utf-8"))
    body = json.loads(FILES[0].read_text("utf-8"))
    first, *rest = body["steps"][0]["coefficients"]
    body["steps"][0]["coefficients"] = [math.nextafter(first, math.inf), *rest]
    assert table.certificate is not None
    assert own_digest(body) != table.certificate.digest
    with pytest.raises(InputError, match="digest"):
        loads(json.dumps(body))
