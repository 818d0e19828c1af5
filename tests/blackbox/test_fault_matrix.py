"""Every way an API can fail, all at once against one daemon: a route, a queue and a target for each fault. What becomes of the
messages, how often they were received, what the metrics and the log say; and I1 to I5 hold meanwhile."""
import email.utils
import json
import pathlib
import socket
import time

import fault_target as ft
from fault_target import BIG, FOREVER, DnsServer, FaultTarget
from support import Daemon, figure, response, sqs, wait_until, window_peak

FIRST_PORT, REQUESTS, PER_S, CONCURRENCY, MAX_ATTEMPTS = 20000, 4, 0.4, 2, 3
PLENTY, SHORT = "20s", "1500ms"
FAULTS = []


class Fault:
    """kind says what is expected:
    retry    every call that fails counts: messages come through after one and two failures; one that always fails is a dead letter
    refuse   a dead letter after one call
    throttle waits, however often: no attempt counts
    gated    as throttle, with a Retry-After longer than this test
    ack      is delivered in spite of it, by one call
    wire     the first connections fail, before there is a request; all messages come through"""

    def __init__(self, name, kind, code, fault=None, *, timeout=PLENTY, pad=0, url="http://127.0.0.1:{port}/", concurrency=CONCURRENCY,
                 abort_hold="0s", other_codes=(), reason="", **target):
        self.name, self.kind, self.code, self.fault, self.timeout, self.pad = name, kind, code, fault, timeout, pad
        self.concurrency, self.abort_hold, self.codes, self.reason, self.more = concurrency, abort_hold, {code, *other_codes}, reason, target
        self.port, self.target, self.sent = FIRST_PORT + len(FAULTS), None, {}
        self.url = url.format(port=self.port)
        FAULTS.append(self)

    def open(self):
        self.target = FaultTarget(self.port, self.fault, **self.more)

    def fails(self):
        return {"retry": [1, 2, FOREVER], "refuse": [0, FOREVER, FOREVER], "throttle": [1, 2], "gated": [FOREVER] * 2, "ack": [FOREVER] * 3,
                "wire": [0] * 3}[self.kind]

    def send(self):
        for fails in self.fails():
            body = json.dumps({"fails": fails, "pad": "x" * self.pad})
            self.sent[sqs(9324, "SendMessage", QueueUrl=self.name, MessageBody=body)["MessageId"]] = fails

    def expected_calls(self, fails):
        """How many calls a message takes that fails so often, and whether it comes through."""
        if self.kind == "refuse":
            return 1, fails == 0
        if self.kind in ("ack", "wire"):
            return 1, True
        if self.kind == "gated":
            return 1, False
        return (MAX_ATTEMPTS, False) if fails == FOREVER else (fails + 1, True)

    def expected_dead(self):
        return {i for i, n in self.sent.items() if n == FOREVER} if self.kind in ("retry", "refuse") else set()


# ---- the matrix ----

def in_two_seconds():
    return f"Retry-After: {email.utils.formatdate(time.time() + 2, usegmt=True)}\r\n"


def cut_short(length):
    return ft.sends(f"HTTP/1.1 201 X\r\nContent-Length: {length}\r\n\r\n{{}}".encode())


def declare_statuses():
    for status in (302, 400, 401, 403, 404, 409, 413):
        Fault(f"status-{status}", "refuse", str(status), ft.answers(status))
    for status in (408, 500, 502, 504):
        Fault(f"status-{status}", "retry", str(status), ft.answers(status))
    for status in (429, 503):
        Fault(f"status-{status}", "throttle", str(status), ft.answers(status))
    Fault("retry-after-seconds", "throttle", "429", ft.answers(429, headers="Retry-After: 1\r\n"), concurrency=1)
    Fault("retry-after-date", "throttle", "429", ft.answers(429, headers=in_two_seconds), concurrency=1)
    Fault("retry-after-503", "throttle", "503", ft.answers(503, headers="Retry-After: 1\r\n"), concurrency=1)
    Fault("retry-after-far", "gated", "429", ft.answers(429, headers="Retry-After: 99999999999999999999\r\n"), concurrency=1)
    Fault("retry-after-far-date", "gated", "429", ft.answers(429, headers="Retry-After: Fri, 31 Dec 9999 23:59:59 GMT\r\n"), concurrency=1)
    Fault("early-413", "refuse", "413", ft.answers(413), pad=300_000)
    Fault("empty-200", "ack", "200", ft.answers(200, b""))
    Fault("empty-204", "ack", "204", ft.sends(b"HTTP/1.1 204 X\r\n\r\n"))


