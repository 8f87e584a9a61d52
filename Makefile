# make demo    install into .venv and run both tasks on a photo, offline, with the bundled weights
# make test    install the test extra into .venv and run every check
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check test-slow clean

demo: .venv/installed
	@mkdir -p demo
	$(BIN)/deform frontalize examples/turned-45.jpg -o demo/frontal.png --exists overwrite --show-warp demo --offline
	$(BIN)/deform inpaint examples/astronaut.jpg --mask examples/scratches.png -o demo/inpainted.png --exists overwrite --offline
	@echo "The results are in $(CURDIR)/demo: frontal.png (from examples/turned-45.jpg), inpainted.png (from examples/astronaut.jpg)"

test: .venv/tested
	$(MAKE) check

# Every check on an environment that has the test extra.
check:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/pytest -n 2 --dist loadfile

test-slow: .venv/tested
	$(BIN)/pytest -m slow

.venv/installed: pyproject.toml setup.py
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check .
	@touch $@

.venv/tested: pyproject.toml setup.py
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@ .venv/installed

clean:
	rm -rf .venv build demo *.egg-info src/*.egg-info
