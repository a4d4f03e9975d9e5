"""Ten minutes of eight processes with the real client, disturbed in every way that production has. `make soak`.

script.py     what the model does with a request, by the name that the request carries
bedrock.py    Bedrock by that script, over HTTP; it notes every call
front.py      what stands between the processes and AWS: it can be away, slow, or lose an answer
writer.py     the one writer of routes: releases, rollbacks, restores from backup, prompts remade; it notes every write
clocks.py     wall and monotonic clock of a process, moved apart from outside
traffic.py    one request after the other, by the client and by its asyncio face; each noted before and after
worker.py     a process: traffic, forks, what it holds in memory
judge.py      what was noted, held against what CloudWatch counted and what the route named
run.py        starts, disturbs, ends, judges; writes `.local/soak.json`
"""
