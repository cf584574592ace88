"""Codebases that take a table as keyword arguments: what is the same for all of them, and an entry for each.

Others have a module of their own: a constant to replace (nanogpt.py), another language (newton_schulz_jl.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from polydesign.exporters.keywords import keywords
from polydesign.exporters.target import Rows, Target, check_normalization, quintic_rows, shared_row
from polydesign.model import InputError, Table
from polydesign.rounding.gram import choose_restarts, every

ELSEWHERE = (
    "it has no place for a row a step; optax, timm and pytorch_optimizer have, for degrees 3 and 5, and "
    "--to torch-function, numpy and jax write a function for any table"
)
"""The cure where a codebase repeats one row, and the rows differ."""

MOST_STEPS_OF_TORCH = 99
"""Beyond it torch raises ValueError at the first step."""

FACTOR_OF_ADAM_ATAN2 = 1.01
"""It divides by ‖M‖_F and then by this, whatever the coefficients."""

PRECONDITIONING = {"frobenius": "frobenius", "schatten4": "schatten", "aol": "aol"}
"""Our normalizations -> optax's names of the same ones; its `schatten` is the norm (Σσ⁴)^(1/4)."""

DIVISORS = {
    "frobenius": "‖x‖_F of the whole matrix, over all ranks",
    "schatten4": "(Σσ⁴)^(1/4) of the whole matrix, over all ranks",
    "schatten8": "(Σσ⁸)^(1/8) of the whole matrix, over all ranks",
    "none": "a bound of the spectral norm, if it may exceed 1",
}
"""Normalization -> what the caller of TransformerEngine has to divide by."""


def codebase(
    name: str,
    about: str,
    variable: str,
    arguments: Callable[[Table, Rows], dict[str, Any]],
    notes: Sequence[str] | Callable[[Table], Sequence[str]],
    *,
    loop: str,
    dtype: str = "bfloat16",
    when: str = "",
    normalizations: Sequence[str] = ("frobenius",),
    factor: float = 1.0,
    cure: str | None = None,
    any_degree: bool = False,
    most_steps: int | None = None,
) -> Target:
    """The target of a codebase whose function takes keyword arguments, `variable = dict(...)`.

    Args:
        name: What messages call it.
        about, dtype, when, loop: As in Target.
        variable: What the arguments are called in the text.
        arguments: The keyword arguments, from the table and its rows, one a step.
        notes: What to mind there, a line each.
        normalizations: Those that it has; for others a table is refused.
        factor: What it divides by beyond the normalization; see `quintic_rows`.
        cure: Of one that repeats a single row: what to do where the rows of a table differ. None for others.
        any_degree: Whether rows may be longer than three numbers.
        most_steps: How many steps it runs at most; None for any number.
    """

    def write(table: Table) -> str:
        rows = [] if cure is None else [shared_row(table, name, cure)] * len(table.schedule.steps)
        rows = rows if any_degree else quintic_rows(table, name, factor)
        check_normalization(table, name, *normalizations)
        if most_steps is not None and len(rows) > most_steps:
            raise InputError(
                "to", f"{name} runs at most {most_steps} steps, and {table.name} has {len(rows)}"
            )
        lines = notes(table) if callable(notes) else notes
        return keywords(table, target, variable, arguments(table, rows), lines)

    target = Target(about, ".py", write, dtype=dtype, when=when, loop=loop, factor=factor)
    return target


def _restarts(table: Table) -> tuple[int, ...]:
    """Of the gram form in float16, before these rows, counted from 0; all of them where less loses values."""
    try:
        return choose_restarts(table.schedule, "float16")
    except InputError:  # the direct form loses them too, and `caveats` says so
        return every(table.schedule)


def _notes_of_optax(table: Table) -> list[str]:
    notes = [
        "for optax.contrib.muon(learning_rate, **muon_arguments), or optax.contrib.scale_by_muon",
        "ns_steps must be the number of rows: optax refuses less, and more changes nothing",
        "optax iterates in the dtype of the updates, and rounds the coefficients to it",
    ]
    if table.normalization == "aol":
        notes.append("aol rescales the rows of M: the result is the polar factor of the rescaled matrix")
    return notes


def _notes_of_transformer_engine(table: Table) -> list[str]:
    return [
        "for transformer_engine.pytorch.newton_schulz(x, ctx, **newton_schulz_arguments); num_iterations "
        "must be the number of rows",
        f"it divides by nothing: divide x by {DIVISORS[table.normalization]}, before you call it",
        "versions that want 3·num_iterations coefficients take one list: [c for r in rows for c in r]",
    ]


