"""Test matrices, metrics and measurements: what they must see, and what they must not excuse."""

from __future__ import annotations

import json
import pickle
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tables import prototype, published, table_of, with_coefficients

import polydesign
from polydesign.model import InputError, Plan, Table
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.rounding.running import allowance, term_rounding
from polydesign.table import digest
from polydesign.verification.files import read_matrix
from polydesign.verification.metrics import deviation, measured_map, orthogonality, relative_error, values
from polydesign.verification.polar import SUBSPACE_ROUNDS
from polydesign.verification.spectra import ALL_SPECTRA, DEFAULT_SPECTRA, SPECTRA, from_matrix, sample
from polydesign.verification.sweep import measure, resolve_device

pytestmark = pytest.mark.numerics

QUINTICS = prototype("quintics_18")
SHAPE = (48, 80)
U64 = 2.0**-52


def with_first_coefficient(table: Table, factor: float) -> Table:
    """The table with one coefficient wrong and the claims of its steps unchanged, without a proof."""
    first, *rest = table.schedule.steps
    wrong = with_coefficients(first, coefficients=(first.coefficients[0] * factor, *first.coefficients[1:]))
    schedule = replace(table.schedule, steps=(wrong, *rest))
    return replace(table, schedule=schedule, certificate=None, measured=(), tried=())


# spectra


@pytest.mark.parametrize("spectrum", ALL_SPECTRA)
@pytest.mark.parametrize("shape", [(12, 20), (20, 12), (9, 9)])
def test_samples_are_their_decomposition(spectrum: str, shape: tuple[int, int], seed: int) -> None:
    known = sample(spectrum, shape, seed=seed)
    b, k = known.sigma.shape
    assert known.matrix.shape == (b, *shape)
    eye = torch.eye(k, dtype=torch.float64).expand(b, k, k)
    scale = max(known.sigma.flatten().tolist(), default=0.0) * sum(shape) * U64
    product = (known.U * known.sigma[:, None, :]) @ known.V.mT
    torch.testing.assert_close(product, known.matrix, rtol=0, atol=scale)
    for factor in (known.U, known.V):
        torch.testing.assert_close(factor.mT @ factor, eye, rtol=0, atol=sum(shape) * U64)
    values = torch.linalg.svdvals(known.matrix)
    torch.testing.assert_close(values[:, :k], known.sigma.sort(descending=True).values, rtol=0, atol=scale)
    assert (values[:, k:] <= scale).all()


NOT_RANDOM = ("zero", "hippo:legs", "hippo:legt", "toeplitz:0.9")


