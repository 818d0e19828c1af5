"""What is remembered of messages: attempts over a restart (I5), work that is not done twice. Kills at every point between
the beginning of a call and the end of its message, and exactly what the target saw of it."""
import json
import os
import random

from support import DEBUG_BUILD, Daemon, MockApi, ScriptedApi, config, figure, queue_counts, send_jobs, wait_until
from test_sqs_source import ScriptedSqs, scripted_message

OK = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}"
RETRY = {"max_attempts": 1000, "min_backoff": "50ms", "max_backoff": "200ms"}
MESSAGE_ID = {"key": "message_id"}
ONCE = {"key": "message_id", "on_unknown": "dead_letter"}
ORDER = {"key": "body:/order"}


def setup(idempotency=None, queue=None, **more):
    out = config(retry=more.pop("retry", RETRY), **more)
    if idempotency:
        out["routes"]["createjob"]["idempotency"] = idempotency
    if queue:
        out["routes"]["createjob"]["queue"] = queue
        out["routes"]["createjob"]["visibility"] = "4s"
    return out


def drained():
    return queue_counts(9324, "jobs") == (0, 0, 0)


def delivered(daemon, outcome="ack"):
    return [line for line in daemon.lines() if line.get("outcome") == outcome]


def kill_at(point, idempotency, data_dir, api):
    """One message; the process ends at that point; another one goes on. (calls, dead letters)"""
    before = len(api.requests)
    settings = setup(idempotency)
    daemon = Daemon(settings, data_dir, build=DEBUG_BUILD, env={"SLUICE_FAULT": f"{point}=kill"})
    send_jobs(9324, "jobs", 1)
    wait_until(lambda: daemon.process.poll() is not None, 20, f"the end at {point}")
    assert daemon.process.returncode == -9, daemon.text()[-1000:]
    daemon = Daemon(settings, data_dir, build=DEBUG_BUILD)
    wait_until(drained, 20, f"the message is out of the queue after {point}")
    wait_until(lambda: queue_counts(9324, "jobs-dlq")[0] == 1 or len(api.requests) > before, 20, "called or given up")
    dead = queue_counts(9324, "jobs-dlq")[0]
    assert daemon.stop() == 0, daemon.text()[-500:]
    return len(api.requests) - before, dead


def kill_at_each(expected, idempotency=None):
    api = ScriptedApi(lambda *_: OK)
    seen = {}
    for i, point in enumerate(expected):
        seen[point] = kill_at(point, idempotency, f"data{i}", api)
    assert seen == expected, f"(calls, dead letters): {seen}"


def test_kills_without_idempotency():
    """Only a kill between the answer and its deletion is seen twice."""
    kill_at_each({"deliver.answered": (2, 0), "deliver.settled": (1, 0)})


def test_kills_with_idempotency():
    """Seen twice only where the process ended between the beginning of a call and the record of its end."""
    kill_at_each({"deliver.begin": (1, 0), "deliver.begun": (1, 0), "deliver.answered": (2, 0),
                  "deliver.finished": (1, 0), "deliver.settled": (1, 0)}, MESSAGE_ID)


def test_kills_at_most_once():
    """Never seen twice: what may have been done is in the dead-letter queue."""
    kill_at_each({"deliver.begin": (1, 0), "deliver.begun": (0, 1), "deliver.answered": (1, 1),
                  "deliver.finished": (1, 0), "deliver.settled": (1, 0)}, ONCE)


