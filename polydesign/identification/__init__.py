"""Lists of coefficients from elsewhere: read, and compared with every table that is known.

Public are the words; `polydesign.identify` is what makes them.
"""

from polydesign.identification.advice import Alternative
from polydesign.identification.identify import Identification
from polydesign.identification.matches import Match

__all__ = ["Alternative", "Identification", "Match"]
