"""`make deployments`: what the tests tell of the rules that they attack."""

RULE = "rule"
"""The property of a test's report that names the rule."""
