"""Events and reports as text or JSON."""
