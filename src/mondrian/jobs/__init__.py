"""Jobs: their values, their log, and the statements on them in PostgreSQL."""
