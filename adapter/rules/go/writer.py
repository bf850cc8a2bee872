"""What stands between a template's run and the text that comes of it."""

from typing import Final, Protocol


class Writer(Protocol):
    """Says what is written for each piece."""

    def literal(self, text: str) -> str:
        """The text that is written for a piece of the template itself."""
        ...

    def insert(self, text: str) -> str:
        """The text that is written for a value that the template works out."""
        ...


class AsItIs:
    """Writes what Go writes."""

    def literal(self, text: str) -> str:
        """The text."""
        return text

    insert = literal


AS_IT_IS: Final = AsItIs()
