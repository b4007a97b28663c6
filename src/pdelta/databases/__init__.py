"""Databases behind one port: SQLite, PostgreSQL, MySQL and MariaDB."""
