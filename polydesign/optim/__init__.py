"""For those who train: an optimizer that is ready, and what the momentum of a model asks of a table.

Public: `Muon`, with the arguments and the state of torch.optim.Muon and any table; a `Reading` is what its
log gets of one matrix. `advise`, which is `polydesign.advise`, reads the matrices of a checkpoint and gives
an `Advice`, which holds a `Spectrum` for each of them.
"""

from typing import TYPE_CHECKING

from polydesign.text.lazy import lazy

if TYPE_CHECKING:
    from polydesign.optim.advice import Advice, advise
    from polydesign.optim.muon import Muon
    from polydesign.optim.readings import Reading
    from polydesign.optim.spectra import Spectrum

# Loaded on first use: all of it needs torch.
__getattr__ = lazy(
    __name__,
    {"advice": "Advice advise", "muon": "Muon", "readings": "Reading", "spectra": "Spectrum"},
)

__all__ = ["Advice", "Muon", "Reading", "Spectrum", "advise"]
