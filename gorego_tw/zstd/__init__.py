"""zstd (RFC 8878): blobs compressed on their way, and at rest."""
