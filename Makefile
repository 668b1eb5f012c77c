# make demo: the whole pipeline on the sample, from an empty checkout to a scored model.   make test: all checks.
PYTHON ?= python3
VENV ?= .venv
export PATH := $(abspath $(VENV))/bin:$(PATH)

# Which outputs the stages gave on this machine.
LOCKS := dvc.lock sources/sample/dvc.lock

.PHONY: demo test reproduce install clean pipeline clone lock

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and 1)' || { \
	  echo "hgld needs Python 3.11 or newer, and $(PYTHON) is not: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --editable '.[dev]'
	touch $@

# Checked before gigabytes are installed.
pipeline:
	@test -d .dvc -a -f dvc.yaml || { echo "no folder .dvc here: the copy is not complete; download it again" >&2; exit 1; }

clone:
	@test -e .git || { echo "no .git here: this target needs a git clone, not an archive" >&2; exit 1; }

demo: pipeline install
	@test -e .git || dvc config --local core.no_scm true  # an archive without .git
	dvc repro
	@test ! -e .git || test -z "$$(git status --porcelain $(LOCKS))" || \
	  test -n "$$(git status --porcelain | grep -v 'dvc\.lock$$')" || { \
	    git ls-files $(LOCKS) | xargs git update-index --skip-worktree; \
	    echo "dvc.lock differs on this processor; git status does not show it, make lock does (see CONTRIBUTING.md)"; }
	@cat data/sample/benchmark/table.txt
	@echo "report   data/sample/benchmark/report.html"
	@echo "release  data/sample/release"

# Shows the locks again, to commit or to restore them.
lock: clone
	git ls-files $(LOCKS) | xargs git update-index --no-skip-worktree
	git status --short $(LOCKS)

test: install
	ruff check .
	ruff format --check .
	mypy
	OMP_NUM_THREADS=1 pytest --numprocesses logical --dist worksteal

# Two clones, cut off from the network, other hash seeds and row orders: the same bytes come out.
reproduce: clone install
	python tests/reproduce.py

clean:
	rm -rf data sources/sample/metadata sources/sample/clip .dvc/tmp .dvc/cache dvc.lock sources/sample/dvc.lock
