"""Adapters to AWS, one module per service. ClientError becomes a domain error here and nowhere else."""
