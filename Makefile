# Set-up and checks. `make demo` and `make test` are all a new clone needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help demo test lint bench docs clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo 'error: Python 3.10 or newer is needed (make PYTHON=python3.12 …)'; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m compileall -q bnfold # an editable install is not compiled by pip
	@touch $@

demo: $(STAMP) ## install, convert a sample checkpoint, check it, show the report
	mkdir -p demo
	$(BIN)/bnfold inspect sample_models/separable_segmenter
	$(BIN)/bnfold convert sample_models/separable_segmenter demo/segmenter.onnx
	$(BIN)/bnfold check demo/segmenter.onnx

lint: $(STAMP) ## ruff, mypy --strict, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint ## all checks and all tests
	$(BIN)/pytest -n 2

bench: $(STAMP) ## speed and memory, side by side with a peer; rewrites docs/benchmarks.md
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[bench]'
	$(BIN)/python -m benchmarks --docs

docs: $(STAMP) ## rewrite docs/ops.md from the table of ops
	$(BIN)/python -m bnfold.export.reference > docs/ops.md.new && mv docs/ops.md.new docs/ops.md

clean: ## remove what the targets made
	rm -rf $(VENV) demo build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