@pytest.mark.parametrize("spectrum", [name for name in ALL_SPECTRA if name not in NOT_RANDOM])
def test_a_seed_is_a_matrix(spectrum: str, seed: int) -> None:
    first, again, other = (sample(spectrum, (8, 9), seed=s).matrix for s in (seed, seed, seed + 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_rank2_reaches_what_full_rank_does_not(seed: int) -> None:
    pair = sample("rank2", (64, 64), seed=seed, lower=1e-3).sigma.flatten()
    full = sample("gaussian", (64, 64), seed=seed).sigma.flatten()
    middle = [((x / scale > 0.35) & (x / scale < 0.9)).any() for x, scale in ((pair, 1), (full, full.norm()))]
    assert middle == [True, False]
    torch.testing.assert_close(pair.min().item(), 1e-3, rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("spectrum", "message"),
    [
        ("gausian", r"^spectrum: 'gausian' is not one of gaussian, .*; did you mean gaussian\?"),
        ("", r"^spectrum: '' is not one of"),
        ("logspace", r"^spectrum: 'logspace' needs the smallest singular value.*write logspace:1e-2"),
        ("logspace:0", "needs the smallest"),
        ("logspace:nan", "needs the smallest"),
        ("logspace:x", "needs the smallest"),
        ("marchenko-pastur:2", "needs the ratio of the sides"),
        ("rankk", r"^spectrum: 'rankk' needs the rank, a whole number: write rankk:8"),
        ("rankk:5", "needs the rank"),
        ("rankk:1.5", "needs the rank"),
        ("tiny:2", "needs a factor in"),
        ("huge:inf", "needs a factor in"),
        ("zero:1", "zero takes no number"),
        ("harmonic:2", r"^spectrum: 'harmonic:2': harmonic takes no number; write harmonic"),
        ("hippo", r"^spectrum: 'hippo' is no matrix of HiPPO: write hippo:legs or hippo:legt"),
        ("hippo:lagt", "write hippo:legs or hippo:legt"),
        ("monarch:2", "monarch takes no number"),
        ("triangular:1.5", "needs the entries of a key, a whole number: write triangular:16"),
        ("toeplitz", "needs a ratio"),
        ("toeplitz:1", r"needs a ratio in \(0, 1\): write toeplitz:0\.9"),
    ],
)
def test_refused_spectra(spectrum: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        sample(spectrum, (4, 4))


def test_refused_shapes() -> None:
    with pytest.raises(InputError, match=r"^shape: 1x5 has no room for rank 2"):
        sample("rank2", (1, 5))
    with pytest.raises(InputError, match=r"^shape: must be a whole number of at least 1"):
        sample("gaussian", (0, 5))
    assert set(SPECTRA) == {name.split(":")[0] for name in ALL_SPECTRA}


def relative(spectrum: str, shape: tuple[int, int], seed: int, lower: float = 1e-3) -> np.ndarray:
    """Singular values after Frobenius normalization, increasing, of the first matrix."""
    sigma = sample(spectrum, shape, seed=seed, lower=lower).sigma[0]
    return (sigma / sigma.norm()).sort().values.numpy()


def test_marchenko_pastur_is_the_law_of_gaussian_matrices(seed: int) -> None:
    for shape, aspect in (((200, 400), 0.5), ((150, 150), 1.0)):
        law, drawn = (relative(name, shape, seed) for name in ("marchenko-pastur", "gaussian"))
        # Eigenvalues are rigid: they leave their quantiles by about their spacing, 1/k of the range.
        assert np.abs(law - drawn).max() < 8 * drawn[-1] / min(shape)
        other = relative(f"marchenko-pastur:{aspect / 4}", shape, seed)
        assert np.abs(other - drawn).max() > 8 * drawn[-1] / min(shape)
    edge = sample("marchenko-pastur:0.25", (400, 400), seed=seed).sigma
    assert 0.5 < edge.min() < 0.52
    assert 1.48 < edge.max() < 1.5


def test_clusters_bulks_and_tails(seed: int) -> None:
    bulks = relative("two-bulks", (64, 80), seed)
    assert ((bulks > 0.9 * bulks[-1] / 1.1) | (bulks < 1.1 * 2.1e-3)).all()
    assert (bulks < 3e-3).sum() == 32
    assert bulks[0] > 1e-3
    cluster = relative("clustered", (64, 80), seed)
    assert (cluster > cluster[-1] / 1.0021).sum() == 60
    assert 1e-3 < cluster[0] < 3e-3
    heavy, normal = (sample(name, (64, 80), seed=seed).matrix[0].abs() for name in ("levy", "gaussian"))
    assert heavy.max() / heavy.median() > 10 * normal.max() / normal.median()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", [(60, 90), (90, 60)])
def test_flat_blocks_round_together(shape: tuple[int, int], dtype: torch.dtype, seed: int) -> None:
    """Rounding X moves x² by 2u at most, and rounding A = X Xᵀ by u more: flat goes beyond what X alone can,
    both ways, and beyond rank1."""
    u = torch.finfo(dtype).eps / 2
    moved = {}
    for name in ("flat", "rank1"):
        X = sample(name, shape, seed=seed).matrix.to(dtype).double()
        X = X if shape[0] <= shape[1] else X.mT
        A = (X @ X.mT).to(dtype).double()
        moved[name] = (torch.linalg.eigvalsh(A)[:, -1] - 1) / u
        assert (moved[name].abs() <= 3 * (1 + 2 * u)).all()  # the constant in front of u
    assert moved["flat"].max() > max(moved["rank1"].max().item(), 2)
    assert moved["flat"].min() < min(moved["rank1"].min().item(), -2)


def test_blocks_reach_every_x_in_equal_entries(seed: int) -> None:
    known = sample("blocks", (40, 60), seed=seed, lower=1e-3)
    torch.testing.assert_close(known.sigma.square().sum(dim=-1), torch.ones(16, dtype=torch.float64))
    small, large = known.sigma.amin(dim=-1), known.sigma.amax(dim=-1)
    torch.testing.assert_close(small, sample("rank2", (40, 60), seed=seed).sigma.amin(dim=-1))
    assert ((large > 0.35) & (large < 0.9)).any()
    sizes = known.matrix.abs().round(decimals=12)
    assert all(len(M.unique()) <= 3 for M in sizes)  # zero and one a block
    assert len(sample("rank2", (40, 60), seed=seed).matrix[0].abs().round(decimals=12).unique()) > 1000


def test_rankk_and_scales(seed: int) -> None:
    known = sample("rankk:3", (10, 12), seed=seed, lower=1e-2)
    assert known.sigma.shape[1] == 3
    assert ((known.sigma >= 1e-2) & (known.sigma <= 1)).all()
    base = sample("gaussian", (6, 8), seed=seed)
    for name, factor in (("tiny", 1e-20), ("tiny:1e-200", 1e-200), ("huge", 1e30), ("huge:1e200", 1e200)):
        assert torch.equal(sample(name, (6, 8), seed=seed).matrix, factor * base.matrix)


# files


def test_matrices_are_read_from_files(tmp_path: Path, seed: int) -> None:
    M = torch.randn(5, 7, generator=torch.Generator().manual_seed(seed), dtype=torch.float32)
    np.save(tmp_path / "m.npy", M.numpy())
    torch.save(M, tmp_path / "m.pt")
    torch.save({"bias": torch.ones(3), "weight": M, "other": M + 1}, tmp_path / "state.pt")
    save_file({"bias": torch.ones(3), "weight": M.bfloat16()}, tmp_path / "m.safetensors")
    for name in ("m.npy", "m.pt", "state.pt", "state.pt::weight"):
        assert torch.equal(read_matrix(tmp_path / name).matrix[0], M.double())
    assert torch.equal(read_matrix(f"{tmp_path}/state.pt::other").matrix[0], (M + 1).double())
    assert torch.equal(read_matrix(tmp_path / "m.safetensors").matrix[0], M.bfloat16().double())
    assert read_matrix(tmp_path / "m.npy").name == str(tmp_path / "m.npy")


def test_numerical_rank_is_found(seed: int) -> None:
    known = sample("rank2", (10, 8), seed=seed)
    assert from_matrix(known.matrix[3], "mine").sigma.shape == (1, 2)


class Planted:
    """An object whose unpickling would write a file."""

    def __init__(self, target: str) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path(self.target),)  # pyright: ignore[reportReturnType]


def test_no_file_runs_code(tmp_path: Path) -> None:
    planted = tmp_path / "planted"
    (tmp_path / "x.pt").write_bytes(pickle.dumps(Planted(str(planted)), protocol=2))
    np.save(tmp_path / "x.npy", np.array([Planted(str(planted))], dtype=object), allow_pickle=True)
    for name in ("x.pt", "x.npy"):
        with pytest.raises(InputError, match=r"is not a readable \.\w+ file of plain tensors"):
            read_matrix(tmp_path / name)
    assert not planted.exists()
    pickle.loads((tmp_path / "x.pt").read_bytes())
    assert planted.exists()  # the trap was armed


@pytest.mark.parametrize("suffix", [".npy", ".pt", ".safetensors"])
def test_bytes_of_any_kind_give_no_other_error(tmp_path: Path, suffix: str) -> None:
    """Text, pickles of all sorts, and a file that was changed or cut: read, or refused in a line."""
    good = {".npy": tmp_path / "a.npy", ".pt": tmp_path / "a.pt", ".safetensors": tmp_path / "a.safetensors"}
    np.save(good[".npy"], np.eye(4))
    torch.save(torch.eye(4), good[".pt"])
    save_file({"a": torch.eye(4)}, good[".safetensors"])
    content = good[suffix].read_bytes()
    chance = np.random.default_rng(0)
    cases = [b"", b"hello world\n", b"1 2\n3 4\n", b"aaaaaaaa", b"\x80", b")R.", b"PK\x03\x04", b"\x1b[31m\n"]
    cases += [
        "Größe".encode(),
        b"I1\n.",
        b"cposix\nsystem\n(S'ls'\ntR.",
        b"\x93NUMPY\x01\x00\x10\x00{'descr': (",
    ]
    cases += [content[: int(at)] for at in chance.integers(0, len(content), 20)]
    for _ in range(60):
        changed = bytearray(content)
        for at in chance.integers(0, len(content), 3):
            changed[at] = chance.integers(256)
        cases.append(bytes(changed))
    path = tmp_path / f"x{suffix}"
    refused = []
    for case in cases:
        path.write_bytes(case)
        try:
            read_matrix(path)
        except InputError as problem:
            refused.append(str(problem))
    assert len(refused) > 20
    for message in refused:
        assert str(path) in message
        assert len(message) < 400 + len(str(path))
        assert message.isprintable()


def test_refused_files(tmp_path: Path) -> None:
    for suffix in (".npy", ".pt", ".safetensors"):
        (tmp_path / f"bad{suffix}").write_bytes(b"not a matrix")
        with pytest.raises(InputError, match=r"is not a readable"):
            read_matrix(tmp_path / f"bad{suffix}")
    for array, message in (
        (np.zeros((3, 3)), "is zero and has no singular value"),
        (np.full((3, 3), np.nan), "holds NaN or infinity"),
        (np.ones(3), r"must be one matrix with two dimensions, not of shape \(3,\)"),
        (np.ones((3, 3), dtype=complex), "only real numbers"),
    ):
        np.save(tmp_path / "x.npy", array)
        with pytest.raises(InputError, match=message):
            read_matrix(tmp_path / "x.npy")
    save_file({"weight": torch.ones(2, 2)}, tmp_path / "m.safetensors")
    for name, message in (
        ("m.safetensors::wight", "there is no such matrix in the file; it holds weight"),
        ("x.npy::a", "holds one array without a name"),
        ("none.npy", "there is no such file"),
        ("m.csv", r"save it as one of \.npy, \.pt, \.safetensors"),
    ):
        with pytest.raises(InputError, match=message):
            read_matrix(tmp_path / name)


# metrics


def test_metrics_of_the_polar_factor_and_of_what_is_not(seed: int) -> None:
    known = sample("gaussian", SHAPE, seed=seed)
    U, V = known.U, known.V
    every = torch.ones_like(known.sigma, dtype=torch.bool)
    X = U @ V.mT
    slack = sum(SHAPE) * U64
    good = deviation(X, U, V, every)
    assert good.count == 48
    assert good.worst is not None
    assert good.worst <= slack
    assert orthogonality(X) <= slack
    assert orthogonality(X.mT) <= slack
    assert relative_error(X, U @ V.mT) == pytest.approx(0, abs=slack)
    sizes = torch.ones(1, 48, dtype=torch.float64)
    sizes[0, 5] = 0.75
    short = (U * sizes[:, None, :]) @ V.mT
    found = deviation(short, U, V, every)
    assert found.worst == pytest.approx(0.25, abs=slack)
    assert found.rms == pytest.approx(0.25 / 48**0.5, abs=slack)
    assert relative_error(short, U @ V.mT) == pytest.approx(0.25 / 48**0.5, abs=slack)
    assert orthogonality(short) == pytest.approx((1 - 0.75**2) / 48**0.5, abs=slack)
    torch.testing.assert_close(measured_map(short, U, V), sizes, rtol=0, atol=slack)
    every[0, 5] = False
    assert deviation(short, U, V, every).worst == pytest.approx(0, abs=slack)
    assert deviation(short, U, V, ~every).worst == pytest.approx(0.25, abs=slack)
    assert deviation(X, U, V, torch.zeros_like(every)).worst is None


def test_a_lost_sign_is_not_a_one(seed: int) -> None:
    known = sample("gaussian", (6, 9), seed=seed)
    signs = torch.ones(1, 6, dtype=torch.float64)
    signs[0, 2] = -1
    X = (known.U * signs[:, None, :]) @ known.V.mT
    assert torch.linalg.svdvals(X).sub(1).abs().max() < 1e-12  # singular values alone do not see it
    found = deviation(X, known.U, known.V, torch.ones(1, 6, dtype=torch.bool))
    assert found.worst == pytest.approx(2, abs=1e-12)


def test_deviation_sees_off_diagonal_errors_and_no_choice_of_basis(seed: int) -> None:
    known = sample("harmonic", (6, 9), seed=seed)
    every = torch.ones(1, 6, dtype=torch.bool)
    C = torch.eye(6, dtype=torch.float64)
    C[0, 1] = C[1, 0] = 0.5
    X = known.U @ C @ known.V.mT
    assert measured_map(X, known.U, known.V).sub(1).abs().max() < 1e-12  # blind to it
    assert deviation(X, known.U, known.V, every).worst == pytest.approx(0.5, abs=1e-12)
    generator = torch.Generator().manual_seed(seed)
    R = torch.linalg.qr(torch.randn(6, 6, generator=generator, dtype=torch.float64)).Q
    turned = deviation(X, known.U @ R, known.V @ R, every)
    assert turned.worst == pytest.approx(0.5, abs=1e-12)


# measurements


@pytest.mark.parametrize("spectrum", DEFAULT_SPECTRA)
def test_float64_map_is_the_prediction(spectrum: str, seed: int, device: str) -> None:
    def gap(table: Table, against: Table) -> float:
        found = measure(table, shape=SHAPE, dtype="float64", spectrum=spectrum, seed=seed, device=device)
        assert found.map is not None
        predicted = against.schedule(np.array(found.map.x))
        return float(np.abs(np.array(found.map.measured, dtype=float) - predicted).max())

    # Rounding of x0 and of each step by sides·u·Σ|terms|, times the largest slope of f, 1.1e3 at zero.
    slope = np.prod([step.coefficients[0] for step in QUINTICS.schedule.steps])
    terms = sum(sum(map(abs, step.coefficients)) for step in QUINTICS.schedule.steps)
    bound = float(sum(SHAPE) * U64 * slope * terms)
    assert gap(QUINTICS, QUINTICS) <= bound
    assert gap(with_first_coefficient(QUINTICS, 1 + 1e-6), QUINTICS) > bound


@pytest.mark.few(4)
@pytest.mark.parametrize("dtype", UNIT_ROUNDOFF)
@pytest.mark.parametrize("name", ["quintics_15", "quintics_18"])
def test_the_promise_holds_with_headroom(name: str, dtype: str, seed: int, device: str) -> None:
    table = prototype(name)
    for spectrum in DEFAULT_SPECTRA:
        for shape in (SHAPE, (96, 32)):
            found = measure(table, shape=shape, dtype=dtype, spectrum=spectrum, seed=seed, device=device)
            assert found.holds, found
            assert found.finite
            assert found.count + found.below_count == len(found.map.x if found.map else ())
            assert found.digest == digest(table.schedule)
            assert json.loads(json.dumps(asdict(found), allow_nan=False))["dtype"] == dtype


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_the_promise_breaks_without_headroom(dtype: str, seed: int, device: str) -> None:
    unsafe = published("polar_express_deg5")
    held = {"with": 0, "without": 0}
    for case in range(8):  # whether x = 1 is rounded up is chance: one of two
        generator = torch.Generator().manual_seed(seed + case)
        u, v = (torch.randn(side, 1, generator=generator, dtype=torch.float64) for side in (64, 96))
        rank_one = from_matrix(u @ v.mT, "rank one")
        held["with"] += measure(QUINTICS, dtype=dtype, matrix=rank_one, device=device).holds
        found = measure(unsafe, dtype=dtype, matrix=rank_one, device=device)
        held["without"] += found.holds
        assert found.seed is None
        json.dumps(asdict(found), allow_nan=False)
    assert held["with"] == 8
    assert held["without"] < 8
    assert measure(unsafe, dtype="float64", shape=SHAPE, seed=seed, device=device).holds


def test_a_result_that_is_not_finite_is_reported(seed: int, device: str) -> None:
    # p(x) = x + 1000 x³ over and over leaves float16 after three steps.
    table = table_of([(1.0, 1000.0)] * 3)
    found = measure(table, shape=(8, 8), dtype="float16", seed=seed, device=device)
    assert (found.finite, found.holds) == (False, False)
    assert found.worst is found.rms is found.orthogonality is found.polar_distance is None
    assert found.map is not None
    assert None in found.map.measured
    json.dumps(asdict(found), allow_nan=False)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_a_wrong_coefficient_is_not_excused(dtype: str, seed: int, device: str) -> None:
    # Large enough to carry every value of the map, also one at 1 − E, past 1 + E by more than is allowed.
    factor = 1 + 2 * QUINTICS.schedule.error + 64 * UNIT_ROUNDOFF[dtype]
    *steps, last = QUINTICS.schedule.steps
    wrong = with_coefficients(last, coefficients=tuple(c * factor for c in last.coefficients))
    table = replace(QUINTICS, schedule=replace(QUINTICS.schedule, steps=(*steps, wrong)))
    for spectrum in ("gaussian", "harmonic"):
        settings = {"shape": (128, 192), "dtype": dtype, "spectrum": spectrum, "seed": seed, "device": device}
        assert measure(QUINTICS, **settings).holds
        assert not measure(table, **settings).holds


def test_values_below_the_interval_are_kept_apart(seed: int, device: str) -> None:
    found = measure(
        QUINTICS, shape=(40, 60), dtype="float32", spectrum="logspace:1e-6", seed=seed, device=device
    )
    assert found.map is not None
    x = np.array(found.map.x)
    assert found.below_count == int((x < 1e-3).sum()) > 0
    assert found.holds
    assert found.below_worst is not None
    predicted = np.abs(np.array(found.map.predicted) - 1)
    assert found.below_worst == pytest.approx(predicted[x < 1e-3].max(), abs=1e-2)
    assert found.below_worst > 0.9 > found.allowed


@pytest.mark.few(16)
@pytest.mark.parametrize("spectrum", ALL_SPECTRA)
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_the_promise_holds_on_every_spectrum(spectrum: str, dtype: str, seed: int, device: str) -> None:
    found = measure(QUINTICS, shape=(48, 64), dtype=dtype, spectrum=spectrum, seed=seed, device=device)
    assert found.holds, found
    assert (found.operator, found.power, found.form) == ("msign", 1, "direct")
    if spectrum == "zero":
        assert (found.count, found.worst, found.allowed, found.orthogonality) == (0, 0.0, 0.0, None)
        return
    assert found.input_share is not None
    assert found.worst is not None
    assert found.input_share <= found.allowed
    assert found.relative_error == found.polar_distance
    factor = 1 + 2 * QUINTICS.schedule.error + 2 * found.allowed
    wrong = measure(with_last_step(factor), shape=(48, 64), dtype=dtype, spectrum=spectrum, seed=seed)
    assert not wrong.holds


def with_last_step(factor: float) -> Table:
    *steps, last = QUINTICS.schedule.steps
    wrong = with_coefficients(last, coefficients=tuple(c * factor for c in last.coefficients))
    return replace(QUINTICS, schedule=replace(QUINTICS.schedule, steps=(*steps, wrong)))


def test_zero_must_stay_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    from polydesign.runtime import msign_with_info

    def noisy(M: torch.Tensor, *arguments: object) -> object:
        X, info = msign_with_info(M, *arguments)  # pyright: ignore[reportArgumentType]
        return X + 2.0**-20, info

    monkeypatch.setattr("polydesign.verification.polar.msign_with_info", noisy)
    found = measure(QUINTICS, shape=(4, 6), dtype="float32", spectrum="zero")
    assert (found.holds, found.worst) == (False, 2.0**-20)


@pytest.mark.parametrize("spectrum", ["gaussian", "rank2", "rankk:4"])
def test_the_input_share_is_the_polar_factor_of_the_rounded_input(spectrum: str, seed: int) -> None:
    found = measure(QUINTICS, shape=(24, 40), spectrum=spectrum, seed=seed)
    known = sample(spectrum, (24, 40), seed=seed)
    norm = torch.linalg.matrix_norm(known.matrix)[:, None, None]
    U, S, Vt = torch.linalg.svd((known.matrix / norm).bfloat16().double(), full_matrices=False)
    k = known.sigma.shape[-1]
    every = torch.ones_like(known.sigma, dtype=torch.bool)
    if spectrum == "rankk:4":  # some lie below
        every = known.sigma / norm[:, :, 0] >= 1e-3
    worst = deviation(U[..., :k] @ Vt[:, :k], known.U, known.V, every).worst
    assert worst is not None
    # Subspace iteration leaves (σ_{k+1}/σ_k)² of what is missing in each round.
    missing = (S[:, k] / S[:, k - 1]).max().item() ** (2 * SUBSPACE_ROUNDS) if k < S.shape[-1] else 0.0
    assert found.input_share == pytest.approx(worst, rel=1e-6, abs=2 * missing)
    assert missing < 0.01 * worst  # so that it is judged by more than that
    assert worst > 1e-6
    wider = measure(QUINTICS, shape=(24, 40), dtype="float32", spectrum=spectrum, seed=seed)
    assert wider.input_share is not None
    assert wider.input_share < 1e-3 * worst


def test_after_every_step(seed: int, device: str) -> None:
    settings = {"shape": SHAPE, "dtype": "float32", "spectrum": "rank2", "seed": seed, "device": device}
    found = measure(QUINTICS, steps=True, **settings)
    for step, after in zip(QUINTICS.schedule.steps, found.after_steps, strict=True):
        assert after.measured is not None
        # Slopes of the chain times the rounding of x: 8.2⁶ at the lower end, and far less near it.
        assert step.image[0] - 1e-3 <= after.measured[0] <= after.measured[1] <= step.image[1] + 1e-3
    assert found.after_steps[-1].worst == found.worst
    wrong = measure(with_last_step(1.01), steps=True, **settings)
    assert wrong.after_steps[:-1] == found.after_steps[:-1]
    assert wrong.after_steps[-1].measured[1] > found.after_steps[-1].predicted[1] + 5e-3  # pyright: ignore
    lost = measure(table_of([(1.0, 1000.0)] * 3), shape=(8, 8), dtype="float16", steps=True, seed=seed)
    assert lost.after_steps[-1].measured is lost.after_steps[-1].worst is None


def test_nothing_to_measure_is_not_a_success() -> None:
    high = table_of([(1.875, -1.25, 0.375)], lower=0.99)
    with pytest.raises(InputError, match=r"^spectrum: gaussian: no singular value lies in \[0\.99, 1\]"):
        measure(high, shape=(32, 32))


def test_devices() -> None:
    assert str(resolve_device("auto")) == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(InputError, match=r"^device: 'gpu' is not a torch device: write auto, cpu or cuda"):
        resolve_device("gpu")


def test_cuda_is_refused_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match=r"^device: torch sees no CUDA device here"):
        measure(QUINTICS, shape=(4, 4), device="cuda")
    assert str(resolve_device("auto")) == "cpu"


# what rounding explains


def test_allowance_shrinks_with_the_precision_and_the_size() -> None:
    schedule = QUINTICS.schedule
    by_dtype = [allowance(schedule, dtype, (512, 1024)) for dtype in UNIT_ROUNDOFF]
    assert by_dtype == sorted(by_dtype, reverse=True)
    for dtype, found in zip(UNIT_ROUNDOFF, by_dtype, strict=True):
        u = UNIT_ROUNDOFF[dtype]
        assert 4 * u <= found <= (16 if dtype in ("bfloat16", "float16") else 128) * u
    assert allowance(schedule, "bf16", (64, 64)) > by_dtype[0]


def test_large_terms_excuse_float32_and_not_bfloat16(seed: int, device: str) -> None:
    # Degree 9 in powers of A: sums of 1400 for a result of one.
    table = prototype("9x4_16_bf16")
    verdicts = {
        dtype: measure(table, shape=(96, 96), dtype=dtype, spectrum="rank2", seed=seed, device=device).holds
        for dtype in UNIT_ROUNDOFF
    }
    assert verdicts == {"bfloat16": False, "float16": True, "float32": True, "float64": True}


def test_allowance_does_not_excuse_a_missing_headroom() -> None:
    # In bfloat16 the last of these steps sends values past its domain to infinity.
    unsafe = published("polar_express_deg5").schedule
    assert allowance(unsafe, "bfloat16", (512, 1024)) < 0.1


def test_term_rounding_of_a_hand_made_step() -> None:
    """x·(errors of c₁A, of c₂A·A from both factors, and of their sum) + p(x), at the end where all is largest."""
    step = QUINTICS.schedule.steps[0]
    a, b, c = step.coefficients
    x = step.domain[1]
    y = x * x
    expected = x * (-b * y + 2 * c * y * y + abs(b * y + c * y * y)) + x * (a + b * y + c * y * y)
    assert term_rounding(step, "bf16") == pytest.approx(2.0**-8 * expected, rel=1e-12)


@pytest.mark.parametrize(("operator", "power"), [("msign", 1), ("mcsgn", 1), ("inverse_root", 2)])
def test_says_from_which_value_on_it_promises(operator: str, power: int, seed: int) -> None:
    """l = 1e-3 after division by ν; schatten4 divides by less than frobenius, so it promises for more."""
    ends = {}
    for name in ("frobenius", "schatten4"):
        run = measure(
            QUINTICS,
            shape=(48, 48),
            dtype="float32",
            spectrum="logspace:0.1",
            seed=seed,
            operator=operator,
            plan=Plan(normalization=name),
        )
        ends[name] = run.lower_end
    sigma = torch.logspace(0, -1, 48, dtype=torch.float64)
    assert ends["frobenius"] == pytest.approx((1e-3 * sigma.norm().item() ** (1 / power)) ** power, rel=1e-6)
    fourth = (sigma**4).sum().item() ** 0.25
    assert ends["schatten4"] == pytest.approx((1e-3 * fourth ** (1 / power)) ** power, rel=1e-5)


def test_measures_after_every_step_of_a_table_with_headroom_a_step(seed: int, device: str) -> None:
    table = polydesign.design(degree=5, steps=3, lower=0.05, headroom=(1.02, 1.01, 1))
    run = measure(table, shape=(32, 48), dtype="float32", seed=seed, device=device, steps=True)
    assert len(run.after_steps) == 3
    assert run.after_steps[-1].worst == pytest.approx(run.worst, rel=1e-3)
    first, last = run.after_steps[0].worst, run.after_steps[-1].worst
    assert first is not None
    assert last is not None
    assert first > 2 * last


def test_no_more_than_a_quarter_is_excused() -> None:
    """In two rows of bfloat16 the model alone would let a singular value of 1e-3 be lost altogether."""
    schedule = QUINTICS.schedule
    assert allowance(schedule, "bfloat16", (2, 4)) == 0.25
    assert allowance(schedule, "bfloat16", (512, 1024)) < 0.05


def test_a_value_of_the_wrong_sign_is_not_taken_for_one() -> None:
    """Its singular value would be 1."""
    basis = torch.eye(3, dtype=torch.float64)[None]
    X = torch.diag(torch.tensor([1.0, -1.0, 0.5], dtype=torch.float64))[None]
    found = values(X, basis, basis, torch.ones(1, 3, dtype=torch.bool))
    assert sorted(found.tolist()) == [-1.0, 0.5, 1.0]
