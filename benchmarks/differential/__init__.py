"""The same assertions and answers through promptfoo and through ours, and what every difference is.

`make differential SEED=n`: 560 cases of every deterministic kind x 120 answers, drawn from the seed. promptfoo's
functions run in one Node process that can reach no network, ours in one Python process. Writes
`.local/bench/promptfoo.json`.
"""
