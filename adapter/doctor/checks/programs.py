"""Our programs: are they there, does one of each act, and may they do what they must?"""

from collections.abc import Iterator

from adapter.doctor.finding import About, Finding, word
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
                next=f"kubectl -n {word(namespace)} get lease {word(short)} -o yaml",
            )
    yield from _lacking(seen)


def _available(program: Program) -> Iterator[Finding]:
    where = f"kubectl -n {word(program.namespace)}"
    if program.deployment.spec.replicas == 0:
        says = "it is scaled to zero"
        command = f"{where} scale deployment {word(program.name)} --replicas=1"
    elif program.deployment.status.available_replicas == 0:
        says = "none of its pods is available"
        command = f"{where} get pods,events && {where} logs {word(f'deploy/{program.name}')} --tail=50"
    else:
        return
    yield Finding(
        about=About.PROGRAM,
        object=f"Deployment {program}",
        says=says,
        next=command,
    )


def _lacking(seen: Snapshot) -> Iterator[Finding]:
    by_program: dict[str, tuple[Program, list[Right]]] = {}
    for program, right in seen.lacking:
        by_program.setdefault(str(program), (program, []))[1].append(right)
    for program, rights in by_program.values():
        yield Finding(
            about=About.RIGHTS,
            object=f"Deployment {program}",
            says=f"{account(program)} may not {', '.join(map(str, rights))}",
            next=_can_i(program, rights[0]),
        )


def _can_i(program: Program, right: Right) -> str:
    """kubectl's question for a right."""
    resource, _, subresource = right.resource.partition("/")
    group = f".{right.group}" if right.group not in ("", "*") else ""
    named = f"/{right.name}" if right.name else ""
    asked = f"kubectl auth can-i {right.verb} {word(resource + group + named)}"
    sub = f" --subresource={subresource}" if subresource else ""
    within = f" -n {word(program.namespace)}" if right.own else " -A"
    return f"{asked}{sub}{within} --as={word(account(program))}"


def account(program: Program) -> str:
    """The user that a program is to the API server."""
    name = program.deployment.spec.template.spec.service_account_name or "default"
    return f"system:serviceaccount:{program.namespace}:{name}"
