"""Names and values as MySQL reads them whatever its ``sql_mode`` says."""


def name(text: str) -> str:
    """Quote a name; backticks mean the same with ``ANSI_QUOTES`` and without."""
    return "`" + text.replace("`", "``") + "`"


def literal(text: str) -> str:
    """Write a text by its bytes, in which no quote and no backslash can be misread, whatever a delta has set."""
    return f"_utf8mb4 X'{text.encode().hex()}'" if text else "''"
