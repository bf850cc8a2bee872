"""The table of verbs."""

from collections.abc import Mapping
from typing import Final

VERBS: Final[Mapping[str, str]] = {
    "calibrate": "how many identical releases a policy would have rolled back",
    "run": "the controller itself, in a cluster",
    "status": "what a policy does and waits for",
    "history": "the last releases and how they ended",
    "plan": "every write of the next release, none of them made",
    "wait": "until a release has ended: 0 promoted, 1 not promoted, 2 timed out, 3 could not tell",
    "promote": "end the manual pause of the present step; --full: wait for no soak and no gate any more",
    "pause": "hold the release where it is",
    "resume": "let a held release go on",
    "abort": "send all traffic back to the stable pods and end the release",
    "retry": "release the template again that was rolled back",
    "undo": "put the stable template back, or, where it is written, the one before it",
    "restart": "release the present template with new pods",
    "uninstall": "let policies go without the controller: everything as it was before them",
    "lint": "check a RolloutPolicy and what stands beside it, in a file or in a cluster",
    "import": "Argo Rollouts' and Flagger's objects as policies, and what does not map",
    "replay": "run a policy's gates over recorded windows",
}
"""Verb -> what it does; its module is adapter.rollout.cli.VERB, with `run(arguments) -> exit code`."""

UNTOLD: Final[Mapping[str, int]] = {"wait": 3}
"""Verb -> its exit code where it could not tell, if 1 and 2 are answers of it."""

COMMANDS: Final = frozenset({"promote", "pause", "resume", "abort", "retry", "undo", "restart"})
"""Verbs that one module has in common: its `run` gets the verb as well."""
