"""Objects -> YAML that Kubernetes reads as the same values. Pure.

Kubernetes reads YAML by Go's library, PyYAML writes for its own: `1e3` and `y` are texts to the one and not to the
other. So a text is written plain only where no reader can take it for anything else.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import yaml

_PLAIN: Final = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]+\Z")
_WORDS: Final = frozenset(("yes", "no", "on", "off", "true", "false", "null", "nan", "inf", "infinity"))
WIDE: Final = 1 << 20


class _Dumper(yaml.SafeDumper):
    """Without anchors: every value stands where it belongs."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    plain = _PLAIN.match(value) and value.lower() not in _WORDS
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=None if plain else '"')


_Dumper.add_representer(str, _text)


def documents(objects: Iterable[Mapping[str, Any]]) -> str:
    """One document for each object."""
    return yaml.dump_all(objects, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=WIDE, explicit_start=True)
