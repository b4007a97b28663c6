"""Whether two entries of one name differ, and in what.

Fields that are absent on one side are not compared. Called by ``tree.merge``
and by verification.
"""

from pdelta.model.snapshot import ADOPTED, HOLES, OWNER, XATTRS, Entry, Kind


def same_content(before: Entry, after: Entry) -> bool:
    """Whether kind and content are equal; directories are equal in this sense whatever they hold."""
    if before.kind != after.kind:
        return False
    if before.kind == Kind.DIRECTORY:
        return True
    return before.content == after.content and before.size == after.size and _agree(before, after, HOLES)


def same_metadata(before: Entry, after: Entry) -> bool:
    """Whether mode, time, and the optional fields present on both sides are equal."""
    return (
        before.mtime_ns == after.mtime_ns
        and before.mode == after.mode
        and _agree(before, after, OWNER)
        and _agree(before, after, XATTRS)
    )


def metadata_difference(before: Entry, after: Entry) -> str:
    """Name the metadata fields that differ, for people."""
    names = []
    if before.mode != after.mode:
        names.append(f"mode {before.mode:04o} → {after.mode:04o}")
    if before.mtime_ns != after.mtime_ns:
        names.append("mtime")
    if not _agree(before, after, OWNER):
        names.append("owner")
    if not _agree(before, after, XATTRS):
        names.append("xattrs")
    return ", ".join(names)


def is_adopted(entry: Entry) -> bool:
    """Whether the entry was found at the destination and never asked for."""
    return bool(entry.extra) and entry.extra.get(ADOPTED) is True


def _agree(before: Entry, after: Entry, key: str) -> bool:
    if not before.extra or not after.extra:
        return True
    if key not in before.extra or key not in after.extra:
        return True
    return bool(before.extra[key] == after.extra[key])
