"""Straight-line programs: what computes q, and what it costs."""
