# Everything here sets up what it needs first: python3, make and git are enough.
export DO_NOT_TRACK := 1
export KEDRO_DISABLE_TELEMETRY := 1
export MLFLOW_DISABLE_TELEMETRY := true
export GX_ANALYTICS_ENABLED := false
export HF_HUB_DISABLE_TELEMETRY := 1
export RAY_USAGE_STATS_ENABLED := 0
# Without compiled files every command would compile four thousand of them again, ten seconds long.
unexport PYTHONDONTWRITEBYTECODE
export PATH := $(CURDIR)/.venv/bin:$(PATH)
VENV := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo test gpu check format lock clean

help:  ## Say what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1	\2/' | expand -t 16

setup: $(VENV)  ## Create .venv with the pinned packages

$(VENV): requirements.lock pyproject.toml scripts/bootstrap.py
	python3 scripts/bootstrap.py
	@touch $@

demo: $(VENV)  ## Distil the miniature world's teacher four times, evaluate all, and say where to look
	kedro run --pipelines=report --params=report.students=story
	@python scripts/demo_guide.py

test: $(VENV)  ## Run every test that needs no GPU
	pytest -m "not gpu" -n auto --dist=worksteal

# Machines with a GPU may bring their own torch and reach nothing to set .venv up from.
gpu:  ## Measure full-size training on this machine's GPU, in 8 minutes
	@python3 -c "import torch, diffusers, pydantic" 2>/dev/null || $(MAKE) setup
	PYTHONPATH=src python3 -m benchmarks.gpu

check: $(VENV)  ## Style, types, the house's walls, and dvc.yaml in step with the pipelines
	ruff check .
	ruff format --check .
	pyright
	lint-imports
	python -m rglcd_pipelines.dvc_graph --check

format: $(VENV)  ## Put the code into the project's style
	ruff format .
	ruff check --fix .

lock: $(VENV)  ## Resolve the newest allowed versions into requirements.lock
	uv pip compile pyproject.toml --all-extras --group dev --universal --python-version 3.11 \
	    --generate-hashes --no-header --no-annotate --upgrade --quiet -o requirements.lock
	printf 'img2dataset==1.47.0\npyspark\nray\nsetuptools\n' | uv pip compile - --universal --python-version 3.11 \
	    --generate-hashes --no-header --no-annotate --upgrade --quiet \
	    -o src/rglcd_pipelines/data/sources/urls/img2dataset.lock

clean:  ## Remove the environment and caches; data stays
	rm -rf .venv .uv .pytest_cache .ruff_cache .hypothesis .import_linter_cache
