"""From keywords to tables, and from tables to others, each with its proof.

Nothing is to be imported from here: `design`, `sweep`, `certify`, `fold` and `unfold` are of `polydesign`.
"""

__all__: list[str] = []
