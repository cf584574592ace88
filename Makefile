# `make demo` and `make test` do everything on a machine with Python 3.11 or later and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CONSUMERS := .venv-consumers

.DEFAULT_GOAL := help
.PHONY: help install demo test lint types check docs docs-serve test-machines test-consumers test-cluster test-wide test-all coeffs figures bench gpu clean

help:
	@echo "make demo     environment, install, search, verify, figure (in demo/)"
	@echo "make test     environment, install, lint, types, tests"
	@echo "make docs     the documentation as a site, in site/; make docs-serve serves it while pages are edited"
	@echo "make test-machines  the tests of matrices and optimizers with other machines' kernels, 8 rows, seeds 0 to 4"
	@echo "make test-consumers  other codebases and jax run our exports, in an environment of its own ($(CONSUMERS))"
	@echo "make test-cluster  the sweeps' tests on a Dask cluster started here"
	@echo "make test-wide  what make test leaves out because it takes long: all cases, and what is marked wide"
	@echo "make test-all  every test there is: those, consumers, cluster and machines; before a release"
	@echo "make coeffs   rebuild coeffs/ from the strategies"
	@echo "make figures  rebuild figures/ from coeffs/ and fresh measurements"
	@echo "make bench    time the solver (beside Sollya, where it is installed) and the operators"
	@echo "make gpu      verify and time the operators on an NVIDIA GPU, in eight minutes at most"

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "polydesign needs Python 3.11 or later, and $(PYTHON) is " + sys.version.split()[0] + ": make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(STAMP)

install: $(STAMP)

demo: install
	mkdir -p demo
	cd demo && ../$(BIN)/polydesign search --degree 5 --steps 6
	cd demo && ../$(BIN)/polydesign verify coeffs/sign-d5x6-l1e-3-bf16.json --shape 256x512 --save measured.json
	cd demo && ../$(BIN)/polydesign plot coeffs/sign-d5x6-l1e-3-bf16.json --measured measured.json -o demo.png
	@echo "The table is in demo/coeffs/, the figure is demo/demo.png."

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/basedpyright --threads $$(getconf _NPROCESSORS_ONLN)

# A process a core, one thread each.
check: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal

test: lint types check

# Every warning is an error. The notice of MkDocs' future is not ours to heed in each build.
docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

docs-serve: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve

# A table of what fails where.
test-machines: install
	$(BIN)/python scripts/studies/run_machines.py

# The two that are installed alone depend on CUDA parts that they do not need here.
$(CONSUMERS)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(CONSUMERS)
	$(CONSUMERS)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,consumers]'
	$(CONSUMERS)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps gram-newton-schulz timm
	@touch $@

test-consumers: $(CONSUMERS)/.installed
	OMP_NUM_THREADS=1 $(CONSUMERS)/bin/python -m pytest tests/test_consumers.py tests/test_export_functions.py -k 'consumers or jax'

# The tests that need a Dask cluster, of two processes on this machine.
test-cluster: install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[cluster]'
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/test_sweeping.py

test-wide: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal --all-cases

# README and docs are run by make test, and by test-wide.
test-all: lint types test-consumers test-cluster test-machines test-wide

coeffs: install
	$(BIN)/python scripts/build_coeffs.py

figures: install
	$(BIN)/python scripts/make_figures.py

bench: install
	$(BIN)/python scripts/benchmarks/bench_solver.py
	$(BIN)/python scripts/benchmarks/bench_operators.py

gpu: install
	$(BIN)/python scripts/benchmarks/gpu_check.py

clean:
	rm -rf $(VENV) $(CONSUMERS) demo site build dist .pytest_cache .ruff_cache .hypothesis .benchmarks
