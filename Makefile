# make demo: a real photo, critiqued live.  make test: everything.  make help: the rest.
VENV := .venv
INSTALLED := $(VENV)/.installed

.PHONY: help install demo test faults lint types bench picture clean

help:
	@echo 'make demo     set up, then critique a real photo with live updates'
	@echo 'make test     set up, then run every test'
	@echo 'make faults   kill whatever may die, and print what was seen'
	@echo 'make install  make $(VENV) with all that running and testing need'
	@echo 'make lint     check and format style'
	@echo 'make types    check types'
	@echo 'make bench    measure, as ratios'
	@echo 'make clean    remove $(VENV) and what was built'

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt scripts/install
	scripts/install $(VENV)
	@touch $@

demo: install
	scripts/demo $(VENV)

test: install
	$(VENV)/bin/pytest --numprocesses logical --maxprocesses 4 --dist worksteal

faults: install
	$(VENV)/bin/pytest tests/faults

lint: install
	scripts/lint $(VENV)

types: install
	$(VENV)/bin/mypy

bench: install
	scripts/bench $(VENV)

picture: install
	scripts/picture $(VENV)

clean:
	rm -rf $(VENV) demo .mypy_cache .pytest_cache .ruff_cache
