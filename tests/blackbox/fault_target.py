"""A target that breaks in every way an API can break, and a DNS server that does as it is told.

One FaultTarget a fault, on a port of its own. A message says in its body how many of its calls are to fail ("fails");
then it is answered with 201. A fault on the wire before there is a request counts connections instead. Arrivals carry
the kernel's time stamps, so that I1 can be judged to the microsecond in spite of Python.
"""
import json
import pathlib
import re
import socket
import ssl
import struct
import subprocess
import threading
import time

from support import response

SO_TIMESTAMPNS, TCP_REPAIR = 35, 19
FOREVER = 1 << 30
BIG = 2 << 20
RESET = struct.pack("ii", 1, 0)


class Call:
    """One request as it arrived: when, of which message, the how-manieth of it, and whether it was to fail."""

    def __init__(self, at, message_id, number, receive_count, failed):
        self.at, self.message_id, self.number, self.receive_count, self.failed = at, message_id, number, receive_count, failed
        self.delivered = False


class Connection:
    """A connection with a buffer, for faults to misuse."""

    def __init__(self, target, raw, wire):
        self.target, self.raw, self.wire, self.data, self.at = target, raw, wire, b"", None

    def read_more(self):
        """False at its end, however that came."""
        try:
            if self.wire is self.raw:
                more, extra, _, _ = self.raw.recvmsg(65536, 64)
                stamps = [struct.unpack("qq", data[:16]) for level, kind, data in extra
                          if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS)]
                at = stamps[0][0] + stamps[0][1] / 1e9 if stamps else time.time()
            else:
                more, at = self.wire.recv(65536), time.time()
        except OSError:
            return False
        if more and not self.data:
            self.at = at
        self.data += more
        return bool(more)

    def read_head(self):
        while b"\r\n\r\n" not in self.data:
            if not self.read_more():
                return None
        head, self.data = self.data.split(b"\r\n\r\n", 1)
        return {k.lower(): v for k, v in re.findall(r"(?m)^([^:\r\n]+): *([^\r\n]*)", head.decode())}

    def read_fails(self):
        """How many calls of this message are to fail: at the front of its body."""
        while not (found := re.match(rb'\{"fails": (\d+)', self.data)):
            if not self.read_more():
                return 0
        return int(found[1])

    def read_body(self, length):
        while len(self.data) < length:
            if not self.read_more():
                return None
        body, self.data = self.data[:length], self.data[length:]
        return body

    def wait_for_end(self):
        while self.read_more():
            pass

    def send(self, data):
        try:
            self.wire.sendall(data)
        except OSError:
            pass

    def reset(self):
        """RST, no FIN."""
        self.raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.close()

    def vanish(self):
        """Gone as with a cut cable: neither FIN nor RST."""
        self.raw.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
        self.close()

    def close(self):
        self.wire.close()
        self.raw.close()


class FaultTarget:
    """fault(connection): what is done to a call that is to fail (None: none fails); true: the connection may be used again.
    at_accept: the fault comes before any request, on the first that many connections. contexts(number): the TLS
    context of the number-th connection, or None for none. read_body false: the fault comes before the body is read.
    pause: how long the work of a good call takes, in seconds."""

    def __init__(self, port, fault, at_accept=0, contexts=None, read_body=True, host="127.0.0.1", listen=True, pause=0):
        self.pause = pause
        self.port, self.fault, self.at_accept, self.contexts, self.read_body = port, fault, at_accept, contexts, read_body
        self.calls, self.connections, self.active, self.active_peak = [], 0, 0, 0
        self.seen, self.lock = {}, threading.Lock()
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.listener.bind((host, port))
        if listen:
            self.listen()

    def listen(self):
        self.listener.listen(64)
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                raw, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(raw,), daemon=True).start()

    def serve(self, raw):
        with self.lock:
            number, self.connections = self.connections, self.connections + 1
        connection = Connection(self, raw, raw)
        context = self.contexts(number) if self.contexts else None
        if number < self.at_accept and context is None:
            self.fault(connection)
            return connection.close()
        if context is not None:
            try:
                connection.wire = context.wrap_socket(raw, server_side=True)
            except OSError:
                return raw.close()
        while self.serve_request(connection):
            pass
        return connection.close()

    def serve_request(self, connection):
        """True: the connection may be used again."""
        headers = connection.read_head()
        if headers is None:
            return False
        fails = connection.read_fails()
        call = self.note(connection, headers, fails)
        complete = not (self.read_body or not call.failed) or connection.read_body(int(headers["content-length"])) is not None
        if complete and not call.failed:
            time.sleep(self.pause)
        lingers = call.failed and getattr(self.fault, "lingers", False)
        if not lingers:
            self.over(call, complete)
        if not complete:
            return False
        if not call.failed:
            connection.send(response())
            return True
        again = self.fault(connection)
        if lingers:
            self.over(call, True)
        return bool(again)

    def note(self, connection, headers, fails):
        with self.lock:
            message_id = headers["sluice-message-id"]
            number = self.seen[message_id] = self.seen.get(message_id, 0) + 1
            failed = self.fault is not None and not self.at_accept and self.contexts is None and number <= fails
            call = Call(connection.at, message_id, number, int(headers["sluice-receive-count"]), failed)
            self.calls.append(call)
            self.active += 1
            self.active_peak = max(self.active_peak, self.active)
            return call

    def over(self, call, complete):
        """Before the answer is on its way: the next call may come as soon as it is there."""
        with self.lock:
            self.active -= 1
            call.delivered = complete and not call.failed

    def delivered(self):
        return {c.message_id for c in self.calls if c.delivered}

    def of(self, message_id):
        return [c for c in self.calls if c.message_id == message_id]

    def close(self):
        self.listener.close()


