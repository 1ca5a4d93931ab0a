# Two commands do everything on a fresh clone: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
# A CPU build of torch where the index has one; any torch that pyproject.toml admits will do.
TORCH ?= torch==2.13.0
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
CODE := src tests scripts benchmarks research

.PHONY: demo test check format lint types contract docs base clean

demo: $(VENV)/.base ## judge the example pictures, and write a page about each
	@echo "Judging the example pictures. The verdicts come first, then a page about each."
	@$(BIN)/veridical inspect examples --explain out/demo
	@echo
	@echo "Next: $(BIN)/veridical inspect YOUR-PHOTO.jpg"

test: $(VENV)/.dev ## the tests
	$(BIN)/python -m pytest

check: $(VENV)/.dev format lint types contract test base docs ## everything CI runs

format: $(VENV)/.dev
	$(BIN)/ruff format --check $(CODE)

lint: $(VENV)/.dev
	$(BIN)/ruff check $(CODE)

types: $(VENV)/.dev
	$(BIN)/mypy

contract: $(VENV)/.dev
	$(BIN)/lint-imports

docs: $(VENV)/.dev
	$(BIN)/mkdocs build --strict --quiet

base: ## the base install alone can inspect: no torch, no scipy
	rm -rf $(VENV)-base
	$(PYTHON) -m venv $(VENV)-base
	$(VENV)-base/bin/python -m pip --disable-pip-version-check --quiet install .
	cd $(VENV)-base && bin/python $(CURDIR)/scripts/check_base.py $(CURDIR)/examples

clean:
	rm -rf $(VENV) $(VENV)-base build dist site out

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.base: pyproject.toml | $(BIN)/python
	@echo "Installing into $(VENV)"
	$(PIP) install --editable ".[provenance,report]"
	touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -c "import torch" 2>/dev/null || $(PIP) install "$(TORCH)" || $(PIP) install torch
	$(PIP) install --editable ".[dev]"
	touch $@ $(VENV)/.base