def declare_bodies():
    Fault("oversized-500", "retry", "response_too_big", ft.answers(500, b"x" * BIG))
    Fault("oversized-200", "ack", "response_too_big", ft.answers(200, b"x" * BIG))
    Fault("length-too-long", "retry", "connection_broken", cut_short(100))
    # What is left over must never be read as the answer to the next call of that connection.
    Fault("length-too-short", "ack", "201", ft.sends(response(201) + response(500), then_close=False), concurrency=1)
    Fault("length-none", "ack", "200", ft.sends(b"HTTP/1.1 200 X\r\n\r\nto the end"))
    Fault("length-no-number", "retry", "connection_broken", cut_short("banana"))
    Fault("chunks-broken", "retry", "connection_broken", ft.sends(b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\nnothing\r\n"))
    Fault("not-http", "retry", "connection_broken", ft.sends(b"220 mail.example ESMTP\r\n"))
    Fault("endless-head", "retry", "connection_broken", ft.sends(b"HTTP/1.1 200 X\r\n", *[b"X-Filler: " + b"x" * 1000 + b"\r\n"] * 1000))
    Fault("slow-body", "retry", "timeout", ft.trickles, timeout=SHORT, abort_hold="500ms")


def declare_connections():
    Fault("refused", "wire", "connect_error", listen=False)
    Fault("reset-at-once", "wire", "connection_broken", ft.reset, at_accept=2, other_codes=["connect_error"])
    Fault("closed-at-once", "wire", "connection_broken", ft.close, at_accept=2)
    Fault("connect-times-out", "wire", "timeout", timeout=SHORT, listen=False)
    Fault("reset-after-request", "retry", "connection_broken", ft.reset)
    Fault("reset-in-body", "retry", "connection_broken", ft.reset, read_body=False, pad=700_000)
    Fault("closed-after-request", "retry", "connection_broken", ft.close)
    Fault("half-open", "retry", "timeout", ft.never_answers, timeout=SHORT, abort_hold="500ms")
    Fault("vanished", "retry", "timeout", ft.vanishes, timeout=SHORT, abort_hold="500ms",
          other_codes=["connection_broken"])  # a segment sent again is answered with RST: nobody is there
    Fault("slow", "retry", "timeout", ft.answers_late(2.5), timeout=SHORT, abort_hold="500ms")
    Fault("slow-in-time", "ack", "201", ft.answers_late(0.5), abort_hold="500ms")


def declare_tls():
    """The certificates of this test's own authority are good; the first two connections show something else."""
    ft.authority("trusted")
    ft.authority("unknown")
    good = ft.server_context("trusted", "good")
    first_two = {"tls-wrong-ca": ft.server_context("unknown", "foreign"), "tls-expired": ft.server_context("trusted", "old", days=-1),
                 "tls-wrong-name": ft.server_context("trusted", "other", host="other.example"), "tls-plain-http": None}
    for name, bad in first_two.items():
        Fault(name, "wire", "tls_error", ft.sends(response(400)), at_accept=2 if bad is None else 0, url="https://127.0.0.1:{port}/",
              contexts=lambda number, bad=bad: bad if number < 2 else good)


ADDRESS_AFTER = {"dns-slow.test": "127.0.0.1", "dns-failing.test": "127.0.0.1", "dns-changing.test": "127.0.0.3"}


def dns_answer(name, before):
    if name == "dns-slow.test":
        return 2, "127.0.0.1"
    if name == "dns-failing.test":
        return ("nxdomain", "servfail", "127.0.0.1")[min(before, 2)]
    if name == "dns-changing.test":
        return ("127.0.0.2", "servfail", "127.0.0.3")[min(before, 2)]
    return "nxdomain"


def declare_names():
    Fault("dns-slow", "wire", "201", url="http://dns-slow.test:{port}/")
    Fault("dns-failing", "wire", "201", url="http://dns-failing.test:{port}/")
    Fault("dns-changing", "wire", "connect_error", url="http://dns-changing.test:{port}/", host="127.0.0.3")


# ---- running it ----

def setup():
    window = {"kind": "window", "requests": REQUESTS, "per": f"{int(PER_S * 1000)}ms"}
    return {
        "limits": {f.name: window for f in FAULTS},
        "targets": {f.name: {"url": f.url, "concurrency": f.concurrency, "timeout": f.timeout, "connect_timeout": "5s"
                             if f.timeout == PLENTY else "500ms", "abort_hold": f.abort_hold} for f in FAULTS},
        "queues": {f.name: {"dead_letter": f"{f.name}-dead"} for f in FAULTS},
        "routes": {f.name: {"queue": f.name, "target": f.name, "limits": [f.name],
                            "retry": {"max_attempts": MAX_ATTEMPTS, "min_backoff": "10ms", "max_backoff": "50ms"}} for f in FAULTS},
        "log": {"format": "json"}}


def in_a_small_world():
    """The daemon's command in a mount namespace with this test's resolver and certificate authority."""
    pathlib.Path("resolv.conf").write_text("nameserver 127.0.0.1\noptions attempts:1 timeout:5\n")
    binds = {"resolv.conf": "/etc/resolv.conf", "trusted.pem": "/etc/ssl/certs/ca-certificates.crt"}
    mounts = " && ".join(f"mount --bind {pathlib.Path(ours).resolve()} {theirs}" for ours, theirs in binds.items())
    return ["unshare", "--mount", "--", "/bin/sh", "-c", f"{mounts} && exec \"$@\"", "sh"]


def fault(name):
    return next(f for f in FAULTS if f.name == name)


def fill_backlog(target):
    """A listener that does not accept: further connections get no answer to their SYN."""
    target.listener.listen(0)
    fillers = []
    for _ in range(4):
        fillers.append(socket.socket())
        fillers[-1].setblocking(False)
        fillers[-1].connect_ex(("127.0.0.1", target.port))
    return fillers


class Seen:
    """What the daemon says, asked once."""

    def __init__(self, daemon, lines=()):
        self.metrics, self.lines = daemon.metrics(), lines

    def code(self, f, code):
        return self.metrics.get(f'sluice_target_requests_total{{target="{f.name}",code="{code}"}}', 0)

    def settled(self, f, outcome):
        return self.metrics.get(f'sluice_messages_settled_total{{route="{f.name}",outcome="{outcome}"}}', 0)

    def held(self, f):
        return sum(v for k, v in self.metrics.items() if k.startswith(f'sluice_messages_held{{route="{f.name}"'))

    def about(self, f, message):
        return [x for x in self.lines if x.get("route") == f.name and x["message"] == message]

    def is_over(self, f):
        if f.kind == "gated":
            return self.code(f, f.code) == 1 and self.held(f) == 2
        return self.settled(f, "ack") + self.settled(f, "dead_letter") == len(f.sent)


def all_over(daemon):
    seen = Seen(daemon)
    return all(seen.is_over(f) for f in FAULTS)


def check_letter(f, letter):
    """It says why it is one."""
    marks = {k: v["StringValue"] for k, v in letter["MessageAttributes"].items()}
    assert json.loads(letter["Body"])["fails"] == f.sent[letter["MessageId"]], "a dead letter has its body"
    assert marks["Sluice-Reason"] == ("refused" if f.kind == "refuse" else "max_attempts") and marks["Sluice-Route"] == f.name, marks
    assert marks["Sluice-Attempts"] == str(len(f.target.of(letter["MessageId"]))), marks
    if f.code.isdigit():
        assert marks["Sluice-Status"] == f.code and "Sluice-Error" not in marks, marks
    else:
        assert marks["Sluice-Error"].split(": ")[0] in f.codes, marks


def check_messages(f, seen):
    """I3: each is delivered or a dead letter, and just one of them. I5: it was received once."""
    dead, got = set(), [None]
    while got:
        got = sqs(9324, "ReceiveMessage", QueueUrl=f"{f.name}-dead", MaxNumberOfMessages=10, MessageAttributeNames=["All"]).get("Messages", [])
        dead |= {m["MessageId"] for m in got}
        for letter in got:
            check_letter(f, letter)
    assert dead == f.expected_dead(), f"dead letters {dead}"
    for message_id, fails in f.sent.items():
        calls = f.target.of(message_id)
        expected, comes_through = f.expected_calls(fails)
        assert [c.number for c in calls if c.receive_count != 1] == [], f"I5: receives {[c.receive_count for c in calls]}"
        if f.kind == "gated":
            continue
        assert len(calls) == expected, f"{len(calls)} calls of {message_id}, expected {expected}"
        if f.kind != "ack":
            assert (message_id in f.target.delivered()) == comes_through, f"{message_id} fails {fails}"
    if f.kind == "gated":
        assert len(f.target.calls) == 1, "0 calls inside a Retry-After"
    visible = sqs(9324, "GetQueueAttributes", QueueUrl=f.name, AttributeNames=["All"])["Attributes"]
    left = len(f.sent) if f.kind == "gated" else 0
    assert int(visible["ApproximateNumberOfMessages"]) == 0 and int(visible["ApproximateNumberOfMessagesNotVisible"]) == left, visible


def check_metrics(f, seen):
    dead = len(f.expected_dead())
    delivered = 0 if f.kind == "gated" else len(f.sent) - dead
    assert seen.settled(f, "dead_letter") == dead and seen.settled(f, "ack") == delivered
    assert seen.held(f) == (len(f.sent) if f.kind == "gated" else 0), "I4"
    failed = [c for c in f.target.calls if c.failed]
    counted = sum(seen.code(f, code) for code in f.codes)
    if f.kind == "wire":
        assert counted >= 2, f"{counted} of {f.codes}"
    else:
        assert counted == len(failed), f"{counted} of {f.codes}, the target failed {len(failed)}"
        all_codes = {k: v for k, v in seen.metrics.items() if k.startswith(f'sluice_target_requests_total{{target="{f.name}"')}
        assert sum(all_codes.values()) == len(f.target.calls), f"a hidden call: {all_codes}"
    if f.kind == "gated":
        assert seen.metrics[f'sluice_throttle_wait_seconds_total{{route="{f.name}",reason="gate"}}'] > 0


def check_log(f, seen):
    canonical = {x["function_request_id"]: x for x in seen.about(f, "message delivered") + seen.about(f, "message dead-lettered")}
    assert set(canonical) == (set() if f.kind == "gated" else set(f.sent)), "one canonical line a message"
    for message_id, line in canonical.items():
        dead = message_id in f.expected_dead()
        assert line["receive_count"] == 1 and len(line["trace_id"]) == 32 and line["target"] == f.name, line
        assert line["outcome"] == ("dead_letter" if dead else "ack") and line["level"] == ("WARNING" if dead else "INFO"), line
        if dead or f.kind == "ack":
            assert line["target_code"] == f.code, line
        if f.kind != "wire":
            assert line["calls"] == len(f.target.of(message_id)), line
        assert f.kind != "throttle" or line["attempts"] == 1, f"a throttle counts no attempt: {line}"
    if f.kind in ("throttle", "gated"):
        pauses = seen.about(f, "the target asks for a pause") + seen.about(f, "the target asks for a pause that is cut to the longest allowed")
        assert pauses and all(x["limit"] == f.name and x["until"] for x in pauses), f"pauses: {pauses}"
        assert [x["message"].endswith("allowed") for x in pauses] == [f.kind == "gated"] * len(pauses), pauses
    failures = seen.about(f, "attempt failed")
    for line in failures:
        assert line["function_request_id"] in f.sent and line["target"] == f.name and len(line["trace_id"]) == 32, line
        assert line["code"] in f.codes and line["outcome"] == "retry" and (line.get("reason") or line["code"].isdigit()), line
    # What is refused, throttled or taken by its status has its line elsewhere.
    vain = sum(seen.code(f, code) for code in f.codes if not code.startswith("20")) if f.kind in ("retry", "wire") else 0
    assert len(failures) == vain if vain <= 20 else 20 <= len(failures) < vain, f"{len(failures)} lines for {vain} failed attempts"


def check_window(f, peaks):
    """I1 by the kernel's stamps, I2 by the target's own count."""
    peak = window_peak([c.at for c in f.target.calls], PER_S)
    assert peak <= REQUESTS, f"I1: {peak}"
    assert f.target.active_peak <= f.concurrency, f"I2: {f.target.active_peak}"
    peaks.append((peak, f.target.active_peak))


def check_retry_after(f):
    """No call of the route between a 429 and the end of its Retry-After: a second, or a date 1 to 2 s ahead."""
    for call in f.target.calls:
        if call.failed:
            later = [c.at for c in f.target.calls if c.at > call.at]
            assert all(at - call.at >= 1 for at in later), f"a call {min(later) - call.at:.3f} s after a 429"


def check_all(daemon):
    seen, peaks, wrong = Seen(daemon, daemon.lines()), [], []
    for f in FAULTS:
        for check in (lambda: check_messages(f, seen), lambda: check_metrics(f, seen), lambda: check_log(f, seen), lambda: check_window(f, peaks),
                      lambda: check_retry_after(f) if f.name.startswith("retry-after") else None):
            try:
                check()
            except AssertionError as e:
                wrong.append(f"{f.name}: {e}")
    assert not wrong, "\n".join([f"{len(wrong)} things are wrong:"] + wrong)
    assert max(p for p, _ in peaks) == REQUESTS and max(a for _, a in peaks) == CONCURRENCY, "N and K were reached"


def check_names(daemon, dns):
    said = [x for x in daemon.lines() if x["message"] == "the target's name does not resolve"]
    assert {x["target"]: x["addresses_known_before"] for x in said} == {"dns-failing": False, "dns-changing": True}, said
    again = [x["target"] for x in daemon.lines() if x["message"] == "the target's name resolves again"]
    assert sorted(again) == ["dns-changing", "dns-failing"], again
    for name in ("dns-slow", "dns-failing"):
        asked, first = dns.questions(f"{name}.test")[0], fault(name).target.calls[0]
        assert first.at - time.time() + time.monotonic() >= asked + 1, "the first call came before the name was known"
    assert len(dns.questions("dns-changing.test")) >= 3, "asked again when the address no longer answered"


def test_fault_matrix():
    declare_statuses()
    declare_bodies()
    declare_connections()
    declare_tls()
    declare_names()
    dns = DnsServer(dns_answer)
    for f in FAULTS:
        f.open()
    fillers = fill_backlog(fault("connect-times-out").target)
    daemon = Daemon(setup(), prefix=in_a_small_world())
    for f in FAULTS:
        f.send()
    # What never reached the API is tried more often than max_attempts, and is no dead letter (I5).
    wait_until(lambda: Seen(daemon).code(fault("refused"), "connect_error") > MAX_ATTEMPTS * 2, 30, "refused connections")
    fault("refused").target.listen()
    wait_until(lambda: Seen(daemon).code(fault("connect-times-out"), "timeout") > 2, 30, "connections that time out")
    fault("connect-times-out").target.listen()
    for filler in fillers:
        filler.close()
    wait_until(lambda: all_over(daemon), 60, "all is over")
    check_all(daemon)
    check_names(daemon, dns)
    calls = sum(len(f.target.calls) for f in FAULTS)
    figure(f"fault matrix: {len(FAULTS)} faults, {sum(len(f.sent) for f in FAULTS)} messages, {calls} calls, 0 lost")
    assert daemon.stop() == 0, daemon.text()[-800:]


test_fault_matrix.weight = 20
