"""Which router a policy asks for."""

from adapter.rollout.model.policy import RolloutPolicy
from adapter.rollout.traffic.gateway import Gateway
from adapter.rollout.traffic.nginx import Nginx
from adapter.rollout.traffic.replicas import Replicas
from adapter.rollout.traffic.router import Router


def router(policy: RolloutPolicy) -> Router:
    """The one that is named, else the ratio of pods; blue-green has nothing to route."""
    traffic = policy.spec.canary.traffic if policy.spec.canary else None
    if traffic and traffic.http_route:
        return Gateway(traffic.http_route)
    if traffic and traffic.nginx:
        return Nginx(traffic.nginx)
    return Replicas()
