"""Lists of coefficients from elsewhere: read, and compared with every table that is known.

Public are the words of what `polydesign.identify` returns: an `Identification`, which holds each `Match`
with a known table and each `Alternative` to it; and the `Inventory` of a file or a folder,
with a `Sighting` for each table, which `inventory` makes.
"""

from typing import TYPE_CHECKING

from polydesign.text.lazy import lazy

if TYPE_CHECKING:
    from polydesign.identification.advice import Alternative
    from polydesign.identification.identify import Identification
    from polydesign.identification.inventory import Inventory, Sighting, inventory
    from polydesign.identification.matches import Match

# Whether what is given is a source file is looked at without the numerical libraries that reading it loads.
__getattr__ = lazy(
    __name__,
    {
        "advice": "Alternative",
        "identify": "Identification",
        "inventory": "Inventory Sighting inventory",
        "matches": "Match",
    },
)

__all__ = ["Alternative", "Identification", "Inventory", "Match", "Sighting", "inventory"]
