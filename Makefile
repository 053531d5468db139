# Everything a user needs: `make demo` and `make test` set up what is missing first.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: demo test lint bench clean

$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	touch $@

# the main job on data that ship with scikit-learn: three tables, and the same as a page
demo: $(STAMP)
	$(BIN)/tlbench run quickstart --results out/demo
	$(BIN)/tlbench site --results out/demo --out out/demo/site

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest

bench: $(STAMP)
	$(BIN)/python -m pytest benchmarks -q -p no:cacheprovider

clean:
	rm -rf .venv out build dist
