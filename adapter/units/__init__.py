"""The grammars of Kubernetes: quantities, label selectors, durations, quoted texts.

Pure, and the lowest floor: nothing of ours is imported. What a text means is decided here, never what it is used for.
"""
