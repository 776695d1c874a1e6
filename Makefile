# SPDX-License-Identifier: GPL-2.0-or-later
# What a person runs: make demo, make check. The rest: make help.

PYTHON ?= /usr/bin/python3
VENV := .venv
IN_VENV := $(VENV)/bin/python

VERSION := $(shell sed -n 's/^RELEASE_VERSION = "\(.*\)"/\1/p' fencing.py)

# Where `make install` puts things; DESTDIR for packagers.
prefix ?= /usr
sbindir ?= $(prefix)/sbin
datadir ?= $(prefix)/share
mandir ?= $(datadir)/man
SHARE = $(DESTDIR)$(datadir)/fence-ovh
INSTALLED = $(DESTDIR)$(sbindir)/fence_ovh
COMPLETION = $(DESTDIR)$(datadir)/bash-completion/completions/fence_ovh
DIVERTED = $(sbindir)/fence_ovh $(mandir)/man8/fence_ovh.8.gz
# Where a package's files of those names go: nobody looks for agents there.
DISTRIB = $(datadir)/fence-ovh/distrib

.PHONY: help demo check check-packages check-cluster check-debian check-pythons soak mutants lint bench plot man sdist deb rpm upstream install uninstall not-packaged clean

.DEFAULT_GOAL := help

help:
	@echo "make demo           cut off a simulated server and start it again, step by step"
	@echo "make check          all tests of the agent and its pages"
	@echo "make check-packages installs it in every way, and takes it away again; root, or most is skipped"
	@echo "make check-pythons  the quick ones on every other Python 3.9 to 3.14 in the path"
	@echo "make check-cluster  fence the nodes of a real Pacemaker cluster; root, 11 minutes"
	@echo "make check-debian   install, fence and remove it on the other Debian release, 12 or 13; root, debootstrap"
	@echo "make soak           search for a false 0 for hours; resumes where it ended"
	@echo "make mutants        remove the safety decisions one at a time: the tests must notice"
	@echo "make lint           formatting, style, types, oldest Python; needs shellcheck"
	@echo "make bench          what the agent costs in time and memory, beside the one that distributions ship"
	@echo "make install        for root; prefix=$(prefix), sbindir, datadir, mandir, DESTDIR"
	@echo "make uninstall      takes all of that away again"
	@echo "make sdist          dist/fence_ovh-$(VERSION).tar.gz of the last commit; needs setuptools"
	@echo "make deb            dist/fence-ovh_$(VERSION)_all.deb; needs debhelper and dh-python"
	@echo "make rpm            dist/fence-ovh-$(VERSION)-1.noarch.rpm, for the Red Hat family; needs rpmbuild"
	@echo "make upstream       into the checkout DIR=... of fence-agents; needs python3-pycurl, python3-pexpect"
	@echo "make plot           docs/time-to-fence.svg, with new figures of this agent"
	@echo "make man            man/fence_ovh.8, from the agent's metadata and man/sections.txt"
	@echo "make clean          removes what the others made here"

# The demo needs the agent's own dependencies only; the tests need more.
$(VENV)/demo: setup.py
	test -x $(IN_VENV) || $(PYTHON) -m venv $(VENV)
	$(IN_VENV) -m pip install --quiet --disable-pip-version-check "."
	touch $@

$(VENV)/test: $(VENV)/demo
	$(IN_VENV) -m pip install --quiet --disable-pip-version-check ".[test]"
	touch $@

$(VENV)/lint: $(VENV)/test
	$(IN_VENV) -m pip install --quiet --disable-pip-version-check \
		"ruff>=0.5" "mypy>=1.10" "vermin>=1.5"
	touch $@

demo: $(VENV)/demo
	@$(IN_VENV) -m tests.demo

# Most tests wait for a simulated reboot: more of them than cores run at once. The one that waits
# for two minutes begins.
check: $(VENV)/test
	@# Compiled once, not by each of the workers.
	@env -u PYTHONDONTWRITEBYTECODE $(IN_VENV) -m pytest --collect-only -qq tests >/dev/null
	env -u PYTHONDONTWRITEBYTECODE $(IN_VENV) -m pytest -n 20 --dist worksteal \
		--ignore tests/packaging tests/bench/test_many_servers.py tests

check-packages: $(VENV)/test
	$(IN_VENV) -m pytest -n 4 --dist worksteal tests/packaging

# What shows a Python that is too old or too new, in about a minute each.
QUICK = tests/library tests/agent/test_agent.py tests/documents/test_documents.py \
	tests/agent/test_invalid_input.py tests/agent/test_pure_functions.py tests/agent/test_soap.py
OWN = python$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')

check-pythons:
	@for name in $(filter-out $(OWN),$(addprefix python3.,9 10 11 12 13 14)); do \
		$$name -c '' 2>/dev/null || continue; \
		echo "== $$name"; \
		test -x .venv-$$name/bin/python || $$name -m venv .venv-$$name || exit; \
		.venv-$$name/bin/python -m pip install --quiet --disable-pip-version-check \
			".[test]" || exit; \
		.venv-$$name/bin/python -m pytest -n 8 --dist worksteal \
			-k "not debian and not distribution" $(QUICK) || exit; \
	done

# Two cores are enough for one cluster at a time.
check-cluster: $(VENV)/test
	$(IN_VENV) -m tests.cluster

check-debian: $(VENV)/demo
	$(IN_VENV) -m tests.debian

