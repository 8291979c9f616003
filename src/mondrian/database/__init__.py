"""PostgreSQL: connections, the embedded server, and the schema."""
