"""Objects of other release controllers, read from a file and turned into ours: Argo Rollouts' and Flagger's. Pure.

What has no place in a RolloutPolicy is never dropped in silence: every field that is not taken becomes a finding.
"""
