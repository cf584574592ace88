"""Comparisons, pictures and pages that explain tables: they read tables and measurements only.

Nothing is to be imported from here: `compare`, `plot`, `report` and `Comparison` are of `polydesign`.
"""

__all__: list[str] = []
