"""What reads a tenant's catalogue, one module an engine, over any function that runs a query."""
