# make quickstart   set up, tag abstracts with the shipped model, write a page, teach it two new types, score that
# make test         set up, run the fast tests
# make test-slow    the slow tests: the real backbone, whole processes, real corpora where VANER_DATA names them
# make test-avx2    the tests of what depends on the processor, as on one that has AVX2 and nothing newer
# make setup        set up only: a virtual environment with the package and its tests' packages
# make lint         ruff and mypy
# make examples     execute the notebooks in examples/ (a few minutes)
# make docs         build the pages of docs/ and of the library into site/

VENV ?= .venv
PYTHON ?= python3
PY := $(VENV)/bin/python
RUN := runs/quickstart
READY := $(VENV)/.ready

# Tests of one file stay in one process; PARALLEL= runs them all in one.
PARALLEL ?= -n 2 --dist loadfile
# In the order of tests/conftest.py; else files with many tests begin first, however short these are.
IN_ORDER := --no-loadscope-reorder

.PHONY: setup quickstart test test-avx2 test-slow lint examples docs backbone clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@echo "== setting up $(VENV) (about 1 GB of packages the first time)"
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	@touch $(READY)

# What the extra behind the dash brings, beside the rest.
$(VENV)/.ready-%: $(READY)
	$(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[$*]'
	@touch $@

backbone: $(READY)
	@$(PY) -c "from vaner.model.catalogue import backbone_folder; print('backbone:', backbone_folder('smollm2-135m'))"

quickstart: backbone
	@rm -rf $(RUN) && mkdir -p $(RUN)
	@echo "== 1/4 tagging 20 abstracts with the shipped model (PubTator in, PubTator and a page out)"
	@$(PY) predict.py --types Disease Chemical Gene Species Variant Anatomy \
		--input data/samples/abstracts.pubtator --output $(RUN)/tagged.pubtator
	@$(PY) -m vaner convert $(RUN)/tagged.pubtator $(RUN)/tagged.html
	@echo "the first of them:"
	@sed '/^$$/q' $(RUN)/tagged.pubtator | cut -c 1-110
	@echo "== 2/4 teaching its smaller sister two new types from a sample corpus (at most 7 minutes and two short scorings)"
	@echo "   (about 60 F1 on 78 mentions, after 90 updates as after 330; after six it says how many will fit)"
	@$(PY) train.py --config configs/quickstart.yaml --output_dir $(RUN)/tissues
	@echo "== 3/4 scoring that on text that it has not seen"
	@$(PY) -m vaner evaluate --model $(RUN)/tissues --corpus bionlp13cg-sample --split test \
		--json $(RUN)/scores.json --markdown $(RUN)/scores.md
	@echo "== 4/4 tagging the same abstracts with it"
	@$(PY) predict.py --model $(RUN)/tissues --types MultiTissueStructure OrganismSubstance Disease Chemical \
		--input data/samples/abstracts.pubtator --output $(RUN)/tissues.html
	@echo
	@echo "tagged file     $(RUN)/tagged.pubtator"
	@echo "page            $(RUN)/tagged.html    <- open this in a browser"
	@echo "trained model   $(RUN)/tissues/       (its card: $(RUN)/tissues/README.md)"
	@echo "its scores      $(RUN)/scores.md"
	@echo "its page        $(RUN)/tissues.html"
	@echo "The sample is small and so is the training: README.md says how to train on whole corpora."

test: $(READY)
	$(PY) -m pytest $(PARALLEL)

# oneDNN and torch read these when they start.
test-avx2: export ONEDNN_MAX_CPU_ISA = AVX2
test-avx2: export ATEN_CPU_CAPABILITY = avx2

test-avx2: $(READY)
	$(PY) -m pytest $(PARALLEL) tests/kernels tests/model tests/tagging tests/cli/test_doctor.py

# Several processes share the cores there: threads that spin while they wait would take them from each other.
test-slow examples: export OMP_WAIT_POLICY ?= PASSIVE

test-slow: backbone $(VENV)/.ready-examples $(VENV)/.ready-ray $(VENV)/.ready-peers
	$(PY) -m pytest $(PARALLEL) $(IN_ORDER) -m slow

lint: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

examples: backbone $(VENV)/.ready-examples
	$(PY) -m pytest -m slow tests/test_examples.py

docs: $(VENV)/.ready-docs
	$(VENV)/bin/mkdocs build --strict

clean:
	rm -rf $(VENV) build site *.egg-info
