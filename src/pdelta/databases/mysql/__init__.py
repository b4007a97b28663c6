"""The adapter of MySQL and MariaDB: databases of one or several servers, or a single database."""
