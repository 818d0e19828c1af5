"""Leases of a queue of SQS: what is stale is not called, what is behind it is not called before it."""
import json
import os
import signal
import threading

from support import Daemon, MockApi, ScriptedApi, config, md5, queue_counts, response, sqs, wait_until, window
from test_sqs_source import ScriptedSqs, scripted_message

QUEUE = "http://127.0.0.1:9424/000000000000/work"
FIFO = "http://127.0.0.1:9424/000000000000/orders.fifo"
LOST = 'sluice_leases_lost_total{route="createjob"}'
NO_KEYS = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent"}


def worker(queue, visibility, timeout):
    settings = config(window(50), timeout=timeout)
    del settings["queues"]
    settings["routes"]["createjob"] |= {"queue": queue, "visibility": visibility}
    return Daemon(settings, env=NO_KEYS)


def test_a_stale_handle_is_not_called():
    """The queue refuses to extend two of ten leases: another receiver has those messages. They are forgotten, not called."""
    queue, api = ScriptedSqs([scripted_message(i) for i in range(10)]), MockApi("--latency", "1ms")
    stale = ("handle-3", "handle-7")

    def some_are_stale(body):
        failed = [e for e in body["Entries"] if e["ReceiptHandle"] in stale]
        return {"Successful": [{"Id": e["Id"]} for e in body["Entries"] if e not in failed],
                "Failed": [{"Id": e["Id"], "Code": "InvalidParameterValue", "SenderFault": True, "Message": "not available"}
                           for e in failed]}

    queue.faults["ChangeMessageVisibilityBatch"] = some_are_stale
    # Four seconds less the margin do not suffice for a call of three: each lease is extended before its call.
    daemon = worker(QUEUE, "4s", "3s")
    wait_until(lambda: len(queue.deleted) == 8, 30, "the others deleted")
    wait_until(lambda: daemon.metric(LOST) == 2, 10, "two lost leases")
    assert sorted(queue.deleted) == sorted(f"handle-{i}" for i in range(10) if f"handle-{i}" not in stale)
    called = {i for _, i, _ in api.arrivals()}
    assert called == {f"id-{i}" for i in range(10) if i not in (3, 7)}, called
    lost = [x for x in daemon.lines() if x.get("outcome") == "lost"]
    assert sorted(x["function_request_id"] for x in lost) == ["id-3", "id-7"] and all(x["calls"] == 0 for x in lost), lost
    assert daemon.metric('sluice_lease_remaining_seconds_bucket{route="createjob",le="1"}') == 0, "no call on less than its timeout"
    assert daemon.metric('sluice_lease_remaining_seconds_count{route="createjob"}') == 8


def test_a_delete_that_comes_too_late():
    """The queue no longer knows the handle when the call is done: once, in the log and in the metric, and no hot loop."""
    queue, api = ScriptedSqs([scripted_message(1)]), MockApi("--latency", "1ms")
    queue.faults["DeleteMessageBatch"] = lambda body: {"Successful": [], "Failed": [
        {"Id": e["Id"], "Code": "ReceiptHandleIsInvalid", "SenderFault": True, "Message": "expired"} for e in body["Entries"]]}
    daemon = worker(QUEUE, "60s", "30s")
    wait_until(lambda: daemon.metric(LOST) == 1, 30, "a lost lease")
    assert daemon.metric('sluice_messages_settled_total{route="createjob",outcome="lost"}') == 1
    assert queue.count("DeleteMessageBatch") == 1 and api.stats()["arrivals"] == 1


class Orders:
    """A target that notes the order of first calls by group, and whose calls wait for `go`."""

    def __init__(self, go):
        self.go, self.seen, self.calls = go, {}, 0
        ScriptedApi(self.answer)

    def answer(self, _api, _connection, request):
        job = json.loads(request["body"])
        self.calls += 1
        line = self.seen.setdefault(job["group"], [])
        if job["number"] not in line:
            line.append(job["number"])
        self.go.wait(20)
        return response(201)


