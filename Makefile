# Everything one does in this repository. Each target sets up what it needs, once.

# The one that Argo CD renders with; validate refuses another.
KUSTOMIZE_VERSION := v5.8.1
# renovate: go=github.com/rhysd/actionlint
ACTIONLINT_VERSION := v1.7.12
# renovate: go=sigs.k8s.io/kind
KIND_VERSION := v0.33.0
# renovate: pypi=uv
UV_VERSION := 0.13.9
# These are compared with, and needed for nothing else.
KUBECONFORM_VERSION := v0.7.0
CHECKOV_VERSION := 3.3.13
CONFTEST_VERSION := v0.69.0

# Compiled modules are kept from run to run, whatever the environment says: without them each run compiles validate.
unexport PYTHONDONTWRITEBYTECODE
MAKEFLAGS += --no-builtin-rules --no-print-directory
.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

python := .venv/bin/python
# A stamp is written last: an interrupted set-up starts again.
runtime := .venv/runtime.stamp
dev := .venv/dev.stamp
docs := .venv/docs.stamp
# The version in the name: a new one is installed.
kustomize := .tools/kustomize-$(KUSTOMIZE_VERSION)
actionlint := .tools/actionlint-$(ACTIONLINT_VERSION)
kind := .tools/kind-$(KIND_VERSION)
kubeconform := .tools/kubeconform-$(KUBECONFORM_VERSION)
checkov := .tools/checkov-$(CHECKOV_VERSION)
conftest := .tools/conftest-$(CONFTEST_VERSION)

# By their first lines, so that a new one is checked as well. (A number sign would begin a comment here.)
shell_scripts = $(shell grep -rlE '^.!(/bin/sh|/usr/bin/env bash|/bin/bash)$$' .ci tools components tests/e2e)

.PHONY: help
help: ## Show this list
	@awk -F ': .*## ' '/^[a-z0-9-]+: .*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

.PHONY: validate
validate: $(runtime) $(kustomize) ## Prove that the overlays will work; OVERLAYS="kind eks" for some of them
	@$(python) -m validate $(OVERLAYS)

.PHONY: diff
diff: $(runtime) $(kustomize) ## Say what a change does on the clusters; BASE=main, HEAD=my-branch
	@$(python) -m validate diff $(BASE) $(HEAD)

.PHONY: setup
setup: $(runtime) $(kustomize) ## Set up what validate needs, and nothing else

.PHONY: test
test: $(dev) $(kustomize) ## Run the tests; TESTS=tests/cluster for some of them
	@PATH="$(CURDIR)/.tools:$$PATH" $(python) -m pytest --numprocesses auto --dist worksteal $(TESTS)

.PHONY: e2e
e2e: $(dev) $(kustomize) $(kind) ## Build real repositories on a kind cluster; TESTS=tests/e2e/test_builds.py ARGS=--keep-cluster for some, again
	@$(python) -m pytest --cluster-name binderhub-service-e2e $(or $(TESTS),tests/e2e) $(ARGS)

.PHONY: up
up: $(dev) $(kustomize) $(kind) ## Make the cluster of the tests to play with; PORT=8585
	@$(python) -m tests.e2e.playground up

.PHONY: build
build: $(runtime) ## Build a repository there and show it as it goes; REPO=https://... REF=main
	@$(python) -m tests.e2e.playground build $(if $(REPO),--repo '$(REPO)') $(if $(REF),--ref '$(REF)')

.PHONY: down
down: $(dev) $(kind) ## Remove that cluster, or CLUSTER=binderhub-service-e2e that a run of the tests has left
	@$(python) -m tests.e2e.playground down $(if $(CLUSTER),--cluster '$(CLUSTER)')

.PHONY: check
check: $(dev) $(actionlint) ## Check style, types, the direction of imports, shell scripts and workflows
	@$(python) -m ruff check
	@$(python) -m ruff format --check
	@$(python) -m mypy
	@.venv/bin/lint-imports --no-logo
	@.venv/bin/shellcheck $(shell_scripts)
	@$(actionlint) -shellcheck .venv/bin/shellcheck -pyflakes '' .github/workflows/*.yaml
	@.venv/bin/zizmor --offline --quiet --persona pedantic .github/workflows action.yml .pre-commit-hooks.yaml

.PHONY: docs
docs: $(docs) ## Build the documentation into docs/_build/html; a warning is an error
	@$(python) -m sphinx --quiet --fail-on-warning --builder html docs docs/_build/html
	@echo "docs/_build/html/index.html"

.PHONY: links
links: $(docs) ## Ask every address that the documentation links to whether it is still there
	@$(python) -m sphinx --quiet --builder linkcheck docs docs/_build/links

.PHONY: pages
pages: $(runtime) $(kustomize) ## Write the generated pages of the reference anew: rules, overlays, components, cluster.yaml
	@$(python) -m tools.rule_pages
	@$(python) -m tools.tree_pages
	@$(python) -m validate graph eks --output docs/assets/system.svg

.PHONY: bench
bench: $(dev) $(kustomize) $(kubeconform) ## Measure validate against kustomize and kubeconform, and its growth; ARGS="--json FILE"
	@$(python) -m tools.bench --kubeconform $(kubeconform) $(ARGS)

.PHONY: compare
compare: $(dev) $(kustomize) $(kubeconform) $(checkov)/installed.stamp $(conftest) ## Set validate beside other tools, and write docs/explanation/comparison.md
	@$(python) -m tools.compare --kubeconform $(kubeconform) --checkov $(checkov)/bin/checkov --conftest $(conftest) $(ARGS)

.PHONY: mutate
mutate: $(dev) $(kustomize) ## Break the overlays in every way the operators know, see what validate finds, and write docs/explanation/detection.md; ARGS="--only REGEX"
	@$(python) -m tools.mutate $(ARGS)

.PHONY: lock
lock: $(runtime) ## Write requirements/ anew from pyproject.toml
	@tools/lock $(UV_VERSION)

.PHONY: clean-cache
clean-cache: $(runtime) ## Remove what the air-gapped supply has built
	@$(python) -m tests.e2e.playground clean-cache

.PHONY: clean
clean: ## Remove everything that make has set up or built
	rm -rf .venv .tools docs/_build .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

$(runtime): requirements/validate.txt tools/create-venv
	@tools/create-venv .venv $<
	@touch $@

$(dev): requirements/dev.txt $(runtime)
	@tools/install-requirements .venv $<
	@touch $@

$(docs): requirements/docs.txt $(runtime)
	@tools/install-requirements .venv $<
	@touch $@

$(kustomize): tools/install-kustomize
	@tools/install-kustomize $(KUSTOMIZE_VERSION) $@
	@touch $@

$(actionlint):
	@tools/go-install github.com/rhysd/actionlint/cmd/actionlint@$(ACTIONLINT_VERSION) $@

$(kind):
	@tools/go-install sigs.k8s.io/kind@$(KIND_VERSION) $@
	@ln -sf $(@F) .tools/kind

$(kubeconform):
	@tools/go-install github.com/yannh/kubeconform/cmd/kubeconform@$(KUBECONFORM_VERSION) $@

$(checkov)/installed.stamp: $(runtime)
	@$(python) -m venv --clear $(checkov)
	@$(checkov)/bin/python -m pip install --quiet --disable-pip-version-check --no-input checkov==$(CHECKOV_VERSION)
	@touch $@

$(conftest):
	@tools/go-install github.com/open-policy-agent/conftest@$(CONFTEST_VERSION) $@
