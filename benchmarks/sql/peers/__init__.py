"""The peers, and what configures them for many tenants."""
