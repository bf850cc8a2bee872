"""What stands between a template's run and the text that comes of it."""

from typing import Final, Protocol


class Writer(Protocol):
    """Says what is written for each piece."""

    def literal(self, text: str) -> str:
        """For the template's own text."""
        ...

    def inserted(self, text: str) -> str:
        """For what was worked out."""
        ...


class AsItIs:
    """Writes what Go writes."""

    def literal(self, text: str) -> str:
        """The text."""
        return text

    inserted = literal


AS_IT_IS: Final = AsItIs()
