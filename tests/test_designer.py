"""From keywords to tables: defaults by precision, names, and refusals that name the keyword."""

from __future__ import annotations

import doctest
from typing import Any

import pytest

import polydesign
from polydesign import InputError
from polydesign.designer import design as designer
from polydesign.designer import summaries
from polydesign.designer.methods import METHODS
from polydesign.designer.minimax import DEFAULT_SAFETY
from polydesign.model import HALF, SafetyWarning
from polydesign.search import survival


def test_the_bare_optimum():
    table = polydesign.design(degree=5, steps=6, lower=1e-3, headroom=1, cushion=0)
    assert table.schedule.error == pytest.approx(9.16472188e-4, rel=1e-9)
    first = table.schedule.steps[0].coefficients
    assert first == pytest.approx((8.47032880384807, -25.1080747066619, 18.629275599118), rel=1e-12)
    assert table.schedule.steps[0].domain == (1e-3, 1.0)


def test_the_main_job_is_safe_for_bfloat16():
    """A headroom for every step, image floor 0.08 except in the last two; and it says them."""
    table = polydesign.design(degree=5, steps=6)
    p = table.provenance.parameters
    spelt = polydesign.design(degree=5, steps=6, headroom=p["headroom"], image_floor=[0.08] * 4 + [0, 0])
    assert table.schedule == spelt.schedule
    assert table.name == "sign-d5x6-l1e-3-bf16"
    assert p["dtype"] == "bfloat16"
    received = table.schedule.interval
    for step, headroom in zip(table.schedule.steps, p["headroom"], strict=True):
        assert step.domain[1] == pytest.approx(headroom * received[1])
        if step is not table.schedule.steps[-1]:
            assert headroom > 1.01  # the published habit
        received = step.image


@pytest.mark.parametrize("dtype", DEFAULT_SAFETY)
def test_defaults_follow_the_precision(dtype):
    """Roots have one headroom for all steps, and so have signs from float32 on."""
    both: tuple[dict[str, Any], ...] = ({"root": 4, "lower": 0.1}, {})
    for keywords in both:
        table = polydesign.design(degree=5, steps=5, dtype=dtype, **keywords)
        stated = table.provenance.parameters["headroom"]
        own = dtype in HALF and not keywords
        assert isinstance(stated, list) if own else stated == DEFAULT_SAFETY[dtype]["headroom"]
        assert table == polydesign.design(degree=5, steps=5, dtype=f"torch.{dtype}", **keywords)


def test_what_no_headroom_saves_is_made_and_warned_about(monkeypatch):
    """Explicit degrees are for the reader to choose; that a matrix blows up is not kept from him."""
    monkeypatch.setattr(survival, "survives", lambda *_, **__: False)
    with pytest.warns(
        SafetyWarning, match=r"degrees \(5, 5, 5\) in bfloat16 blow up some matrix .* take lower"
    ):
        table = polydesign.design(degree=5, steps=3, dtype="bf16")
    assert table.schedule.degrees == (5, 5, 5)
    with pytest.raises(InputError, match=r"^degree: whatever headroom was tried"):
        polydesign.design(degree=5, steps=3, error=0.5, lower="min", dtype="bf16")


def test_a_loop_that_fuses_needs_less_room():
    """And the file says for which loop it is; where nothing is found, nothing is said of it."""
    how: dict[str, Any] = {"degree": 5, "steps": 5, "fresh": True}
    any_, fused = (polydesign.design(**how, loop=loop) for loop in ("any", "fused"))
    assert any_ == polydesign.design(**how)
    assert fused.schedule.error < any_.schedule.error
    assert fused.name == "sign-d5x5-l1e-3-bf16-fused"
    assert fused.provenance.parameters["loop"] == "fused"
    others: tuple[dict[str, Any], ...] = ({"headroom": 1.02}, {"dtype": "float32"}, {"root": 4})
    for keywords in others:
        with pytest.raises(InputError, match=r"^loop: is for"):
            polydesign.design(degree=5, steps=2, loop="fused", **keywords)


def test_headroom_is_found_for_a_floor_of_ones_own():
    """With a loop; the name, the summary and the command say so, and the command makes it again."""
    own: dict[str, Any] = {"degree": 5, "steps": 4, "dtype": "fp16", "loop": "any"}
    table = polydesign.design(**own, image_floor=(0.02, 0.03, 0, 0))
    stated = table.provenance.parameters
    assert len(set(stated["headroom"])) > 1
    assert stated["image_floor"] == [0.02, 0.03, 0, 0] or stated["image_floor"] == (0.02, 0.03, 0, 0)
    assert table.name == "sign-d5x4-l1e-3-f0.02-0.03-0x2-fp16-any"
    command, note = METHODS["equioscillation"].command(table)
    assert "--dtype float16 --loop any --image-floor 0.02,0.03,0,0" in command.replace("0.0,", "0,").replace(
        "0.0 ", "0 "
    )
    assert "defaults" not in note
    assert any("headroom found for float16" in line for line in METHODS["equioscillation"].summary(table))
    usual = polydesign.design(degree=5, steps=4, dtype="fp16", fresh=True)
    assert table.schedule.error < usual.schedule.error
    same = polydesign.design(**own, image_floor=0.08, floor_free_tail=2)
    assert same.schedule == usual.schedule
    assert "the default for float16" in "".join(METHODS["equioscillation"].summary(usual))
    others: tuple[dict[str, Any], ...] = ({"dtype": "float32"}, {"headroom": 1.02})
    for keywords in others:
        with pytest.raises(InputError, match=r"^loop: is for"):
            polydesign.design(**own | keywords, image_floor=0.1)


