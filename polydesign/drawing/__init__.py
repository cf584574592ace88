"""Figures of tables, by matplotlib.

Public: `schedule_figure` of one table, `comparison_figure` of several (both are `polydesign.plot`),
`spectra_figure` of the matrices that `polydesign.advise` saw, and `save_figure`, which writes any figure in
one of SUFFIXES.
"""

from polydesign.drawing.bands import spectra_figure
from polydesign.drawing.figures import SUFFIXES, comparison_figure, save_figure, schedule_figure

__all__ = ["SUFFIXES", "comparison_figure", "save_figure", "schedule_figure", "spectra_figure"]
