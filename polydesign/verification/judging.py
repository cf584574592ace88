"""What a code made of a kit's cases, judged: correctness apart from robustness, and what is not judged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from polydesign.model import Table
from polydesign.verification.calling import Answer
from polydesign.verification.expected import KitCase, distance, members
from polydesign.verification.guessing import Seen, guesses
from polydesign.verification.kit_spectra import CORRECTNESS, ROBUSTNESS
from polydesign.verification.on_mesh import Sharding
from polydesign.verification.plain_code import Code

OK, FAILED, UNJUDGED = "ok", "failed", "not judged"

NO_TOLERANCE = "rounding in {} may be as large as the result, or the matrix does not fit"
_OVERWRITTEN = "the input is overwritten: copy it first, or write X = X / norm in place of X /= norm"
_DTYPE = "the input's dtype is lost: the result is {}, and the input was {}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One case as it was judged; printed it is a line.

    Attributes:
        case: Its name.
        kind: "correctness" or "robustness".
        verdict: "ok", "failed" or "not judged".
        about: What the case is.
        detail: What is wrong, or why nothing is judged.
        guess: What was probably done, where a known mistake gives the same result.
        allowed: The tolerance, where there is one.
    """

    case: str
    kind: str
    verdict: str
    about: str
    detail: str = ""
    guess: str = ""
    allowed: float | None = None

    def __str__(self) -> str:
        detail = f": {self.detail}" if self.detail else ""
        guess = f"; probably {self.guess}" if self.guess else ""
        about = f" ({self.about})" if self.verdict == FAILED else ""
        return f"{self.case} {self.verdict}{detail}{about}{guess}"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a kit says of a code; printed it is the two verdicts, a line a case, and the guesses.

    Attributes:
        outcomes: One a case, in the kit's order.
        dtype: The precision that was judged in.
    """

    outcomes: tuple[Outcome, ...]
    dtype: str

    @property
    def correctness(self) -> str:
        """Whether the table is applied: "ok", "failed", or "not judged" where no case could tell."""
        return self._verdict(CORRECTNESS)

    @property
    def robustness(self) -> str:
        """The same of what a correct code may leave to its caller: extreme norms, half precision kept."""
        return self._verdict(ROBUSTNESS)

    @property
    def failures(self) -> tuple[Outcome, ...]:
        """The cases that failed, of both kinds."""
        return tuple(one for one in self.outcomes if one.verdict == FAILED)

    @property
    def guesses(self) -> tuple[str, ...]:
        """What was probably done, that which explains most cases first."""
        return tuple(guess for guess, _ in self._guessed())

    def passed(self, *, robustness: bool = False) -> bool:
        """Whether correctness was judged and is ok; with robustness, that no case of that kind failed too."""
        return self.correctness == OK and (not robustness or self.robustness != FAILED)

    def _verdict(self, kind: str) -> str:
        verdicts = [one.verdict for one in self.outcomes if one.kind == kind]
        if FAILED in verdicts:
            return FAILED
        # Zero gives zero in nearly every wrong code: where nothing else was judged, nothing is known.
        told = any(one.verdict == OK and one.allowed for one in self.outcomes if one.kind == kind)
        return OK if told else UNJUDGED

    def __str__(self) -> str:
        lines = []
        for kind, verdict in ((CORRECTNESS, self.correctness), (ROBUSTNESS, self.robustness)):
            of_kind = [one for one in self.outcomes if one.kind == kind]
            if of_kind:
                counts = Counter(one.verdict for one in of_kind)
                words = ", ".join(f"{counts[word]} {word}" for word in (OK, FAILED, UNJUDGED) if counts[word])
                lines.append(f"{kind:11}  {verdict} in {self.dtype}: {words}")
        lines += [f"{one.case:11}  {one.detail} ({one.about})" for one in self.failures]
        lines += [f"probably     {guess} ({', '.join(names)})" for guess, names in self._guessed()]
        unjudged: dict[str, list[str]] = {}
        for one in self.outcomes:
            if one.verdict == UNJUDGED:
                unjudged.setdefault(one.detail, []).append(one.case)
        lines += [f"not judged   {', '.join(names)}: {why}" for why, names in unjudged.items()]
        if self.correctness == UNJUDGED:
            lines.append(f"nothing tells in {self.dtype}: run the code, and judge it, in float32 or float64")
        return "\n".join(lines)

    def _guessed(self) -> list[tuple[str, list[str]]]:
        """Each guess with the cases that it explains, that with the most first."""
        found: dict[str, list[str]] = {}
        for one in self.failures:
            if one.guess:
                found.setdefault(one.guess, []).append(one.case)
        return sorted(found.items(), key=lambda pair: -len(pair[1]))


def judged(
    table: Table,
    operator: str,
    cases: Sequence[KitCase],
    answers: Mapping[str, Answer | str],
    dtype: str,
    sharded: Sharding | None = None,
) -> Judgement:
    """The judgement of answers by case name; a text in place of an answer says why there is none.

    sharded: how the code was given the matrices, where it was given parts.
    """
    outcomes = {case.name: _outcome(case, answers[case.name], dtype) for case in cases}
    seen = []
    for case in cases:
        answer, outcome = answers[case.name], outcomes[case.name]
        if isinstance(answer, Answer) and answer.value is not None and outcome.allowed is not None:
            wrong = _problem(answer.value, case.expected, outcome.allowed) is not None
            seen.append(Seen(case, answer.value, outcome.allowed, wrong))
    if any(one.failed for one in seen):
        found = guesses(Code.of(table, operator), seen, dtype, sharded)
        for name, guess in found.items():
            if not outcomes[name].guess:
                outcomes[name] = replace(outcomes[name], guess=guess)
    return Judgement(tuple(outcomes.values()), dtype)


def _outcome(case: KitCase, answer: Answer | str, dtype: str) -> Outcome:
    allowed = case.tolerance[dtype]
    outcome = Outcome(case.name, case.kind, UNJUDGED, case.about, allowed=allowed)
    if isinstance(answer, str):
        return replace(outcome, detail=answer, allowed=None)
    failed = replace(outcome, verdict=FAILED)
    if answer.value is None:
        return replace(failed, detail=answer.problem)
    wrong = None if allowed is None else _problem(answer.value, case.expected, allowed)
    if answer.overwritten:
        details = ["changed its input", *([wrong] if wrong else [])]
        return replace(failed, detail=", and ".join(details), guess=_OVERWRITTEN)
    if wrong:
        return replace(failed, detail=wrong)
    if case.given and answer.dtype and answer.dtype != case.given:
        return replace(
            failed, detail=f"came out in {answer.dtype}", guess=_DTYPE.format(answer.dtype, case.given)
        )
    if allowed is None:
        return replace(outcome, detail=NO_TOLERANCE.format(case.given or dtype))
    return replace(outcome, verdict=OK)


def _problem(found: np.ndarray, expected: np.ndarray, allowed: float) -> str | None:
    if found.shape != expected.shape:
        return f"has shape {found.shape}, not {expected.shape}"
    if not np.isfinite(found).all():
        return "is not finite"
    if members(found)[~members(expected).any(axis=(1, 2))].any():
        return "is not zero where zero is expected"
    error = distance(found, expected)
    return f"is off by {error:.3g}, and {allowed:.3g} is allowed" if error > allowed else None
