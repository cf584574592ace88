"""The pages that a reader sees: README, CONTRIBUTING and docs/."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]


def written() -> str:
    """All of them as one text, with the links of docs/ as README has them."""
    texts = (page.read_text("utf-8").replace("](../", "](") for page in PAGES)
    return "\n".join(texts)


def blocks(page: Path) -> list[tuple[str, str]]:
    """Every fenced block: its language and its text."""
    return re.findall(r"^```(\w*)\n(.*?)^```", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
