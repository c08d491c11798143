"""What ``committed_size`` says at the end of a compressed write.

The protocol leaves it open (remote-apis#212, #213; a survey is in Bazel's pull
request 30000). Bazel and buck2 take the number of compressed bytes they sent,
or -1; Siso and newer reclients fail on anything but the size of the blob.
"""

from __future__ import annotations

from gorego_tw.grpc.router import Call
from gorego_tw.reapi.request_metadata import request_metadata

#: The end of a write that was not needed, because the blob exists, if it was compressed.
NOT_READ = -1

#: The clients that want the size of the blob: how ``tool_details.tool_name`` or the user-agent
#: begins, in lower case.
WANT_BLOB_SIZE = ("siso", "re-client", "reclient", "reproxy", "rewrapper")


def compressed_committed_size(call: Call, compressed_bytes: int, size_bytes: int) -> int:
    """What the client of this call wants to hear.

    :param compressed_bytes: how many bytes it sent.
    :param size_bytes: how large the blob is.
    """
    tool = request_metadata(call).tool_details.tool_name.lower()
    agent = (call.metadata("user-agent") or "").lower()
    if tool.startswith(WANT_BLOB_SIZE) or agent.startswith(WANT_BLOB_SIZE):
        return size_bytes
    return compressed_bytes
