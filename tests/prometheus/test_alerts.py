"""Every alert: which series make it fire, with which sentence, and which like them do not. By promtool."""

import re
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.cluster import packages
from tests.manifests.conftest import MANIFESTS, TOP
from tests.manifests.exposed import rules

RULES = MANIFESTS / "components" / "alerts" / "rules.yaml"
ALERTS = {rule["alert"]: rule for rule in rules() if "alert" in rule}

Series = dict[str, str]
"""Series -> its values, one a minute, in promtool's notation."""


class Case(NamedTuple):
    alert: str
    after: int
    """Minutes until it must have fired."""
    fires: Series
    quiet: Series
    """The same but for what makes it fire."""
    labels: dict[str, str]
    says: str


def deployment(name: str) -> str:
    return f'kube_deployment_status_replicas_available{{namespace="sg",deployment="{name}"}}'


def adapter(name: str, **labels: str) -> str:
    return series(f"streamgate_{name}", namespace="sg", pod="a", **labels)


def series(name: str, **labels: str) -> str:
    return name + "{" + ",".join(f'{label}="{value}"' for label, value in labels.items()) + "}"


def hpa(name: str, **labels: str) -> str:
    return series(f"kube_horizontalpodautoscaler_{name}", namespace="shop", horizontalpodautoscaler="web", **labels)


def recommender(name: str, **labels: str) -> str:
    return series(f"streamgate_recommender_{name}", namespace="vpa", pod="r", **labels)


def rollout(name: str, **labels: str) -> str:
    return series(f"streamgate_rollout_{name}", namespace="shop", policy="web", **labels)


def controller(name: str, **labels: str) -> str:
    return series(f"streamgate_rollout_{name}", namespace="sg", pod="c", **labels)


def replicas_wanted(name: str) -> str:
    return f'kube_deployment_spec_replicas{{namespace="sg",deployment="{name}"}}'


def pod_requests(cores: str, namespace: str = "shop", runs: str = "1x200") -> Series:
    """One pod that runs and asks for so much CPU, and for 10 GiB."""
    pod = {"namespace": namespace, "pod": "web-1"}
    return {
        series("kube_pod_container_resource_requests", **pod, container="web", resource="cpu", unit="core"): cores,
        series("kube_pod_container_resource_requests", **pod, container="web", resource="memory", unit="byte"): (
            f"{10 * 2**30}x200"
        ),
        series("kube_pod_status_phase", **pod, phase="Running"): runs,
        series("kube_pod_status_phase", **pod, phase="Pending"): "0x200",
    }


def failing_queries(failed: int, rule: str = "rules[0]") -> Series:
    """A hundred queries a minute, of which `failed` fail."""
    return {
        adapter("source_queries_total", rule=rule, kind="pods"): "0+100x30",
        adapter("source_query_errors_total", rule=rule, kind="pods"): f"0+{failed}x30",
    }


def buckets(name: str, *, until: str, past: str, each: int = 10, **labels: str) -> Series:
    """`each` observations a minute, between two bounds of the histogram."""
    return {
        series(f"{name}_bucket", **labels, le=until): "0x200",
        series(f"{name}_bucket", **labels, le=past): f"0+{each}x200",
        series(f"{name}_bucket", **labels, le="+Inf"): f"0+{each}x200",
    }


def query_times(until: str, past: str) -> Series:
    name = "streamgate_source_query_duration_seconds"
    return buckets(name, until=until, past=past, namespace="sg", pod="a", rule="rules[0]")


def ages(until: str, past: str) -> Series:
    name = "metrics_apiserver_metric_freshness_seconds"
    return buckets(name, until=until, past=past, namespace="sg", pod="a", group="custom.metrics.k8s.io")


def hourly(hours: int) -> str:
    """A counter that rises by one each hour."""
    return " ".join(f"{hour}x59" for hour in range(hours))


def returns(until: str, past: str) -> Series:
    return buckets("streamgate_rollout_return_seconds", until=until, past=past, namespace="sg", pod="c")


