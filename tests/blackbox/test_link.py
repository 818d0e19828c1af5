"""The bad link itself: what other tests prove over it is worth as much as it is."""
import os
import pathlib
import socket
import statistics
import threading
import time

from link import ADDRESS_A, ADDRESS_B, Link
from support import figure, wait_until

PORT = 7000
SO_RCVBUFFORCE = 33


class Echo(threading.Thread):
    """Answers what comes over TCP at end b."""

    def __init__(self, link):
        super().__init__(daemon=True)
        self.listener = link.in_b(lambda: socket.create_server((ADDRESS_B, PORT)))
        self.start()

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    @staticmethod
    def serve(connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while data := connection.recv(65536):
                connection.sendall(data)
        except OSError:
            pass
        connection.close()


def connect(link):
    client = link.in_a(lambda: socket.create_connection((ADDRESS_B, PORT), 30))
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def read_exactly(client, count):
    data = b""
    while len(data) < count:
        more = client.recv(count - len(data))
        assert more, f"connection closed after {len(data)} of {count} bytes"
        data += more
    return data


def round_trip_ms(client, data=b"ping"):
    began = time.monotonic()
    client.sendall(data)
    assert read_exactly(client, len(data)) == data
    return (time.monotonic() - began) * 1e3


def send_numbers(link, count):
    """The numbers of the datagrams that reached end b, in the order of their arrival."""
    assert count < 500, "the device's queue is finite"
    receiver = link.in_b(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    receiver.bind((ADDRESS_B, PORT))
    receiver.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 22)
    sender = link.in_a(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    for number in range(count):
        sender.sendto(number.to_bytes(4, "big"), (ADDRESS_B, PORT))

    def all_carried():
        stats = link.stats_now()
        return stats["a_to_b"]["packets"] == count and stats["under_way"] == 0
    wait_until(all_carried, 20, "every datagram carried or lost")
    receiver.setblocking(False)
    seen = []
    try:
        while True:
            seen.append(int.from_bytes(receiver.recv(16), "big"))
    except BlockingIOError:
        return seen


def test_delays_are_as_asked():
    with Link(seed=11, delay_ms=(5, 20), spike=(0, 0), loss=0) as link:
        Echo(link)
        client = connect(link)
        times = [round_trip_ms(client) for _ in range(150)]
    assert min(times) >= 10, min(times)
    for way in ("a_to_b", "b_to_a"):
        stats = link.stats[way]
        assert stats["packets"] >= 150 and stats["lost"] == stats["overflowed"] == stats["write_errors"] == 0, stats
        assert 5 <= stats["drawn_min_ms"] <= 6 and 19 <= stats["drawn_max_ms"] <= 20, stats
        assert 11.5 <= stats["drawn_mean_ms"] <= 13.5, stats
        assert stats["carried_mean_ms"] >= stats["drawn_mean_ms"], stats
    figure(f"round trip over U(5,20) ms each way: median {statistics.median(times):.1f} ms, max {max(times):.1f} ms")


def test_long_delays_come_at_their_share():
    with Link(seed=12, delay_ms=(0, 1), spike=(0.1, 200), loss=0) as link:
        Echo(link)
        client = connect(link)
        times = [round_trip_ms(client) for _ in range(60)]
    spikes = sum(link.stats[way]["spikes"] for way in ("a_to_b", "b_to_a"))
    packets = sum(link.stats[way]["packets"] for way in ("a_to_b", "b_to_a"))
    assert 0.05 <= spikes / packets <= 0.17, (spikes, packets)
    assert sum(t >= 200 for t in times) >= 3, sorted(times)[-10:]
    assert link.stats["a_to_b"]["drawn_max_ms"] >= 200


def test_losses_are_recovered_by_retransmission():
    with Link(seed=13, loss=0.03, reorder=True) as link:
        Echo(link)
        client = connect(link)
        data = os.urandom(300_000)
        writer = threading.Thread(target=client.sendall, args=(data,))
        writer.start()
        client.settimeout(60)
        assert read_exactly(client, len(data)) == data
        writer.join()
    lost = link.stats["a_to_b"]["lost"] + link.stats["b_to_a"]["lost"]
    assert lost >= 5, link.stats
    figure(f"300 kB there and back: {lost} of {link.stats['a_to_b']['packets'] + link.stats['b_to_a']['packets']} packets lost")


def test_order_is_kept_or_not_as_asked():
    for reorder in (False, True):
        with Link(seed=14, reorder=reorder) as link:
            seen = send_numbers(link, 400)
        assert 380 <= len(seen) < 400 and len(set(seen)) == len(seen), len(seen)
        assert (seen != sorted(seen)) == reorder
        assert link.stats["a_to_b"]["lost"] == 400 - len(seen)


def test_the_seed_decides_what_is_lost():
    lost = []
    for seed in (21, 21, 22):
        with Link(seed=seed, delay_ms=(0, 2), spike=(0, 0), loss=0.05) as link:
            lost.append(sorted(set(range(300)) - set(send_numbers(link, 300))))
    assert lost[0] == lost[1] and lost[0] != lost[2] and len(lost[0]) >= 5, lost


def test_a_black_hole_stops_everything_and_ends():
    with Link(seed=15, delay_ms=(0, 5), spike=(0, 0), loss=0, a_here=True) as link:
        Echo(link)
        client = socket.create_connection((ADDRESS_B, PORT), 30, source_address=(ADDRESS_A, 0))
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        round_trip_ms(client)
        link.black_hole()
        client.sendall(b"into the dark")
        # Sent, and sent again by the kernel: still nothing.
        wait_until(lambda: link.stats_now()["a_to_b"]["black_holed"] >= 2, 20, "segments dropped")
        client.setblocking(False)
        try:
            raise AssertionError(f"came through a black hole: {client.recv(100)}")
        except BlockingIOError:
            pass
        link.restore()
        client.settimeout(30)
        assert read_exactly(client, 13) == b"into the dark"
        round_trip_ms(client)
    assert link.stats["a_to_b"]["delivered"] >= 3, link.stats


def test_it_leaves_nothing():
    with Link(seed=16) as link:
        pid = link.tool.pid
        assert pathlib.Path(link.namespace_b).exists()
        child = link.in_b(lambda: os.readlink("/proc/thread-self/ns/net"))
        assert child != os.readlink("/proc/self/ns/net")
    assert link.stats["reason"] == "signal" and link.tool.process.returncode == 0, link.tool.text()
    assert not pathlib.Path(f"/proc/{pid}").exists()
    wait_until(lambda: not os.path.exists(link.namespace_b), 5, "namespaces gone")
