# Commands of the repository. `make demo` and `make test` do their own set-up.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: install demo test test-heavy chaos bench lint lock clean

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	touch $@

demo: install
	$(BIN)/python -m jobs.demo

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Two files at a time: the tests with servers and clusters of their own wait half of the time.
PYTEST := $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

test: lint
	$(PYTEST) -m 'not heavy and not chaos'

test-heavy: install
	$(PYTEST) -m heavy

# Kills drivers, workers and nodes at random; CHAOS_SEED and CHAOS_RUNS choose the moments.
chaos: install
	$(BIN)/python -m pytest -m chaos -s

bench: install
	$(BIN)/python -m tests.bench

# Writes the installed versions into constraints.txt.
lock: install
	$(BIN)/python -m pip freeze --exclude-editable > constraints.txt

clean:
	rm -rf .venv demo build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
