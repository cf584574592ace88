"""The shipped tables are what the strategies give today."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from test_scripts import loaded

from polydesign.approximation.certificate import certify
from polydesign.designer.design import design
from polydesign.model import InputError
from polydesign.table import dumps, loads
from polydesign.table.catalogue import find, load, shipped
from polydesign.table.published import names, published

PUBLISHED = shipped() / "published"
COEFFS = Path(__file__).parent.parent / "coeffs"


KINDS = ("TABLES", "ROOTS", "BUDGETS", "BANDS", "ROOT_BUDGETS", "CLIPS", "LADDERS", "FAMILIES")
"""The lists of the script; what is settled, and the literature's, are found by name."""


@pytest.mark.numerics
@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.wide), 8])
def test_coeffs_are_rebuilt_bit_for_bit_and_a_changed_table_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    """Of every eighth table of each kind, or of all, one says another headroom: that differs, and no other."""
    script = loaded("build_coeffs")
    for kind in KINDS:
        tables = getattr(script, kind)
        monkeypatch.setattr(script, kind, tables[1 % every :: every] or tables[:1])
    monkeypatch.setattr(script, "SETTLED", dict([*script.SETTLED.items()][::every]))
    monkeypatch.setattr(script, "names", lambda: names()[::every])
    rebuilt = [(path.relative_to(COEFFS), table) for path, table in script._all(False)]
    assert len(rebuilt) >= 16
    assert every > 1 or {COEFFS / path for path, _ in rebuilt} == set(FILES)
    for path, _ in rebuilt:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes((COEFFS / path).read_bytes())
    monkeypatch.setattr(script, "FOLDER", tmp_path)
    monkeypatch.setattr(script, "_all", lambda _: [(tmp_path / path, table) for path, table in rebuilt])
    table = tmp_path / "sign-d5x6-l1e-3.json"
    assert replace(load(table), measured=(), tried=()) == design(degree=5, steps=6, headroom=1)
    table.write_text(table.read_text().replace('"headroom": 1.0', '"headroom": 1.5'))
    result = CliRunner().invoke(script.main, ["--check"])
    assert result.exit_code == 1
    assert result.output == f"differs: {table.name}\n{len(rebuilt)} tables, 1 differing\n"


def test_every_published_schedule_but_the_misprint_is_in_the_catalogue():
    misprints = [name for name in names() if published(name).misprint]
    assert len(names()) == 55
    assert misprints == ["polar_express_gram_ns_blog_table_MISPRINT", "dmuon_documentation_MISPRINT"]
    assert {path.stem for path in PUBLISHED.glob("*.json")} == set(names()) - set(misprints)
    with pytest.raises(
        InputError, match=r"known to be a misprint .* did you mean polar_express_gram_ns_1\.05"
    ):
        find(misprints[0])


@pytest.mark.few(25)
@pytest.mark.parametrize("path", sorted(PUBLISHED.glob("*.json")), ids=lambda path: path.stem)
def test_published_tables_are_what_was_printed_proved_and_measured(path):
    table, entry = load(path.stem), published(path.stem)
    assert table.schedule.rows == entry.steps_run()
    assert table.provenance.source == entry.source
    made = table.provenance.parameters
    said = made["folded"], made["recommended_factor"], made["tail"]
    assert said == (entry.folded, entry.recommended_factor, entry.tail)
    assert table.certificate is not None
    assert table.certificate.kind == "proved"
    measured = {"bfloat16", "float16", "float32"} | ({"float64"} if entry.scheme else set())
    assert {m.dtype for m in table.measured} == measured
    # Single precision adds its rounding and nothing else; nobody runs the two of an unproved basin with rank 1.
    # One is made for arithmetic that errs by 2^-35 at most, of which single precision is none.
    held = {m.dtype for m in table.measured if m.holds and m.spectrum == "gaussian"}
    assert ("float32" in held) == (path.stem != "lattigo_sign_30")
    assert entry.scheme is None or "float64" in held


def test_no_default_is_a_published_table():
    """The package's own choices are looked up by names that no published table has."""
    from polydesign.runtime import defaults

    chosen = [*defaults.SIGN.values(), *(one.name for one in defaults.clip_tables("float32"))]
    chosen += [found.name for root in (1, 2, 4) for found in defaults.budgets(root, "float32").values()]
    assert len(chosen) > 20
    assert not set(chosen) & set(names())
    assert not any(name.startswith(("sign-", "inverse-", "clip-", "root")) for name in names())


FILES = sorted(COEFFS.rglob("*.json"))


def own_digest(body: dict[str, Any]) -> str:
    """The digest as docs and schema describe it, from the JSON alone."""

    def pairs(terms: Any) -> Any:
        return [[register, float(weight).hex()] for register, weight in terms]

    steps = []
    for step in body["steps"]:
        code = step["program"]
        lines = [
            {side: pairs(line[side]) for side in ("plus", "left", "right")}
            | {"weight": float(line["weight"]).hex()}
            for line in code["lines"]
        ]
        result = pairs([code["result"]])[0]
        steps.append({"lines": lines, "result": result, "constant": float(code["constant"]).hex()})
    content = {key: body[key] for key in ("purpose", "root")} | {
        "interval": [float(x).hex() for x in body["interval"]],
        "steps": steps,
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.few(40)
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_file_is_canonical_and_proves_itself(path: Path) -> None:
    """The bytes are those that the table is written as; digest and certificate follow from its steps."""
    text = path.read_text("utf-8")
    table = loads(text)
    assert dumps(table) == text
    assert table.certificate is not None
    assert table.certificate.digest == own_digest(json.loads(text))
    assert certify(table.schedule, table.purpose) == table.certificate


def test_another_last_digit_is_seen() -> None:
    """Negative control: one unit in the last place of one constant has another digest, and is refused."""
    table = loads(FILES[0].read_text("utf-8"))
    body = json.loads(FILES[0].read_text("utf-8"))
    code = body["steps"][0]["program"]
    code["constant"] = math.nextafter(code["constant"], math.inf)
    assert table.certificate is not None
    assert own_digest(body) != table.certificate.digest
    with pytest.raises(InputError, match=r"digest|are not those that the program defines"):
        loads(json.dumps(body))
