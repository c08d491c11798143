"""gRPC over HTTP/2 (grpc/doc/PROTOCOL-HTTP2.md), as a server on a Twisted Protocol."""
