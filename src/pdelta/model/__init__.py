"""The words that every kind of delta shares: values only, no behaviour that reads the world."""

from typing import Final

import msgspec

UNDECODABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that do not fit: a string that is no UTF-8 is not among its own errors."""
