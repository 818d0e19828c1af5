"""A route fed from a queue URL: a second sluice is the SQS server, with signature verification on."""
import json
import os
import time

from support import Daemon, MockApi, ScriptedApi, SqsError, config, figure, md5, response, sqs, wait_until, window

KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
QUEUE = "http://127.0.0.1:9424/000000000000/work"


class Server(Daemon):
    """The SQS side: signed requests only."""

    def __init__(self, data_dir="server"):
        super().__init__({"sqs_api": {"listen": ["127.0.0.1:9424"], "access_keys": [{"id": KEY, "secret": SECRET}]},
                          "http": {"listen": ["127.0.0.1:9425"]},
                          "queues": {"work": {"dead_letter": "work-dlq", "max_receives": 5, "visibility_timeout": "30s"}},
                          "log": {"format": "json"}}, data_dir=data_dir, sqs_port=9424, http_port=9425)


def client():
    import boto3
    return boto3.client("sqs", endpoint_url="http://127.0.0.1:9424", region_name="us-east-1", aws_access_key_id=KEY,
                        aws_secret_access_key=SECRET)


def worker(env=None, **more):
    settings = config(window(50), **more)
    del settings["queues"]
    settings["routes"]["createjob"]["queue"] = QUEUE
    settings["routes"]["createjob"]["retry"] = {"max_attempts": 3, "min_backoff": "100ms", "max_backoff": "500ms"}
    return Daemon(settings, env=dict({"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "us-east-1"}, **(env or {})))


def send(boto, count):
    ids = []
    for first in range(0, count, 10):
        answer = boto.send_message_batch(QueueUrl=QUEUE, Entries=[{"Id": str(i), "MessageBody": json.dumps({"job": i})}
                                                                   for i in range(first, first + 10)])
        ids += [m["MessageId"] for m in answer["Successful"]]
    return ids


def counts(boto, queue=QUEUE):
    a = boto.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    return int(a["ApproximateNumberOfMessages"]), int(a["ApproximateNumberOfMessagesNotVisible"])


def test_jobs_from_a_signed_queue():
    Server()
    boto, api = client(), MockApi("--limit", "50/1s", "--latency", "20ms")
    ids = send(boto, 100)
    daemon = worker()
    wait_until(lambda: counts(boto) == (0, 0), 40, "all deleted")
    seen = [i for _, i, s in api.arrivals() if s == 201]
    figure(f"SQS source: {len(seen)} calls for {len(ids)} messages, peak {api.stats()['window_peak']} of 50")
    assert sorted(seen) == sorted(ids), "I3, and each once"
    assert api.stats()["window_peak"] <= 50
    assert daemon.stop() == 0, daemon.text()[-800:]


def test_unsigned_and_wrongly_signed_requests_are_refused():
    Server()
    try:
        sqs(9424, "ListQueues")
        raise AssertionError("an unsigned request was taken")
    except SqsError as e:
        assert e.status == 403, e
    daemon = worker(env={"AWS_SECRET_ACCESS_KEY": "wrong"})
    line = wait_until(lambda: [x for x in daemon.lines() if x.get("message") == "receive failed"], 20, "a line about it")[0]
    assert "SignatureDoesNotMatch" in line.get("code", ""), line
    assert SECRET not in daemon.text() and "wrong" not in json.dumps(line.get("reason", "")), "no secret in the log"
    assert daemon.stop() == 0


def test_credentials_file():
    Server()
    boto, api = client(), MockApi("--latency", "1ms")
    with open("credentials", "w") as f:
        f.write(f"[default]\naws_access_key_id = nobody\naws_secret_access_key = nothing\n\n[team]\naws_access_key_id={KEY}\n"
                f"aws_secret_access_key = {SECRET}\n")
    send(boto, 10)
    worker(env={"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_PROFILE": "team",
                "AWS_SHARED_CREDENTIALS_FILE": os.path.abspath("credentials")})
    wait_until(lambda: api.stats()["delivered"] == 10, 30, "ten calls")


def test_refused_messages_go_to_the_dead_letter_queue():
    Server()
    boto = client()
    MockApi("--latency", "1ms", "--errors", "100%:422:1ms")
    ids = send(boto, 10)
    worker()
    wait_until(lambda: counts(boto, "work-dlq")[0] == 10, 30, "ten dead letters")
    wait_until(lambda: counts(boto) == (0, 0), 20, "deleted from the queue after the copy")
    bodies = [json.loads(m["Body"])["job"] for _ in range(3)
              for m in boto.receive_message(QueueUrl="work-dlq", MaxNumberOfMessages=10).get("Messages", [])]
    assert sorted(bodies) == list(range(10)) and len(ids) == 10


def test_lease_is_extended_while_held():
    """A call longer than the visibility timeout: extended, called once, deleted."""
    Server()
    boto, api = client(), MockApi("--latency", "9s")
    send(boto, 10)
    settings = config(window(50), concurrency=5, timeout="3s")
    del settings["queues"]
    settings["routes"]["createjob"] |= {"queue": QUEUE, "visibility": "6s"}
    settings["targets"]["legacy"]["timeout"] = "5s"
    settings["targets"]["legacy"]["url"] = "http://127.0.0.1:8081/jobs"
    slow = MockApi("--latency", "3s", port=8081)
    daemon = Daemon(settings, env={"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "us-east-1"})
    wait_until(lambda: counts(boto) == (0, 0), 40, "all deleted")
    assert slow.stats()["delivered"] == 10 and slow.stats()["repeated"] == 0, slow.stats()
    assert api.stats()["arrivals"] == 0
    assert daemon.stop() == 0


def test_queue_server_killed_and_back():
    server = Server()
    boto, api = client(), MockApi("--limit", "50/1s", "--latency", "20ms")
    ids = send(boto, 100)
    worker()
    wait_until(lambda: api.stats()["arrivals"] >= 30, 20, "calls")
    server.kill()
    server = Server()
    wait_until(lambda: counts(boto) == (0, 0), 90, "all deleted")
    seen = {i for _, i, s in api.arrivals() if s == 201}
    assert seen == set(ids), "I3"


def test_drain_hands_back():
    Server()
    boto, api = client(), MockApi("--latency", "1s")
    send(boto, 60)
    daemon = worker(concurrency=2)
    wait_until(lambda: api.stats()["arrivals"] >= 2, 20, "calls")
    assert daemon.stop(60) == 0, daemon.text()[-800:]
    delivered = api.stats()["delivered"]
    visible, hidden = counts(boto)
    assert hidden == 0 and visible == 60 - delivered, f"handed back at once: {visible} visible, {hidden} hidden, {delivered} delivered"


class ScriptedSqs:
    """An SQS of Python on port 9424: one queue, with the faults a test asks for. Unsigned."""

    def __init__(self, messages):
        self.messages, self.calls, self.deleted, self.faults = list(messages), [], [], {}
        self.api = ScriptedApi(self.answer, port=9424)

    def answer(self, _, __, request):
        action = request["headers"]["x-amz-target"].split(".")[1]
        body = json.loads(request["body"])
        self.calls.append((request["at"], action, body))
        fault = self.faults.get(action)
        answer = fault(body) if fault else None
        if answer is None:
            answer = getattr(self, action)(body)
        status, out = answer if isinstance(answer, tuple) else (200, answer)
        return response(status, json.dumps(out).encode(), "Content-Type: application/x-amz-json-1.0\r\n")

    @staticmethod
    def GetQueueAttributes(_):
        return {"Attributes": {}}

    def ReceiveMessage(self, body):
        take = self.messages[:body["MaxNumberOfMessages"]]
        self.messages = self.messages[len(take):]
        if not take:
            time.sleep(0.3)  # a long poll, shortened: the server's own wait, no wait of the test
        return {"Messages": take} if take else {}

    def DeleteMessageBatch(self, body):
        self.deleted += [e["ReceiptHandle"] for e in body["Entries"]]
        return {"Successful": [{"Id": e["Id"]} for e in body["Entries"]]}

    @staticmethod
    def ChangeMessageVisibilityBatch(body):
        return {"Successful": [{"Id": e["Id"]} for e in body["Entries"]]}

    def count(self, action):
        return len([c for c in self.calls if c[1] == action])


def scripted_message(i, md5_of=None):
    body = json.dumps({"job": i})
    return {"MessageId": f"id-{i}", "ReceiptHandle": f"handle-{i}", "Body": body, "MD5OfBody": md5(md5_of or body),
            "Attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1700000000000"}}


def scripted_worker():
    return worker(env={"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent"})


def test_each_failed_entry_of_a_batch_is_tried_again():
    queue, api = ScriptedSqs([scripted_message(i) for i in range(10)]), MockApi("--latency", "1ms")
    refused = {}

    def some_fail(body):
        failed = [e for e in body["Entries"] if refused.setdefault(e["ReceiptHandle"], 0) < 2 and e["ReceiptHandle"][-1] in "357"]
        for e in failed:
            refused[e["ReceiptHandle"]] += 1
        good = [e for e in body["Entries"] if e not in failed]
        queue.deleted += [e["ReceiptHandle"] for e in good]
        return {"Successful": [{"Id": e["Id"]} for e in good],
                "Failed": [{"Id": e["Id"], "Code": "InternalError", "SenderFault": False, "Message": "try again"} for e in failed]}

    queue.faults["DeleteMessageBatch"] = some_fail
    daemon = scripted_worker()
    wait_until(lambda: len(queue.deleted) == 10, 30, "all deleted in the end")
    assert sorted(queue.deleted) == [f"handle-{i}" for i in range(10)] and api.stats()["repeated"] == 0
    lines = [x for x in daemon.lines() if x.get("code") == "InternalError"]
    assert len(lines) >= 6, "each failed entry is in the log"
    assert all(len(c[2]["Entries"]) <= 10 for c in queue.calls if c[1] == "DeleteMessageBatch")


def test_a_dead_letter_is_copied_once():
    """The copy is made, the deletion fails and is tried again: the dead-letter queue has the message once."""
    queue = ScriptedSqs([scripted_message(1)])
    MockApi("--latency", "1ms", "--errors", "100%:422:1ms")
    policy = json.dumps({"deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:dead", "maxReceiveCount": 3})
    queue.faults["GetQueueAttributes"] = lambda _: {"Attributes": {"RedrivePolicy": policy}}
    queue.faults["SendMessage"] = lambda body: {"MessageId": "copy", "MD5OfMessageBody": md5(body["MessageBody"])}
    queue.faults["DeleteMessageBatch"] = lambda body: None if queue.count("DeleteMessageBatch") > 3 else {
        "Successful": [], "Failed": [{"Id": e["Id"], "Code": "InternalError", "SenderFault": False} for e in body["Entries"]]}
    scripted_worker()
    wait_until(lambda: queue.deleted == ["handle-1"], 30, "deleted in the end")
    assert queue.count("SendMessage") == 1, queue.count("SendMessage")


def test_a_body_that_does_not_fit_its_md5_is_not_called():
    queue, api = ScriptedSqs([scripted_message(1, md5_of="something else")]), MockApi("--latency", "1ms")
    daemon = scripted_worker()
    wait_until(lambda: [x for x in daemon.lines() if x.get("error") == "CORRUPT"], 20, "a line about it")
    queue.messages.append(scripted_message(2))
    wait_until(lambda: api.stats()["delivered"] == 1, 30, "the next one")
    assert api.stats()["distinct"] == 1 and queue.deleted in ([], ["handle-2"])


def test_a_failing_queue_is_not_hammered():
    queue = ScriptedSqs([])
    queue.faults["ReceiveMessage"] = lambda _: (403, {"__type": "com.amazonaws.sqs#RequestThrottled", "message": "slow down"})
    MockApi("--latency", "1ms")
    daemon = scripted_worker()
    wait_until(lambda: queue.count("ReceiveMessage") >= 4, 60, "some receives")
    stamps = [c[0] for c in queue.calls if c[1] == "ReceiveMessage"]
    assert stamps[-1] - stamps[0] > 0.1, f"a hot loop: {stamps}"
    queue.faults.clear()
    queue.messages = [scripted_message(i) for i in range(3)]
    wait_until(lambda: len(queue.deleted) == 3, 60, "works again")
    warnings = [x for x in daemon.lines() if x.get("message") == "receive failed"]
    assert len(warnings) == 1 and warnings[0]["code"] == "RequestThrottled", warnings
