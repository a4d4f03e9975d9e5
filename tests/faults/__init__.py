"""Whole releases, played with one fault at one of the AWS calls that they make. `make faults`."""