SG, POD, WEB = {"namespace": "sg"}, {"namespace": "sg", "pod": "a"}, {"namespace": "shop", "policy": "web"}
HPA, REC = {"namespace": "shop", "horizontalpodautoscaler": "web"}, {"namespace": "vpa", "pod": "r"}
GROUP = {"namespace": "sg", "group": "custom.metrics.k8s.io"}


def down(name: str, quiet: Series) -> Case:
    """A Deployment of that name without a replica, of two that are wanted."""
    says = f"No replica of {name} in namespace sg is available."
    return Case(
        "StreamgateDown",
        4,
        {deployment(name): "2 0x10", replicas_wanted(name): "2x11"},
        quiet,
        SG | {"deployment": name},
        says,
    )


CASES = [
    # 100 cores at 0.03 and 10 GiB at 0.004 are 3.04 an hour, for two hours; 200 cores are 6.04, which is more than
    # 1.5 × 3.04 = 4.56; 140 are 4.24
    Case(
        "StreamgateCostSpike", 137,
        pod_requests("100x119 200x60"), pod_requests("100x119 140x60"), {"namespace": "shop"},
        "What the pods of namespace shop ask for costs 6.04 an hour, at least half as much again as over the last day.",
    ),
    # a namespace that is new after an hour, at 3.04 an hour; where no other was there before it, the rules are new
    Case(
        "StreamgateCostSpike", 80, pod_requests("1x200") | pod_requests("_x61 100x60", "new", "_x61 1x60"),
        pod_requests("_x61 100x60", "new", "_x61 1x60"), {"namespace": "new"},
        "What the pods of namespace new ask for costs 3.04 an hour, at least half as much again as over the last day.",
    ),
    # 1,000 cores are 30.04; 30 are 0.94, so not one more in money
    Case(
        "StreamgateCostSpike", 80, pod_requests("1x200") | pod_requests("_x61 1000x60", "new", "_x61 1x60"),
        pod_requests("1x200") | pod_requests("_x61 30x60", "new", "_x61 1x60"), {"namespace": "new"},
        "What the pods of namespace new ask for costs 30.04 an hour, at least half as much again as over the last day.",
    ),
    Case(
        "StreamgateDown", 4, {deployment("streamgate-adapter"): "2 0x10"}, {deployment("streamgate-adapter"): "2 1x10"},
        SG | {"deployment": "streamgate-adapter"}, "No replica of streamgate-adapter in namespace sg is available.",
    ),
    down("prod-streamgate-adapter", {deployment("prod-grafana-adapter"): "0x10"}),  # helm install prod
    down("streamgate-eu-rollout", {deployment("streamgate-eu-console"): "0x10"}),  # helm install streamgate-eu
    down(
        "prometheus-adapter", {deployment("prometheus-adapter"): "0x10", replicas_wanted("prometheus-adapter"): "0x10"}
    ),
    down("vpa-recommender", {deployment("vpa-recommender"): "0x10", replicas_wanted("vpa-recommender"): "0x10"}),
    Case(
        "StreamgateSourceFailing", 10, failing_queries(75), failing_queries(50), SG | {"rule": "rules[0]"},
        "75% of the queries of rule rules[0] fail: HPAs on it hold their size.",
    ),
    # all between 2.5 and 5 s: the 95th of 100 is at 2.5 + 0.95 × 2.5 = 4.875
    Case(
        "StreamgateSourceSlow", 20, query_times("2.5", "5"), query_times("0.5", "1"), SG | {"rule": "rules[0]"},
        "One query in twenty of rule rules[0] takes more than 4.875s.",
    ),
    Case(
        "StreamgateNothingOnOffer", 11, {adapter("offers", group="custom.metrics.k8s.io"): "0x20"},
        {adapter("offers", group="custom.metrics.k8s.io"): "1x20"}, GROUP,
        "The adapter has no metric on offer in custom.metrics.k8s.io, so its rules and the series do not meet.",
    ),
    Case(
        "StreamgateLookUpsFailing", 25, {adapter("relist_errors_total", rule="rules[1]"): "0+1x40"},
        {adapter("relist_errors_total", rule="rules[1]"): "0x10 1x30"}, SG | {"rule": "rules[1]"},
        "The look-up of series for rule rules[1] fails: new metrics do not appear.",
    ),
    # between 89.9 and 122.6 s: 89.9 + 0.95 × 32.7 = 120.965
    Case(
        "StreamgateStaleValues", 20, ages("89.9", "122.6"), ages("20", "30"), GROUP,
        "One answer in twenty of custom.metrics.k8s.io has a value older than 2m 0s.",
    ),
    Case(
        "StreamgateUncoveredRequests", 22, {adapter("uncovered_requests_total", group=GROUP["group"]): "0+120x40"},
        {adapter("uncovered_requests_total", group=GROUP["group"]): "0+60x40"}, GROUP,
        "2.0 requests a second of custom.metrics.k8s.io wait for the source, as no plan covers them.",
    ),
    Case(
        "StreamgateRequestsRefused", 10, {adapter("requests_refused_total"): "0+60x20"},
        {adapter("requests_refused_total"): "60x20"}, SG,
        "The adapter refuses 1.0 requests a second, as too many are in progress.",
    ),
    Case(
        "StreamgateScrapesFailing", 12, {adapter("scrape_targets_failing"): "5x20", adapter("scrape_targets"): "20x20"},
        {adapter("scrape_targets_failing"): "2x20", adapter("scrape_targets"): "20x20"}, POD,
        "The last scrape of 25% of the targets failed, as a sees them.",
    ),
    Case(
        "StreamgateStoreFull", 8, {adapter("store_refused_samples"): "0+10x20"},
        {adapter("store_refused_samples"): "10x20"}, POD,
        "The embedded store of a is at its limit of series and refuses samples of new ones.",
    ),
    Case(
        "StreamgateKubernetesSilent", 10, {adapter("informer_hpas_age_seconds"): "0+60x20"},
        {adapter("informer_hpas_age_seconds"): "60x20"}, POD,
        "The API server has told a nothing of pods or HPAs for 10m 0s.",
    ),
    Case(
        "StreamgateReviewsFailing", 10,
        {
            adapter("authentications_total", result="error"): "0x20",
            adapter("authorizations_total", result="error"): "0+1x20",
        },
        {
            adapter("authentications_total", result="error"): "0x20",
            adapter("authorizations_total", result="error"): "1x20",
            adapter("authorizations_total", result="denied"): "0+9x20",
        },
        SG, "The API server cannot be asked who may read metrics: requests are answered with an error.",
    ),
    Case(
        "StreamgateReviewsFailing", 10, {adapter("authorizations_total", result="error"): "0+1x20"},
        {adapter("authorizations_total", result="allowed"): "0+1x20"},
        SG, "The API server cannot be asked who may read metrics: requests are answered with an error.",
    ),
    Case(
        "StreamgateJobsFailing", 25, {adapter("job_failures_total"): "0+1x40"},
        {adapter("job_failures_total"): "0x10 1x30"}, POD,
        "Jobs of a failed 15 times in 15 minutes and were started again.",
    ),
    Case(
        "StreamgateEventLoopHeld", 6, {adapter("event_loop_lateness_seconds"): "2x20"},
        {adapter("event_loop_lateness_seconds"): "0.5x20"}, POD, "The event loop of a is held for 2s at a time.",
    ),
    Case(
        "StreamgateHPAStarves", 6,
        {
            hpa("status_condition", condition="ScalingActive", status="false"): "1x20",
            hpa("status_current_replicas"): "3x20",
        },
        {
            hpa("status_condition", condition="ScalingActive", status="false"): "1x20",
            hpa("status_current_replicas"): "0x20",
        },
        HPA, "HPA shop/web gets no metric and does not scale.",
    ),
    Case(
        "StreamgateHPAAtMaximum", 31,
        {hpa("status_current_replicas"): "5x60", hpa("spec_max_replicas"): "5x60", hpa("spec_min_replicas"): "1x60"},
        {hpa("status_current_replicas"): "5x60", hpa("spec_max_replicas"): "5x60", hpa("spec_min_replicas"): "5x60"},
        HPA, "HPA shop/web has been at its maxReplicas for half an hour.",
    ),
    # 1 2 1 2 …: thirty minutes hold 30 changes
    Case(
        "StreamgateHPAFlaps", 40, {hpa("status_desired_replicas"): " ".join(["1 2"] * 30)},
        {hpa("status_desired_replicas"): " ".join(["1 1 1 2 2 2"] * 10)}, HPA,
        "HPA shop/web changed its mind 30 times in half an hour.",
    ),
    Case(
        "StreamgateRecommenderIdle", 6, {recommender("leading"): "0x20"}, {recommender("leading"): "1x20"},
        {"namespace": "vpa"}, "No recommender in namespace vpa holds the lease, so nobody writes recommendations.",
    ),
    Case(
        "StreamgateRecommenderStuck", 20,
        {recommender("leading"): "1x40", recommender("last_loop_timestamp_seconds"): "0x40"},
        {recommender("leading"): "0x40", recommender("last_loop_timestamp_seconds"): "0x40"}, REC,
        "The recommender r has ended no loop for 20m 0s.",
    ),
    Case(
        "StreamgateRecommenderBlind", 20,
        {recommender("leading"): "1x40", recommender("last_metrics_timestamp_seconds"): "0x40"},
        {recommender("leading"): "1x40", recommender("last_metrics_timestamp_seconds"): "0+60x40"}, REC,
        "The recommender r has had no usage for 20m 0s: metrics.k8s.io does not answer.",
    ),
    Case(
        "StreamgateRecommenderWritesFailing", 25,
        {recommender("writes_total", object="status", result="failed"): "0+1x40"},
        {recommender("writes_total", object="status", result="good"): "0+1x40"},
        {"namespace": "vpa", "object": "status"}, "The recommender cannot write objects of kind status.",
    ),
    Case(
        "StreamgateRecommenderOOMKills", 60, {recommender("oom_kills_total"): "0x30 6x40"},
        {recommender("oom_kills_total"): "0x30 5x40"}, {"namespace": "vpa"},
        "Containers with a VPA were killed for their memory 6 times within an hour.",
    ),
    # the counter begins at 1: the first rollback of a policy
    Case(
        "StreamgateRolledBack", 25, {rollout("releases_total", outcome="RolledBack"): "_x19 1x20"},
        {
            rollout("releases_total", outcome="RolledBack"): "1x40",
            rollout("releases_total", outcome="Promoted"): "_x19 1x20",
            series(
                "streamgate_rollout_releases_total", namespace="shop", policy="new", outcome="RolledBack"
            ): "_x19 0x20",
        },
        WEB, "A release of policy shop/web was rolled back by its gates.",
    ),
    Case(
        "StreamgateReleaseStuck", 31, {rollout("phase", phase="Removing"): "1x40"},
        {rollout("phase", phase="Stepping"): "1x40", rollout("phase", phase="Idle"): "1x40"},
        WEB | {"phase": "Removing"}, "The release of policy shop/web has been in phase Removing for half an hour.",
    ),
    Case(
        "StreamgateReleaseUndecided", 390,  # they were in favour until minute 11, which counts for 15, and then 6 h
        {rollout("undecided"): "1x400", rollout("verdicts_total", verdict="promote"): "0x10 1x390"},
        {
            # eight steps of an hour, at the end of each of which the gates were in favour for less than a scrape
            rollout("undecided"): "1x400", rollout("verdicts_total", verdict="promote"): hourly(8),
            # a step of a week whose gates are in favour
            series("streamgate_rollout_undecided", namespace="shop", policy="slow"): "0x400",
            series("streamgate_rollout_phase", namespace="shop", policy="slow", phase="Stepping"): "1x400",
        },
        WEB, "The gates of policy shop/web have been neither for nor against its release for six hours.",
    ),
    # between 10 and 30 s: the 90th of 100 is at 10 + 0.9 × 20 = 28
    Case(
        "StreamgateRollbackSlow", 61, returns("10", "30"), returns("2", "5"), SG,
        "Traffic needed 28s to leave pods that a verdict was against.",
    ),
    Case(
        "StreamgateTurnsFailing", 21,
        {controller("turns_total", result="failed"): "0+30x40", controller("turns_total", result="ok"): "0+30x40"},
        {controller("turns_total", result="failed"): "0+10x40", controller("turns_total", result="ok"): "0+50x40"},
        SG, "50% of the turns of the rollout controller fail: releases stand still.",
    ),
    Case(
        "StreamgateNotificationsLost", 20, {controller("notifications_total", result="dropped"): "0x10 1x30"},
        {controller("notifications_total", result="sent"): "0x10 1x30"}, SG, "Notifications of releases do not arrive.",
    ),
]  # fmt: skip
RUNBOOKS = (TOP / "docs" / "runbooks.md").read_text()


