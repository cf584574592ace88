"""A page with sliders on this machine: design, compare, run and take tables.

`polydesign explore` opens it; it needs the extra `explore` (Dash). Nothing here is public.
"""

__all__: list[str] = []
