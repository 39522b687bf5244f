# `make demo` and `make test` are all that a newcomer needs; see README.md.
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.ready
LOCK   := uv pip compile -q --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header pyproject.toml

AZURITE := $(CURDIR)/$(VENV)/azurite

.PHONY: setup demo test test-azure test-rgw lint docs bench lock clean

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "placet needs Python 3.11 as '$(PYTHON)' (or: make PYTHON=/path/to/python)"; exit 1; }
	$(PYTHON) -m venv $(VENV) || { echo "On Debian: apt install python3-venv"; rm -rf $(VENV); exit 1; }
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index -e .
	$(BIN)/python -m compileall -q $(VENV)/lib || true
	@touch $@

demo: setup
	$(BIN)/placet demo

test: setup lint
	$(BIN)/python -m pytest -n auto --dist loadfile

# Azure's emulator comes from npm, which users need not have.
test-azure: setup
	npm install --silent --no-save --prefix $(AZURITE) azurite@3.35.0
	PATH="$(AZURITE)/node_modules/.bin:$$PATH" $(BIN)/python -m pytest tests/contract/test_clouds.py -k Azur

# On a second S3 server of other make; says so and does nothing where Ceph is not installed (see the docstring
# of src/placet/testing/rgw.py).
test-rgw: setup
	$(BIN)/python -m pytest -m rgw -rs tests/rgw

lint: setup
	$(BIN)/ruff check src tests scripts bench
	$(BIN)/ruff format --check src tests scripts bench
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: setup
	$(BIN)/python scripts/generate_docs.py

# Against stock DVC and s5cmd; takes a quarter of an hour on a quiet machine. See docs/explanation/performance.md.
bench: setup
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-bench.lock
	$(BIN)/python -m bench $(BENCH)

# Needs `uv` on the path; only for who changes dependencies.
lock:
	$(LOCK) --extra dev -o requirements.lock
	$(LOCK) --extra bench -c requirements.lock -o requirements-bench.lock

clean:
	rm -rf $(VENV)
