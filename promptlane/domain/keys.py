"""Partition keys of the release table: what they begin with. docs/architecture.md says what lies below each.

IAM gives each function the beginnings below which it may write (infra/constructs/grants.py), so what other functions
write gets a beginning of its own.
"""

from __future__ import annotations

from typing import Final

PROMPT: Final = "prompt#"
"""And the prompt id: lock, waiting versions, release records, first seen."""
EDITS: Final = "edits#"
"""And the prompt id: who edited and published it, and how far CloudTrail's history was copied."""
IDENTITY: Final = "identity#"
"""And a prompt's name: the prompt id that it means. Only `admit` writes it."""
WATCHED: Final = "watched#"
"""And a prompt's name: what people were told of renamings and deletions."""
REVIEW: Final = "review#"
"""And the release id: request, decisions, what was done once."""
SECRET: Final = "secret#"
"""And the release id: the workflow's tokens, seals of codes. People may not read it: infra/stacks/state.py."""
OPEN_REVIEWS: Final = "reviews"
"""The list of the reviews that `remind` looks after."""
QUARANTINE: Final = "quarantine#"
"""And a prompt's name: contents that were rolled back longer ago than the route holds."""
BLOCKS: Final = "blocks#"
"""And the release id: counts that the judge used."""
TIMELINE: Final = "timeline#"
"""And the release id: entries. Nobody may change or delete them."""
CHAIN: Final = "chain#"
"""And the release id: head of the chain, marks of appended entries."""
OWED: Final = "owed"
"""Notices that people have not got yet, one for each entry that they are told of; put with the entry itself."""
APPENDED: Final = (TIMELINE, CHAIN, OWED)
"""What every append to a timeline puts."""
ENROLMENT: Final = "enrolment#"
"""And the prompt's name: who enrolled it, which policy and suite count, requests that changed that."""
ENROLMENTS: Final = "enrolments"
"""The list of the enrolled prompts."""
TURN: Final = "turn"
"""Whose tests run, where an account has few concurrent executions: one round at a time."""
DECLARED: Final = "declared"
"""The reviewers whom the deployment declares, and the requests that changed them. Only `enrol` writes it."""
CURSORS: Final = "cursors"
"""Where runs that take turns stopped."""
DRILLS: Final = "drills"
"""The last drill of each prompt. Only `roll_back` writes it."""
WHOLE: Final = (OPEN_REVIEWS, OWED, ENROLMENTS, TURN, DECLARED, CURSORS, DRILLS)
"""Nothing follows in the key."""
