"""Reads of large blobs, each on a connection of its own: bytes go from the socket to where they are kept.

grpcio copies each byte three times in threads of its own before Python has it, which for large blobs costs
more than all the rest of a fetch. Here the kernel puts them where the local tier writes them from; what
belongs to HTTP/2, gRPC and protobuf around them is read apart. Only plain connections: with TLS the bytes
have to be copied anyway.

- ``messages``: where in the stream of messages the data is
- ``incoming``: frames, without a socket
- ``answer``: what the end of a call says
- ``connection``: the socket
- ``connections``: those that are kept for the next call
"""
