"""Lists of coefficients from elsewhere: read, and compared with every table that is known.

Public are the words of what `polydesign.identify` returns: an `Identification`, which holds each `Match`
with a known table and each `Alternative` to it; and the `Inventory` of a file or a folder,
with a `Sighting` for each table, which `inventory` makes.

Where things are, in the order in which a text goes through them:

- `sources`: what may be given: a table, a name, a path, a text, rows.
- `pasted`: which format a text has. A new format is a function from its text to a list of `Listed` in a
  module of its own, a line in `pasted._of_suffix` for its suffix or in `pasted._told_by_the_text`, and a
  row in `tests/layouts.py`.
- The formats: `plain` (numbers, CSV, tables of pages; `headings` has what columns are called), `formats`
  (JSON, TOML, YAML), `brackets` (C, Rust, Julia and others; `tree` has their brackets, `below` what they
  change further down), `python_text` (statements; `python_values` and `literals` have expressions,
  `effects` and `changes` what is changed in place, `found` the result), `polynomials`.
- `lists`, `nested`, `columns`: how numbers may be meant: by rows, by columns, with zeros between. Whatever
  a format does not follow it says in `Listed.changed`; what can be read in two ways has two `Reading`s.
- `known`, `matches`, `match`: the tables that explain the rows; `similarity`, `rearranged`, `rescaled`
  compare.
- `identify`, `advice`, `described`: what the rows do, and what to take instead. `scanning`: all tables of
  a folder.
- `imported`, `meant`: a list of a file as a table.
"""

from typing import TYPE_CHECKING

from polydesign.text.lazy import lazy

if TYPE_CHECKING:
    from polydesign.identification.advice import Alternative
    from polydesign.identification.identify import Identification
    from polydesign.identification.match import Match
    from polydesign.identification.scanning import Inventory, Sighting, inventory

# Whether what is given is a source file is looked at without the numerical libraries that reading it loads.
__getattr__ = lazy(
    __name__,
    {
        "advice": "Alternative",
        "identify": "Identification",
        "scanning": "Inventory Sighting inventory",
        "match": "Match",
    },
)

__all__ = ["Alternative", "Identification", "Inventory", "Match", "Sighting", "inventory"]
