"""Names that come close to one that is not known: what "did you mean" offers."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

CALLED = {
    "muon": ("jordan_5",),
    "keller": ("jordan_5",),
    "simple": ("jordan_5",),
    "standard": ("jordan_5",),
    "original": ("jordan_5",),
    "quintic": ("youjiacheng_5", "newton_schulz_quintic"),
    "dion": ("youjiacheng_5", "polar_express_nanochat"),
    "leloykun": ("youjiacheng_5",),
    "moddednanogpt": ("polar_express_nanochat", "youjiacheng_5"),
    "gramnewtonschulz": ("polar_express_gram_ns_1.05",),
    "polarexpress": ("polar_express_deg5_folded_1.01", "polar_express_nanochat", "polar_express_deg5"),
    "cans": ("cans_quintic_5", "cans_cubic_7"),
}
"""What codebases call published schedules. Only hints: three codebases run three tables by one name."""


def closest(name: str, known: Iterable[str], count: int = 3, *, cutoff: float = 0.5) -> list[str]:
    """At most `count` of the known names, the likeliest first; case, dashes and blanks do not matter.

    First what a codebase calls so, then the names that contain it or that it contains, then those that
    difflib finds close: at least `cutoff`, 1 for the same.
    """
    wanted = _plain(name)
    plain = {one: _plain(one) for one in known}
    called = [one for one in CALLED.get(wanted, ()) if one in plain]
    inside = [one for one, letters in plain.items() if len(wanted) > 2 and wanted in letters]
    inside.sort(key=lambda one: (not plain[one].startswith(wanted), len(one)))
    inside += [one for one, letters in plain.items() if len(letters) > 3 and letters in wanted]
    near = difflib.get_close_matches(wanted, plain.values(), n=count, cutoff=cutoff)
    spelt = [one for letters in near for one in plain if plain[one] == letters]
    return list(dict.fromkeys([*called, *inside, *spelt]))[:count]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "", name.lower())
