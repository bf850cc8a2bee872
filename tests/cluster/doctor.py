"""What is wrong with a cluster, planted; and the doctor that has to find it."""

import base64
import datetime
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.cluster.adapter import ROOT, hpa, pods_metric
from tests.cluster.images import PAUSE
from tests.cluster.kubectl import Kubectl
from tests.cluster.manifests import Manifest, sample_deployment, service
from tests.cluster.processes import wait_until

OLD, SKEWED = "v1beta1.custom.metrics.k8s.io", "skewed-clock"
RULE = 'rules:\n- {{seriesQuery: a_total, name: {{as: {}}}, metricsQuery: "sum(<<.Series>>) by (<<.GroupBy>>)"}}\n'


class Told(NamedTuple):
    """What the doctor said: its exit code and its report."""

    code: int
    report: dict[str, Any]
    errors: str

    @property
    def found(self) -> dict[tuple[str, str], str]:
        """(about, object) -> the next commands, one below the other."""
        said: dict[tuple[str, str], str] = {}
        for each in self.report.get("findings", ()):
            key = each["about"], each["object"]
            said[key] = "\n".join(filter(None, [said.get(key, ""), each["next"]]))
        return said

    def says(self, about: str, name: str) -> str:
        """The sentences about an object."""
        findings = self.report["findings"]
        return "\n".join(each["says"] for each in findings if (each["about"], each["object"]) == (about, name))


def look(kubeconfig: Path, *flags: str) -> Told:
    """One look."""
    done = subprocess.run(
        [sys.executable, "-m", "adapter.doctor", f"--kubeconfig={kubeconfig}", "--output=json", *flags],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    return Told(done.returncode, json.loads(done.stdout or "{}"), done.stderr)


def until(kubeconfig: Path, true: Callable[[Told], bool], seconds: float) -> Told:
    """Looks until it is true, or the time is over; the last look."""
    last: list[Told] = []

    def look_again() -> bool:
        last.append(look(kubeconfig))
        return true(last[-1])

    wait_until(look_again, seconds, every=0.5)
    return last[-1]


def stand_in(name: str, namespace: str, *flags: str, volumes: Manifest | None = None) -> Manifest:
    """A Deployment that looks like one of our programs: its label, its account, its flags. It only sleeps."""
    labels = {"app.kubernetes.io/name": name}
    mounts = {"config": "/etc/adapter", "tls": "/etc/tls"}
    container = {
        "name": "program",
        "image": PAUSE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/busybox", "sh", "-c", "sleep 1000"],
        "args": list(flags),
        "volumeMounts": [{"name": each, "mountPath": mounts[each]} for each in volumes or {}],
    }
    pod = {
        "serviceAccountName": name,
        "terminationGracePeriodSeconds": 0,
        "containers": [container],
        "volumes": [{"name": each, **source} for each, source in (volumes or {}).items()],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def rules(name: str, namespace: str, metric: str) -> Manifest:
    """A ConfigMap with a rules file of one rule, whose metric has that name."""
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"config.yaml": RULE.format(metric)}}


def account(name: str, namespace: str) -> Manifest:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}}


