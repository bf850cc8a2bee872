"""How deep a text of YAML is nested: composing it takes stack for each layer, and in C there is nobody to stop that."""

import yaml


def first_below(text: str | bytes, most: int) -> int:
    """The first line, from 1, that lies within more than `most` collections; 0 where none does.

    Raises yaml.YAMLError.
    """
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > most:
                return event.start_mark.line + 1 if event.start_mark else 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return 0
