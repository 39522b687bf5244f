# `make demo` and `make test` are all that a newcomer needs; see README.md.
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.ready
OLD    := .venv-dvc-old
MLFLOW := .venv-mlflow
LOCK   := uv pip compile -q --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header

AZURITE := $(CURDIR)/$(VENV)/azurite

.PHONY: setup demo test test-ci test-mix test-large test-azure test-rgw test-minio test-mlflow test-gitea test-hsm test-crash fuzz dvc-old lint docs bench soak lock clean simulate

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

test: setup dvc-old lint
	$(BIN)/python -m pytest -n auto --dist loadfile

# Azure's emulator comes from npm, which users need not have.
test-azure: setup
	npm install --silent --no-save --prefix $(AZURITE) azurite@3.35.0
	PATH="$(AZURITE)/node_modules/.bin:$$PATH" $(BIN)/python -m pytest tests/contract/test_clouds.py -k Azur

# On a second S3 server of other make; says so and does nothing where Ceph is not installed (see the docstring
# of src/placet/testing/rgw.py).
test-rgw: setup
	$(BIN)/python -m pytest -m rgw -rs tests/rgw

# On MinIO itself, where a `minio` program is on the path (see the docstring of src/placet/testing/minio.py); says so
# and does nothing where it is not.
test-minio: setup
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-minio.lock
	$(BIN)/python -m pytest -m minio -rs tests/minio

# The forge's contract, the end-to-end path and docs/how-to/gitea.md on Gitea itself, which Go builds once (minutes) from
# its module proxy; says so and does nothing where there is no Go.
test-gitea: setup
	-$(BIN)/python -m placet.testing.gitea
	$(BIN)/python -m pytest -s -m gitea -rs tests/gitea

# The action and the hooks installed as users' machines do; with actionlint, on act's engine, and before Argo and a
# Kubernetes API server themselves, where Go is at hand, which builds all that once (a quarter of an hour).
CI_TOOLS := $(CURDIR)/$(VENV)/ci-tools
test-ci: setup
	if command -v go >/dev/null; then export GOBIN="$(CI_TOOLS)"; \
	  go install github.com/rhysd/actionlint/cmd/actionlint@v1.7.12 && go install github.com/nektos/act@v0.2.89; fi
	-cd tests && ../$(BIN)/python -m ci.cluster
	PATH="$(CI_TOOLS):$$PATH" $(BIN)/python -m pytest -m "install or not install" -rs tests/ci

# `make test` starts MLflow's server from the wheel of `mlflow-skinny`; this one is from the full `mlflow`, with its
# own dependencies, in an environment of its own (830 MB).
test-mlflow: $(MLFLOW)/.ready
	PLACET_MLFLOW_PYTHON=$(CURDIR)/$(MLFLOW)/bin/python $(BIN)/python -m pytest -rs tests/integration/test_mlflow.py tests/integration/test_mlflow_faults.py

$(MLFLOW)/.ready: requirements-mlflow.lock $(STAMP)
	$(PYTHON) -m venv --clear --without-pip $(MLFLOW)
	$(BIN)/python -m pip --python $(MLFLOW)/bin/python install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-mlflow.lock
	@touch $@

# Signing keys in a PKCS#11 token: SoftHSM from Debian (apt install softhsm2). `make test` skips these tests without it.
test-hsm: setup
	$(BIN)/python -m pytest -rs tests/contract/test_signers.py -k "hsm or Token"

# The random mix of `dvc` and `placet` commands, longer: RUNS repositories, from the seed SEED on.
RUNS ?= 50
SEED ?= 1000
test-mix: setup
	PLACET_MIX_RUNS=$(RUNS) PLACET_MIX_SEED=$(SEED) $(BIN)/python -m pytest tests/conformance/test_mix.py

# Kills promote, propose and the agent at every point of their runs, not at a sample; takes an hour or two.
test-crash: setup
	PLACET_CRASH=all $(BIN)/python -m pytest -s tests/crash/test_points.py tests/crash/test_two_of_the_same.py

# A file of more than 5 GiB, to a real server and back; takes 20 GB of disk and some minutes.
test-large: setup
	$(BIN)/python -m pytest -s -m large --basetemp=.large tests/conformance/test_large.py; code=$$?; rm -rf .large; exit $$code

# Foreign bytes for every parser, new ones each time, for MINUTES in all; TARGET=name: for one parser alone. What fails
# is kept in tests/fuzz/crashers and tried again by `make test`. Guided by coverage where Atheris has a wheel.
MINUTES ?= 10
TARGET ?=
fuzz: setup
	-$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all: -r requirements-fuzz.lock
	cd tests && ../$(BIN)/python -m fuzz.run --minutes $(MINUTES) --target "$(TARGET)"

# DVC as it was a year before, with its dependencies of that day: the conformance tests ask it too.
dvc-old: $(OLD)/.ready

$(OLD)/.ready: requirements-dvc-old.lock $(STAMP)
	$(PYTHON) -m venv --clear --without-pip $(OLD)
	$(BIN)/python -m pip --python $(OLD)/bin/python install --quiet --disable-pip-version-check --no-compile --no-deps --require-hashes -r requirements-dvc-old.lock
	@touch $@

lint: setup
	$(BIN)/ruff check src tests scripts bench soak examples
	$(BIN)/ruff format --check src tests scripts bench soak examples
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: setup
	$(BIN)/python scripts/generate_docs.py

# Against stock DVC and s5cmd; takes a quarter of an hour on a quiet machine. See docs/explanation/performance.md.
bench: setup
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-bench.lock
	$(BIN)/python -m bench $(BENCH)

# What promotions and long histories cost, counted on the in-memory adapters; some minutes. See docs/explanation/scale.md.
simulate: setup
	$(BIN)/python -m bench.simulate

# A long random life under faults, judged by code of its own; see docs/explanation/soak.md. A failure prints its SEED.
PROPOSALS ?= 300
soak: setup
	$(BIN)/python -m soak --proposals $(PROPOSALS) --minutes $(MINUTES) --seed $(SEED) -o soak/results
	$(BIN)/python scripts/generate_docs.py

# Needs `uv` on the path; only for who changes dependencies.
lock:
	$(LOCK) pyproject.toml --extra dev -o requirements.lock
	$(LOCK) pyproject.toml --extra bench -c requirements.lock -o requirements-bench.lock
	echo 'hatchling==1.27.0' | $(LOCK) pyproject.toml - --extra parquet --extra s3 --extra forge --extra lineage --extra mlflow --extra notify -c requirements.lock -o requirements-agent.lock
	echo 'atheris==3.0.0' | $(LOCK) - -o requirements-fuzz.lock
	echo 'minio==7.2.20' | $(LOCK) - -c requirements.lock -o requirements-minio.lock
	echo 'mlflow[auth]==3.17.2' | $(LOCK) - -o requirements-mlflow.lock
	echo 'dvc[s3]==3.64.0' | $(LOCK) --exclude-newer 2025-11-24 - -o requirements-dvc-old.lock

clean:
	rm -rf $(VENV) $(OLD) $(MLFLOW)
