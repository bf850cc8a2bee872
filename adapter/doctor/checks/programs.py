"""Our programs: are they there, does one of each act, and may they do what they must?"""

from collections import defaultdict
from collections.abc import Iterator

from adapter.doctor.finding import About, Finding
from adapter.doctor.rights import Right
from adapter.doctor.snapshot import Program, Snapshot

LATE = 60.0
"""s since a leader renewed its Lease; it does so every 2 s, and loses it after 15."""


def check(seen: Snapshot) -> Iterator[Finding]:
    """Programs without a pod, Leases that nobody renews, rights that are lacking."""
    for program in seen.programs:
        yield from _available(program)
    for name, lease in seen.leases.items():
        namespace, _, short = name.partition("/")
        renewed = lease.spec.renew_time if lease else None
        if renewed is None or seen.now - renewed.timestamp() > LATE:
            age = "nobody ever held it" if renewed is None else f"last renewed at {renewed:%Y-%m-%d %H:%M:%S} UTC"
            yield Finding(
                about=About.PROGRAM,
                object=f"Lease {name}",
                says=f"nobody acts: {age}",
                next=f"kubectl -n {namespace} get lease {short} -o yaml",
            )
    yield from _lacking(seen)


def _available(program: Program) -> Iterator[Finding]:
    wanted = program.deployment.spec.replicas
    if wanted == 0:
        says = "it is scaled to zero"
    elif program.deployment.status.available_replicas == 0:
        says = "none of its pods is available"
    else:
        return
    yield Finding(
        about=About.PROGRAM,
        object=f"Deployment {program.namespace}/{program.name}",
        says=says,
        next=f"kubectl -n {program.namespace} get pods,events && "
        f"kubectl -n {program.namespace} logs deploy/{program.name} --tail=50",
    )


def _lacking(seen: Snapshot) -> Iterator[Finding]:
    by_program: dict[tuple[str, str], list[Right]] = defaultdict(list)
    accounts = {}
    for program, right in seen.lacking:
        key = (program.namespace, program.name)
        by_program[key].append(right)
        accounts[key] = account(program)
    for (namespace, name), rights in by_program.items():
        first = rights[0]
        within = f" -n {namespace}" if first.own else " -A"
        named = f"/{first.name}" if first.name else ""
        resource = f"{first.resource.partition('/')[0]}{f'.{first.group}' if first.group not in ('', '*') else ''}"
        sub = f" --subresource={first.resource.partition('/')[2]}" if "/" in first.resource else ""
        yield Finding(
            about=About.RIGHTS,
            object=f"Deployment {namespace}/{name}",
            says=f"{accounts[namespace, name]} may not {', '.join(map(str, rights))}",
            next=f"kubectl auth can-i {first.verb} '{resource}{named}'{sub}{within} --as={accounts[namespace, name]}",
        )


def account(program: Program) -> str:
    """The user that a program is to the API server."""
    name = program.deployment.spec.template.spec.service_account_name or "default"
    return f"system:serviceaccount:{program.namespace}:{name}"
