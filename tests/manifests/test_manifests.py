"""What an installation consists of fits together: names, ports, flags, roles, certificates."""

import re
import tomllib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapter import __version__
from adapter.rules.config import load
from adapter.settings import Settings, parse
from loadtest.sample.settings import Settings as SampleSettings
from tests.manifests.conftest import Build, files

CUSTOM = {"v1beta1.custom.metrics.k8s.io", "v1beta2.custom.metrics.k8s.io"}
EXTERNAL, RESOURCE = "v1beta1.external.metrics.k8s.io", "v1beta1.metrics.k8s.io"
KUBERNETES_OWN = {("ClusterRole", "system:auth-delegator"), ("Role", "extension-apiserver-authentication-reader")}
FOREIGN_ACCOUNTS = {
    ("kube-system", "horizontal-pod-autoscaler"),
    ("kube-system", "vpa-recommender"),
    ("monitoring", "prometheus-adapter"),
}
ALL = ("resource-metrics", "external-metrics", "otlp", "network-policy", "cert-manager", "reflex")


def object_keys(objects: list[Any]) -> list[Any]:
    return sorted((item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"]) for item in objects)


def settings_of(build: Build) -> Settings:
    """The settings that the Deployment's arguments give; raises where one is unknown."""
    settings, without_effect = parse(build.container["args"])
    assert without_effect == ()
    return settings


# ---- the files


def test_every_file_is_yaml_without_duplicate_objects() -> None:
    for path in files():
        documents = [document for document in yaml.safe_load_all(path.read_text()) if document]
        assert documents, path


def test_every_file_is_named_by_its_kustomization(manifests: Path) -> None:
    """But for the patch that is for `kubectl patch`."""
    for plan in manifests.rglob("kustomization.yaml"):
        text = plan.read_text()
        others = {path.name for path in plan.parent.glob("*.yaml")} - {"kustomization.yaml", "image.yaml"}
        assert others == {name for name in others if name in text}, plan


def test_all_builders_agree(builds: Callable[..., Any], any_overlay: str) -> None:
    """By hand and, where there is one, by kubectl: what the tests rest upon without kubectl is what kubectl makes."""
    first, *rest = ({str(key): item for key, item in by_name(build)} for build in builds(any_overlay))
    for other in rest:
        assert other == first


def by_name(build: Build) -> zip:
    return zip(object_keys(build.objects), sorted(build.objects, key=lambda item: object_keys([item])), strict=True)


def test_no_object_is_there_twice(build: Callable[..., Any], any_overlay: str) -> None:
    names = object_keys(build(any_overlay).objects)
    assert len(names) == len(set(names))


# ---- what calls what


def test_the_services_select_the_pods_and_reach_ports_that_they_have(composed: Callable[..., Any]) -> None:
    build = composed("otlp")
    labels = build.deployment["spec"]["template"]["metadata"]["labels"]
    ports = {port["name"] for port in build.container["ports"]}
    for service in build.of("Service"):
        assert service["spec"]["selector"].items() <= labels.items()
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports


def test_selectors_of_deployment_budget_and_policy_match_the_pods(composed: Callable[..., Any]) -> None:
    build = composed("network-policy")
    labels = build.deployment["spec"]["template"]["metadata"]["labels"]
    selectors = [
        build.deployment["spec"]["selector"],
        build.one("PodDisruptionBudget", "streamgate-adapter")["spec"]["selector"],
        build.one("NetworkPolicy", "streamgate-adapter")["spec"]["podSelector"],
        build.pod["topologySpreadConstraints"][0]["labelSelector"],
    ]
    for selector in selectors:
        assert selector.keys() == {"matchLabels"}
        assert selector["matchLabels"]
        assert selector["matchLabels"].items() <= labels.items()


def test_apiservices_call_a_service_that_is_there_and_are_named_as_they_must(
    build: Callable[..., Any], overlay: str
) -> None:
    installation = build(overlay)
    for item in installation.of("APIService"):
        spec = item["spec"]
        assert item["metadata"]["name"] == f"{spec['version']}.{spec['group']}"
        service = installation.one("Service", spec["service"]["name"])
        assert service["metadata"]["namespace"] == spec["service"]["namespace"]
        assert spec["service"]["port"] in {port["port"] for port in service["spec"]["ports"]}


def test_hpas_are_sent_to_the_newer_version(build: Callable[..., Any], overlay: str) -> None:
    priority = {item["spec"]["version"]: item["spec"]["versionPriority"] for item in build(overlay).of("APIService")
                if item["spec"]["group"] == "custom.metrics.k8s.io"}  # fmt: skip
    assert priority["v1beta2"] > priority["v1beta1"]


@pytest.mark.parametrize(
    ("name", "apis"),
    [
        ("embedded", CUSTOM),
        ("prometheus", CUSTOM),
        ("cert-manager", CUSTOM),
        ("complete", CUSTOM | {EXTERNAL, RESOURCE}),
        ("drop-in", set()),
    ],
)
def test_only_the_overlay_that_says_so_takes_the_place_of_metrics_server_and_keda(
    build: Callable[..., Any], name: str, apis: set[Any]
) -> None:
    assert build(name).apis == apis


# ---- the program


def test_every_flag_is_one_of_the_adapters(build: Callable[..., Any], overlay: str) -> None:
    settings_of(build(overlay))


def test_it_listens_where_it_is_called_and_probed(composed: Callable[..., Any]) -> None:
    build = composed("otlp")
    settings = settings_of(build)
    ports = {port["name"]: port["containerPort"] for port in build.container["ports"]}
    listening = {"https": settings.secure_port, "otlp-grpc": settings.otlp_grpc_port}
    assert ports == {**listening, "otlp-http": settings.otlp_http_port}
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        get = build.container[probe]["httpGet"]
        assert (get["port"], get["scheme"]) == ("https", "HTTPS")
        assert get["path"] in settings.authorization_always_allow_paths


def test_nobody_may_push_but_with_the_component_and_then_there_is_one_replica(
    build: Callable[..., Any], composed: Callable[..., Any]
) -> None:
    closed, opened = build("embedded"), composed("otlp")
    assert (settings_of(closed).otlp_grpc_port, settings_of(closed).otlp_http_port) == (0, 0)
    assert (closed.deployment["spec"]["replicas"], opened.deployment["spec"]["replicas"]) == (2, 1)


def test_the_network_policy_lets_in_what_is_served(composed: Callable[..., Any]) -> None:
    build = composed("otlp", "network-policy")
    rules = build.one("NetworkPolicy", "streamgate-adapter")["spec"]["ingress"]
    allowed = {port["port"] for rule in rules for port in rule["ports"]}
    assert allowed == {port["containerPort"] for port in build.container["ports"]}
    assert "from" not in next(rule for rule in rules if rule["ports"][0]["port"] == settings_of(build).secure_port)


def test_only_mounted_folders_are_written_and_every_mount_has_its_volume(composed: Callable[..., Any]) -> None:
    build = composed(*ALL)
    volumes = {volume["name"] for volume in build.pod["volumes"]}
    mounts = {mount["mountPath"]: mount for mount in build.container["volumeMounts"]}
    assert {mount["name"] for mount in mounts.values()} == volumes
    assert not mounts["/tmp"].get("readOnly")
    assert settings_of(build).cert_dir.startswith("/tmp/")


def test_it_runs_with_no_more_rights_than_a_pod_can_do_with(build: Callable[..., Any], overlay: str) -> None:
    installation = build(overlay)
    pod, container = installation.pod["securityContext"], installation.container["securityContext"]
    assert (pod["runAsNonRoot"], pod["seccompProfile"]) == (True, {"type": "RuntimeDefault"})
    assert container == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    namespace = installation.one("Namespace", installation.deployment["metadata"]["namespace"])
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_memory_is_bounded_and_cpu_is_not_throttled(build: Callable[..., Any], overlay: str) -> None:
    resources = build(overlay).container["resources"]
    assert resources["requests"].keys() == {"cpu", "memory"}
    assert resources["limits"].keys() == {"memory"}


# ---- rights


def test_each_rule_has_its_reason_above_it() -> None:
    seen = 0
    for path in files():
        lines = path.read_text().splitlines()
        for before, line in pairwise(lines):
            if re.match(r"- (apiGroups|nonResourceURLs):", line):
                seen += 1
                assert re.match(r"# \S.{3,}", before), f"{path.name}: no reason above: {line}"
    objects = [item for path in files() for item in yaml.safe_load_all(path.read_text()) if item]
    rules = [rule for item in objects if item.get("kind") in ("ClusterRole", "Role") for rule in item.get("rules", ())]
    assert seen == len(rules) > 0


def test_every_role_only_reads_but_for_events_and_the_one_of_reflex(
    composed: Callable[..., Any], build: Callable[..., Any]
) -> None:
    writes = {"streamgate-adapter-reflex": (["horizontalpodautoscalers"], ["patch"])}
    for installation in (composed(*ALL), build("drop-in")):
        for role in installation.of("ClusterRole", "Role"):
            allowed = writes.get(role["metadata"]["name"], (["events"], ["create"]))
            for rule in role["rules"]:
                assert set(rule["verbs"]) <= {"get", "list", "watch"} or (rule["resources"], rule["verbs"]) == allowed
                if "*" in rule.get("resources", ()):
                    assert rule["apiGroups"] in (["custom.metrics.k8s.io"], ["external.metrics.k8s.io"])
                assert "secrets" not in rule.get("resources", ())


def test_bindings_name_roles_and_accounts_that_are_there(build: Callable[..., Any], any_overlay: str) -> None:
    installation = build(any_overlay)
    roles = {
        (item["kind"], item["metadata"]["name"]) for item in installation.of("ClusterRole", "Role")
    } | KUBERNETES_OWN
    accounts = FOREIGN_ACCOUNTS | {
        (item["metadata"]["namespace"], item["metadata"]["name"]) for item in installation.of("ServiceAccount")
    }
    bindings = installation.of("ClusterRoleBinding", "RoleBinding")
    assert bindings
    for binding in bindings:
        assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) in roles
        for subject in binding["subjects"]:
            assert (subject["namespace"], subject["name"]) in accounts


def test_the_pods_run_under_the_account_that_has_the_rights(build: Callable[..., Any], overlay: str) -> None:
    installation = build(overlay)
    name, namespace = installation.pod["serviceAccountName"], installation.deployment["metadata"]["namespace"]
    held = {
        binding["roleRef"]["name"]
        for binding in installation.of("ClusterRoleBinding", "RoleBinding")
        if (namespace, name) in {(subject["namespace"], subject["name"]) for subject in binding["subjects"]}
    }
    assert {"streamgate-adapter", *(name for _, name in KUBERNETES_OWN)} <= held
    assert installation.pod["automountServiceAccountToken"]


def test_the_reader_of_the_clusters_cas_stays_in_kube_system(build: Callable[..., Any], overlay: str) -> None:
    (binding,) = build(overlay).of("RoleBinding")
    assert binding["metadata"]["namespace"] == "kube-system"


# ---- certificates


def test_with_cert_manager_every_apiservice_verifies_a_certificate_that_is_made(composed: Callable[..., Any]) -> None:
    build = composed(*ALL)
    assert len(build.apis) == 4
    for item in build.of("APIService"):
        assert "insecureSkipTLSVerify" not in item["spec"]
        namespace, name = item["metadata"]["annotations"]["cert-manager.io/inject-ca-from"].split("/")
        certificate = build.one("Certificate", name)
        service = item["spec"]["service"]
        assert certificate["metadata"]["namespace"] == namespace
        assert f"{service['name']}.{service['namespace']}.svc" in certificate["spec"]["dnsNames"]


def test_with_cert_manager_the_adapter_serves_that_certificate(build: Callable[..., Any]) -> None:
    installation = build("cert-manager")
    settings, secret = (
        settings_of(installation),
        installation.one("Certificate", "streamgate-adapter")["spec"]["secretName"],
    )
    (volume,) = (item for item in installation.pod["volumes"] if item.get("secret") == {"secretName": secret})
    (mount,) = (item for item in installation.container["volumeMounts"] if item["name"] == volume["name"])
    assert settings.tls_cert_file == f"{mount['mountPath']}/tls.crt"
    assert settings.tls_private_key_file == f"{mount['mountPath']}/tls.key"


def test_every_issuer_that_a_certificate_names_is_there(build: Callable[..., Any]) -> None:
    installation = build("cert-manager")
    for certificate in installation.of("Certificate"):
        installation.one("Issuer", certificate["spec"]["issuerRef"]["name"])
    made = {item["spec"]["secretName"] for item in installation.of("Certificate") if item["spec"].get("isCA")}
    assert {
        issuer["spec"]["ca"]["secretName"] for issuer in installation.of("Issuer") if "ca" in issuer["spec"]
    } == made


def test_without_it_the_certificate_is_not_verified(build: Callable[..., Any]) -> None:
    for item in build("complete").of("APIService"):
        assert item["spec"]["insecureSkipTLSVerify"] is True


# ---- rules files in ConfigMaps


@pytest.mark.parametrize("name", ["complete", "prometheus"])
def test_the_rules_file_is_mounted_where_it_is_read_and_has_no_problems(build: Callable[..., Any], name: str) -> None:
    installation = build(name)
    settings = settings_of(installation)
    (volume,) = (item for item in installation.pod["volumes"] if "configMap" in item)
    (mount,) = (item for item in installation.container["volumeMounts"] if item["name"] == volume["name"])
    folder, file = settings.config.rsplit("/", 1)
    rules = load(installation.one("ConfigMap", volume["configMap"]["name"])["data"][file], name)
    assert mount["mountPath"] == folder
    assert rules.problems == ()
    assert rules.custom


def test_an_api_is_registered_only_where_the_rules_have_something_for_it(
    build: Callable[..., Any], overlay: str
) -> None:
    """With a file its sections are served; without one custom metrics, and the kubelets' CPU and memory."""
    installation = build(overlay)
    maps = installation.of("ConfigMap")
    if not maps:
        assert not settings_of(installation).prometheus_url
        assert EXTERNAL not in installation.apis
        return
    rules = load(maps[0]["data"]["config.yaml"], overlay)
    assert (EXTERNAL in installation.apis) == bool(rules.external)
    assert (RESOURCE in installation.apis) == bool(rules.resource)


# ---- the drop-in


def test_the_drop_in_changes_the_image_and_adds_rights_under_names_of_its_own(
    build: Callable[..., Any], manifests: Path
) -> None:
    installation = build("drop-in")
    assert {item["kind"] for item in installation.objects} == {"ClusterRole", "ClusterRoleBinding"}
    assert {item["metadata"]["name"] for item in installation.objects} == {"streamgate-drop-in"}
    patch = yaml.safe_load((manifests / "overlays/drop-in/image.yaml").read_text())
    image = build("embedded").container["image"]
    container = {"name": "prometheus-adapter", "image": image}
    assert patch == {"spec": {"template": {"spec": {"containers": [container]}}}}


# ---- the image


def test_the_images_tag_is_the_projects_version(build: Callable[..., Any], overlay: str, manifests: Path) -> None:
    image = f"streamgate/adapter:{__version__}"
    assert build(overlay).container["image"] == image
    assert image in (manifests.parent / "Dockerfile").read_text()


def test_the_image_holds_what_is_copied_runs_as_the_pods_user_and_starts_the_adapter(
    build: Callable[..., Any], manifests: Path
) -> None:
    top = manifests.parent
    text = (top / "Dockerfile").read_text()
    sources = [word for line in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE) for word in line.split()]
    ignored = (top / ".dockerignore").read_text().splitlines()
    assert sources
    for source in sources:
        assert (top / source).exists()
        assert f"!{source}" in ignored
    context = build("embedded").pod["securityContext"]
    assert f"USER {context['runAsUser']}:{context['runAsGroup']}\n" in text
    entries = re.findall(r'ENTRYPOINT \["(.+)"\]', text)
    scripts = tomllib.loads((top / "pyproject.toml").read_text())["project"]["scripts"]
    # the last is what is built by default
    assert entries == ["streamgate-recommender", "streamgate-rollout", "streamgate-adapter"]
    for_people = {name for name in scripts if name.startswith("kubectl-")} | {"streamgate-doctor", "streamgate-console"}
    assert set(entries) == scripts.keys() - for_people


def test_the_image_is_installed_from_constraints_and_without_extras(manifests: Path) -> None:
    text = (Path(manifests).parent / "Dockerfile").read_text()
    needed, own = re.findall(r"pip install --no-cache-dir (.*)", text)
    assert "['project']['dependencies']" in text
    assert needed == "--constraint constraints.txt --requirement needed.txt prometheus-api-client"
    assert own == "--no-deps --prefix /program ."


def test_the_samples_variables_are_settings_of_the_sample(manifests: Path) -> None:
    app = next(yaml.safe_load_all((manifests / "samples/app.yaml").read_text()))
    (container,) = app["spec"]["template"]["spec"]["containers"]
    values = {item["name"].lower(): item["value"] for item in container["env"]}
    assert SampleSettings().with_values(values, only=list(values)).slots == 8
