"""Server-rendered pages. No script, no external asset, nothing that was not escaped (ADR on plain functions)."""
