"""Mondrian beside the parts of a real fleet: pgbouncer, a replica, S3, HAProxy (`make fleet`)."""
