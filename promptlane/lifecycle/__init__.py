"""The life of a release, step by step: what each function of the workflow does, over the ports of the domain.

Everything here may be called twice with the same input, and may be cut off between any two writes.
"""
