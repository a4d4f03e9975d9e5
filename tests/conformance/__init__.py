"""The conformance files of clients/conformance, and what the TypeScript client takes over from Python's."""
