"""Tables as text for other codebases, one small module a target.

Public: `export`, which is `polydesign.export`; the TARGETS it knows, a Target each; and the `caveats` that a
table has for one of them.
"""

from polydesign.exporters.caveats import caveats
from polydesign.exporters.target import Target
from polydesign.exporters.targets import TARGETS, export

__all__ = ["TARGETS", "Target", "caveats", "export"]
