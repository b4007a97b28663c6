"""The words that every kind of delta shares: values only, no behaviour that reads the world."""
