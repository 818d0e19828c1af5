"""I3 and I7 of the embedded queue under kill -9: senders, receivers and deleters at work, the daemon killed at random
instants and started again on the same directory (SLUICE_KILLS: how often). No acknowledged message is lost, no
acknowledged delete is back, FIFO groups keep their order, and what is sent again after a kill is there once."""
import collections
import http.client
import json
import mmap
import os
import pathlib
import random
import signal
import socket
import sqlite3
import struct
import time

from support import DEBUG_BUILD, Daemon, Skip, figure, queue_counts, wait_until

VISIBILITY_S = 8
KILLS = int(os.environ.get("SLUICE_KILLS", "20"))
GROUPS_OF_A_SENDER = 3


class Gone(Exception):
    """The daemon went away: whether the request was done is not known."""


class NotThere(Exception):
    """No connection: the request was not done."""


class Client:
    """One kept connection, AWS JSON by hand: fast, and nothing is sent twice behind the test's back."""

    def __init__(self, shared):
        self.shared, self.connection = shared, None

    def try_once(self, action, members):
        if self.connection is None:
            connection = http.client.HTTPConnection("127.0.0.1", 9324, timeout=30)
            try:
                connection.connect()
                connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as error:  # refused, or reset by a kill before a byte was sent
                raise NotThere from error
            self.connection = connection
        try:
            self.connection.request("POST", "/", json.dumps(members), {
                "Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "AmazonSQS." + action})
            response = self.connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            self.connection = None
            raise Gone from error
        assert response.status == 200, (action, response.status, body)
        self.shared.count()
        return json.loads(body) if body else {}

    def call(self, action, **members):
        """Gone when the daemon was killed in the middle. Without a connection it is tried again."""
        deadline = time.monotonic() + 60
        while True:
            try:
                return self.try_once(action, members)
            except NotThere:
                assert time.monotonic() < deadline, "the daemon is not back"
                time.sleep(0.005)

    def insist(self, action, **members):
        """The same request until it is answered."""
        while True:
            try:
                return self.call(action, **members)
            except Gone:
                pass


class Shared:
    """Memory of all processes: whether to stop, and how much was answered (a slot each)."""

    def __init__(self, slot=0, memory=None):
        self.slot, self.memory = slot, memory or mmap.mmap(-1, 4096)

    def of(self, slot):
        return Shared(slot, self.memory)

    def count(self):
        value = struct.unpack_from("q", self.memory, 8 * self.slot)[0]
        struct.pack_into("q", self.memory, 8 * self.slot, value + 1)

    def total(self):
        return sum(struct.unpack_from("63q", self.memory, 8))

    def phase(self):
        return self.memory[0]

    def set_phase(self, phase):
        self.memory[0] = phase


SENDING, DRAINING, DONE = 0, 1, 2


def send_plain(shared, name):
    client, number, out = Client(shared), 0, []
    rng = random.Random(name)
    while shared.phase() == SENDING:
        bodies = [f"{name}:{number + i}" for i in range(rng.choice((1, 1, 4, 10)))]
        number += len(bodies)
        try:
            if len(bodies) == 1:
                client.call("SendMessage", QueueUrl="plain", MessageBody=bodies[0])
            else:
                answer = client.call("SendMessageBatch", QueueUrl="plain", Entries=[
                    {"Id": str(i), "MessageBody": body} for i, body in enumerate(bodies)])
                assert len(answer["Successful"]) == len(bodies), answer
            out += [("sent", body) for body in bodies]
        except Gone:
            out += [("unknown", body) for body in bodies]
    return out


def send_line(shared, name):
    """A sender that insists: the same deduplication id until it is answered."""
    client, out = Client(shared), []
    numbers = collections.Counter()
    rng = random.Random(name)
    while shared.phase() == SENDING:
        group = f"{name}{rng.randrange(GROUPS_OF_A_SENDER)}"
        body = f"{group}:{numbers[group]}"
        numbers[group] += 1
        client.insist("SendMessage", QueueUrl="line.fifo", MessageBody=body, MessageGroupId=group,
                      MessageDeduplicationId=body)
        out.append(("sent", body))
    return out


def receive(shared, queue):
    """Receives and deletes until told to stop: (what, body, when the receive began, when it was answered)."""
    client, out, attempt = Client(shared), [], 0
    while shared.phase() != DONE:
        members = {"QueueUrl": queue, "MaxNumberOfMessages": 10, "VisibilityTimeout": VISIBILITY_S, "WaitTimeSeconds": 1}
        if queue.endswith(".fifo"):
            attempt += 1
            members["ReceiveRequestAttemptId"] = f"{os.getpid()}-{attempt}"
        began = time.monotonic()
        try:
            messages = (client.insist if "ReceiveRequestAttemptId" in members else client.call)("ReceiveMessage", **members)
        except Gone:
            continue
        messages = messages.get("Messages", [])
        out += [("received", m["Body"], began, time.monotonic()) for m in messages]
        if messages:
            answer = client.insist("DeleteMessageBatch", QueueUrl=queue, Entries=[
                {"Id": str(i), "ReceiptHandle": m["ReceiptHandle"]} for i, m in enumerate(messages)])
            deleted = {int(e["Id"]) for e in answer.get("Successful", [])}
            if time.monotonic() - began < VISIBILITY_S - 1:  # later, a handle may be outdated
                assert len(deleted) == len(messages), answer
                out += [("deleted", m["Body"], began, time.monotonic()) for m in messages]
    return out


def spawn(shared, work, *args):
    """work in a process of its own; what it returns comes through a file."""
    path = f"worker-{work.__name__}-{shared.slot}.json"
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            out = work(shared, *args)
            with open(path, "w") as file:
                json.dump(out, file)
            code = 0
        except BaseException as error:
            pathlib.Path(path).write_text(json.dumps(f"{work.__name__}{args}: {error!r}"))
        finally:
            os._exit(code)
    return pid, path


def reap(workers):
    results = []
    for pid, path in workers:
        deadline = time.monotonic() + 60
        while True:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done or time.monotonic() > deadline:
                break
            time.sleep(0.01)
        if not done:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        assert done, f"a worker does not end ({path})"
        result = json.loads(pathlib.Path(path).read_text())
        assert status == 0, f"a worker failed: {result}"
        results.append(result)
    return results


def check_plain(sent, events):
    acknowledged = {body for what, body in sent if what == "sent"}
    unknown = {body for what, body in sent if what == "unknown"}
    received = {e[1] for e in events if e[0] == "received"}
    lost = acknowledged - received
    assert not lost, f"I3: {len(lost)} acknowledged messages lost: {sorted(lost)[:5]}"
    assert received <= acknowledged | unknown, "a message that nobody sent"
    back = back_from_the_dead(events)
    assert not back, f"{len(back)} messages back after their delete was acknowledged: {back[:5]}"
    return len(acknowledged), len(unknown), len(unknown & received)


def back_from_the_dead(events):
    deleted_at = {}
    for what, body, _, at in events:
        if what == "deleted":
            deleted_at[body] = min(at, deleted_at.get(body, at))
    return [body for what, body, began, _ in events if what == "received" and began > deleted_at.get(body, began)]


def check_line(sent, events):
    """I7: first deliveries of a group are 0, 1, 2 … and every one there is was delivered; nothing is there twice."""
    expected = {body for _, body in sent}
    receives = sorted((e for e in events if e[0] == "received"), key=lambda e: e[3])
    following = collections.Counter()
    for _, body, _, _ in receives:
        group, number = body.split(":")
        assert int(number) <= following[group], f"I7: {body} before {group}:{following[group]}"
        following[group] = max(following[group], int(number) + 1)
    seen = {e[1] for e in receives}
    assert expected - seen == set(), f"I3: lost {sorted(expected - seen)[:5]}"
    assert seen == expected, f"not acknowledged, but there: {sorted(seen - expected)[:5]}"
    back = back_from_the_dead(events)
    assert not back, f"{len(back)} back after their delete, or there twice: {back[:5]}"
    return len(expected)


def check_file():
    with sqlite3.connect("file:data/queue.db?mode=ro", uri=True) as file:
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert file.execute("SELECT count(*) FROM messages").fetchone() == (0,)
        assert file.execute("SELECT count(*) FROM groups").fetchone() == (0,)


def storm(kills, start, kill):
    """start(round) starts the daemon, kill(daemon) ends it; what there was to do is checked afterwards."""
    seed = int(os.environ.get("SLUICE_SEED", random.randrange(1 << 30)))
    print(f"seed {seed}")
    rng, shared = random.Random(seed), Shared()
    daemon = start(0, rng)
    for name, attributes in (("plain", {}), ("line.fifo", {"FifoQueue": "true"})):
        daemon.sqs("CreateQueue", QueueName=name, Attributes=attributes)
    plain = [spawn(shared.of(1 + i), send_plain, f"p{i}") for i in range(2)]
    line = [spawn(shared.of(3 + i), send_line, f"l{i}") for i in range(2)]
    plain_out = [spawn(shared.of(5 + i), receive, "plain") for i in range(2)]
    line_out = [spawn(shared.of(7 + i), receive, "line.fifo") for i in range(2)]
    try:
        for round_ in range(1, kills + 1):
            kill(daemon, shared, rng)
            daemon = start(round_, rng)
        shared.set_phase(DRAINING)
        sent_plain, sent_line = sum(reap(plain), []), sum(reap(line), [])
        empty = (0, 0, 0)
        wait_until(lambda: queue_counts(9324, "plain") == empty and queue_counts(9324, "line.fifo") == empty,
                   60 + VISIBILITY_S, "both queues empty")
    finally:
        shared.set_phase(DONE)
    acknowledged, unknown, arrived = check_plain(sent_plain, sum(reap(plain_out), []))
    ordered = check_line(sent_line, sum(reap(line_out), []))
    assert daemon.stop() == 0, daemon.text()[-1000:]
    check_file()
    assert acknowledged > 10 * kills and ordered > 10 * kills, (acknowledged, ordered)
    figure(f"{kills} kills: {acknowledged} acknowledged + {unknown} cut off ({arrived} of them there), "
           f"{ordered} in order; lost 0, back 0")


def test_queue_survives_kills_at_random_instants():
    def kill(daemon, shared, rng):
        target = shared.total() + rng.randrange(5, 400)
        wait_until(lambda: shared.total() >= target, 60, f"{target} answers")
        daemon.kill()

    storm(KILLS, lambda round_, rng: Daemon(), kill)


def test_queue_survives_kills_around_commits():
    """The same, but killed by the fault points before and after a commit and before its answers."""
    points = ("store.before_commit", "store.after_commit", "store.before_answer")
    if not (DEBUG_BUILD / "sluice").exists():
        raise Skip("no debug build with fault points")
    kills = max(6, KILLS // 2)

    def start(round_, rng):
        fault = f"{points[round_ % 3]}:{rng.randrange(20, 200)}=kill"
        return Daemon(build=DEBUG_BUILD, env={} if round_ == kills else {"SLUICE_FAULT": fault}, wait=round_ in (0, kills))

    def kill(daemon, shared, rng):
        assert daemon.process.wait(60) == -signal.SIGKILL, daemon.text()[-1000:]

    storm(kills, start, kill)


def test_the_checks_find_what_they_look_for():
    def fails(check, *args):
        try:
            check(*args)
        except AssertionError:
            return True
        return False

    def got(body, at):
        return ["received", body, at, at + 0.5]

    plain, line = [["sent", "p:0"], ["unknown", "p:1"]], [["sent", "a:0"], ["sent", "a:1"]]
    gone = ["deleted", "p:0", 1, 2]
    assert not fails(check_plain, plain, [got("p:0", 1), gone])
    assert fails(check_plain, plain, [got("p:1", 1)]), "lost"
    assert fails(check_plain, plain, [got("p:0", 1), gone, got("p:0", 3)]), "back"
    assert fails(check_plain, plain, [got("p:0", 1), got("q:0", 1)]), "never sent"
    assert not fails(check_line, line, [got("a:0", 1), got("a:0", 2), got("a:1", 3)])
    assert fails(check_line, line, [got("a:1", 1), got("a:0", 2)]), "out of order"
    assert fails(check_line, line, [got("a:0", 1)]), "lost"
    assert fails(check_line, line, [got("a:0", 1), ["deleted", "a:0", 1, 2], got("a:1", 2), got("a:0", 3)]), "twice"


test_queue_survives_kills_at_random_instants.weight = 70
test_queue_survives_kills_around_commits.weight = 60
