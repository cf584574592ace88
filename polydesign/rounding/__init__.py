"""What rounding does to a schedule as it runs. Nothing here is public.

The models that choose share their words (StepRounding in direct.py). received: the interval of values that a
step gets. shift: how far rounding may move one of them. turn: the angle by which rounding turns its singular
vector, which no later step turns back; in the coupled form the part of x that is lost. left: the interval
after the step. caution: the part of a model's noise that is reckoned with. u: unit roundoff, everywhere.

Chooses   direct.py and coupled.py predict, to first order, what each step adds: the rounding-aware search
          designs by them (search/rounding_aware.py). gram.py simulates the gram form and places its restarts.
Judges    running.py has the running error of a program, and how much of a measured error rounding explains:
          `polydesign verify` holds results against that.
Simulates perturbed.py runs a schedule with every stored matrix rounded at random: the conformance kit's
          tolerances are drawn from it.
Follows   followed.py runs matrices of few numbers (algebras.py) with the executor's own roundings and with
          those of other loops, millions of them: random members (families.py), all that there are where that
          is finite (enumerated.py), what is close to the worst (neighbours.py). trial.py counts the outcomes.

None of them is a bound: constants come from experiment (figures/rounding_model.json, docs/measurements.md).
"""

__all__: list[str] = []
