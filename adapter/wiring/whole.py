"""The adapter as a whole, of its parts."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry

from adapter import files
from adapter.collect.catalogue import Catalogue
from adapter.collect.follow import mapper_of
from adapter.program.run import Job, StartError
from adapter.program.tracing.begin import tracing
from adapter.program.tracing.export import SpanCounters
from adapter.rules import builtin
from adapter.rules.config import load
from adapter.rules.document import MAX_TEXT, RulesError
from adapter.rules.model import RuleFile
from adapter.serve.health import Check, Readiness
from adapter.serve.server import Server
from adapter.settings import Settings
from adapter.wiring import cluster as clusters
from adapter.wiring import serving as servers
from adapter.wiring import source as sources
from adapter.wiring import standalone
from adapter.wiring.collecting import Collecting, collecting


@dataclass(frozen=True)
class Adapter:
    """A server that listens, and all that must run beside it."""

    server: Server
    jobs: Sequence[Job]


async def build_adapter(settings: Settings, stack: AsyncExitStack) -> Adapter:
    """The adapter by `settings`, for as long as `stack` lasts. Raises StartError."""
    registry = CollectorRegistry()
    counters = SpanCounters(registry)
    tracer = await stack.enter_async_context(tracing(settings.tracing_config_file, "streamgate-adapter", counters))
    rules = read_rules(settings)
    certificate = servers.certificate(settings)
    catalogue = Catalogue(rules, mapper_of(()))
    cluster = await _cluster(settings, stack, registry)
    if settings.prometheus_url:
        values = await sources.from_prometheus(settings, stack, rules, catalogue)
    else:
        values = await sources.from_embedded_store(
            settings, stack, registry, cluster=cluster, rules=rules, certificate=certificate.first
        )
    core = collecting(
        settings, registry, cluster=cluster, rules=rules, catalogue=catalogue, values=values, tracer=tracer
    )
    if cluster.client is None:
        own = standalone.Credentials(Path(settings.cert_dir))
        access = servers.alone(settings, own.anchors)
    else:
        own = None
        access = await servers.delegate_to_cluster(settings, stack, registry, cluster.client)
    serving = await servers.serving(
        settings,
        stack,
        registry,
        answers=core.answers,
        access=access,
        certificate=certificate,
        readiness=readiness(cluster, values, core, access),
        tracer=tracer,
    )
    if own is not None:
        own.write(serving.port, certificate.first)
    return Adapter(serving.server, [*cluster.jobs, *values.jobs, *core.jobs, *access.jobs, *serving.jobs])


def readiness(cluster: clusters.Cluster, values: sources.Values, core: Collecting, access: servers.Access) -> Readiness:
    """What /readyz waits for."""
    pods, authentication = cluster.pods_listed, access.listed
    return Readiness(
        Check("pods", pods.waiting) if pods else None,
        values.ready,
        Check("authentication", authentication.waiting) if authentication else None,
        Check("collection", core.collector.waiting),
        notes=lambda: [*core.collector.trouble(), *values.notes()],
    )


async def _cluster(settings: Settings, stack: AsyncExitStack, registry: CollectorRegistry) -> clusters.Cluster:
    if settings.standalone:
        return standalone.cluster(Path(settings.standalone))
    return await clusters.connect(settings, stack, registry)


def read_rules(settings: Settings) -> RuleFile:
    """The rules of --config, or the built-in ones. Raises StartError where the file as a whole is no good."""
    if not settings.config:
        return builtin.rules()
    try:
        return load(files.read_text(settings.config, MAX_TEXT, pipe_s=files.PIPE_S), settings.config)
    except RulesError as error:
        raise StartError(f"--config: {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise StartError(f"--config={settings.config}: {why}; the path of a rules file would be right") from error
