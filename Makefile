# make demo: a real photo, critiqued live.  make test: everything.  make help: the rest.
VENV := .venv
INSTALLED := $(VENV)/.installed
READY := $(VENV)/.ready

.PHONY: help install demo test slow pages wheel clients faults fleet vllm lint types bench corpus truth picture clean

help:
	@echo 'make demo     set up, then critique a real photo with live updates'
	@echo 'make test     set up, then run the tests'
	@echo 'make slow     run the tests that take long'
	@echo 'make pages    test the pages in Chromium'
	@echo 'make wheel    build the wheel, install it elsewhere, and run it'
	@echo 'make clients  follow jobs with SSE libraries of npm and PyPI through a broken line'
	@echo 'make faults   kill whatever may die, and print what was seen'
	@echo 'make fleet    run it behind pgbouncer, HAProxy, on a replica and S3'
	@echo 'make vllm     set up a real vLLM on this CPU (4.3 GB), test and measure against it'
	@echo 'make install  make $(VENV) with all that running needs'
	@echo 'make lint     check and format style'
	@echo 'make types    check types'
	@echo 'make bench    measure, as ratios'
	@echo 'make corpus   read and store the test pictures of Pillow, fetched once'
	@echo 'make truth    count what is false of labelled photos (400 MB are fetched)'
	@echo 'make clean    remove $(VENV) and what was built'

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt scripts/install
	scripts/install $(VENV)
	@touch $@

$(READY): pyproject.toml constraints.txt scripts/install
	scripts/install $(VENV) dev
	@touch $(INSTALLED) $@

demo: $(INSTALLED)
	scripts/demo $(VENV)

test: $(READY)
	$(VENV)/bin/pytest --numprocesses 3 --dist worksteal

slow: $(READY)
	$(VENV)/bin/pytest -m slow

pages: $(READY)
	$(VENV)/bin/pytest --numprocesses logical --maxprocesses 2 --dist loadfile tests/browser

wheel: $(READY)
	MONDRIAN_TEST_WHEEL=1 $(VENV)/bin/pytest tests/test_wheel.py

clients: $(READY)
	MONDRIAN_TEST_CLIENTS=1 $(VENV)/bin/pytest tests/clients

faults: $(READY)
	$(VENV)/bin/pytest tests/faults tests/faults/attacks

fleet: $(READY)
	$(VENV)/bin/python -m pip install --quiet --editable '.[fleet]'
	$(VENV)/bin/pytest tests/fleet

vllm: $(READY)
	scripts/vllm $(VENV)

lint: $(READY)
	scripts/lint $(VENV)

types: $(READY)
	$(VENV)/bin/mypy

bench: $(READY)
	scripts/bench $(VENV)

corpus: $(READY)
	scripts/corpus $(VENV)

truth: $(READY)
	scripts/truth $(VENV) bench/truth/photos

picture: install
	scripts/picture $(VENV)

clean:
	rm -rf $(VENV) demo .mypy_cache .pytest_cache .ruff_cache
