"""Plans, runs, journal and recovery; knows the protocol and no kind."""
