"""Tables as files: written, read, and found by path, by name or by what they are for.

Public: `load`, `save` and `as_table` for files and names, `dumps` and `loads` for the text of a file,
`to_json` and `from_json` for its JSON object, the `digest` of a schedule, SCHEMA, the format, and
`Entry`, what `polydesign.tables` lists.
"""

from __future__ import annotations

from polydesign.model import digest
from polydesign.table.catalogue import Entry, load, save
from polydesign.table.given import as_table
from polydesign.table.reading import from_json, loads
from polydesign.table.schema import SCHEMA
from polydesign.table.writing import dumps, to_json

__all__ = ["SCHEMA", "Entry", "as_table", "digest", "dumps", "from_json", "load", "loads", "save", "to_json"]
