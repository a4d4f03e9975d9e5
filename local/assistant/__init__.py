"""The scripted assistant: what the embedded Bedrock answers with where no real model is configured.

It knows no prompt by name. It reads instructions, context and question out of the rendered text and does what the
instructions say: tone, length, scope, what to refuse, when to admit that it does not know, JSON. Take an instruction
out and the answer gets worse in just that respect, so regression tests and canaries measure something real. The same
text always gives the same answer; at a temperature above 0 its wording varies a little from text to text.

It errs only when asked to, by the environment (PROMPTLANE_ASSISTANT_ERROR_RATE, PROMPTLANE_ASSISTANT_LATENCY_MS) or
by a marker in the prompt, `<!-- assistant: error_rate=0.05 latency_ms=300 -->`.
"""

from .speak import answer

__all__ = ["answer"]
