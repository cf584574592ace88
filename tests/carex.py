"""Riccati equations of the CAREX collection, with default parameters, as (A, B, Q, R) in numpy.

P. Benner, A. J. Laub, V. Mehrmann, A collection of benchmark examples for the numerical solution of algebraic
Riccati equations II: continuous-time case, SPC 95_23, TU Chemnitz-Zwickau, 1995. The numbers are those of
scipy/linalg/tests/test_solvers.py (scipy 1.17); of the examples there that have data files, those files.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.linalg

Equation = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]

CHAIN = np.zeros((64, 64)) - 2 * np.eye(64) + np.eye(64, k=1) + np.eye(64, k=-1)
CHAIN[0, -1] = CHAIN[-1, 0] = 1

REFLECTION = np.array([[1.0, -2, -2], [-2, 1, -2], [-2, -2, 1]])

WRITTEN: dict[int, Equation] = {
    1: (np.diag([1.0], 1), np.array([[0.0], [1]]), np.diag([1.0, 2]), np.eye(1)),
    2: (
        np.array([[4, 3], [-4.5, -3.5]]),
        np.array([[1.0], [-1]]),
        np.array([[9.0, 6], [6, 4]]),
        np.eye(1),
    ),
    3: (
        np.array(
            [
                [0, 1, 0, 0],
                [0, -1.89, 0.39, -5.53],
                [0, -0.034, -2.98, 2.43],
                [0.034, -0.0011, -0.99, -0.21],
            ]
        ),
        np.array([[0, 0], [0.36, -1.6], [-0.95, -0.032], [0.03, 0]]),
        np.array(
            [
                [2.313, 2.727, 0.688, 0.023],
                [2.727, 4.271, 1.148, 0.323],
                [0.688, 1.148, 0.313, 0.102],
                [0.023, 0.323, 0.102, 0.083],
            ]
        ),
        np.eye(2),
    ),
    5: (
        np.array(
            [
                [-4.019, 5.120, 0, 0, -2.082, 0, 0, 0, 0.870],
                [-0.346, 0.986, 0, 0, -2.340, 0, 0, 0, 0.970],
                [-7.909, 15.407, -4.069, 0, -6.450, 0, 0, 0, 2.680],
                [-21.816, 35.606, -0.339, -3.870, -17.800, 0, 0, 0, 7.390],
                [-60.196, 98.188, -7.907, 0.340, -53.008, 0, 0, 0, 20.400],
                [0, 0, 0, 0, 94, -147.2, 0, 53.2, 0],
                [0, 0, 0, 0, 0, 94, -147.2, 0, 0],
                [0, 0, 0, 0, 0, 12.8, 0, -31.6, 0],
                [0, 0, 0, 0, 12.8, 0, 0, 18.8, -31.6],
            ]
        ),
        np.array(
            [
                [0.010, -0.011, -0.151],
                [0.003, -0.021, 0],
                [0.009, -0.059, 0],
                [0.024, -0.162, 0],
                [0.068, -0.445, 0],
                *[[0, 0, 0]] * 4,
            ]
        ),
        np.eye(9),
        np.eye(3),
    ),
    7: (np.diag([1.0, -2]), np.array([[1e-6], [0]]), np.ones((2, 2)), np.eye(1)),
    8: (
        np.diag([-0.1, -0.02]),
        np.array([[0.1, 0], [0.001, 0.01]]),
        np.array([[100.0, 1000], [1000, 10000]]),
        np.ones((2, 2)) + np.diag([1e-6, 0]),
    ),
    9: (np.array([[0, 1e6], [0, 0]]), np.array([[0.0], [1]]), np.eye(2), np.eye(1)),
    10: (np.array([[1.0000001, 1], [1, 1.0000001]]), np.eye(2), np.eye(2), np.eye(2)),
    11: (
        np.array([[3.0, 1], [4, 2]]),
        np.array([[1.0], [1]]),
        np.array([[-11.0, -5], [-5, -2]]),
        np.eye(1),
    ),
    12: (
        np.array([[7e6, 2e6, 0], [2e6, 6e6, -2e6], [0, -2e6, 5e6]]) / 3,
        np.eye(3),
        REFLECTION @ np.diag([1e-6, 1, 1e6]) @ REFLECTION / 9,
        1e6 * np.eye(3),
    ),
    13: (
        np.array([[0, 0.4, 0, 0], [0, 0, 0.345, 0], [0, -0.524e6, -0.465e6, 0.262e6], [0, 0, 0, -1e6]]),
        np.array([[0.0], [0], [0], [1e6]]),
        np.diag([1.0, 0, 1, 0]),
        np.eye(1),
    ),
    14: (
        np.array([[-1e-6, 1, 0, 0], [-1, -1e-6, 0, 0], [0, 0, 1e-6, 1], [0, 0, -1, 1e-6]]),
        np.ones((4, 1)),
        np.ones((4, 4)),
        np.eye(1),
    ),
    16: (CHAIN, np.eye(64), np.eye(64), np.eye(64)),
    17: (np.eye(21, k=1), np.eye(21)[:, -1:], np.diag([1.0] + [0] * 20), np.eye(1)),
}

IN_FILES = (6, 15, 18, 19)


def in_file(number: int) -> Equation | None:
    """One of IN_FILES, where scipy has its tests with it."""
    path = Path(scipy.linalg.__file__).parent / "tests" / "data" / f"carex_{number}_data.npz"
    if not path.exists():
        return None
    with np.load(path) as data:
        return data["A"], data["B"], data["Q"], np.atleast_2d(data["R"])
