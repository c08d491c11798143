"""HTTP/2 (RFC 9113) for a server, without IO: bytes in, events out, bytes to send.

Nothing here knows of time, logging or Twisted.
"""
