"""The console's flags."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from adapter import __version__
from adapter.program.flags import Common, Flags, setting
from adapter.program.kinds import Address, PlainSeconds

PROGRAM: Final = "streamgate-console"
MOST_NAMESPACES: Final = 50
"""Each is a list of its own, of each kind."""
_HOST: Final = re.compile(r"[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]")


@dataclass(frozen=True)
class Settings(Common):
    """Where to listen, what to look at, how often."""

    namespaces: tuple[str, ...] = setting(
        "namespace", (), "what is shown; empty: all. For who may read only some: a,b or given twice", short="n"
    )
    kubeconfig: str = setting("kubeconfig", "", "empty: $KUBECONFIG, the pod's account, ~/.kube/config")
    context: str = setting("context", "", "of the kubeconfig; empty: the current one")
    address: Address = setting(
        "address", Address("127.0.0.1:8950"), "where the page is; port 0: any. Not loopback: only with --token-file"
    )
    token_file: str = setting(
        "token-file",
        "",
        "the token that opens the page, 32 characters or more; empty: a random one, in the URL",
    )
    allowed_hosts: tuple[str, ...] = setting(
        "allowed-hosts", (), "host names by which a browser may ask, besides localhost, 127.0.0.1 and [::1]"
    )
    refresh: PlainSeconds = setting(
        "refresh", PlainSeconds(5), "between two lists of one kind, and two looks of the page", least=1, most=300
    )
    history: PlainSeconds = setting(
        "history", PlainSeconds(600), "how far back the lines go; from the start of the console on", least=60, most=3600
    )
    request_timeout: PlainSeconds = setting(
        "request-timeout", PlainSeconds(10), "for one call; a page of 500 objects is one", above=0, most=600
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the host; '' is all addresses."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _together(settings: Settings) -> Iterator[str]:
    if not is_loopback(settings.address.host) and not settings.token_file:
        yield (
            f"--address={settings.address}: others can reach it, so --token-file is wanted too; "
            "without one only a loopback address such as 127.0.0.1:8950 is right"
        )
    for name in settings.allowed_hosts:
        if not _HOST.fullmatch(name):
            yield f"--allowed-hosts={name}: a name such as console.example.com is wanted, without scheme and port"
    if settings.history < 2 * settings.refresh:
        yield f"--history={settings.history:g}s and --refresh={settings.refresh:g}s: a line needs two looks at least"
    if len(settings.namespaces) > MOST_NAMESPACES:
        given = len(settings.namespaces)
        yield f"--namespace: {given} namespaces; at most {MOST_NAMESPACES}, or none for all, are right"


FLAGS: Final = Flags(
    program=PROGRAM,
    about="a read-only web page of HPAs, releases and recommendations, with your own rights; prints its URL",
    settings=Settings,
    version=__version__,
    check=_together,
)
