"""The programs that the test bed and its tests may want, and which Go module builds each."""

from dataclasses import dataclass

VICTORIA = "github.com/VictoriaMetrics/VictoriaMetrics"
METRICS_SERVER = "sigs.k8s.io/metrics-server"
CERT_MANAGER = "github.com/cert-manager/cert-manager"
VPA = "k8s.io/autoscaler/vertical-pod-autoscaler"


@dataclass(frozen=True)
class Program:
    """`module` is the folder below tools/ that can build it; `oldest`..`newest` the versions taken from PATH."""

    name: str
    module: str
    package: str
    version_arguments: tuple[str, ...] = ("--version",)
    oldest: tuple[int, int] = (1, 30)
    newest: tuple[int, int] = (1, 37)


def _kubernetes(name: str, *arguments: str) -> Program:
    return Program(name, "kubernetes", f"k8s.io/kubernetes/cmd/{name}", arguments or ("--version",))


PROGRAMS = {
    program.name: program
    for program in (
        _kubernetes("kube-apiserver"),
        _kubernetes("kube-controller-manager"),
        _kubernetes("kube-scheduler"),
        _kubernetes("kubelet"),
        _kubernetes("kube-proxy"),
        _kubernetes("kubectl", "version", "--client"),
        Program("etcd", "etcd", "go.etcd.io/etcd/server/v3", oldest=(3, 5), newest=(3, 99)),
        Program("kwok", "kwok", "sigs.k8s.io/kwok/cmd/kwok", oldest=(0, 6), newest=(0, 99)),
        Program("prometheus-adapter", "prometheus-adapter", "sigs.k8s.io/prometheus-adapter/cmd/adapter"),
        Program("contour", "contour", "github.com/projectcontour/contour/cmd/contour", ("version",), (1, 30), (1, 99)),
        Program("rollouts-controller", "argo-rollouts", "github.com/argoproj/argo-rollouts/cmd/rollouts-controller"),
        Program("helm", "helm", "helm.sh/helm/v3/cmd/helm", ("version", "--short"), (3, 18), (3, 99)),
        Program(
            "victoria-metrics", "victoria-metrics", f"{VICTORIA}/app/victoria-metrics", oldest=(1, 90), newest=(1, 999)
        ),
        Program("otelcol", "otelcol", "streamgate.dev/tests/cluster/tools/otelcol", oldest=(0, 120), newest=(0, 999)),
        Program(
            "metrics-server", "metrics-server", f"{METRICS_SERVER}/cmd/metrics-server", oldest=(0, 7), newest=(0, 99)
        ),
        Program("vpa-updater", "vpa", f"{VPA}/pkg/updater"),
        Program("vpa-admission-controller", "vpa", f"{VPA}/pkg/admission-controller"),
        Program("vpa-recommender", "vpa", f"{VPA}/pkg/recommender"),
        Program("cert-manager-controller", "cert-manager", f"{CERT_MANAGER}/cmd/controller"),
        Program("cert-manager-cainjector", "cert-manager", f"{CERT_MANAGER}/cmd/cainjector"),
        Program("cert-manager-webhook", "cert-manager", f"{CERT_MANAGER}/cmd/webhook"),
        Program("kube-score", "kube-score", "github.com/zegl/kube-score/cmd/kube-score", ("version",), (1, 18)),
        Program("actionlint", "actionlint", "github.com/rhysd/actionlint/cmd/actionlint", ("-version",), (1, 7)),
    )
}
VERSION_OF = {
    "kubernetes": "k8s.io/kubernetes",
    "etcd": "go.etcd.io/etcd/server/v3",
    "kwok": "sigs.k8s.io/kwok",
    "prometheus-adapter": "sigs.k8s.io/prometheus-adapter",
    "contour": "github.com/projectcontour/contour",
    "argo-rollouts": "github.com/argoproj/argo-rollouts",
    "helm": "helm.sh/helm/v3",
    "victoria-metrics": VICTORIA,
    "otelcol": "go.opentelemetry.io/collector/otelcol",
    "metrics-server": METRICS_SERVER,
    "vpa": VPA,
    "cert-manager": CERT_MANAGER,
    "kube-score": "github.com/zegl/kube-score",
    "actionlint": "github.com/rhysd/actionlint",
}
