"""Where blobs and action results are kept: the local tier, its parts, and wrappers around stores."""
