"""Use cases, one module a verb: the library behind the command line."""