# loop: timm and pytorch_optimizer have another for a DTensor (separate), optax where nothing is jitted
# (separate), and keras where its backend compiles the step (compiled); TransformerEngine does not say.
TAKE_KEYWORDS: dict[str, Target] = {
    "torch": codebase(
        "torch.optim.Muon",
        "torch.optim.Muon: one row for all steps; tables of several rows: --to torch-function",
        "muon_arguments",
        lambda table, rows: {"ns_coefficients": rows[0], "ns_steps": len(rows)},
        [
            "for torch.optim.Muon(params, lr, **muon_arguments); ns_steps must be the number above",
            "torch divides by max(‖M‖_F, eps) and iterates in bfloat16; the norm too is rounded to bfloat16",
        ],
        cure="take --to torch-function, which writes a Muon and a function that run one row a step",
        most_steps=MOST_STEPS_OF_TORCH,
        loop="fused",
    ),
    "optax": codebase(
        "optax",
        "optax.contrib.muon and scale_by_muon: ns_coeffs, ns_steps, preconditioning",
        "muon_arguments",
        lambda table, rows: {
            "ns_coeffs": rows,
            "ns_steps": len(rows),
            "preconditioning": PRECONDITIONING[table.normalization],
        },
        _notes_of_optax,
        when="updates are bfloat16",
        normalizations=tuple(PRECONDITIONING),
        loop="compiled",
    ),
    "timm": codebase(
        "timm",
        "timm.optim.Muon: ns_coefficients, ns_steps, safety_factor",
        "muon_arguments",
        lambda table, rows: {"ns_coefficients": rows, "ns_steps": len(rows), "safety_factor": 1.0},
        [
            "for timm.optim.Muon(params, lr, **muon_arguments), or timm.optim.create_optimizer_v2",
            "ns_steps must be the number of rows: timm leaves rows out, or repeats the last one",
            "the headroom is in the rows, so safety_factor stays 1; a larger one would change the map",
            "timm divides by max(‖M‖_F, eps) and iterates in bfloat16; the norm too is rounded to bfloat16",
        ],
        loop="fused",
    ),
    "pytorch_optimizer": codebase(
        "pytorch_optimizer",
        "pytorch_optimizer (4.1), Muon, AdaMuon, AdaGO, MuonClip, DistributedMuon, NorMuon: ns_coeffs, "
        "ns_steps",
        "muon_arguments",
        lambda table, rows: {"ns_coeffs": rows, "ns_steps": len(rows)},
        lambda table: [
            "for pytorch_optimizer.Muon(params, **muon_arguments), and its AdaMuon, AdaGO, MuonClip, "
            "NorMuon, DistributedMuon",
            "ns_steps must be the number of rows: it leaves rows out, or repeats the last one",
            "rows must be tuples: it refuses lists",
            "it divides by max(‖M‖_F, 1e-7) and iterates in bfloat16; the norm too is rounded to bfloat16; "
            "with ns_method='gram_newton_schulz' it iterates in float16, the norm in float32, and needs "
            f"ns_reset_steps={_restarts(table)!r} beside it",
        ],
        loop="fused",
    ),
    "emerging-optimizers": codebase(
        "Emerging-Optimizers",
        "NVIDIA Emerging-Optimizers, muon_utils.newton_schulz: custom_coefficient_sets",
        "newton_schulz_arguments",
        lambda table, rows: {
            "steps": len(rows),
            "coefficient_type": "custom",
            "custom_coefficient_sets": rows,
        },
        [
            "for emerging_optimizers.orthogonalized_optimizers.muon_utils.newton_schulz"
            "(x, **newton_schulz_arguments)",
            "steps must be the number of rows: custom sets begin again after the last one, and that diverges",
            "its classes (Muon, Scion, …), newton_schulz_tp and Megatron-LM take names of presets, not rows",
            "x is float32, and divided by max(‖x‖_F, eps)",
        ],
        when="torch.get_float32_matmul_precision() is 'medium'",
        loop="fused",
    ),
    "transformer-engine": codebase(
        "TransformerEngine",
        "NVIDIA TransformerEngine, newton_schulz: coefficients, num_iterations; the caller normalizes",
        "newton_schulz_arguments",
        lambda table, rows: {"num_iterations": len(rows), "coefficients": rows},
        _notes_of_transformer_engine,
        when="x is bfloat16",
        normalizations=tuple(DIVISORS),
        loop="any",
    ),
    "gram-newton-schulz": codebase(
        "gram-newton-schulz",
        "Dao-AILab gram-newton-schulz, GramNewtonSchulz, StandardNewtonSchulz, Muon: ns_coefficients",
        "newton_schulz_arguments",
        lambda table, rows: {
            "ns_coefficients": rows,
            "gram_newton_schulz_reset_iterations": list(_restarts(table)),
        },
        [
            "for gram_newton_schulz.GramNewtonSchulz(**newton_schulz_arguments)",
            "restarts are before these rows, counted from 0, and belong to this table in float16; left out, "
            "GramNewtonSchulz restarts before row 2 alone, and Muon where one restart does best",
            "Muon calls them gram_newton_schulz_restart_iterations; StandardNewtonSchulz has none: give it "
            "ns_coefficients alone",
            "there is no number of steps: the rows are the steps; Muon's ns_coefficients_preset would win",
            "x is divided by ‖x‖_F + 1e-7 in float32, then rounded to float16, in which it iterates",
        ],
        dtype="float16",
        loop="fused",
    ),
    "adam-atan2": codebase(
        "adam-atan2",
        "adam-atan2-pytorch, PolarAdamAtan2: polar_express_coefs, polar_steps",
        "polar_arguments",
        lambda table, rows: {"polar_express_coefs": rows, "polar_steps": len(rows)},
        [
            "for adam_atan2_pytorch.polar_adam_atan2.PolarAdamAtan2(polar_params, params, **polar_arguments)",
            "polar_steps must be the number of rows: it leaves rows out, or repeats the last one",
            f"it divides by {FACTOR_OF_ADAM_ATAN2}·max(‖M‖_F, 1e-7): the first row is "
            f"p({FACTOR_OF_ADAM_ATAN2}x), so that the map of M is the table's",
            "it iterates in the dtype of the updates; with polar_cast_bfloat16 in bfloat16, the norm too",
        ],
        when="updates are bfloat16 or polar_cast_bfloat16 is on",
        factor=FACTOR_OF_ADAM_ATAN2,
        loop="separate",
    ),
    "keras": codebase(
        "keras.optimizers.Muon",
        "keras.optimizers.Muon: muon_a, muon_b, muon_c, ns_steps; one row for all steps",
        "muon_arguments",
        lambda table, rows: (
            dict(zip(("muon_a", "muon_b", "muon_c"), rows[0], strict=True)) | {"ns_steps": len(rows)}
        ),
        [
            "for keras.optimizers.Muon(learning_rate, **muon_arguments); ns_steps must be the number above",
            "keras divides by ‖M‖_F + 1e-7 and iterates in the dtype of the variables",
        ],
        when="variables are bfloat16",
        cure="override its method zeropower_via_newtonschulz5 with a loop over the rows",
        loop="separate",
    ),
    "tinygrad": codebase(
        "tinygrad.nn.optim.Muon",
        "tinygrad.nn.optim.Muon: ns_coefficients, ns_steps; one row of any degree for all steps",
        "muon_arguments",
        lambda table, rows: {"ns_coefficients": rows[0], "ns_steps": len(rows)},
        [
            "for tinygrad.nn.optim.Muon(params, lr, **muon_arguments); ns_steps must be the number above",
            "tinygrad divides by ‖M‖_F + 1e-7, iterates in the dtype of M, and takes powers of A one by one",
        ],
        when="gradients are bfloat16",
        cure=ELSEWHERE,
        any_degree=True,
        loop="compiled",
    ),
    "distributed-shampoo": codebase(
        "distributed_shampoo",
        "Meta distributed_shampoo, NewtonSchulzOrthogonalizationConfig: coefficients; one row for all steps",
        "newton_schulz_arguments",
        lambda table, rows: {"num_iterations": len(rows), "coefficients": rows[0]},
        [
            "for distributed_shampoo.NewtonSchulzOrthogonalizationConfig(**newton_schulz_arguments)",
            "num_iterations must be the number above",
            "it divides by max(‖A‖_F, 1e-8) and iterates in the dtype of A",
        ],
        when="gradients are bfloat16",
        cure=ELSEWHERE,
        loop="fused",
    ),
}
"""Target -> how a table is written for it."""
