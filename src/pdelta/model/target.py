"""Where a delta is executed."""

import msgspec


class Target(msgspec.Struct, frozen=True, tag_field="type", omit_defaults=False):
    """An address; holds no secrets.

    Attributes:
        kind: Kind of delta that it takes, for example ``tree``.
        address: What a person typed and messages repeat.
    """

    kind: str
    address: str
