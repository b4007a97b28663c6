"""Where kept connections live; apart from the other settings because it is needed before anything is imported."""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

RUNTIME_LIMIT_BYTES = 42
"""What ``/pdelta`` may follow, so that the folder's path stays below ``transports.ssh.CONTROL_PATH_LIMIT``."""


def control_folder(environment: "Mapping[str, str]") -> str:
    """Give the short folder of this user alone for kept ssh connections; it need not exist.

    Args:
        environment: Names the runtime folder, where there is one.
    """
    # A socket's path may have 107 bytes, so the cache folder is too deep as a rule.
    runtime = environment.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/") and len(os.fsencode(runtime)) <= RUNTIME_LIMIT_BYTES:
        return f"{runtime.rstrip('/')}/pdelta"
    # Another user may have taken the name: whoever uses the folder refuses one that isn't ours alone.
    return f"/tmp/pdelta-{os.getuid()}"  # noqa: S108 - see above
