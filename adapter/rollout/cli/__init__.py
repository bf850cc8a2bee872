"""The verbs of `streamgate-rollout`, a file each: arguments -> exit code (0 good, 1 failed, 2 wrong arguments)."""
