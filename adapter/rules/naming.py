"""Series <-> API metric: which series a rule offers, under which name and for which resources."""

from adapter.rules.resources import GroupResource as GroupResource
