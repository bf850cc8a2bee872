"""Acting on recommendations as VPA's updater would: what to do with a pod (pure), and doing it."""