def test_kills_at_random_at_most_once():
    """I3 and never twice, wherever kills fall while a backlog drains: everything was done once or is a dead letter."""
    seed = int(os.environ.get("SLUICE_SEED", random.randrange(1 << 30)))
    print(f"seed {seed}")
    rng = random.Random(seed)
    kills = 5
    api = MockApi("--latency", "10ms:1", "--seed", "3")
    daemon = Daemon(setup(ONCE, concurrency=16))
    daemon.cli("route", "pause", "createjob")
    ids = send_jobs(9324, "jobs", 100 * kills)
    daemon.cli("route", "resume", "createjob")
    for kill in range(kills):
        target = 100 * kill + rng.randrange(10, 90)
        wait_until(lambda: api.stats()["arrivals"] >= target or drained(), 30, f"{target} arrivals")
        daemon.kill()
        daemon = Daemon(setup(ONCE, concurrency=16))
    wait_until(drained, 60, "all drained")
    dead = set()
    while len(dead) < queue_counts(9324, "jobs-dlq")[0] + queue_counts(9324, "jobs-dlq")[1]:
        got = daemon.sqs("ReceiveMessage", QueueUrl="jobs-dlq", MaxNumberOfMessages=10, VisibilityTimeout=600)
        dead |= {m["MessageId"] for m in got.get("Messages", [])}
    seen = [i for _, i, _ in api.arrivals()]
    figure(f"{kills} kills at most once: {len(seen)} calls, {len(dead)} dead letters of {len(ids)}")
    assert len(seen) == len(set(seen)), "called twice"
    assert set(seen) | dead == set(ids), "I3: lost"
    assert 0 < len(dead) <= 16 * kills, "what a kill leaves unknown, and no more"


def test_kills_of_a_consumer_of_sqs():
    """The same over the SQS protocol: what was done but not deleted comes again, and is deleted without a call."""
    api = ScriptedApi(lambda *_: OK)
    Daemon({"queues": {"jobs": {"dead_letter": "jobs-dlq", "max_receives": 5}}}, "server")
    settings = setup(MESSAGE_ID, "http://127.0.0.1:9324/000000000000/jobs", timeout="1s")
    settings.update(queues={}, sqs_api={"listen": []}, http={"listen": "127.0.0.1:9335"})
    seen = {}
    for point in ("deliver.finished", "deliver.answered"):
        before = len(api.requests)
        consumer = Daemon(settings, "consumer", build=DEBUG_BUILD, env={"SLUICE_FAULT": f"{point}=kill"}, http_port=9335)
        send_jobs(9324, "jobs", 1)
        wait_until(lambda: consumer.process.poll() is not None, 20, f"the end at {point}")
        assert not drained(), "nobody deleted it"
        consumer = Daemon(settings, "consumer", build=DEBUG_BUILD, http_port=9335)
        wait_until(drained, 20, "deleted in the end")
        wait_until(lambda: delivered(consumer), 20, "acknowledged")
        seen[point] = len(api.requests) - before, delivered(consumer)[0]["receive_count"]
        consumer.kill()  # its long poll would be waited for
    assert seen == {"deliver.finished": (1, 2), "deliver.answered": (2, 2)}, f"(calls, receives): {seen}"
    assert queue_counts(9324, "jobs-dlq") == (0, 0, 0)


def test_a_deletion_that_is_lost():
    """SQS never takes the deletion and gives the message out again: it is deleted without a second call."""
    queue = ScriptedSqs([scripted_message(1)])
    api = ScriptedApi(lambda *_: OK)

    def lose(body):
        if queue.count("DeleteMessageBatch") == 1:
            queue.messages.append(dict(scripted_message(1), ReceiptHandle="handle-1b"))
        taken = [e for e in body["Entries"] if e["ReceiptHandle"] != "handle-1"]
        queue.deleted += [e["ReceiptHandle"] for e in taken]
        return {"Successful": [{"Id": e["Id"]} for e in taken],
                "Failed": [{"Id": e["Id"], "Code": "InternalError", "SenderFault": False}
                           for e in body["Entries"] if e not in taken]}

    queue.faults["DeleteMessageBatch"] = lose
    settings = setup(MESSAGE_ID, "http://127.0.0.1:9424/000000000000/jobs", timeout="1s")
    settings["queues"] = {}
    daemon = Daemon(settings, env={"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "",
                                   "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent", "AWS_REGION": "us-east-1"})
    wait_until(lambda: delivered(daemon), 30, "acknowledged")
    assert queue.deleted == ["handle-1b"] and len(api.requests) == 1
    assert daemon.metric('sluice_idempotent_hits_total{route="createjob"}') == 1


