"""Prompts as code: reads `prompts/<name>/` into domain objects, with file, line and column for every problem."""

from promptlane.engine.document import Document, read_document

from .load import POLICY_FILE, PROMPT_FILE, SUITE_FILE, ProjectInvalid, PromptProject, load, load_draft, load_one
from .reviewers import by_name, declare, load_reviewers, resolve

__all__ = [
    "POLICY_FILE",
    "PROMPT_FILE",
    "SUITE_FILE",
    "Document",
    "ProjectInvalid",
    "PromptProject",
    "by_name",
    "declare",
    "load",
    "load_draft",
    "load_one",
    "load_reviewers",
    "read_document",
    "resolve",
]
