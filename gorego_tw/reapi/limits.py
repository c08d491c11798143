"""How large things may be."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The sizes the services keep to, each in bytes unless it says otherwise."""

    #: Advertised, and enforced on the sum of the data of a BatchUpdateBlobs. It is under the
    #: 4 MiB (4,194,304) that gRPC libraries take by default: 194,304 bytes are left for digests
    #: and framing, some 2,000 blobs of 95 bytes overhead each. Clients that fill it exactly
    #: (remote-apis#344) stay under 4 MiB so.
    max_batch_total_size_bytes: int = 4_000_000

    #: No reply is larger: 4 MiB less 4 KiB for what frames it.
    max_reply_bytes: int = 4 * 1024 * 1024 - 4096

    #: What a blob of a batch has in the reply if it fails: a hash of at most 140 bytes, a status
    #: message of at most 160, 44 for sizes, codes and framing, and 100 for details (a RetryInfo
    #: takes 60). Batches of more than 9,300 blobs (4,190,208 / 448) have less for each.
    max_batch_item_overhead_bytes: int = 448

    #: How many blobs a batch may name. Clients fill batches by size alone, so this is what a
    #: reply can answer at all: 4,190,208 / 24,000 = 174 bytes for each hold a SHA-512 hash (128),
    #: 44 for framing, and its code.
    max_batch_items: int = 24_000

    #: What the compressed blobs of one BatchUpdateBlobs may expand to together: 16 times the
    #: batch, so 64 MB at most pass through the decompressor for one message.
    max_batch_expanded_bytes: int = 64_000_000

    #: The largest blob that may be written, advertised too; larger ones may still be read.
    #: 0 is no limit but that of the disk.
    max_blob_size_bytes: int = 0

    #: What inlining may make an action result grow to. 3 MiB leave a quarter of a 4 MiB message.
    max_inline_bytes: int = 3 * 1024 * 1024

    #: The largest action result that may be stored: it has to be sent in one reply.
    max_action_result_bytes: int = 4 * 1024 * 1024 - 4096

    #: The largest Tree that is read to find what an action result refers to. A file costs some
    #: 110 bytes, so 64 MiB are 600,000 files; parsing takes about four times that in memory.
    max_tree_bytes: int = 64 * 1024 * 1024

    #: How many directories a page of GetTree has at most: 1,000 of about 1 KiB are 1 MiB.
    max_tree_page: int = 1000

    #: The largest Directory that is read: a message of its own has to hold it.
    max_directory_bytes: int = 4 * 1024 * 1024 - 64 * 1024

    #: How many directories are walked at most, whatever the depth: 100,000 digests of about
    #: 200 bytes in the set of those seen are 20 MB.
    max_tree_directories: int = 100_000