def test_one_call_for_messages_of_one_order():
    """By a key from the body: duplicates that come later, and while the first is under way, over a restart too."""
    slow = []

    def answer(api, _, request):
        if b'"A 1"' in request["body"] and not slow:
            slow.append(request)
            wait_until(lambda: daemon.metric('sluice_messages_settled_total{route="createjob",outcome="ack"}') >= 1, 20,
                       "another order meanwhile")
        return OK

    api = ScriptedApi(answer)
    daemon = Daemon(setup(ORDER))
    orders = ["A 1", "A 1", "B-2", "A 1", "B-2"]
    send_jobs(9324, "jobs", len(orders), body=lambda i: json.dumps({"n": i, "order": orders[i]}))
    wait_until(lambda: len(delivered(daemon)) == 5 and drained(), 30, "all acknowledged")
    assert sorted(json.loads(r["body"])["order"] for r in api.requests) == ["A 1", "B-2"]
    keys = {json.loads(r["body"])["order"]: r["headers"]["idempotency-key"] for r in api.requests}
    assert keys["B-2"] == "B-2", "a key that is a header's value is the header's value"
    assert len(keys["A 1"]) == 64, "another is its digest"
    assert daemon.metric('sluice_idempotent_hits_total{route="createjob"}') == 3
    assert len([line for line in daemon.lines() if "not called again" in line.get("message", "")]) == 3
    assert daemon.stop() == 0
    daemon = Daemon(setup(ORDER))
    send_jobs(9324, "jobs", 2, body=lambda i: json.dumps({"order": ["A 1", "C"][i]}))
    wait_until(lambda: len(delivered(daemon)) == 2, 20, "both acknowledged")
    assert len(api.requests) == 3
    send_jobs(9324, "jobs", 2, body=lambda i: "no order")
    wait_until(lambda: len(delivered(daemon)) == 4, 20, "messages without a key are called, each for itself")
    assert len(api.requests) == 5
    assert len([line for line in daemon.lines() if "has no idempotency key" in line.get("message", "")]) == 1, "said once"


def test_a_destination_hears_of_work_that_was_done_before():
    """The process ends after the call and before its record is sent: the answer is kept with what is done."""
    api = ScriptedApi(lambda *_: b'HTTP/1.1 201 Created\r\nContent-Length: 8\r\n\r\n{"id":7}')
    settings = setup(MESSAGE_ID)
    settings["queues"]["results"] = {}
    settings["routes"]["createjob"]["on_success"] = {"queue": "results"}
    daemon = Daemon(settings, build=DEBUG_BUILD, env={"SLUICE_FAULT": "deliver.finished=kill"})
    send_jobs(9324, "jobs", 1)
    wait_until(lambda: daemon.process.poll() is not None, 20, "the end before the record is sent")
    daemon = Daemon(settings, build=DEBUG_BUILD)
    wait_until(lambda: drained() and queue_counts(9324, "results")[0] == 1, 20, "the record")
    record = json.loads(daemon.sqs("ReceiveMessage", QueueUrl="results")["Messages"][0]["Body"])
    assert (record["responseContext"]["statusCode"], record["responsePayload"]) == (201, {"id": 7}), record
    assert len(api.requests) == 1


