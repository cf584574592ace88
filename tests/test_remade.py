"""Lists that the very expression around them changes: refused with the line, or told; as written elsewhere."""

from __future__ import annotations

import pytest

import polydesign
from polydesign.identification.pasted import find_lists
from polydesign.identification.scanning import inventory
from polydesign.identification.sources import given
from polydesign.model import InputError, InputWarning
from polydesign.table.published import published

KNOWN = published("polar_express_nanochat").rows
ROWS = str([list(row) for row in KNOWN])

REFUSED = """
C = [r for r in ROWS if r[0] > 4]
C = [(a/1.02, b/1.02**3, c/1.02**5) for a, b, c in ROWS if a > 4]
C = [(round(a, 1), round(b, 1), round(c, 1)) for a, b, c in ROWS]
def get(safety): return [(a/safety, b/safety**3, c/safety**5) for a, b, c in ROWS]
C = [(a/cfg.s, b, c) for a, b, c in ROWS]
C = [c for i, c in enumerate(ROWS) if i < 3]
C = [(a/s, b, c) for s, (a, b, c) in zip(S, ROWS)]
C = {k: [[x/s for x in r] for r in v] for k, v in {'c': ROWS}.items()}
C = {tuple(x/s for x in v) for v in ROWS}
C = [f(r) for r in ROWS]
C = [row[::-1] for row in ROWS if True]
C = torch.tensor(ROWS).mul(1.01)
C = torch.tensor(ROWS).add(1.0)
C = torch.tensor(ROWS).neg()
C = torch.tensor(ROWS).round(decimals=1)
C = torch.tensor(ROWS).to(torch.int)
C = torch.tensor(ROWS, dtype=torch.int)
C = np.array(ROWS, int)
C = -np.array(ROWS)
C = np.multiply(np.array(ROWS), 1.01)
C = np.subtract(ROWS, 1)
C = np.round(ROWS, 1)
C = np.abs(np.array(ROWS))
C = np.clip(ROWS, -1, 4)
C = np.cumsum(ROWS, 0)
C = np.array(ROWS).astype(int)
C = np.array(ROWS)[:, ::-1]
C = torch.tensor(ROWS)[:, ::2]
C = np.repeat(ROWS, 2, axis=0)
C = np.tile(ROWS, 2)
C = torch.tensor(ROWS).repeat(5, 1)
C = np.array(ROWS).reshape(3, 5)
C = np.array(ROWS).real.clip(0)
C = np.array(ROWS).H
C = torch.mul(input=torch.tensor(ROWS), other=1.01)
C = list(zip(*ROWS))
C = list(filter(ok, ROWS))
C = sum(ROWS, [])
self.register_buffer("c", torch.tensor(ROWS).div(s))
for a, b, c in torch.tensor(ROWS).div(s): x = f(a, b, c, x)
Muon(p, coeffs=[(a / s, b, c) for a, b, c in ROWS])
""".strip().splitlines()

TOLD = """
C = fold(ROWS, 1.02)
C = Poly(ROWS)
C = reduce(f, ROWS)
for a, b, c in ROWS[:n]: x = f(a, b, c, x)
""".strip().splitlines()

AS_WRITTEN = """
C = torch.tensor(ROWS, dtype=torch.float32, device=x.device)
C = torch.tensor(ROWS).to(x.device, x.dtype)
C = torch.tensor(ROWS).float().cuda()
C = torch.tensor(ROWS)[:, None]
C = torch.tensor(ROWS).unbind(0)
C = np.array(ROWS).astype(np.float32)
C = np.array(ROWS).reshape(-1, 3)
self.c = nn.Parameter(torch.tensor(ROWS), requires_grad=False)
self.register_buffer("c", torch.tensor(ROWS).to(d), persistent=False)
C = list(map(torch.tensor, ROWS))
C = [torch.tensor(r).to(d) for r in ROWS]
C = [np.array(r, dtype=dt) for r in ROWS]
C = cfg.get("c", ROWS)
C = getattr(cfg, "c", ROWS)
C = MappingProxyType({"ns": copy.deepcopy(ROWS)})
opt = Muon(params, lr=0.1, ns_coefficients=ROWS)
x = ROWS[min(i, 4)]
super().__init__(params, dict(lr=lr, c=ROWS))
""".strip().splitlines()


@pytest.mark.parametrize("text", REFUSED)
def test_what_changes_a_list_where_it_is_written_is_refused_with_its_line(text):
    written = text.replace("ROWS", ROWS)
    with pytest.raises(InputError, match=r"line 1: .*by what is not read here: paste the list that results"):
        given(written)
    (seen,) = inventory(written).sightings
    assert "by what is not read here" in seen.about


def test_what_changes_a_list_that_is_named_is_told():
    """There the list may itself be what runs, so that some are taken, with a remark."""
    for text in [one for one in REFUSED if not one.startswith("Muon")]:
        listed, _ = find_lists(f"c = {ROWS}\n{text.replace('ROWS', 'c')}")
        said = [one.changed for one in listed if one.name == "c"]
        assert said, text
        assert said[0].startswith("line 2 "), text


@pytest.mark.parametrize("text", TOLD)
def test_what_may_change_it_is_told(text, tmp_path):
    """A function that is not known may hand the list on."""
    found = given(text.replace("ROWS", ROWS))
    assert found.rows == KNOWN
    assert found.remarks[0].startswith("line 1 ")
    assert "as it stands before that" in found.remarks[0]
    path = tmp_path / "muon.py"
    path.write_text(text.replace("ROWS", ROWS))
    with pytest.warns(InputWarning, match="as it stands before that"):
        assert polydesign.import_table(path).provenance.parameters["known_as"] == "polar_express_nanochat"


@pytest.mark.parametrize("text", AS_WRITTEN)
def test_what_leaves_a_list_as_it_is_says_nothing(text):
    for written in (text.replace("ROWS", ROWS), f"c = {ROWS}\n{text.replace('ROWS', 'c')}"):
        found = given(written)
        assert (found.rows, found.remarks) == (KNOWN, ()), written


def test_a_list_of_a_class_from_which_a_method_makes_another():
    text = "class M:\n    {}\n    def f(self): self.D = [(a/self.s, b, c) for a, b, c in self.C]\n"
    found = given(text.format(f"C = {ROWS}"))
    assert found.rows == KNOWN
    assert "line 3 makes another list of self.C" in found.remarks[0]
    with pytest.raises(InputError, match=r"line 3: makes another list of self.C"):
        given(text.format(f"def __init__(self): self.C = {ROWS}"))
