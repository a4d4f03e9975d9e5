"""promptfoo configurations in part: what carries over as a suite, what is left, and what a person must write."""
