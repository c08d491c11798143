# make run    the daemon, as it is with no configuration; ARGS='--config etc/config.yaml' for another
# make test   everything that is checked; sets up what it needs
# make lint   ruff and mypy alone
# make format what ruff can put right by itself
# make bench  figures beside those of grpcio
# make crashtest  kill -9 under load, and questions afterwards; SECONDS=3600 SEED=1
# make bench-scale  what the local tier costs with 100 thousand to 10 million entries: a quarter of an hour
# make news   NEWS.rst as it would be, from newsfragments/
# make clean  back to a fresh clone

PYTHON ?= python3
SECONDS ?= 600
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PACKAGING := pyproject.toml setup.py $(shell find proto -name '*.proto')

# Where the tools of the environment look for modules. An editable installation shows them
# neither the plugin nor the tests; the checkout on the path does.
PATH_FILE = $$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/checkout.pth

.PHONY: run test bench bench-scale crashtest lint format news clean

# No pid file: it would stand in the way of a second daemon in the same folder.
run: $(VENV)/installed
	exec $(BIN)/twistd --nodaemon --pidfile= gorego $(ARGS)

test: $(VENV)/installed-dev
	@sh tests/debian-packages bazel=bazel-bootstrap h2load=nghttp2-client
	@# Not installed: its service would take port 9090, where gorego has its own metrics.
	@sh tests/debian-unpacked $(VENV)/debian prometheus=prometheus
	@$(BIN)/python tests/everything.py

lint: $(VENV)/installed-dev
	@$(BIN)/python tests/everything.py ruff format mypy

format: $(VENV)/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/installed-dev
	@sh tests/debian-packages h2load=nghttp2-client
	@$(BIN)/python -m bench

crashtest: $(VENV)/installed-dev
	@$(BIN)/python -m crashtest $(SECONDS) $(SEED)

bench-scale: $(VENV)/installed-dev
	@$(BIN)/python -m bench.scale

news: $(VENV)/installed-dev
	$(BIN)/towncrier build --draft

clean:
	rm -rf $(VENV) build dist gorego_tw.egg-info gorego_tw/pb _trial_temp* .coverage htmlcov
	rm -rf .hypothesis .mypy_cache .ruff_cache twisted/plugins/dropin.cache
	find gorego_tw tests twisted -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo 'gorego needs Python 3.11 or later: make PYTHON=/path/to/python3' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || sh tests/debian-packages python3-venv
	$(PYTHON) -m venv $(VENV)
	@echo '$(CURDIR)' >"$(PATH_FILE)"
	@touch $@

$(VENV)/installed: $(VENV)/created $(PACKAGING)
	$(PIP) install --editable .
	@touch $@

$(VENV)/installed-dev: $(VENV)/created $(PACKAGING)
	$(PIP) install --editable '.[dev]'
	@touch $(VENV)/installed $@
