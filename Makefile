# Every target sets up what it needs in .venv by itself. PYTHON names the Python 3.11 (or newer) to use.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

FIGURES := benchmarks/results

.PHONY: help setup figures demo test coverage test-unit test-long test-containers test-arm test-ray chaos chaos-long fuzz lint format protocol dashboards clean

help:
	@echo "make demo        four daemons learn together on this machine (about a minute)"
	@echo "make test        all tests (under ten minutes on two cores)"
	@echo "make coverage    the same tests, and which lines they ran; takes half as long again"
	@echo "make test-unit   what needs no process and no socket, in parallel (under two minutes)"
	@echo "make test-long   the slow tests too"
	@echo "make test-containers   the testbed of docker-compose.yml, with a container engine (DOCKER_HOST)"
	@echo "make test-ray    simulations on a cluster of two Ray nodes; installs Ray (240 MB)"
	@echo "make test-arm    what must be the same bits everywhere, on an emulated aarch64 (root)"
	@echo "make chaos       eight daemons on a bad network, killed and parted (root, about five minutes); chaos-long: an hour, by hand"
	@echo "make fuzz        a million and more inputs for every decoder and a live daemon (about ten minutes)"
	@echo "make lint        ruff, mypy --strict, and who may import whom"
	@echo "make protocol    generate node/dslnode/v1 from proto/"
	@echo "make figures     every benchmark that docs/results quotes, resumable (many hours; some need root)"
	@echo "make dashboards  generate deploy/grafana/dashboards and deploy/prometheus/components.yml"

setup: $(VENV)/ready

$(VENV)/runtime: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "dslnode needs Python 3.11 or newer: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[coder,images,serve,tui]' || $(BIN)/pip install --quiet --constraint constraints.txt --editable '.[images,serve,tui]'
	@touch $@

$(VENV)/ready: $(VENV)/runtime
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(VENV)/runtime
	$(BIN)/dslnode demo

QUICK := not slow and not containers and not chaos

test: $(VENV)/ready
	$(BIN)/pytest --unit -n auto -m "$(QUICK)"
	$(BIN)/pytest --short-processes -n auto -m "$(QUICK)"
	$(BIN)/pytest --alone -m "$(QUICK)"

coverage: $(VENV)/ready
	$(BIN)/pytest --unit -n auto -m "$(QUICK)" --cov --cov-report=
	$(BIN)/pytest --short-processes -n auto -m "$(QUICK)" --cov --cov-append --cov-report=
	$(BIN)/pytest --alone -m "$(QUICK)" --cov --cov-append --cov-report=term

test-unit: $(VENV)/ready
	$(BIN)/pytest --unit -n auto -m "$(QUICK)"

test-long: $(VENV)/ready
	$(BIN)/pytest -m "not containers and not chaos"

test-containers: $(VENV)/ready
	$(BIN)/pytest -m containers -rs tests/deploy

test-ray: $(VENV)/ready
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[ray]'
	$(BIN)/pytest -rs tests/simulation/test_ray_shards.py

test-arm: $(VENV)/ready
	tests/arm/run.sh

chaos: $(VENV)/ready
	$(BIN)/pytest -m "chaos and not slow" -rs -s tests

chaos-long: $(VENV)/ready
	$(BIN)/pytest -m "chaos" -rs -s tests

fuzz: $(VENV)/ready
	$(BIN)/python -m tests.fuzz

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

format: $(VENV)/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

protocol: $(VENV)/ready
	$(BIN)/python -m grpc_tools.protoc -Iproto --python_out=node --pyi_out=node --grpc_python_out=node proto/dslnode/v1/*.proto

figures: $(VENV)/ready
	$(BIN)/python -m benchmarks.accuracy --model mlp --json $(FIGURES)/accuracy-mlp.json --plots docs/results/accuracy
	$(BIN)/python -m benchmarks.accuracy --model cnn --json $(FIGURES)/accuracy-cnn.json --plots docs/results/accuracy
	$(BIN)/python -m benchmarks.accuracy --quick --steps 120 --json $(FIGURES)/accuracy-quick.json
	$(BIN)/python -m benchmarks.batching --json $(FIGURES)/batching.json
	$(BIN)/python -m benchmarks.hostile --json $(FIGURES)/hostile.json
	$(BIN)/python -m benchmarks.structured --json $(FIGURES)/structured.json
	$(BIN)/python -m benchmarks.dslth --json $(FIGURES)/dslth.json --plots docs/results
	$(BIN)/python -m benchmarks.wire --json $(FIGURES)/wire.json
	$(BIN)/python -m benchmarks.tables --json $(FIGURES)/tables.json
	$(BIN)/python -m benchmarks.frozen --json $(FIGURES)/frozen.json
	$(BIN)/python -m benchmarks.privacy --json $(FIGURES)/privacy.json
	$(BIN)/python -m benchmarks.attacks --json $(FIGURES)/attacks.json
	$(BIN)/python -m benchmarks.serving --json $(FIGURES)/serving.json
	$(BIN)/python -m benchmarks.inference --json $(FIGURES)/inference.json
	$(BIN)/python -m benchmarks.simulation --environments build/simulators --json $(FIGURES)/simulation.json
	$(BIN)/python -m benchmarks.fidelity --json $(FIGURES)/fidelity.json
	$(BIN)/python -m benchmarks.testbed --json $(FIGURES)/testbed.json
	$(BIN)/python -m benchmarks.endurance --json $(FIGURES)/endurance.json
	$(BIN)/python -m benchmarks.results

dashboards: $(VENV)/ready
	$(BIN)/python -m deploy.dashboards

clean:
	rm -rf $(VENV) build .mypy_cache .pytest_cache .ruff_cache .hypothesis
