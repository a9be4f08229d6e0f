# `make demo` and `make test` do all their own set-up. They need Python 3.11 or newer and nothing else.

PYTHON ?= python3
VENV := .venv
COMPRESSAI_VENV := .venv-compressai
BIN := $(VENV)/bin

.PHONY: demo test lint docs bench clean

# Installs what a user installs: the light installation, without torch.
$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is older than Python 3.11: give another, as in make demo PYTHON=python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	touch $@

# Installs what the tests and the bench need in addition: everything, with torch.
$(VENV)/tested: $(VENV)/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	touch $@

# CompressAI pins numpy<2, so its adapter is tested in an environment of its own, as is other code that
# imports torchvision.
$(COMPRESSAI_VENV)/tested: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(COMPRESSAI_VENV)
	$(COMPRESSAI_VENV)/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--editable '.[compressai,inception]' 'pytest>=8' 'hypothesis>=6.100'
	touch $@

demo: $(VENV)/installed
	$(BIN)/python docs/demo/demo.py

lint: $(VENV)/tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Two processes, each given a whole test file at a time, so that a module's fixtures are made once.
test: lint $(COMPRESSAI_VENV)/tested
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile
	$(COMPRESSAI_VENV)/bin/python -m pytest tests/test_compressai_model.py tests/bench/metrics/test_inception.py

# The variable silences Material for MkDocs' notice about its successor.
docs: $(VENV)/tested
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

# make bench DATA=folder-of-images
bench: $(VENV)/tested
	$(BIN)/python -m bench measure rd --data $(DATA)

clean:
	rm -rf $(VENV) $(COMPRESSAI_VENV) demo site
