# Everything a user needs: `make demo` and `make test` set up what is missing first.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: demo test test-slow lint docs bench bench-short bench-gpu growth leaderboard coverage-simulation clean

$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	touch $@

# the main job on data that ship with scikit-learn: one table, and the path of a page with all tables and plots
demo: $(STAMP)
	$(BIN)/tlbench run quickstart --results out/demo
	$(BIN)/tlbench site --results out/demo --out out/demo/site

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal -m "not slow"

# the tests that take tens of seconds each, such as those of pre-trained networks on photographs
test-slow: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal -m slow

# the documentation site with its API reference, in out/docs; a warning fails
docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# the JSON is kept in out/bench and compared with the last one there; benchmarks.run --all runs those of several minutes too
bench: $(STAMP)
	$(BIN)/python -m benchmarks.run

# the form for CI: about a minute, its file is kept and nothing fails for being slow
bench-short: $(STAMP)
	$(BIN)/python -m benchmarks.run --short

# at most 9 minutes on one CUDA GPU; table and JSON go to results/bench. Elsewhere, to try it: make bench-gpu DEVICE=cpu SHORT=1
DEVICE ?= cuda
bench-gpu: $(STAMP)
	SHORT=$(SHORT) $(BIN)/python -m benchmarks.on_gpu --device $(DEVICE)

# seconds per suite against samples, classes, pairs, seeds and methods, each doubled three times
growth: $(STAMP)
	$(BIN)/python -m benchmarks.growth

# results/README.md from the records beside it; a test says when it is stale
leaderboard: $(STAMP)
	$(BIN)/tlbench site --results results --markdown results/README.md

# how often the tables' intervals and marks are right, by simulation; the figures stand in docs/reports.md
coverage-simulation: $(STAMP)
	$(BIN)/python -m benchmarks.coverage
	$(BIN)/python -m benchmarks.planned_seeds

clean:
	rm -rf .venv out build dist
