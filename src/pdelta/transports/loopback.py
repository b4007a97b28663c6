"""A pair of channels inside one process, for tests and for demonstrations."""

import os

from pdelta.transports.pipe import BlockingChannel, PipeChannel


def make_pair(*, inbound_limit_bytes: int = 64 << 20) -> tuple[PipeChannel, BlockingChannel]:
    """Give the controller's end and the agent's end, which belongs in a thread of its own.

    Args:
        inbound_limit_bytes: What the controller takes while it sends.
    """
    agent_in, controller_out = os.pipe()
    controller_in, agent_out = os.pipe()
    controller = PipeChannel(controller_out, controller_in, inbound_limit_bytes=inbound_limit_bytes)
    return controller, BlockingChannel(agent_in, agent_out)