def test_safety_costs_less_the_finer_the_precision():
    errors = [polydesign.design(degree=5, steps=6, dtype=dtype).schedule.error for dtype in DEFAULT_SAFETY]
    assert errors == sorted(errors, reverse=True)
    optimum = polydesign.design(degree=5, steps=6, headroom=1).schedule.error
    assert errors[-1] > optimum


def test_error_in_place_of_steps_uses_the_defaults_of_that_many_steps():
    table = polydesign.design(degree=5, error=7e-3)
    assert table.schedule == polydesign.design(degree=5, steps=6, fresh=True).schedule
    with pytest.raises(InputError, match=r"error: 1e-17 is out of reach: \d+ steps of degree 5"):
        polydesign.design(degree=5, error=1e-17, dtype="float32")


@pytest.mark.parametrize(
    ("keywords", "name"),
    [
        ({"degree": 5, "steps": 6, "dtype": "fp16"}, "sign-d5x6-l1e-3-fp16"),
        ({"degree": [5, 9, 9], "headroom": 1}, "sign-d5-9x2-l1e-3"),
        ({"degree": [5], "headroom": 1}, "sign-d5x1-l1e-3"),
        ({"degree": 3, "steps": 2, "root": 1, "lower": 0.5, "upper": 1.5, "cushion": 0.1}, "inverse-d3x2-l0.5-u1.5-c0.1"),
        ({"degree": 9, "steps": 3, "root": 4, "lower": 0.1, "headroom": 1.01}, "root4-d9x3-l0.1-h1.01"),
        ({"degree": 5, "steps": 3, "headroom": [1.05, 1.05, 1.03], "image_floor": 0.2}, "sign-d5x3-l1e-3-h1.05x2-1.03-f0.2"),
        ({"degree": 5, "steps": 2, "name": "mine"}, "mine"),
        ({"degree": 5, "steps": 2, "lower": 0.0123}, "sign-d5x2-l0.0123-bf16"),
    ],
)  # fmt: skip
def test_names_come_from_the_parameters(keywords, name):
    assert polydesign.design(**keywords).name == name


def test_certificates_are_proved_unless_told_not_to():
    proved = polydesign.design(degree=5, steps=6).certificate
    assert proved is not None
    assert proved.kind == "proved"
    table = polydesign.design(degree=5, steps=6, certify=False)
    assert table.certificate is not None
    assert table.certificate.kind == "sampled"
    low, high = map(float, table.certificate.error)
    assert 0.9 * high < low <= high == table.schedule.error


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"degree": 4, "steps": 6}, r"degree: a step of root 2 has degree 1 \+ n·2, and 4 is not; nearest: 3 and 5"),
        ({"degree": 2, "steps": 6}, "nearest: 3 and 5"),
        ({"degree": 6, "steps": 6, "root": 4}, "nearest: 5 and 9"),
        ({"degree": 5}, "steps: say how many steps of degree 5, or give error"),
        ({"degree": 5, "steps": 0}, "steps: must be a whole number of at least 1, not 0"),
        ({"degree": [5, 5], "steps": 3}, "steps: is 3, and 2 degrees are given"),
        ({"degree": 5, "steps": 3, "error": 0.1}, "steps: the error decides"),
        ({"degree": [5, 9], "error": 0.1}, "error: finds the number of steps itself"),
        ({"degree": 5, "error": 2.0}, "error: must lie between 0 and 1"),
        ({"degree": [], "steps": 1}, "degree: give at least one"),
        ({"degree": 5, "steps": 1, "lower": 0.0}, "lower: must be greater than 0"),
        ({"degree": 5, "steps": 1, "lower": 2.0}, "lower: must lie below upper = 1.0"),
        ({"degree": 5, "steps": 1, "dtype": "int8"}, "dtype: int8 is not one of"),
        ({"degree": 27, "steps": 1}, "degree: must be at most 25 for root 2, not 27"),
        ({"degree": 5, "steps": 2, "headroom": []}, "headroom: is an empty list"),
    ],
)  # fmt: skip
def test_refuses_by_keyword(keywords, message):
    with pytest.raises(InputError, match=message):
        polydesign.design(**keywords)


def test_docstring_examples():
    failed, tried = doctest.testmod(designer)
    assert tried > 0
    assert failed == 0


@pytest.mark.parametrize(
    "other", [{"purpose": ["sign"]}, {"method": ["adam"]}, {"name": 3}, {"steps": 10**400}, {"certify": "no"}]
)
def test_keywords_of_another_kind_are_refused_by_name(other):
    with pytest.raises(InputError) as refusal:
        polydesign.design(**{"degree": 5, "steps": 2} | other)
    assert refusal.value.field in other
    assert len(str(refusal.value)) < 200


@pytest.mark.parametrize("cure", [{"image_floor": 0.1}, {"degree": 9, "steps": 5}, {"lower": 1e-6}])
def test_a_lower_end_that_rounding_takes_to_zero_is_told_with_cures(cure: dict[str, Any]) -> None:
    asked: dict[str, Any] = {"degree": 17, "steps": 3, "lower": 1e-12, "dtype": "float64"}
    with pytest.raises(InputError, match=r"^lower: is too small .*: give image_floor 0.1, lower degrees"):
        polydesign.design(**asked)
    assert polydesign.design(**asked | cure).schedule.error < 1


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"headroom": 1, "cushion": 0}, "for these degrees; rounding the coefficients costs a factor"),
        ({}, "for these degrees without safety; the safety costs a factor"),
        ({"headroom": 1, "cushion": 0.02}, "for these degrees without safety; the safety costs a factor"),
    ],
)
def test_what_the_distance_to_the_optimum_comes_from(how: dict[str, Any], words: str) -> None:
    assert words in summaries.optimum(polydesign.design(degree=5, steps=3, dtype="float32", **how))
