# Linux and macOS. On Windows the README's two pip commands do what .venv/.installed does here.
PYTHON ?= $(shell python3.11 -c '' 2>/dev/null && echo python3.11 || echo python3)
BIN := .venv/bin

.PHONY: verify full test lint prove readme docs clean

verify: .venv/.installed
	$(BIN)/singtheory verify --report report

# Whole boxes, the brightness law at every size, 10,000 random laws for each property of singtheory, 2,000 damaged files of each format: hours, for a night.
full: .venv/.installed
	$(BIN)/singtheory verify --full --report report
	$(BIN)/pytest --hypothesis-profile=full -m "not gpu" tests/singtheory tests/singdiffusion/system/test_schema.py

test: .venv/.installed
	$(BIN)/pytest

lint: .venv/.installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/basedpyright
	$(BIN)/lint-imports

# Coq checks every formal proof, and proofs_checks/formal/proved.json is written; the last line says how to get Coq if it is missing.
prove: .venv/.installed
	$(BIN)/python -m proofs_checks.formal.prove

# README and docs/claims.md show results of this run; a run that refutes something stops here.
readme: verify
	$(BIN)/python -m proofs_checks.report.readme

# The site, docs/_build/html/index.html: every page is executed, two at a time, and a warning is an error. -E: pages that have not changed
# too, for what they show depends on code and results.
docs: readme
	$(BIN)/python -m sphinx -E -W -j 2 docs docs/_build/html

# The stamp is written last, so that a set-up cut short is taken up again and a finished one is not.
.venv/.installed: pyproject.toml constraints.txt | .venv/bin/pip
	$(BIN)/pip install -c constraints.txt -e '.[dev]'
	@touch $@

.venv/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null || \
	  { echo "$(PYTHON) is not Python 3.11, 3.12 or 3.13; name one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv .venv

# The environment stays: it is kept current by its stamp and takes minutes to build.
clean:
	rm -rf report dist docs/_build docs/statements mutants .benchmarks .hypothesis .import_linter_cache .pytest_cache .ruff_cache
	find singtheory proofs_checks singdiffusion docs tests -name __pycache__ -prune -exec rm -rf {} +
