"""The script that tries the tables of coeffs/, and the page that says what it found."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner, Result
from pages import ROOT
from test_scripts import loaded

import polydesign
from polydesign.model import LOOPS, Trial
from polydesign.rounding.enumerated import ENUMERATED
from polydesign.rounding.families import FAMILIES
from polydesign.verification.confirming import CONFIRMED, IN_TORCH, confirmed

pytestmark = pytest.mark.numerics

FEW = ["--confirm", "0", "--count", "3000", "--others", "2000", "--no-enumerate", "--seed", "3"]


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """On a folder with one table of each kind, without what was tried already."""
    module = loaded("try_coeffs")
    (tmp_path / "published").mkdir()
    for name in (
        "sign-d5x5-l1e-3-fp16",
        "sign-d5x7-l1e-3-fp32",
        "published/jordan_5",
        "published/su_root_r2",
    ):
        shutil.copy(ROOT / "coeffs" / f"{name}.json", tmp_path / f"{name}.json")
        table = replace(polydesign.load(tmp_path / f"{name}.json"), tried=())
        polydesign.save(table, tmp_path / f"{name}.json", force=True)
    monkeypatch.setattr(module, "FOLDER", tmp_path)
    return module


def test_the_worst_are_run_in_torch(script: ModuleType, tmp_path: Path) -> None:
    result = run(script, "sign-d5x5-l1e-3-fp16", *FEW, "--confirm", "40", "--count", "1", "--others", "1")
    assert result.exit_code == 0
    tried = polydesign.load(tmp_path / "sign-d5x5-l1e-3-fp16.json").tried
    found = {one.family: one for one in tried if one.family.endswith(IN_TORCH)}
    assert set(found) == {family + IN_TORCH for family in CONFIRMED}
    assert all((one.tried, one.blown, one.loop) == (40, 0, "fused") for one in found.values())


def test_torch_blows_up_what_has_no_room() -> None:
    """The control: five quintics without headroom, in the kernels of whatever machine this is."""
    bare = polydesign.design(degree=5, steps=5, headroom=1)
    for family in CONFIRMED:
        found = confirmed(bare, "bfloat16", family, 100)
        assert found.tried == 100
        assert found.blown > 10


def run(script: ModuleType, *arguments: object) -> Result:
    return CliRunner().invoke(script.main, [str(a) for a in arguments], catch_exceptions=False)


@pytest.mark.alike
def test_results_are_stored_and_not_tried_again(script: ModuleType, tmp_path: Path) -> None:
    result = run(script, *FEW)
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 3 * len(FAMILIES) * len(LOOPS)
    own, jordan = (
        polydesign.load(tmp_path / f"{n}.json") for n in ("sign-d5x5-l1e-3-fp16", "published/jordan_5")
    )
    assert {one.dtype for one in own.tried} == {"float16"}
    assert {one.dtype for one in jordan.tried} == {"bfloat16", "float16"}
    assert own.standing() in ("plain", "fused", "unsafe")
    assert {(one.family, one.loop): one.tried for one in own.tried}["blocks", "fused"] == 3000
    assert {one.tried for one in own.tried if one.loop != "fused"} == {2000}
    for other in ("sign-d5x7-l1e-3-fp32", "published/su_root_r2"):
        assert polydesign.load(tmp_path / f"{other}.json").tried == ()
    again = run(script, *FEW)
    assert (again.stdout, again.stderr) == ("", "0 to try\n")
    assert run(script, *FEW, "--others", 2001, "jordan_5").stdout.count("2001 tried") == 2 * (2 * 6 + 3)
    assert run(script, *FEW, "no-such-table").exit_code == 2


@pytest.mark.alike
def test_what_is_enumerated_or_hunted_is_stored_too(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The two families that are small; and a hunt, which is not begun again."""
    monkeypatch.setattr(script, "ENUMERATED", {n: ENUMERATED[n] for n in ("all numbers", "all two-rows")})
    arguments = (*FEW[:-3], "--hunt", 0.3, "--states", tmp_path / "states", "jordan_5")
    run(script, *arguments)
    table = polydesign.load(tmp_path / "published" / "jordan_5.json")
    families = {one.family for one in table.tried}
    assert {"all numbers", "all two-rows"} <= families
    assert any(family.startswith("hunt: ") for family in families)  # a slow machine begins with few
    assert (tmp_path / "states" / "jordan_5-bfloat16.json").exists()
    assert run(script, *arguments).stderr == "0 to try\n"


@pytest.mark.alike
def test_a_file_that_was_built_again_meanwhile_is_left(script: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "sign-d5x5-l1e-3-fp16.json"
    foreign = Trial("0" * 64, "blocks", "fused", "float16", 1, 0, 0, 0.1)
    assert "has other coefficients now" in script._stored(path, (foreign,))
    assert polydesign.load(path).tried == ()
    assert "not stored" in script._stored(tmp_path / "gone.json", (foreign,))


@pytest.mark.alike
def test_members_of_a_family_are_tried_too(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "FAMILIES", ("blocks", "two-rows"))
    name = "sign-d5x5-l1e-3-fp16-family"
    table = polydesign.load(name)
    bare = replace(table, tried=(), members=tuple(replace(one, tried=()) for one in table.members[:1]))
    polydesign.save(bare, tmp_path / f"{name}.json")
    result = run(script, name, *FEW)
    assert f"{name}[1] float16 blocks, fused: 3000 tried" in result.stdout
    found = polydesign.load(tmp_path / f"{name}.json")
    (member,) = found.members
    assert len(found.tried) == len(member.tried) == 2 * len(LOOPS)
    assert {one.digest for one in member.tried} == {member.digest} != {found.digest}
    assert run(script, name, *FEW).stderr == "0 to try\n"


@pytest.mark.alike
def test_the_page_says_what_the_files_hold() -> None:
    result = CliRunner().invoke(loaded("safety_page").main, ["--check"])
    assert result.exit_code == 0, "run scripts/figures/safety_page.py"


@pytest.mark.alike
def test_a_row_of_the_page() -> None:
    """All trials of a loop together; nothing where it was not tried."""
    module = loaded("safety_page")
    table = polydesign.load("jordan_5")
    kept = Trial(table.digest, "blocks", "fused", "bfloat16", 600, 0, 2, 0.25)
    gone = replace(kept, loop="separate", blown=3, worst=None)
    table = replace(table, tried=(kept, replace(kept, family="two-rows", worst=0.5), gone))
    assert module.row(table, "bfloat16") == (
        "| `jordan_5` | bf16 | 15 | 0.53 | 1.8e+03 | 0 / 4 / 0.5 | – | 3 / 2 / not finite | fused |"
    )
    assert module.row(table, "float16").endswith("| 0 | – | – | – | untried |")
    text = module.markdown([(table, ("bfloat16",))])
    assert text.index("Published tables") < text.index("`jordan_5`")
