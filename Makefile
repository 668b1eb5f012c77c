# make demo: the whole pipeline on the sample, from an empty checkout to a scored model.   make test: all checks.
PYTHON ?= python3
VENV ?= .venv
export PATH := $(abspath $(VENV))/bin:$(PATH)

.PHONY: demo test reproduce install clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "hgld needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --editable '.[dev]'
	touch $@

demo: install
	dvc repro
	@cat data/sample/benchmark/table.txt
	@echo "report   data/sample/benchmark/report.html"
	@echo "release  data/sample/release"

test: install
	ruff check .
	ruff format --check .
	mypy
	OMP_NUM_THREADS=1 pytest --numprocesses logical --dist worksteal

# Two clones, cut off from the network, other hash seeds and row orders: the same bytes come out.
reproduce: install
	python tests/reproduce.py

clean:
	rm -rf data sources/sample/metadata sources/sample/clip .dvc/tmp .dvc/cache dvc.lock sources/sample/dvc.lock
