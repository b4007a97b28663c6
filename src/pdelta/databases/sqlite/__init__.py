"""The adapter of SQLite: files below a folder, each a tenant with its ledger inside."""
