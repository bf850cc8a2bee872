"""The words of a release: the policy, its status, what is seen, what is written, what the judge says. Pure."""