def group(name: str, case: Case, given: Series, expected: list[Any]) -> dict[str, Any]:
    """One of promtool's tests: after so many minutes exactly the expected alerts fire."""
    return {
        "name": name,
        "interval": "1m",
        "input_series": [{"series": written, "values": values} for written, values in given.items()],
        "alert_rule_test": [{"eval_time": f"{case.after}m", "alertname": case.alert, "exp_alerts": expected}],
    }


def expected_alert(case: Case) -> dict[str, Any]:
    rule = ALERTS[case.alert]
    told = {"summary": case.says, "runbook_url": rule["annotations"]["runbook_url"]}
    return {"exp_labels": {**case.labels, **rule["labels"]}, "exp_annotations": told}


def run_promtool(folder: Path, groups: list[dict[str, Any]]) -> str:
    """promtool's verdict over all groups, in one run: it reads the rules once. '' where all hold."""
    file = folder / "test.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": groups}))
    promtool = packages.ensure(["promtool"])["promtool"]
    done = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True, check=False, timeout=50)
    return done.stdout + done.stderr if done.returncode or done.stderr else ""


@pytest.fixture(scope="module")
def loud(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Over all alerts with what makes them fire."""
    groups = [group(f"<{case.alert} fires>", case, case.fires, [expected_alert(case)]) for case in CASES]
    return run_promtool(tmp_path_factory.mktemp("loud"), groups)


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Over all alerts without."""
    groups = [group(f"<{case.alert} is silent>", case, case.quiet, []) for case in CASES]
    return run_promtool(tmp_path_factory.mktemp("quiet"), groups)


def test_all_alerts_fire_by_their_cause(loud: str) -> None:
    assert loud == ""


def test_no_alert_fires_without_its_cause(quiet: str) -> None:
    assert quiet == ""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.alert)
def test_an_alert_fires_with_its_sentence_and_not_where_all_but_its_cause_is_the_same(
    case: Case, loud: str, quiet: str
) -> None:
    """promtool names only what failed."""
    assert f"<{case.alert} " not in loud + quiet


def test_every_alert_has_its_case() -> None:
    assert list(dict.fromkeys(case.alert for case in CASES)) == list(ALERTS)


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_has_its_runbook_with_what_is_seen_where_to_look_and_what_helps(alert: str) -> None:
    link = ALERTS[alert]["annotations"]["runbook_url"]
    assert link == f"docs/runbooks.md#{alert.lower()}"
    (section,) = re.findall(rf"^## {alert}\n(.*?)(?=^## |\Z)", RUNBOOKS, re.MULTILINE | re.DOTALL)
    assert all(f"**{part}.**" in section for part in ("Seen", "Look", "Helps"))


def test_no_runbook_is_left_over() -> None:
    assert re.findall(r"^## (Streamgate\w+)$", RUNBOOKS, re.MULTILINE) == list(ALERTS)
