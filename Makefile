# The menu of everything: `make` prints it.
SHELL := /bin/bash
PY := .venv/bin/python
PYTHON ?= python3
SECONDS ?=
CLUSTER_PYTEST := $(PY) -m pytest -o addopts="-q --strict-markers --strict-config --import-mode=importlib" --timeout=600

.DEFAULT_GOAL := help
.PHONY: help install run test properties fuzz mutants lint format cluster-up cluster-down cluster-status cluster-test neighbours walkthrough image chart versions loadtest compare-step days demo scale-latency \
        bench-adapter bench-exposition bench-parsers churn bench-recommender recommender-tables report-pictures dashboards references rates judge steady steady-short \
        bench-rollouts bench-rollout-peer attack console-pictures clean \
        setup-hpa setup-vpa blue-green-deploy blue-green-rollback canary-deploy canary-monitor

help: ## print this menu
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk 'BEGIN {FS = ":.*## "} {printf "  make %-20s %s\n", $$1, $$2}'

.venv/installed: pyproject.toml constraints.txt
	@echo "making .venv (once)"
	@$(PYTHON) -m venv .venv
	@$(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,load]'
	@touch $@

install: .venv/installed ## make .venv from constraints.txt

run: .venv/installed ## the adapter, three services and a load, without a cluster (SECONDS=20 ends by itself)
	@$(PY) -m loadtest.demo $(if $(SECONDS),--seconds $(SECONDS))

test: .venv/installed ## all tests that need no cluster
	@$(PY) -m pytest

properties: .venv/installed ## what holds of memory targets for any history, with TIMES as many examples (10)
	@EXAMPLES=$(or $(TIMES),10) nice $(PY) -m pytest --timeout=3600 --durations=5 \
	    tests/recommender/test_recommender_policy_properties.py tests/recommender/test_recommender_hostile.py $(ARGS)

fuzz: .venv/installed ## mutations of seeds into every reader of bytes from outside (SECONDS=300, ONLY=one reader)
	@nice $(PY) -X faulthandler -m tests.fuzz --seconds=$(or $(SECONDS),300) --only=$(ONLY)

mutants: .venv/installed ## small faults in the pure modules: which does no test see? at most 30 minutes (COUNT=100 SEED=1 ONLY=hpa)
	@nice -n 19 $(PY) -m tests.mutants --count=$(COUNT) --seed=$(SEED) --only=$(ONLY)

lint: .venv/installed ## style, types, layers, the Dockerfile
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@.venv/bin/lint-imports
	@.venv/bin/hadolint Dockerfile

format: .venv/installed ## put the code into its standard form
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

cluster-up: .venv/installed ## start a real control plane with one node; prints its KUBECONFIG
	@$(PY) -m tests.cluster up

cluster-down: .venv/installed ## end it, leaving nothing behind
	@$(PY) -m tests.cluster down

cluster-status: .venv/installed ## what runs of it, and where its logs are
	@$(PY) -m tests.cluster status

cluster-test: .venv/installed ## the tests on a real control plane (ONLY=some files)
	@$(CLUSTER_PYTEST) -rfEs --durations=5 --ignore=tests/cluster/neighbours --ignore=tests/cluster/walkthrough $(or $(ONLY),tests/cluster)

neighbours: .venv/installed ## the same bed beside VictoriaMetrics, metrics-server, VPA, cert-manager, an OpenTelemetry Collector, built once in some twenty minutes; needs root
	@STREAMGATE_CLUSTER_REQUIRED=1 $(CLUSTER_PYTEST) -rs --durations=5 tests/cluster/neighbours

walkthrough: .venv/installed ## the tutorial typed command by command, and the doctor beside all programs, on the test bed; needs root, 10 minutes
	@STREAMGATE_CLUSTER_REQUIRED=1 $(CLUSTER_PYTEST) -rs --durations=5 tests/cluster/walkthrough

image: .venv/installed ## the images of the Dockerfile by buildah, and a look into them; needs root (BUILDAH_FLAGS=…)
	@$(PY) -m tests.cluster.image $(BUILDAH_FLAGS)

chart: .venv/installed ## the Helm chart as build/streamgate-VERSION.tgz, checked
	@$(PY) -m tests.cluster.chart

VERSIONS ?= 1.30.14 1.37.2

versions: .venv/installed ## does each of VERSIONS take manifests, samples and chart, and do the programs work on it? needs root; ten minutes of building for each, once
	@$(PY) -m tests.cluster.versions $(VERSIONS)

SCENARIO ?= step

loadtest: .venv/installed ## a scenario of Locust and its report: SCENARIO=step (LOADTEST="--fixed", "--web", "--bed", …; docs/loadtest.md)
	@$(PY) -m loadtest run $(SCENARIO) $(LOADTEST)

compare-step: .venv/installed ## one step for ours and for prometheus-adapter at once, on the test bed; 10 minutes; the README's plot
	@$(PY) -m loadtest.runs.side_command --write-docs

