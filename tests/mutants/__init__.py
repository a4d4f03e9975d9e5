"""How much the fast tests notice: single changes to the code, each met by the tests that cover its line."""
