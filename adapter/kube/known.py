"""The resources that every supported cluster has, for whoever cannot or need not ask its discovery. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from adapter.kube.resources import ApiResource


def _table(text: str) -> Iterable[ApiResource]:
    for line in text.split("\n"):
        if words := line.split():
            group, version, plural, singular, kind, scope = words
            yield ApiResource(
                group=group.strip("-"),
                version=version,
                plural=plural,
                singular=singular,
                kind=kind,
                namespaced=scope == "namespaced",
            )


KNOWN: Sequence[ApiResource] = tuple(
    _table("""
- v1 pods                   pod                   Pod                   namespaced
- v1 nodes                  node                  Node                  cluster
- v1 namespaces             namespace             Namespace             cluster
- v1 services               service               Service               namespaced
- v1 endpoints              endpoints             Endpoints             namespaced
- v1 configmaps             configmap             ConfigMap             namespaced
- v1 secrets                secret                Secret                namespaced
- v1 serviceaccounts        serviceaccount        ServiceAccount        namespaced
- v1 persistentvolumes      persistentvolume      PersistentVolume      cluster
- v1 persistentvolumeclaims persistentvolumeclaim PersistentVolumeClaim namespaced
- v1 replicationcontrollers replicationcontroller ReplicationController namespaced
- v1 resourcequotas         resourcequota         ResourceQuota         namespaced
- v1 limitranges            limitrange            LimitRange            namespaced
apps v1 deployments         deployment            Deployment            namespaced
apps v1 statefulsets        statefulset           StatefulSet           namespaced
apps v1 replicasets         replicaset            ReplicaSet            namespaced
apps v1 daemonsets          daemonset             DaemonSet             namespaced
batch v1 jobs               job                   Job                   namespaced
batch v1 cronjobs           cronjob               CronJob               namespaced
autoscaling v2 horizontalpodautoscalers horizontalpodautoscaler HorizontalPodAutoscaler namespaced
coordination.k8s.io v1 leases       lease         Lease         namespaced
networking.k8s.io v1 ingresses       ingress       Ingress       namespaced
networking.k8s.io v1 networkpolicies networkpolicy NetworkPolicy namespaced
policy v1 poddisruptionbudgets poddisruptionbudget PodDisruptionBudget namespaced
discovery.k8s.io v1 endpointslices endpointslice EndpointSlice namespaced
storage.k8s.io v1 storageclasses storageclass StorageClass cluster
""")
)
"""The core group first, as in discovery."""

_CONTROLLERS = (
    "deployments", "statefulsets", "daemonsets", "replicasets", "replicationcontrollers", "jobs", "cronjobs",
)  # fmt: skip
CONTROLLERS: Mapping[str, ApiResource] = {
    resource.kind: resource for plural in _CONTROLLERS for resource in KNOWN if resource.plural == plural
}
"""What makes pods, by kind."""
