"""Daemons whose index or files somebody has damaged."""

from __future__ import annotations

import mmap
import random
import re
import signal
import urllib.request
from collections.abc import Callable

import grpc

from gorego_tw.storage.checkpoint_record import CheckpointRecord
from gorego_tw.storage.lmdb_pages import newest_meta, values
from tests.end_to_end.client import Client, digest_of, read_name
from tests.end_to_end.daemon import Daemon, DaemonTestCase, eventually, free_port


class DamageTests(DaemonTestCase):
    def start(self, **settings: str) -> Daemon:
        """A daemon with some blobs, small ones and files."""
        self.address = f"127.0.0.1:{free_port()}"
        daemon = self.make_daemon(**settings)
        daemon.metrics_addr = self.address
        daemon.start()
        generator = random.Random(8)
        self.small = [generator.randbytes(1000) for _ in range(50)]
        self.large = [generator.randbytes(20_000) for _ in range(50)]
        with daemon.client() as client:
            client.batch_update(*self.small, *self.large)
        return daemon

    def metric(self, name: str) -> float:
        """What the daemon says of itself."""
        with urllib.request.urlopen(f"http://{self.address}/metrics") as answer:
            found = re.search(rf"^{re.escape(name)} (\S+)$", answer.read().decode(), re.MULTILINE)
        assert found is not None, name
        return float(found[1])

    def is_compared(self) -> bool:
        """Whether index and files are in step, of a daemon that may not be there at the moment."""
        try:
            return self.metric("gorego_index_comparison_progress_ratio") == 1
        except OSError:
            return False

    def assert_served(self, client: Client, blobs: list[bytes]) -> None:
        """All of them are."""
        self.assertEqual(client.find_missing(map(digest_of, blobs)), [])
        for data in blobs:
            self.assertEqual(client.read(read_name(digest_of(data))), data)

    def restart(self, daemon: Daemon, change: Callable[[bytes], bytes]) -> Client:
        """Kill it, change its index, start it."""
        daemon.kill()
        path = daemon.cache_dir / "index" / "data.mdb"
        path.write_bytes(change(path.read_bytes()))
        daemon.start()
        return self.connect(daemon)

    def test_index_is_made_anew(self) -> None:
        """A daemon that finds a damaged index serves, and soon has all its files again."""
        kinds: list[Callable[[bytes], bytes]] = [
            lambda data: random.Random(1).randbytes(len(data)),
            lambda data: data[:8192] + bytes(len(data) - 8192),
            lambda data: data[:20_000],
        ]
        daemon = self.start()
        for number, change in enumerate(kinds):
            client = self.restart(daemon, change)
            eventually(self.is_compared, "all files are known")
            self.assert_served(client, self.large)
            client.batch_update(*self.small)
            self.assert_served(client, self.small)
            kept = list(daemon.cache_dir.glob("index.damaged-*"))
            self.assertEqual(len(kept), min(number + 1, 2), daemon.log)
        self.assertNotIn("Traceback", daemon.log)
        daemon.stop()
        daemon.start()
        self.assert_served(self.connect(daemon), self.small + self.large)

    def test_small_blobs_come_back(self) -> None:
        """Of an index with a damaged page small blobs come back too, while the daemon serves."""
        daemon = self.start()
        daemon.stop()
        path = daemon.cache_dir / "index" / "data.mdb"
        data = bytearray(path.read_bytes())
        root = newest_meta(bytes(data))[0].root * mmap.PAGESIZE
        data[root : root + mmap.PAGESIZE] = bytes(mmap.PAGESIZE)
        path.write_bytes(data)
        daemon.start()
        client = self.connect(daemon)
        self.assertEqual(len(list(daemon.cache_dir.glob("index.damaged-*"))), 1)
        digests = [digest_of(data) for data in self.small]
        eventually(lambda: not client.find_missing(digests), "small blobs are back")
        self.assert_served(client, self.small)
        self.assertNotIn("Traceback", daemon.log)

    def spoil_leaves(self, daemon: Daemon, flags: int) -> None:
        """Let the leaves with blobs in them say that they are pages of another kind."""
        with (daemon.cache_dir / "index" / "data.mdb").open("r+b") as file:
            data = file.read()
            for number in range(2, len(data) // mmap.PAGESIZE):
                page = data[number * mmap.PAGESIZE : (number + 1) * mmap.PAGESIZE]
                if any(value.data and value.key[:1] == b"\1" for value in values(page, number)):
                    file.seek(number * mmap.PAGESIZE + 10)
                    file.write(flags.to_bytes(2, "little"))

    def test_met_in_use(self) -> None:
        """Damage that shows while it serves makes the daemon start anew by itself, which makes the index anew."""
        daemon = self.start()
        self.spoil_leaves(daemon, 0x40)
        client = self.connect(daemon)
        self.assertRaises(grpc.RpcError, client.find_missing, map(digest_of, self.large))
        eventually(lambda: "it starts anew" in daemon.log, "it starts anew")
        eventually(lambda: list(daemon.cache_dir.glob("index.damaged-*")), "the index is set aside")
        eventually(self.is_compared, "all files are known")
        self.assert_served(self.connect(daemon), self.large)
        self.assertEqual(len(list(daemon.cache_dir.glob("index.damaged-*"))), 1)

    def test_killed_before_any_checkpoint(self) -> None:
        """Kill -9 loses nothing, though nothing had come to the disk since the start."""
        daemon = self.start(GOREGO_LOCAL_CACHE_CHECKPOINT_SECONDS="3600")
        for _ in range(4):  # more often in a row than is well
            daemon.process.send_signal(signal.SIGKILL)
            daemon.wait()
            daemon.start()
            self.assert_served(self.connect(daemon), self.small + self.large)
        record = CheckpointRecord.read(daemon.cache_dir / "index")
        assert record is not None
        self.assertGreaterEqual(record.starts, 3)

    def test_scrub(self) -> None:
        """A file that is damaged is found before anybody asks for it, and only that is dropped."""
        daemon = self.start(GOREGO_LOCAL_CACHE_SCRUB_BYTES_PER_SECOND="2000000")
        digest = digest_of(self.large[7])
        path = daemon.cache_dir / "cas" / "sha256" / digest.hash[:2] / digest.hash
        daemon.stop()
        path.write_bytes(bytes(20_000))
        daemon.start()
        eventually(lambda: self.metric("gorego_scrub_passes_total") >= 1, "a pass")
        self.assertEqual(self.metric('gorego_corrupt_blobs_total{tier="local"}'), 1)
        client = self.connect(daemon)
        self.assertEqual(client.find_missing([digest]), [digest])
        self.assert_served(client, self.small + self.large[:7] + self.large[8:])
