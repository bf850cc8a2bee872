"""The doctor's flags."""

from dataclasses import dataclass
from typing import Final

from adapter import __version__
from adapter.program.flags import Common, Flags, setting
from adapter.program.kinds import PlainSeconds

PROGRAM: Final = "streamgate-doctor"
FORMS: Final = ("text", "json")


@dataclass(frozen=True)
class Settings(Common):
    """Where to look, for how long, and how to tell."""

    namespace: str = setting(
        "namespace", "", "whose HPAs, VPAs and policies are looked at; empty: all. Programs, APIs and nodes always are",
        short="n",
    )  # fmt: skip
    kubeconfig: str = setting("kubeconfig", "", "empty: $KUBECONFIG, the pod's account, ~/.kube/config")
    context: str = setting("context", "", "of the kubeconfig; empty: the current one")
    output: str = setting("output", "text", "for people or for programs", choices=FORMS, short="o")
    request_timeout: PlainSeconds = setting(
        "request-timeout",
        PlainSeconds(10),
        "for one call, as kubectl's; a page of 500 objects is one",
        above=0,
        most=600,
    )
    timeout: PlainSeconds = setting(
        "timeout", PlainSeconds(60), "for the whole look: what is not seen by then is not looked at", above=0, most=3600
    )


FLAGS: Final = Flags(
    program=PROGRAM,
    about="says what is wrong in a cluster, and what to type next; exit code 0 healthy, 1 findings, 2 could not look",
    settings=Settings,
    version=__version__,
)
