"""Exported objects: what `kubectl get vpacheckpoint -A -o json` (or yaml) wrote, as a model."""

from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from adapter import files
from adapter.files import FileError
from adapter.metrics.problems import Problems
from adapter.units.yamltext import YamlError, check_nesting
from recommender.checkpoint import codec
from recommender.checkpoint.codec import CheckpointError
from recommender.estimate.recommend import Mode
from recommender.input.usage_file import NAMED_PROBLEMS, UsageError
from recommender.model.containers import Model
from recommender.objects import Checkpoint
from recommender.settings import MAX_HALF_LIFE

MAX_BYTES: Final = 1024**3
PIPE_S: Final = 600.0
"""s for kubectl to end, where its output comes by a pipe."""
MAX_CHECKPOINTS: Final = 1_000_000
MAX_DEPTH: Final = 100


def read_checkpoints(path: Path, now: float) -> tuple[dict[str, Checkpoint], Problems]:
    """namespace/vpa/container -> checkpoint; those that cannot be used at Unix time `now`, s, are named and left out.

    Raises UsageError.
    """
    checkpoints: dict[str, Checkpoint] = {}
    problems = Problems(NAMED_PROBLEMS)
    items = _items(path)
    if len(items) > MAX_CHECKPOINTS:
        raise UsageError(f"{path}: more than {MAX_CHECKPOINTS} checkpoints; export them by namespace")
    for number, item in enumerate(items, 1):
        try:
            made = msgspec.convert(_without_nulls(item, {}), Checkpoint, strict=False)
            codec.check(made.status, now + MAX_HALF_LIFE, now + MAX_HALF_LIFE)
        except (msgspec.ValidationError, CheckpointError, RecursionError) as error:
            problems.add(f"{path}, item {number} ({_name_of(item)}): {error}")
        else:
            checkpoints[f"{made.metadata.namespace}/{made.spec.vpa_object_name}/{made.spec.container_name}"] = made
    if not checkpoints:
        first = f"; the first bad one: {problems.named[0]}" if problems.named else ""
        raise UsageError(f"{path}: no usable VerticalPodAutoscalerCheckpoint in it{first}")
    return checkpoints, problems


def resume(checkpoints: dict[str, Checkpoint], chosen: Mode) -> tuple[Model, list[str], Problems]:
    """A model with a state for each checkpoint, their names in its order, and annotations that were no good."""
    model = Model(chosen.aggregation)
    names = sorted(checkpoints)
    rows = model.states.take(len(names))
    codec.restore(model.states, rows, [checkpoints[name].status for name in names])
    problems = Problems(NAMED_PROBLEMS)
    if chosen.aggregation.daily_peaks:
        texts = [checkpoints[name].metadata.annotations.get(codec.ANNOTATION, "") for name in names]
        for place, error in codec.restore_extras(model.states, rows, texts).items():
            problems.add(f"{names[place]}: {error}")
    return model, names, problems


def _items(path: Path) -> list[Any]:
    try:
        text = files.read(path, MAX_BYTES, pipe_s=PIPE_S)
        is_json = text.lstrip()[:1] in (b"{", b"[")
        documents = [msgspec.json.decode(text)] if is_json else _yaml(text)
    except FileError as error:
        raise UsageError(f"{error}; a large export goes by namespace") from error
    except (OSError, ValueError, msgspec.DecodeError, yaml.YAMLError, RecursionError) as error:
        raise UsageError(f"{path}: cannot be read: {str(error)[:200]}; kubectl's json or yaml is wanted") from error
    items: list[Any] = []
    for document in documents:
        is_list = isinstance(document, dict) and isinstance(document.get("items"), list)
        items.extend(document["items"] if is_list else document if isinstance(document, list) else [document])
    return items


def _yaml(text: bytes) -> list[Any]:
    """All documents, as kubectl writes them: without merge keys, which could make any size of a small file."""
    check_nesting(text, MAX_DEPTH, merges=False)
    try:
        return list(yaml.load_all(text, Loader=yaml.CSafeLoader))
    except (LookupError, AttributeError, TypeError) as error:  # PyYAML's own faults at a tag that does not fit
        raise YamlError(f"a value does not fit its tag: {error}") from error


def _name_of(item: Any) -> str:
    metadata = item.get("metadata") if isinstance(item, dict) else None
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return str(name)[:80] if name else "unnamed"


def _without_nulls(value: Any, made: dict[int, Any]) -> Any:
    """A null is an absent field, as in Go. What YAML's aliases share stays shared (`made`, by identity)."""
    if id(value) in made:
        return made[id(value)]
    if isinstance(value, dict):
        made[id(value)] = {key: _without_nulls(item, made) for key, item in value.items() if item is not None}
    elif isinstance(value, list):
        made[id(value)] = [_without_nulls(item, made) for item in value]
    return made.get(id(value), value)
