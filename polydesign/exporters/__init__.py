"""Tables as text for other codebases, one small module a target.

Public: the TARGETS that `polydesign.export` knows, a Target each; and the `caveats` that a table has for one
of them.
"""

from polydesign.exporters.caveats import caveats
from polydesign.exporters.target import Target
from polydesign.exporters.targets import TARGETS

__all__ = ["TARGETS", "Target", "caveats"]
