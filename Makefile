# make demo   everything on this machine with a demo API and growing sessions; needs nothing but make and Python 3.11
# make run    the same with your own .env          make test   the whole suite
# make setup  everything a developer needs         make check  ruff, mypy --strict, the import rule
# make soak   random faults for SOAK_SECONDS (an hour), each round with a new seed that is printed
# make clean  remove the virtual environment, the demo's data and all caches
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := install -q --disable-pip-version-check --no-compile -c constraints.txt
# Two cores compile faster than pip's one, and these packages need it least.
COMPILE := $(BIN)/python -m compileall -q -j 0 -x '/(pip|setuptools|pygments|playwright|mypy)/' $(VENV)/lib || true
# The pip that Python brings along runs from its wheel: unpacking and compiling it first costs three seconds.
BUNDLED_PIP := import ensurepip, pathlib; print(*(pathlib.Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl"))
RUN_STAMP := $(VENV)/.installed-run
SETUP_STAMP := $(VENV)/.installed-setup
OLD_PYTHON := Escapement needs Python 3.11 or newer, and $(PYTHON) is older or missing: make PYTHON=/path/to/python3.11
# Most tests wait for processes of their own, so files run beside each other; faults and containers want the machine.
BESIDE ?= -n 4 --dist loadfile

.PHONY: demo run setup test soak check clean

demo: $(RUN_STAMP)
	@exec $(BIN)/python -m workers.demo

run: $(RUN_STAMP)
	@exec $(BIN)/python -m workers.run

setup: $(SETUP_STAMP)

test: $(SETUP_STAMP)
ifdef ARGS
	@exec $(BIN)/python -m pytest $(ARGS)
else
	@$(BIN)/python -m pytest $(BESIDE) --ignore=tests/faults --ignore=tests/containers
	@exec $(BIN)/python -m pytest tests/faults tests/containers
endif

soak: $(SETUP_STAMP)
	@SOAK_SECONDS=$${SOAK_SECONDS:-3600} exec $(BIN)/python -m pytest -s tests/faults/test_random.py $(ARGS)

check: $(SETUP_STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy --strict
	$(BIN)/python -m pytest -q tests/unit/test_import_rule.py

clean:
	rm -rf $(VENV) data/demo artifacts build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/pip: constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(OLD_PYTHON)" >&2; exit 1; }
	@echo "Making $(VENV) and filling it; this happens once."
	@wheel=$$($(PYTHON) -c '$(BUNDLED_PIP)' 2>/dev/null); \
	if [ -f "$$wheel" ]; then $(PYTHON) -m venv --without-pip $(VENV) && pip="$$wheel/pip"; \
	else $(PYTHON) -m venv $(VENV) && pip="-m pip"; fi && \
	$(BIN)/python $$pip $(INSTALL) pip setuptools
	@touch $@

$(RUN_STAMP): $(BIN)/pip pyproject.toml constraints.txt
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip $(INSTALL) --no-build-isolation -e '.[embedded]'
	@$(COMPILE)
	@touch $@

$(SETUP_STAMP): $(BIN)/pip pyproject.toml constraints.txt
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip $(INSTALL) --no-build-isolation -e '.[embedded,test,check]'
	@$(COMPILE)
	@touch $@ $(RUN_STAMP)
