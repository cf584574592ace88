"""Structured matrices: Monarch, column-row, triangular, state space."""