# ---- what a fault does to a connection ----

def reset(connection):
    connection.reset()


def close(connection):
    connection.close()


def lingers(act):
    """The call is not over before the other side ends it."""
    act.lingers = True
    return act


@lingers
def never_answers(connection):
    connection.wait_for_end()


def vanishes(connection):
    connection.vanish()


def answers(status, body=b"{}", headers=""):
    """A complete answer; headers may be a function."""
    def act(connection):
        text = headers() if callable(headers) else headers
        connection.send(response(status, body, text))
        return True
    return act


def sends(*parts, then_close=True):
    """These bytes, whatever they are."""
    def act(connection):
        for part in parts:
            connection.send(part)
        if not then_close:
            connection.wait_for_end()
        return False
    return act


@lingers
def trickles(connection):
    """The head of an answer at once, its body a byte at a time, far too slowly."""
    connection.send(b"HTTP/1.1 201 X\r\nContent-Length: 1000\r\n\r\n")
    connection.wire.settimeout(0.1)
    for _ in range(600):
        connection.send(b"x")
        try:
            if not connection.wire.recv(1):
                return
        except socket.timeout:
            pass
        except OSError:
            return


def answers_late(seconds):
    """The right answer, too late: nobody may take it for the answer to something else."""
    @lingers
    def act(connection):
        connection.wire.settimeout(seconds)
        try:
            connection.wire.recv(1)
        except socket.timeout:
            connection.wire.settimeout(None)
        except OSError:
            pass
        # Said, or one that comes in time would have its connection used again in the moment before it closes.
        connection.send(response(headers="Connection: close\r\n"))
        return False
    return act


# ---- certificates ----

def openssl(*args):
    subprocess.run(["/usr/bin/openssl", *args], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def authority(name):
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={name}",
            "-keyout", f"{name}.key", "-out", f"{name}.pem")
    return name


def server_context(ca, name, host="127.0.0.1", days=2):
    """A TLS server of that host with a certificate of that authority; days < 0: it has expired."""
    kind = "IP" if host[0].isdigit() else "DNS"
    pathlib.Path(f"{name}.ext").write_text(f"subjectAltName={kind}:{host}\n")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={host}", "-keyout", f"{name}.key",
            "-out", f"{name}.csr")
    openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-set_serial", "7", "-days", str(days),
            "-extfile", f"{name}.ext", "-out", f"{name}.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{name}.pem", f"{name}.key")
    return context


# ---- DNS ----

class DnsServer(threading.Thread):
    """answer(name, how often it was asked before) → an address, "" (no such record), "nxdomain", "servfail",
    or (seconds to wait, one of these)."""

    def __init__(self, answer, address=("127.0.0.1", 53)):
        super().__init__(daemon=True)
        self.answer, self.asked = answer, []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.start()

    def run(self):
        while True:
            query, peer = self.socket.recvfrom(512)
            threading.Thread(target=self.serve, args=(query, peer), daemon=True).start()

    def serve(self, query, peer):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        name, kind = ".".join(labels).lower(), struct.unpack(">H", query[at + 1:at + 3])[0]
        before = len([1 for n, k, _ in self.asked if (n, k) == (name, kind)])
        self.asked.append((name, kind, time.monotonic()))
        answer = self.answer(name, before) if kind == 1 else ""
        if isinstance(answer, tuple):
            threading.Event().wait(answer[0])  # a slow server's own slowness
            answer = answer[1]
        code = {"nxdomain": 3, "servfail": 2}.get(answer, 0)
        record = b""
        if code == 0 and answer:
            record = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 1, 4) + socket.inet_aton(answer)
        head = query[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, 1 if record else 0, 0, 0)
        self.socket.sendto(head + query[12:at + 5] + record, peer)

    def questions(self, name):
        """When its address was asked for."""
        return [at for n, kind, at in self.asked if (n, kind) == (name, 1)]
