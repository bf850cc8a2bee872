"""The recommender: how much CPU and memory each container needs; VPA-compatible.

`input` takes in, `model` knows, `estimate` decides, `checkpoint` keeps, `updater` acts, `loop` repeats; `offline` does
the same over files. Stands on `adapter.program` and what is below it, never on the adapter's own rooms.
"""
