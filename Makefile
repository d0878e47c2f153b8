# Each target explains itself: make help
SHELL := /bin/bash
.DEFAULT_GOAL := help
NODE := tools/node
BIN := $(NODE) node_modules

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  \033[1mmake %-12s\033[0m %s\n", $$1, $$2}'

.PHONY: setup
setup: ## Install what is missing: system packages by name, npm packages, the native binding of ssh2
	@tools/setup.sh demo

.PHONY: demo
demo: setup ## Run the whole service here and send a file through it (ONCE=1: end by itself and check every station)
	@$(NODE) test/demo/demo.ts $(if $(ONCE),--once)

.PHONY: lint
lint: setup ## Types, format and lint, layers, dead exports, drift of generated files
	@$(BIN)/typescript/bin/tsc -p .
	@$(BIN)/@biomejs/biome/bin/biome check --error-on-warnings .
	@$(NODE) tools/check-layers.ts
	@$(NODE) tools/generate.ts --check
	@$(NODE) tools/chart.ts --check
	@$(BIN)/knip/bin/knip.js

.PHONY: format
format: setup ## Format and fix what can be fixed
	@$(BIN)/@biomejs/biome/bin/biome check --write .

.PHONY: generate
generate: setup ## Write the CRDs and the reference docs from the schemas
	@$(NODE) tools/generate.ts
	@$(NODE) tools/chart.ts

.PHONY: test
test: ## Everything quick: lint, units, contract suites, the real parts end to end
	@tools/setup.sh test
	@$(MAKE) --no-print-directory lint
	@$(NODE) --test --test-concurrency=2 --test-timeout=300000 "packages/*/src/**/*.test.ts" "tools/*.test.ts" "test/**/!(*.timing).test.ts"
	@echo 'Now what measures time or memory, one after the other'
	@$(NODE) --test --test-concurrency=1 --test-timeout=300000 "test/**/*.timing.test.ts"

.PHONY: e2e
e2e: ## A real cluster from nothing: image, chart, quickstart, partners from outside, an upgrade under load (needs root; SKIFF_E2E_KUBECONFIG names another)
	@tools/setup.sh test
	@$(NODE) test/e2e/e2e.ts

.PHONY: e2e-long
e2e-long: ## The same with 4,000 users, 1,000 logins and 500 changes, and the operator under faults in full size; out/e2e-long.json, out/operator-long.json
	@tools/setup.sh test
	@status=0; $(NODE) test/e2e/e2e.ts --long || status=1; $(NODE) test/operator/long.ts || status=1; exit $$status

.PHONY: faults
faults: ## Kill, stop, cut off and corrupt real parts under traffic and judge what is left; writes out/faults.json (ONLY="storm", SEED=7)
	@tools/setup.sh test
	@$(NODE) test/faults/faults.ts $(if $(ONLY),--only "$(ONLY)") $(if $(SEED),--seed $(SEED))

.PHONY: faults-long
faults-long: ## The same with 20 times the kills and longer outages; about an hour
	@tools/setup.sh test
	@$(NODE) test/faults/faults.ts --long $(if $(ONLY),--only "$(ONLY)") $(if $(SEED),--seed $(SEED))

.PHONY: bench
bench: ## Speed beside OpenSSH's own server, then the way of small files to the application; writes out/bench.json
	@tools/setup.sh bench
	@$(NODE) test/bench/bench.ts

.PHONY: clean
clean: ## Remove what builds and runs have left in the checkout
	@rm -rf out .skiff