days: .venv/installed ## how exactly an HPA can follow a day of 10 minutes to 24 hours, and what its behavior changes, simulated; writes both tables of docs/loadtest.md
	@$(PY) -m loadtest.simulate_days

demo: .venv/installed ## a load step, the HPA's answer, a good canary promoted, a bad one rolled back; needs root, 5 minutes (DEMO=--help)
	@$(PY) -m loadtest.runs.showcase_command $(DEMO)

scale-latency: .venv/installed ## from load step to the HPA's final size, on the test bed: figures and a histogram
	@$(PY) -m loadtest.scale_latency

steady: .venv/installed ## pods come, go and crash under a steady load: no HPA may move; beside prometheus-adapter
	@$(PY) -m loadtest.steady --write-docs

bench-rollouts: .venv/installed ## forty releases under load, half of them bad; needs root, a quarter of an hour
	@$(PY) -m loadtest.rollouts --write-docs

bench-rollout-peer: .venv/installed ## the same faults for ours and for Argo Rollouts; needs root, twenty minutes
	@$(PY) -m loadtest.rollout_peer --write-docs

steady-short: .venv/installed ## four of these disturbances, in five minutes
	@$(PY) -m loadtest.steady --short --disturbances 4 --lanes 2 --warm-up 60

attack: .venv/installed ## every hostile input against a running adapter while an HPA asks: table of waits and memory (ATTACK="--only …")
	@$(PY) -m tests.attack $(ATTACK)

bench-adapter: .venv/installed ## our adapter against prometheus-adapter v0.12.0 on the test bed; writes docs/benchmarks.md
	@$(PY) -m loadtest.bench_adapter --write-docs

bench-exposition: .venv/installed ## our exposition parser against prometheus_client's
	@$(PY) loadtest/bench_exposition.py

churn: .venv/installed ## an hour of churn in fast time: the memory stays flat; writes the plot of docs/limits.md
	@$(PY) -m loadtest.churn

bench-parsers: .venv/installed ## time against size of everything that reads bytes from outside
	@$(PY) -m loadtest.bench_parsers

bench-recommender: .venv/installed ## 100,000 containers through the recommender
	@$(PY) loadtest/bench_recommender.py

dashboards: .venv/installed ## Grafana's dashboards and the PrometheusRule under manifests/components, by loadtest/monitoring
	@$(PY) -m loadtest.monitoring

references: .venv/installed ## docs/reference: every flag and metric of the programs, from their own tables
	@$(PY) -m loadtest.references

recommender-tables: .venv/installed ## backtest the recommender's memory policy; writes the tables and plot of docs/recommender.md (CHECK=more.csv.gz)
	@$(PY) -m loadtest.recommender_tables $(foreach file,$(CHECK),--check $(file))

report-pictures: .venv/installed ## the pictures of the recommender's report in docs/img, by chromium
	@$(PY) -m loadtest.report_pictures

console-pictures: .venv/installed ## the pictures of streamgate-console in docs/img, by chromium
	@$(PY) -m loadtest.console_pictures

rates: .venv/installed ## simulate the change-point rate; writes the table and plot of docs/rates.md
	@$(PY) loadtest/simulate_rates.py

judge: .venv/installed ## simulate releases before the rollout's judge; writes the tables and plot of docs/rollouts.md
	@$(PY) -m loadtest.simulate_rollouts

POLICY ?= sample
NAMESPACE ?= default
ROLLOUT = @$(PY) -m adapter.rollout

setup-hpa: ## the sample service and an HPA on CPU, memory and requests, in the cluster of your kubeconfig
	kubectl apply -f manifests/samples/app.yaml -f manifests/samples/hpa-config.yaml

setup-vpa: ## VPA's definitions where they are not there yet, and a VPA of the sample service that only recommends
	kubectl get -f manifests/crds/vpa.yaml >/dev/null 2>&1 || kubectl create -f manifests/crds/vpa.yaml
	kubectl wait --for=condition=Established --timeout=60s -f manifests/crds/vpa.yaml
	kubectl apply -f manifests/samples/vpa-config.yaml

blue-green-deploy: .venv/installed ## a release: IMAGE=… for the Deployment of POLICY=sample; waits for its end
	@test -n "$(IMAGE)" || { echo "which image? make $@ IMAGE=registry/name:tag" >&2; exit 2; }
	kubectl -n $(NAMESPACE) set image deployment/$(or $(DEPLOYMENT),$(POLICY)) '*=$(IMAGE)'
	$(ROLLOUT) wait $(POLICY) -n $(NAMESPACE)

blue-green-rollback: .venv/installed ## all traffic of POLICY=sample back to the stable pods
	$(ROLLOUT) abort $(POLICY) -n $(NAMESPACE)

canary-deploy: blue-green-deploy ## the same: the policy says how

canary-monitor: .venv/installed ## what the release of POLICY=sample does and waits for, every second
	$(ROLLOUT) status $(POLICY) -n $(NAMESPACE) --watch

clean: ## remove .venv and caches of tools (binaries of the test bed stay in their own cache)
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
