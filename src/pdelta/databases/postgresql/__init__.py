"""The adapter of PostgreSQL: schemas of one database, databases of several servers, or a single database."""
