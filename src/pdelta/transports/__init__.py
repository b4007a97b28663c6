"""Ways to reach the other end of a session."""
