"""From what is known to a recommendation: estimators, the memory policy, rounding and limits. Pure."""
