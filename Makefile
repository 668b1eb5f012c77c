# make demo: the whole pipeline on the sample, from an empty checkout to a scored model.   make test: all checks.   make docs: the documentation as a site.
PYTHON ?= python3
VENV ?= .venv
export PATH := $(abspath $(VENV))/bin:$(PATH)

# Which outputs the stages gave on this machine.
LOCKS := dvc.lock sources/sample/dvc.lock

# Where make docs writes.
SITE ?= site

.PHONY: demo test reproduce docs install clean pipeline clone lock

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
	python -m tests.reproduce

# The site of the documentation. Only the installation of its packages needs a network, once.
docs:
	@$(VENV)/bin/python -c 'import material, mkdocs, mkdocstrings, hgld.cli' 2> /dev/null || \
	  { $(MAKE) --no-print-directory install && $(VENV)/bin/python -c 'import material, mkdocs, mkdocstrings'; } || { \
	    echo "the site needs the packages of the extra \`docs\` in $(VENV), and they cannot be installed without a network:" \
	      "connect once and repeat make docs; after that it needs none" >&2; exit 1; }
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/python -m mkdocs build --quiet --strict --site-dir "$(abspath $(SITE))"
	@echo "the site  $(abspath $(SITE))/index.html"
	@echo "search    needs a server: $(VENV)/bin/python -m http.server --bind 127.0.0.1 --directory $(SITE)"

clean:
	rm -rf data site sources/sample/metadata sources/sample/clip .dvc/tmp .dvc/cache dvc.lock sources/sample/dvc.lock
