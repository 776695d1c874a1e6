# SPDX-License-Identifier: GPL-2.0-or-later
# What a person runs: make demo, make check. The rest: make help.

PYTHON ?= /usr/bin/python3
VENV := .venv
IN_VENV := $(VENV)/bin/python

.PHONY: help demo check soak mutants lint bench man clean

.DEFAULT_GOAL := help

help:
	@echo "make demo   cut off a simulated server and start it again, step by step"
	@echo "make check  all tests"
	@echo "make soak   search for a false 0 for hours; resumes where it ended"
	@echo "make mutants  remove the safety decisions one at a time: the tests must notice"
	@echo "make lint   formatting, style and types"
	@echo "make bench  what the agent costs in time and memory"
	@echo "make man    man/fence_ovh.8, from the agent's own documentation"

# The demo needs the agent's own dependencies only; the tests need more.
$(VENV)/demo: setup.py
	test -x $(IN_VENV) || $(PYTHON) -m venv $(VENV)
	$(IN_VENV) -m pip install --quiet --disable-pip-version-check ".[rest]"
	touch $@

$(VENV)/test: $(VENV)/demo
	$(IN_VENV) -m pip install --quiet --disable-pip-version-check ".[test]"
	touch $@

$(VENV)/lint: $(VENV)/test
	$(IN_VENV) -m pip install --quiet --disable-pip-version-check "ruff>=0.5" "mypy>=1.10"
	touch $@

demo: $(VENV)/demo
	@$(IN_VENV) -m tests.demo

# Most tests wait for a simulated reboot: more of them than cores run at once.
check: $(VENV)/test
	$(IN_VENV) -m pytest -n 8 --dist worksteal tests

lint: $(VENV)/lint
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

# Each API in a process of its own; 100,000 schedules each take hours, and go on where they ended.
soak: $(VENV)/test
	$(IN_VENV) -m tests.soak --api soap --state soak-soap.txt & \
	$(IN_VENV) -m tests.soak --api rest --state soak-rest.txt; status=$$?; \
	wait $$! && exit $$status

mutants: $(VENV)/test
	$(IN_VENV) -m tests.mutants

bench: $(VENV)/demo
	$(IN_VENV) -m tests.bench

man:
	$(PYTHON) fence_ovh -o manpage > man/fence_ovh.8

clean:
	rm -rf $(VENV) build dist *.egg-info