def test_order_after_lost_leases():
    """The worker stands still until its leases of a FIFO queue have run out: its deletes fail, what it held goes back, and each
    group goes on in order."""
    go = threading.Event()
    Daemon({"sqs_api": {"listen": ["127.0.0.1:9424"]}, "http": {"listen": ["127.0.0.1:9425"]},
            "queues": {"orders.fifo": {"content_based_deduplication": True}}, "log": {"format": "json"}},
           data_dir="server", sqs_port=9424, http_port=9425)
    for number in range(6):
        for group in range(3):
            sqs(9424, "SendMessage", QueueUrl=FIFO, MessageBody=json.dumps({"group": group, "number": number}),
                MessageGroupId=f"g{group}")
    orders = Orders(go)
    daemon = worker(FIFO, "4s", "3s")
    wait_until(lambda: orders.calls == 3, 20, "one call of each group")
    os.kill(daemon.pid, signal.SIGSTOP)
    go.set()
    wait_until(lambda: queue_counts(9424, "orders.fifo")[1] == 0, 30, "the leases have run out")
    os.kill(daemon.pid, signal.SIGCONT)
    wait_until(lambda: queue_counts(9424, "orders.fifo") == (0, 0, 0), 60, "all delivered")
    assert orders.seen == {group: list(range(6)) for group in range(3)}, f"I7 order: {orders.seen}"
    assert daemon.metric(LOST) >= 3


POISON = "x" * (1 << 20)


class Picky:
    """A target that fails at big bodies, whenever they come, and takes the others."""

    def __init__(self):
        self.good, self.bad = set(), set()
        ScriptedApi(self.answer)

    def answer(self, _api, _connection, request):
        big = len(request["body"]) > len(POISON) // 2
        (self.bad if big else self.good).add(request["headers"]["sluice-message-id"])
        return response(500 if big else 201)


def picky_settings(**route):
    settings = config(window(200), retry={"min_backoff": "10m", "max_backoff": "20m"})
    settings["routes"]["createjob"] |= route
    return settings


def assert_room_is_made(daemon, api, count):
    wait_until(lambda: len(api.good) == count, 60, "everything else delivered")
    wait_until(lambda: len(api.bad) == count, 30, "each poisonous one called")
    assert daemon.metric('sluice_waits_handed_back_total{route="createjob"}') > 0
    assert daemon.metric('sluice_messages_held{route="createjob",state="waiting"}') < count, "not all of them are held"


def test_big_poison_leaves_room():
    """Eighty messages of 1 MiB that always fail fill the memory that a route may hold: the longest waits go back to the
    embedded queue, and what is between them is delivered."""
    count, api = 80, Picky()
    daemon = Daemon(picky_settings())
    for i in range(count):
        daemon.sqs("SendMessage", QueueUrl="jobs", MessageBody=POISON)
        daemon.sqs("SendMessage", QueueUrl="jobs", MessageBody=json.dumps({"job": i}))
    assert_room_is_made(daemon, api, count)
    assert daemon.sqs("ReceiveMessage", QueueUrl="jobs").get("Messages", []) == [], "those that went back are hidden"


def test_big_poison_of_a_queue_of_sqs_leaves_room():
    """The same on a queue of SQS: handed back with the rest of the wait, in whole seconds."""
    count, api = 80, Picky()
    messages = [scripted_message(i) for i in range(2 * count)]
    for message in messages[::2]:
        message |= {"Body": POISON, "MD5OfBody": md5(POISON)}
    queue = ScriptedSqs(messages)
    settings = picky_settings(queue=QUEUE)
    del settings["queues"]
    daemon = Daemon(settings, env=NO_KEYS)
    assert_room_is_made(daemon, api, count)
    wait_until(lambda: len(queue.deleted) == count, 30, "everything else deleted")
    delays = [e["VisibilityTimeout"] for _, action, body in queue.calls if action == "ChangeMessageVisibilityBatch"
              for e in body["Entries"] if e["VisibilityTimeout"] > 60]
    assert delays and max(delays) <= 1200, delays
