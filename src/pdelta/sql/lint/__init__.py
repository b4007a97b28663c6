"""What is dangerous about a delta, told before anything runs: rules over tokens, which need no parser and no server."""
