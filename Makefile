# `make demo` and `make test` do all their own set-up; Python >= 3.11 and make are all they assume.
PYTHON ?= python3
PORT ?= 8080
CHECKPOINTS ?= checkpoints
FULL := .venv
DEMO := .venv-demo
SAMPLE_DICOM := images_for_inference/fetched/chest_cr_15bit_monochrome1.dcm
PYDICOM_DATA := pydicom-data==1.0.0
PATHSPEC := pathspec>=0.12.1,<2

export PYTHONUNBUFFERED := 1

.PHONY: help demo test lint types imports pytest bench pipeline deploy-check deploy audit screenshots clean
.DEFAULT_GOAL := help

help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

demo: $(DEMO)/ready $(SAMPLE_DICOM)  ## install what the page needs (no torch) and serve it on http://127.0.0.1:8080
	$(DEMO)/bin/python demo.py --port $(PORT) --checkpoints $(CHECKPOINTS)

test: $(FULL)/ready lint types imports pytest  ## install everything, then linters, types, import contracts, tests

lint: $(FULL)/ready
	$(FULL)/bin/ruff check .
	$(FULL)/bin/ruff format --check .

types: $(FULL)/ready
	$(FULL)/bin/mypy

imports: $(FULL)/ready
	$(FULL)/bin/lint-imports

pytest: $(FULL)/ready
	$(FULL)/bin/pytest

# One at a time with `make bench BENCHMARKS=consensus`.
BENCHMARKS ?= consensus reader_simulation tune_nms page

bench: $(FULL)/ready  ## the page, consensus rules and threshold tuning: how fast, and how near to a reference
	@for name in $(BENCHMARKS); do $(FULL)/bin/python -m benchmarks.$$name || exit 1; done

pipeline: $(FULL)/ready  ## synthetic data, from raw files to a served model, in a few minutes
	$(FULL)/bin/xray pipeline runs/pipeline

deploy-check: $(DEMO)/deploy $(SAMPLE_DICOM)  ## try what would be uploaded, with its packages, within the memory it gets
	$(DEMO)/bin/python -m xray_chest_detection deploy-check

deploy: deploy-check  ## the same, and then upload it to App Engine (asks before it does)
	@command -v gcloud >/dev/null || \
	  { echo "error: gcloud is not installed; see https://cloud.google.com/sdk/docs/install"; exit 1; }
	gcloud app deploy app.yaml

audit: $(DEMO)/ready  ## look up known vulnerabilities of the packages of the page (needs the network)
	$(DEMO)/bin/python -m pip install --quiet --disable-pip-version-check --target .cache/pip_audit pip-audit
	PYTHONPATH=.cache/pip_audit $(DEMO)/bin/python -m pip_audit --requirement requirements.txt

screenshots: $(FULL)/ready $(SAMPLE_DICOM)  ## draw the pictures of the page in readme_images/ again
	$(FULL)/bin/python -m docs.screenshots

clean:  ## remove the environments, caches and runs (not your data)
	rm -rf $(FULL) $(DEMO) .cache .mypy_cache .pytest_cache .ruff_cache .import_linter_cache runs build dist *.egg-info

$(DEMO)/ready: requirements.txt
	@$(call require-python)
	$(PYTHON) -m venv $(DEMO)
	$(DEMO)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(FULL)/ready: requirements.txt pyproject.toml
	@$(call require-python)
	$(PYTHON) -m venv $(FULL)
	$(FULL)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	$(FULL)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps torchxrayvision==1.5.7
	@touch $@

$(DEMO)/deploy: $(DEMO)/ready
	@$(DEMO)/bin/python -m pip install --quiet --disable-pip-version-check '$(PATHSPEC)'
	@touch $@

# A real 15-bit chest radiograph (MIT licence) that this repository does not carry. Without a network the page has
# one sample less.
$(SAMPLE_DICOM): | $(DEMO)/ready
	@mkdir -p $(@D) .cache
	@$(DEMO)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade \
	    --target .cache/pydicom_data $(PYDICOM_DATA) \
	  && cp .cache/pydicom_data/data_store/data/RG1_UNCR.dcm $@ \
	  || echo "note: $(PYDICOM_DATA) cannot be fetched; the page goes without the DICOM sample"

define require-python
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
  { echo "error: $(PYTHON) is $$($(PYTHON) --version 2>&1), at least Python 3.11 is needed; try make PYTHON=python3.12"; exit 1; }
endef