def test_failures_are_called_again_and_broken_connections_are_not():
    """At most once: an answer that says no is known; no answer is not."""
    def answer(api, _, request):
        kind = json.loads(request["body"])["kind"]
        tries = sum(1 for r in api.requests if r["body"] == request["body"])
        if kind == "broken":
            return "close"
        return OK if tries == 3 else b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"

    api = ScriptedApi(answer)
    daemon = Daemon(setup(ONCE))
    send_jobs(9324, "jobs", 2, body=lambda i: json.dumps({"kind": ["broken", "failing"][i]}))
    wait_until(lambda: delivered(daemon) and queue_counts(9324, "jobs-dlq")[0] == 1, 20, "one done, one given up")
    assert sorted(json.loads(r["body"])["kind"] for r in api.requests) == ["broken"] + 3 * ["failing"]
    dead = daemon.sqs("ReceiveMessage", QueueUrl="jobs-dlq")["Messages"]
    assert json.loads(dead[0]["Body"])["kind"] == "broken"


def test_no_call_while_the_record_cannot_be_written():
    api = ScriptedApi(lambda *_: OK)
    # Each operation is tried twice: with the others of its turn, and alone.
    daemon = Daemon(setup(ONCE), build=DEBUG_BUILD, env={"SLUICE_FAULT": ",".join(["queue.begin_work"] * 4)})
    send_jobs(9324, "jobs", 1)
    wait_until(lambda: delivered(daemon), 20, "delivered when the file takes records again")
    lines = [line["message"] for line in daemon.lines() if "the queue file takes" in line.get("message", "")]
    assert len(lines) == 2 and lines[0].startswith("the queue file takes no records"), lines
    assert len(api.requests) == 1
    ack = delivered(daemon)[0]
    assert (ack["calls"], ack["attempts"], ack["receive_count"]) == (1, 1, 1), ack


def test_attempts_are_counted_over_restarts():
    """Neither a restart nor the queue's max_receives changes when a message is given up."""
    api = MockApi("--latency", "20ms", "--errors", "100%:500:1ms")
    settings = setup(retry={"max_attempts": 6, "min_backoff": "400ms", "max_backoff": "400ms"}, max_receives=2)
    daemon = Daemon(settings)
    send_jobs(9324, "jobs", 1)
    for calls in (2, 4):
        wait_until(lambda: api.stats()["arrivals"] >= calls, 20, f"{calls} calls")
        assert daemon.stop() == 0, daemon.text()[-500:]
        assert sum(left_behind(settings)) == 1  # visible, or hidden for the rest of its wait
        daemon = Daemon(settings)
    wait_until(lambda: queue_counts(9324, "jobs-dlq")[0] == 1, 20, "given up")
    dead = delivered(daemon, "dead_letter")[0]
    assert (api.stats()["arrivals"], dead["attempts"]) == (6, 6), dead
    assert dead["receive_count"] == 1, f"I5: a wait handed back costs no receive: {dead}"


def left_behind(settings):
    """What a stopped daemon left in the queue."""
    held = dict(settings, routes={name: dict(route, paused=True) for name, route in settings["routes"].items()})
    daemon = Daemon(held)
    counts = queue_counts(9324, "jobs")
    assert daemon.stop() == 0
    return counts


def test_a_kill_loses_at_most_the_attempt_under_way():
    api = MockApi("--latency", "50ms", "--errors", "100%:500:50ms")
    settings = setup(retry={"max_attempts": 4, "min_backoff": "100ms", "max_backoff": "100ms"}, max_receives=100)
    daemon = Daemon(settings, build=DEBUG_BUILD, env={"SLUICE_FAULT": "deliver.answered:3=kill"})
    send_jobs(9324, "jobs", 1)
    wait_until(lambda: daemon.process.poll() is not None, 20, "the end in the third attempt")
    daemon = Daemon(settings, build=DEBUG_BUILD)
    wait_until(lambda: queue_counts(9324, "jobs-dlq")[0] == 1, 20, "given up")
    dead = delivered(daemon, "dead_letter")[0]
    assert (dead["attempts"], dead["calls"]) == (4, 2), "two of the three were remembered"
    assert api.stats()["arrivals"] == 5


for test in (test_kills_without_idempotency, test_kills_with_idempotency, test_kills_at_most_once):
    test.weight = 20
