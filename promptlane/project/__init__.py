"""Prompts as code: reads `prompts/<name>/` into domain objects, with file, line and column for every problem."""

from promptlane.engine.document import Document, read_document

from .load import ProjectInvalid, PromptProject, load, load_draft, load_one

__all__ = [
    "Document",
    "ProjectInvalid",
    "PromptProject",
    "load",
    "load_draft",
    "load_one",
    "read_document",
]
