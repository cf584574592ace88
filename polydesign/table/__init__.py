"""Tables as files: written, read, and found by path, by name or by what they are for."""

from __future__ import annotations

from polydesign.model import digest
from polydesign.table.catalogue import load, save
from polydesign.table.reading import from_json, loads
from polydesign.table.writing import SCHEMA, dumps, to_json

__all__ = ["SCHEMA", "digest", "dumps", "from_json", "load", "loads", "save", "to_json"]
