# make quickstart   set up, train a small tagger on the samples, score it, tag abstracts, write a page  (12 min)
# make test         set up, run the fast tests
# make test-slow    the slow tests: the real backbone, whole processes, real corpora where VANER_DATA names them

VENV ?= .venv
PYTHON ?= python3
PY := $(VENV)/bin/python
RUN := runs/quickstart
READY := $(VENV)/.ready

.PHONY: quickstart test test-slow lint backbone clean

$(READY): pyproject.toml constraints.txt
	@echo "== setting up $(VENV) (about 1 GB of packages the first time)"
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	@touch $(READY)

backbone: $(READY)
	@$(PY) -c "from vaner.backbone import resolve; print('backbone:', resolve('smollm2-135m'))"

quickstart: backbone
	@echo "== 1/4 training on 2 sample corpora (about 5 minutes)"
	@rm -rf $(RUN)
	@$(PY) train.py --config configs/quickstart.yaml --output_dir $(RUN)
	@echo "== 2/4 scoring it on text that it has not seen"
	@$(PY) -m vaner evaluate --model $(RUN) --corpus ncbi-disease-sample bc5cdr-sample --split test \
		--json $(RUN)/scores.json --markdown $(RUN)/scores.md
	@echo "== 3/4 tagging 20 abstracts (PubTator in, PubTator out)"
	@$(PY) predict.py --model $(RUN) --input data/samples/abstracts.pubtator --output $(RUN)/tagged.pubtator
	@echo "== 4/4 the same as a page to look at"
	@$(PY) predict.py --model $(RUN) --input data/samples/abstracts.pubtator --output $(RUN)/tagged.html
	@echo
	@echo "model           $(RUN)/          (its card: $(RUN)/README.md)"
	@echo "scores          $(RUN)/scores.md"
	@echo "tagged file     $(RUN)/tagged.pubtator"
	@echo "page            $(RUN)/tagged.html   <- open this in a browser"
	@echo "The samples are small and so is the training: README.md says how to train on whole corpora."

test: $(READY)
	$(PY) -m pytest

test-slow: backbone
	$(PY) -m pytest -m slow

lint: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

clean:
	rm -rf $(VENV) build *.egg-info
