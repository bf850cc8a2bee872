"""What was wrong with input from outside: the first few sentences, and how many more there were."""

SHOWN = 10
"""Sentences kept; who sends a thousand bad lines learns nothing from the eleventh."""


class Problems:
    """A bounded list of sentences."""

    def __init__(self, shown: int = SHOWN) -> None:
        self.count = 0
        self._shown = shown
        self.named: list[str] = []
        """The first sentences."""

    def add(self, sentence: str) -> None:
        """Count one more, and keep its text while there is room."""
        self.count += 1
        if len(self.named) < self._shown:
            self.named.append(sentence)

    def take(self) -> list[str]:
        """The sentences, then one with the number of those left out; starts anew."""
        sentences, left_out = self.named, self.count - len(self.named)
        self.named, self.count = [], 0
        return [*sentences, f"and {left_out} more"] if left_out else sentences