def expired_certificate(name: str) -> str:
    """A certificate that is its own CA and ran out yesterday; PEM in base64."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    built = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    built = built.not_valid_before(now - datetime.timedelta(days=9)).not_valid_after(now - datetime.timedelta(days=1))
    return base64.b64encode(built.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)).decode()


def api_service(name: str, served_in: str, by: str, **spec: Any) -> Manifest:
    version, _, group = name.partition(".")
    given = {"group": group, "version": version, "groupPriorityMinimum": 100, "versionPriority": 100}
    given |= {"service": {"namespace": served_in, "name": by, "port": 443}}
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": name},
        "spec": given | (spec or {"insecureSkipTLSVerify": True}),
    }


def programs_without_rights(bed: Kubectl, sick: str) -> None:
    """Two programs whose accounts may nothing; a rule that finds nothing; a certificate that ran out."""
    tls = {"tls.crt": expired_certificate("adapter"), "tls.key": base64.b64encode(b"none").decode()}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tls", "namespace": sick}, "data": tls}
    volumes = {"config": {"configMap": {"name": "rules"}}, "tls": {"secret": {"secretName": "tls"}}}
    flags = ("--config=/etc/adapter/config.yaml", "--tls-cert-file=/etc/tls/tls.crt")
    bed.apply([
        *(account(f"streamgate-{name}", sick) for name in ("adapter", "recommender")),
        secret,
        rules("rules", sick, "never_there"),
        stand_in("streamgate-adapter", sick, *flags, volumes=volumes),
        stand_in("streamgate-recommender", sick, "--leader-elect"),
    ])  # fmt: skip


def autoscalers_at_odds(bed: Kubectl, sick: str) -> None:
    """Two HPAs on one target, of which one starves, and a VPA that moves what the other measures by."""
    cpu = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    first, second = hpa("by-cpu", sick, cpu), hpa("by-nothing", sick, pods_metric("no_such_metric", "5"))
    for each in (first, second):
        each["spec"]["scaleTargetRef"] = target
    vpa = {
        "apiVersion": "autoscaling.k8s.io/v1",
        "kind": "VerticalPodAutoscaler",
        "metadata": {"name": "web", "namespace": sick},
        "spec": {"targetRef": target, "updatePolicy": {"updateMode": "Recreate"}},
    }
    bed.apply([*sample_deployment("web", sick), first, second, vpa])


def policy(name: str, namespace: str, target: str) -> Manifest:
    meta = {"name": name, "namespace": namespace}
    spec = {"targetRef": {"name": target}, "canary": {"steps": [{"weight": 25}]}}
    return {"apiVersion": "streamgate.io/v1alpha1", "kind": "RolloutPolicy", "metadata": meta, "spec": spec}


def apis_by_the_wrong_server(bed: Kubectl, sick: str) -> None:
    """The older custom metrics by a Service without endpoints, with a CA that ran out; another by no Service."""
    bed.apply([
        service("empty", sick, {"app": "nobody"}) | {"spec": {"selector": {"app": "nobody"}, "ports": [{"port": 443}]}},
        api_service(OLD, sick, "empty", caBundle=expired_certificate("another CA")),
        api_service("v1.absent.doctor.test", sick, "absent"),
    ])  # fmt: skip


def clock_ahead(bed: Kubectl) -> None:
    """A node whose kubelet renewed its Lease two minutes from now."""
    no_pods = [{"key": "doctor.test/no-pods", "effect": "NoSchedule"}]
    bed.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": SKEWED}, "spec": {"taints": no_pods}})
    ahead = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=2)
    lease = {"holderIdentity": SKEWED, "leaseDurationSeconds": 40, "renewTime": f"{ahead:%Y-%m-%dT%H:%M:%S.%fZ}"}
    meta = {"name": SKEWED, "namespace": "kube-node-lease"}
    bed.apply({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta, "spec": lease})
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "as it says itself"}
    patch = json.dumps({"status": {"conditions": [ready]}})
    bed.kubectl("patch", "node", SKEWED, "--subresource=status", "--type=strategic", "-p", patch)


SENTENCES = [
    ("api", "APIService v1.absent.doctor.test", "ServiceNotFound"),
    ("api", "API custom.metrics.k8s.io", "its versions have two servers"),
    ("certificate", f"APIService {OLD}", "its caBundle ran out on"),
    ("certificate", f"APIService {OLD}", "is not the CA of the certificate in Secret"),
    ("certificate", "Secret {}/tls", "the serving certificate ran out on"),
    ("program", "Lease {}/streamgate-recommender", "nobody acts: nobody ever held it"),
    ("rights", "Deployment {}/streamgate-adapter", "may not get pods, list pods, watch pods"),
    ("rules", "rules of adapter {}/streamgate-adapter", "finds nothing: no metric by the name 'never_there'"),
    ("rules", "metric pods/no_such_metric", "it is not on offer"),
    ("hpa", "HPA {}/by-nothing", "it gets no metric and holds its size: GET /apis/custom.metrics.k8s.io"),
    ("hpa", "Deployment {}/web", "2 HPAs scale it against each other: by-cpu, by-nothing"),
    ("vpa", "VPA {}/web", "it changes the requests of cpu by which HPA by-cpu measures"),
    ("release", "RolloutPolicy {}/refused", "it cannot be followed: no Service selects the pods of Deployment lonely"),
    ("release", "RolloutPolicy {}/waits", "in phase Starting it has waited for 20 minutes: no pod is available"),
    ("clock", f"Node {SKEWED}", "s ahead of the API server's"),
]  # fmt: skip


def expected_commands(sick: str) -> dict[tuple[str, str], str]:
    """(about, object) -> the next command, of each fault."""
    user = f"--as=system:serviceaccount:{sick}:streamgate"
    servers = f"kubectl -n {sick} get service,endpointslices,pods"
    bundle = f"kubectl get apiservice {OLD} -o jsonpath='{{.spec.caBundle}}' | base64 -d | openssl x509 -noout -dates"
    secret = f"kubectl -n {sick} get secret tls -o go-template='{{{{index .data \"tls.crt\"}}}}'"
    asked = f"/apis/custom.metrics.k8s.io/v1beta2/namespaces/{sick}/pods/*/no_such_metric?labelSelector=app%3Dweb"
    return {
        ("api", "APIService v1.absent.doctor.test"): servers,
        ("api", f"APIService {OLD}"): servers,
        ("api", "API custom.metrics.k8s.io"): "kubectl get apiservices | grep custom.metrics.k8s.io",
        ("certificate", f"APIService {OLD}"): f"{bundle}\n"
        f"kubectl get apiservice {OLD} -o yaml | grep -e inject-ca-from -e caBundle",
        ("certificate", f"Secret {sick}/tls"): f"{secret} | base64 -d | openssl x509 -noout -dates",
        ("program", f"Lease {sick}/streamgate-recommender"):
            f"kubectl -n {sick} get lease streamgate-recommender -o yaml",
        ("rights", f"Deployment {sick}/streamgate-adapter"): f"kubectl auth can-i get pods -A {user}-adapter",
        ("rights", f"Deployment {sick}/streamgate-recommender"):
            f"kubectl auth can-i list verticalpodautoscalers.autoscaling.k8s.io -A {user}-recommender",
        ("rules", f"rules of adapter {sick}/streamgate-adapter"):
            "streamgate-adapter check --config=RULES --prometheus-url=URL",
        ("rules", "metric pods/no_such_metric"):
            "kubectl get --raw /apis/custom.metrics.k8s.io/v1beta2 | jq -r '.resources[].name'",
        ("hpa", f"HPA {sick}/by-nothing"): f"kubectl get --raw '{asked}'",
        ("hpa", f"Deployment {sick}/web"): f"kubectl -n {sick} get hpa by-cpu by-nothing",
        ("vpa", f"VPA {sick}/web"): f"kubectl -n {sick} get hpa/by-cpu vpa/web -o yaml",
        ("release", f"RolloutPolicy {sick}/refused"): f"streamgate-rollout status refused -n {sick}",
        ("release", f"RolloutPolicy {sick}/waits"): f"streamgate-rollout status waits -n {sick}",
        ("clock", f"Node {SKEWED}"): f"kubectl debug node/{SKEWED} -it --image=busybox -- date -u",
    }  # fmt: skip


def runs(bed: Kubectl, command: str) -> None:
    """Asserts that the shell can read the command and that kubectl knows it, whatever it finds."""
    assert subprocess.run(["bash", "-n", "-c", command], check=False).returncode == 0, command
    if not command.startswith("kubectl") or " debug " in command:
        return
    kubectl = command.partition(" | ")[0].removeprefix("kubectl ")
    done = subprocess.run(
        ["bash", "-c", f'"$KUBECTL" {kubectl}'], capture_output=True, text=True, check=False, timeout=30,
        env={**os.environ, "KUBECTL": str(bed.program), "KUBECONFIG": str(bed.kubeconfig)},
    )  # fmt: skip
    assert "unknown" not in done.stderr, done.stderr
    assert not done.stderr.startswith("error:"), done.stderr