lint: $(VENV)/lint
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/vermin --quiet --no-tips --target=3.9- --violations fence_ovh fencing.py setup.py bench man packaging tests
	shellcheck .ci/run examples/*.sh tests/cluster/boot.sh tests/debian/user.sh packaging/*.bash-completion packaging/divert debian/*.preinst debian/*.postrm

# In two processes; 100,000 schedules for each API take hours, and go on where they ended.
soak: $(VENV)/test
	$(IN_VENV) -m tests.safety.soak --api soap --state soak-soap.txt & \
	$(IN_VENV) -m tests.safety.soak --api rest --api oauth2 --state soak-rest.txt && \
		$(IN_VENV) -m tests.safety.soak --witness --api rest --state soak-rest.txt; status=$$?; \
	wait $$! && exit $$status

mutants: $(VENV)/test
	$(IN_VENV) -m tests.safety.mutants

bench: $(VENV)/test
	$(IN_VENV) -m bench

plot: $(VENV)/test
	$(IN_VENV) -m bench.plot

man:
	$(PYTHON) man/build.py > man/fence_ovh.8.new
	mv man/fence_ovh.8.new man/fence_ovh.8

# Of a commit, the same bytes whoever makes it and when.
sdist: export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct)
sdist:
	rm -rf build/sdist
	mkdir -p build/sdist dist
	git archive HEAD | tar -x -C build/sdist
	cd build/sdist && $(PYTHON) setup.py --quiet sdist --keep-temp --formats=tar
	tar -c --sort=name --mtime=@$$SOURCE_DATE_EPOCH --owner=0 --group=0 --numeric-owner \
		--mode=u=rwX,go=rX --format=ustar --use-compress-program='gzip -9n' \
		-f dist/fence_ovh-$(VERSION).tar.gz -C build/sdist fence_ovh-$(VERSION)

# In a copy: nothing is left among the sources. No compiler is needed, so none is asked for.
SOURCES = tar -c --exclude-vcs --exclude='./.venv*' --exclude=./build --exclude=./dist

deb:
	rm -rf build/deb dist/*.deb
	mkdir -p build/deb/fence-ovh dist
	$(SOURCES) . | tar -x -C build/deb/fence-ovh
	cd build/deb/fence-ovh && dpkg-buildpackage --build=binary --no-sign --no-check-builddeps
	mv build/deb/*.deb dist/

rpm:
	rm -rf build/rpm dist/*.rpm
	mkdir -p build/rpm/SOURCES dist
	$(SOURCES) --transform 's|^\.|fence-ovh-$(VERSION)|' \
		-f build/rpm/SOURCES/fence-ovh-$(VERSION).tar .
	rpmbuild -bb --nodeps --define "_topdir $(CURDIR)/build/rpm" \
		--define "_dbpath $(CURDIR)/build/rpm/db" \
		--define "release_version $(VERSION)" packaging/fence-ovh.spec
	mv build/rpm/RPMS/noarch/*.rpm dist/

# The agent and its metadata as fence-agents has them, and the text of a pull request in dist/.
upstream:
	@[ -n "$(DIR)" ] || { echo "make upstream DIR=checkout of fence-agents" >&2; exit 1; }
	@$(PYTHON) packaging/upstream.py "$(DIR)" dist/upstream.md

# Pacemaker looks for agents in /usr/sbin only. A package's agent of the same name, and its manual
# page, are diverted, and come back with `make uninstall`.
install: not-packaged
	@[ -n "$(DESTDIR)" ] || packaging/divert "$(DISTRIB)" $(DIVERTED)
	install -D -m 644 fence_ovh "$(SHARE)/fence_ovh.py"
	install -D -m 644 fencing.py LICENSE -t "$(SHARE)"
	install -D -m 644 man/fence_ovh.8 -t "$(DESTDIR)$(mandir)/man8"
	install -D -m 644 packaging/fence_ovh.bash-completion "$(COMPLETION)"
	$(PYTHON) -m compileall -q -s "$(DESTDIR)" -p / "$(SHARE)"
	install -d "$(DESTDIR)$(sbindir)"
	sed "s|@SHARE@|$$(realpath -m --relative-to="$(sbindir)" "$(datadir)/fence-ovh")|" \
		packaging/launcher > "$(INSTALLED)"
	chmod 755 "$(INSTALLED)"

# Only what is ours: a package's files may still wait in that folder.
uninstall: not-packaged
	rm -f "$(INSTALLED)" "$(DESTDIR)$(mandir)/man8/fence_ovh.8" "$(COMPLETION)"
	rm -f "$(SHARE)/fence_ovh.py" "$(SHARE)/fencing.py" "$(SHARE)/LICENSE"
	rm -rf "$(SHARE)/__pycache__"
	@[ -n "$(DESTDIR)" ] || for file in $(DIVERTED); do \
		! dpkg-divert --listpackage "$$file" 2>/dev/null | grep -qx LOCAL || \
			dpkg-divert --local --rename --remove "$$file" || exit; \
	done
	@for folder in "$(DESTDIR)$(DISTRIB)" "$(SHARE)"; do \
		[ ! -d "$$folder" ] || rmdir --ignore-fail-on-non-empty "$$folder"; \
	done

not-packaged:
	@[ -n "$(DESTDIR)" ] || if command -v dpkg-query >/dev/null; then \
		! dpkg-query -S "$(SHARE)/fencing.py" >/dev/null 2>&1 || \
			{ echo "$(SHARE) is a package's: first apt remove fence-ovh" >&2; exit 1; }; \
	elif owner=$$(rpm -qf "$(INSTALLED)" 2>/dev/null); then \
		echo "$(INSTALLED) is a package's: first dnf remove $$owner" >&2; exit 1; \
	fi

clean:
	rm -rf .venv* build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis soak-*.txt
	find . -name __pycache__ -prune -exec rm -rf {} +
