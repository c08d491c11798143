"""Uploads that are interrupted and go on, to the byte."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import grpc

from gorego_tw.pb.google.bytestream import bytestream_pb2 as bytestream
from tests.end_to_end.client import (
    MIB,
    Client,
    digest_of,
    read_name,
    write_name,
    write_requests,
)
from tests.end_to_end.daemon import Daemon, DaemonTestCase, eventually

SENT = 5 * MIB + 123


class ResumeTests(DaemonTestCase):
    """QueryWriteStatus, then Write from there on."""

    def setUp(self) -> None:
        super().setUp()
        self.data = os.urandom(9 * MIB + 7)
        self.digest = digest_of(self.data)
        self.name = write_name(self.digest, "any/instance")
        self.daemon: Daemon = self.make_daemon().start()
        self.over = threading.Event()
        self.addCleanup(self.over.set)

    def send_a_part(self, client: Client) -> grpc.Future:
        """Start a Write that sends SENT bytes and then neither more nor its end."""

        def part() -> Iterator[bytestream.WriteRequest]:
            yield from write_requests(self.name, self.data[:SENT], finish=False, piece=100_000)
            self.over.wait()

        call = client.byte_stream.Write.future(part())
        eventually(lambda: self.held() == (SENT, False), f"{SENT} bytes held", 10)
        return call

    def held(self) -> tuple[int, bool]:
        """What another client is told."""
        with self.daemon.client() as client:
            return client.committed_size(self.name)

    def resume(self) -> None:
        """Send the rest, and read it all."""
        client = self.connect(self.daemon)
        self.assertEqual(client.committed_size(self.name), (SENT, False))
        self.assertEqual(client.find_missing([self.digest]), [self.digest])
        answer = client.byte_stream.Write(write_requests(self.name, self.data, start=SENT))
        self.assertEqual(answer.committed_size, len(self.data))
        self.assertEqual(client.read(read_name(self.digest)), self.data)
        self.assertEqual(client.committed_size(self.name), (len(self.data), True))

    def test_after_a_lost_connection(self) -> None:
        """What arrived before the connection was lost need not be sent again."""
        client = self.connect(self.daemon)
        self.send_a_part(client)
        client.close()
        self.resume()

    def test_after_kill(self) -> None:
        """What arrived before kill -9 need not be sent again."""
        self.send_a_part(self.connect(self.daemon))
        self.daemon.kill()
        self.daemon.start()
        self.resume()

    def test_after_a_shutdown(self) -> None:
        """What arrived before an orderly stop need not be sent again."""
        self.daemon.kill()
        self.daemon = self.make_daemon(GOREGO_SHUTDOWN_GRACE_SECONDS="0.5").start()
        self.send_a_part(self.connect(self.daemon))
        self.daemon.stop()
        self.daemon.start()
        self.resume()

    def test_half_closed(self) -> None:
        """A Write that ends without finish_write stores nothing, and what it sent is kept."""
        client = self.connect(self.daemon)
        messages = write_requests(self.name, self.data[:SENT], finish=False)
        try:
            answer = client.byte_stream.Write(messages)
        except grpc.RpcError as error:
            self.assertEqual(error.code(), grpc.StatusCode.INVALID_ARGUMENT)
        else:
            self.assertEqual(answer.committed_size, SENT)
        self.resume()

    def test_from_the_beginning(self) -> None:
        """A client that starts again from byte 0 is served as well."""
        client = self.connect(self.daemon)
        self.send_a_part(client).cancel()
        answer = client.byte_stream.Write(write_requests(self.name, self.data))
        self.assertEqual(answer.committed_size, len(self.data))
        self.assertEqual(client.read(read_name(self.digest)), self.data)
