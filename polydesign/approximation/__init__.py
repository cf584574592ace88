"""What a step does on an interval: values and images, best approximation, certificates.

Public: `best_approximation` of one step, and `schedule_from`, the schedule of given rows.
"""

from polydesign.approximation.remez import best_approximation
from polydesign.approximation.scalar import schedule_from

__all__ = ["best_approximation", "schedule_from"]
