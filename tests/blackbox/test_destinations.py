"""What is said of messages that are over: marks on dead letters, records to on_success and on_failure."""
import json
import os
import subprocess
import threading
import time

from support import DEBUG_BUILD, Daemon, ScriptedApi, Skip, config, queue_counts, response, send_jobs, sqs, wait_until, window
from test_sqs_source import KEY, SECRET, ScriptedSqs, Server, client, scripted_message

RETRY = {"max_attempts": 2, "min_backoff": "10ms", "max_backoff": "50ms"}


def boto():
    import boto3
    return boto3.client("sqs", endpoint_url="http://127.0.0.1:9324", region_name="us-east-1")


def target(port=8080):
    """Answers what the job asks for: {"answer": 422}; "close" breaks the connection."""
    def answer(api, connection, request):
        wanted = json.loads(request["body"]).get("answer", 201)
        return wanted if wanted == "close" else response(wanted, b'{"created": true}', "Content-Type: application/json\r\n")
    return ScriptedApi(answer, port)


def send(*answers, queue="jobs", **more):
    return [sqs(9324, "SendMessage", QueueUrl=queue, MessageBody=json.dumps({"answer": a}), **more)["MessageId"] for a in answers]


def take(queue, count, port=9324):
    """count messages of a queue, deleted."""
    got = {}

    def more():
        for m in sqs(port, "ReceiveMessage", QueueUrl=queue, MaxNumberOfMessages=10, MessageAttributeNames=["All"]).get("Messages", []):
            got[m["MessageId"]] = m
            sqs(port, "DeleteMessage", QueueUrl=queue, ReceiptHandle=m["ReceiptHandle"])
        return len(got) >= count
    wait_until(more, 20, f"{count} messages in {queue}")
    return got


def said(message):
    return {k: v["StringValue"] for k, v in message["MessageAttributes"].items() if k.startswith("Sluice-")}


def marks_by_cli(queue):
    """What the AWS CLI shows of one message."""
    if not os.path.exists("/usr/bin/aws"):
        raise Skip("the AWS CLI is not installed")
    done = subprocess.run(["/usr/bin/aws", "--endpoint-url", "http://127.0.0.1:9324", "--output", "json", "sqs", "receive-message",
                           "--queue-url", f"http://127.0.0.1:9324/000000000000/{queue}", "--message-attribute-names", "All",
                           "--visibility-timeout", "0"], stdout=subprocess.PIPE, timeout=60, check=True)
    return said(json.loads(done.stdout)["Messages"][0])


def test_dead_letters_say_why():
    target()
    daemon = Daemon(config(window(50), retry=RETRY))
    began = time.time()
    text = {"DataType": "String", "StringValue": "blue"}
    refused, = send(422, MessageAttributes={"color": text})
    failing, broken = send(500, "close")
    crowded, = send(422, MessageAttributes={f"a{i}": text for i in range(9)})
    wait_until(lambda: queue_counts(9324, "jobs-dlq")[0] == 4, 20, "four dead letters")
    answer = boto().receive_message(QueueUrl="jobs-dlq", MaxNumberOfMessages=10, MessageAttributeNames=["All"], VisibilityTimeout=0)
    got = {m["MessageId"]: m for m in answer["Messages"]}
    assert set(got) == {refused, failing, broken, crowded}

    marks = said(got[refused])
    assert got[refused]["MessageAttributes"]["color"]["StringValue"] == "blue"
    assert marks["Sluice-Reason"] == "refused" and marks["Sluice-Status"] == "422" and marks["Sluice-Attempts"] == "1", marks
    assert marks["Sluice-Route"] == "createjob" and marks["Sluice-Queue"] == "jobs" and "Sluice-Error" not in marks, marks
    assert marks["Sluice-First-Attempt"] == marks["Sluice-Last-Attempt"], marks
    assert abs(time.mktime(time.strptime(marks["Sluice-Last-Attempt"][:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone - began) < 60
    types = {k: v["DataType"] for k, v in got[refused]["MessageAttributes"].items()}
    assert types["Sluice-Status"] == types["Sluice-Attempts"] == "Number" and types["Sluice-Reason"] == "String", types

    marks = said(got[failing])
    assert marks["Sluice-Reason"] == "max_attempts" and marks["Sluice-Status"] == "500" and marks["Sluice-Attempts"] == "2", marks
    assert marks["Sluice-First-Attempt"] < marks["Sluice-Last-Attempt"], marks
    marks = said(got[broken])
    assert marks["Sluice-Reason"] == "max_attempts" and marks["Sluice-Error"].startswith("connection_broken"), marks
    assert "Sluice-Status" not in marks, marks
    assert len(got[crowded]["MessageAttributes"]) == 10 and said(got[crowded]) == {"Sluice-Reason": "refused"}, got[crowded]

    why = {line["function_request_id"]: line.get("give_up") for line in daemon.lines() if line.get("outcome") == "dead_letter"}
    assert why == {refused: "refused", failing: "max_attempts", broken: "max_attempts", crowded: "refused"}, why
    assert marks_by_cli("jobs-dlq")["Sluice-Reason"] in ("refused", "max_attempts")
    for reason in ("refused", "max_attempts"):
        assert daemon.metric(f'sluice_dead_letters_total{{route="createjob",reason="{reason}"}}') == 2


def test_a_redriven_dead_letter_says_the_new_reason():
    api = target()
    daemon = Daemon(config(window(50), retry=RETRY))
    send(422)
    wait_until(lambda: queue_counts(9324, "jobs-dlq")[0] == 1, 20, "a dead letter")
    api.answer = lambda *_: response(503)  # throttled for now: it is held
    source = sqs(9324, "GetQueueAttributes", QueueUrl="jobs-dlq", AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sqs(9324, "StartMessageMoveTask", SourceArn=source)
    wait_until(lambda: len(api.requests) >= 2, 20, "called again")
    api.answer = lambda *_: response(500)
    wait_until(lambda: queue_counts(9324, "jobs-dlq")[0] == 1, 20, "a dead letter again")
    message, = take("jobs-dlq", 1).values()
    marks = said(message)
    assert marks["Sluice-Reason"] == "max_attempts" and marks["Sluice-Status"] == "500", marks
    assert len(message["MessageAttributes"]) == len(marks) == 7, message["MessageAttributes"]
    assert daemon.stop() == 0


def test_dead_letters_of_sqs_say_why():
    Server()
    queue = client()
    target()
    settings = config(window(50), retry=RETRY)
    del settings["queues"]
    url = "http://127.0.0.1:9424/000000000000/work"
    settings["routes"]["createjob"]["queue"] = url
    Daemon(settings, env={"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "us-east-1"})
    queue.send_message(QueueUrl=url, MessageBody='{"answer": 404}',
                       MessageAttributes={"color": {"DataType": "Binary", "BinaryValue": b"\x00\x01"}})
    message, = wait_until(lambda: queue.receive_message(QueueUrl="work-dlq", MessageAttributeNames=["All"]).get("Messages"), 20, "a dead letter")
    marks = {k: v.get("StringValue") for k, v in message["MessageAttributes"].items()}
    assert message["MessageAttributes"]["color"]["BinaryValue"] == b"\x00\x01"
    assert marks["Sluice-Reason"] == "refused" and marks["Sluice-Status"] == "404" and marks["Sluice-Queue"] == url, marks
    wait_until(lambda: queue.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]["ApproximateNumberOfMessagesNotVisible"] == "0",
               20, "deleted after the copy")


def test_a_message_of_sqs_that_would_expire_is_given_up():
    """Told to wait longer than its queue keeps it: copied while that is possible; the other is called again."""
    queue = ScriptedSqs([])
    policy = json.dumps({"deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:dead", "maxReceiveCount": 3})
    queue.faults["GetQueueAttributes"] = lambda _: {"Attributes": {"RedrivePolicy": policy, "MessageRetentionPeriod": "3600"}}
    copies = []

    def copy(body):
        copies.append(body)
        return {"MessageId": "copy"}
    queue.faults["SendMessage"] = copy
    api = ScriptedApi(lambda *_: response(429, b"", "Retry-After: 60\r\n"))
    daemon = sqs_route(queue)
    messages = [scripted_message(1), scripted_message(2)]
    messages[0]["Attributes"]["SentTimestamp"] = str(int((time.time() - 3600 + 50) * 1000))  # ends in 50 s: before the next call
    messages[1]["Attributes"]["SentTimestamp"] = str(int((time.time() - 3600 + 10) * 1000))  # is not worth a call any more
    queue.messages += messages
    wait_until(lambda: sorted(queue.deleted) == ["handle-1", "handle-2"], 30, "deleted after the copies")
    assert len(api.requests) == 1, "one was called, once"
    reasons = {json.loads(c["MessageBody"])["job"]: {k: v["StringValue"] for k, v in c["MessageAttributes"].items()} for c in copies}
    assert {k: v["Sluice-Reason"] for k, v in reasons.items()} == {1: "expired", 2: "expired"}, reasons
    assert reasons[1]["Sluice-Status"] == "429" and "Sluice-Status" not in reasons[2], reasons
    assert daemon.metric('sluice_dead_letters_total{route="createjob",reason="expired"}') == 2


class Hook(ScriptedApi):
    """A URL that takes records, on port 8090. down: answers that instead."""

    def __init__(self):
        self.down = None
        super().__init__(lambda *_: response(self.down or 204, b""), 8090)

    def records(self):
        return [json.loads(r["body"]) for r in self.requests]


def with_ends(**ends):
    settings = config(window(50), retry=RETRY)
    settings["routes"]["createjob"] |= ends
    settings["queues"] |= {"results": {}, "failures": {}}
    return settings


def test_records_go_to_a_queue():
    target()
    daemon = Daemon(with_ends(on_success={"queue": "results"}, on_failure={"queue": "failures"}))
    good, = send(201)
    bad, = send(422)
    message, = take("results", 1).values()
    record = json.loads(message["Body"])
    assert record.pop("timestamp").endswith("Z")
    assert record == {"version": "1.0",
                      "requestContext": {"requestId": good, "route": "createjob", "queue": "jobs", "condition": "Success",
                                         "approximateInvokeCount": 1},
                      "requestPayload": {"answer": 201}, "responseContext": {"statusCode": 201},
                      "responsePayload": {"created": True}}, record
    assert message["MessageAttributes"]["traceparent"]["StringValue"].startswith("00-")
    failure, = take("failures", 1).values()
    record = json.loads(failure["Body"])
    assert record["requestContext"]["requestId"] == bad and record["requestContext"]["condition"] == "Refused", record
    assert record["responseContext"] == {"statusCode": 422} and record["responsePayload"] == {"created": True}, record
    assert bad in take("jobs-dlq", 1), "the dead-letter queue has it as well"
    wait_until(lambda: queue_counts(9324, "jobs") == (0, 0, 0), 20, "settled")
    for condition in ("success", "failure"):
        assert daemon.metric(f'sluice_destination_sends_total{{route="createjob",condition="{condition}",result="ok"}}') == 1


def test_records_go_to_a_queue_of_sqs():
    Server()
    target()
    daemon = Daemon(with_ends(on_success={"queue": "http://127.0.0.1:9424/000000000000/work"}),
                    env={"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "us-east-1"})
    ids = send(*[201] * 30)
    got, queue = {}, client()

    def more():
        for m in queue.receive_message(QueueUrl="work", MaxNumberOfMessages=10).get("Messages", []):
            got[m["MessageId"]] = json.loads(m["Body"])["requestContext"]["requestId"]
        return len(got) >= 30
    wait_until(more, 20, "30 records")
    assert sorted(got.values()) == sorted(ids), "each once"
    wait_until(lambda: queue_counts(9324, "jobs") == (0, 0, 0), 20, "settled")
    assert daemon.stop() == 0


def test_records_are_posted():
    hook = Hook()
    target()
    daemon = Daemon(with_ends(on_success={"url": "http://127.0.0.1:8090/done?token=secret"}))
    ids = send_jobs(9324, "jobs", 100)
    wait_until(lambda: queue_counts(9324, "jobs") == (0, 0, 0), 30, "settled")
    assert sorted(r["requestContext"]["requestId"] for r in hook.records()) == sorted(ids), "each once"
    first = hook.requests[0]
    assert first["head"].startswith("POST /done?token=secret ") and first["headers"]["content-type"] == "application/json"
    assert first["headers"]["idempotency-key"] == hook.records()[0]["requestContext"]["requestId"] + "-success"
    assert daemon.stop() == 0 and "secret" not in daemon.text()


def test_on_failure_is_a_last_place():
    """Without a dead-letter queue: recorded, and deleted (as Lambda does)."""
    target()
    settings = with_ends(on_failure={"queue": "failures"})
    settings["queues"]["jobs"] = {}
    daemon = Daemon(settings)
    bad, = send(400)
    message, = take("failures", 1).values()
    assert json.loads(message["Body"])["requestContext"]["requestId"] == bad
    wait_until(lambda: queue_counts(9324, "jobs") == (0, 0, 0), 20, "deleted")
    assert daemon.metric('sluice_dead_letters_total{route="createjob",reason="refused"}') == 1


def test_a_destination_that_is_down_holds_its_messages():
    hook = Hook()
    hook.down = 503
    api = target()
    daemon = Daemon(with_ends(on_success={"url": "http://127.0.0.1:8090/done"}))
    ids = send(*[201] * 5)
    failed = 'sluice_destination_sends_total{route="createjob",condition="success",result="error"}'
    wait_until(lambda: daemon.metric(failed) >= 15, 20, "it is tried again")
    assert len(api.requests) == 5, "the target is not called again"
    assert daemon.metric('sluice_messages_held{route="createjob",state="settling"}') == 5
    hook.down = None
    wait_until(lambda: queue_counts(9324, "jobs") == (0, 0, 0), 30, "settled")
    taken = hook.records()[-5:]
    assert sorted(r["requestContext"]["requestId"] for r in taken) == sorted(ids) and len(api.requests) == 5
    told = [line for line in daemon.lines() if "a destination did not take" in line["message"]]
    assert len(told) == 1 and told[0]["reason"] == "it answered 503" and told[0]["destination"] == "http://127.0.0.1:8090", told
    assert len([line for line in daemon.lines() if "takes records again" in line["message"]]) == 1


def sqs_route(queue, **ends):
    """A daemon on a queue of SQS with a dead-letter queue, once it knows that; visibility 3 s."""
    settings = with_ends(**ends)
    del settings["queues"]
    settings["routes"]["createjob"] |= {"queue": "http://127.0.0.1:9424/000000000000/work", "visibility": "3s"}
    settings["targets"]["legacy"]["timeout"] = "2s"
    daemon = Daemon(settings, env={"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
                                   "AWS_REGION": "us-east-1"})
    wait_until(lambda: queue.count("GetQueueAttributes") >= 1 and queue.count("ReceiveMessage") >= 2, 20, "the queue is known")
    return daemon


def test_leases_last_while_a_destination_is_down():
    """Longer than the visibility: extended, and not called a second time."""
    queue, hook = ScriptedSqs([]), Hook()
    hook.down = 500
    api = target()
    daemon = sqs_route(queue, on_success={"url": "http://127.0.0.1:8090/done"})
    queue.messages += [scripted_message(i) for i in range(3)]
    wait_until(lambda: queue.count("ChangeMessageVisibilityBatch") >= 4, 30, "extensions")
    hook.down = None
    wait_until(lambda: sorted(queue.deleted) == ["handle-0", "handle-1", "handle-2"], 30, "deleted")
    assert len(api.requests) == 3 and daemon.metric('sluice_messages_settled_total{route="createjob",outcome="lost"}') == 0
    assert all(e["VisibilityTimeout"] > 0 for _, action, body in queue.calls if action == "ChangeMessageVisibilityBatch" for e in body["Entries"])


def test_a_record_too_big_for_its_queue_goes_without_payloads():
    target()
    settings = with_ends(on_success={"queue": "results"})
    settings["queues"]["results"] = {"max_message_bytes": 1024}
    Daemon(settings)
    sent = sqs(9324, "SendMessage", QueueUrl="jobs", MessageBody=json.dumps({"answer": 201, "x": "y" * 2000}))["MessageId"]
    message, = take("results", 1).values()
    record = json.loads(message["Body"])
    assert record["requestContext"]["requestId"] == sent and record["requestContext"]["payloadOmitted"] is True, record
    assert record["requestPayload"] is None and record["responseContext"]["statusCode"] == 201, record


def test_a_failed_delete_sends_no_second_record():
    hook = Hook()
    target()
    Daemon(with_ends(on_success={"url": "http://127.0.0.1:8090/done"}), build=DEBUG_BUILD, env={"SLUICE_FAULT": "settle.destination"})
    send(201)
    wait_until(lambda: queue_counts(9324, "jobs") == (0, 0, 0), 30, "settled")
    assert len(hook.requests) == 1, hook.records()


def test_killed_between_record_and_delete():
    """The record is sent, the message not deleted: both again after a restart, with the same names."""
    hook = Hook()
    api = target()
    settings = with_ends(on_success={"url": "http://127.0.0.1:8090/done"})
    daemon = Daemon(settings, build=DEBUG_BUILD, env={"SLUICE_FAULT": "settle.destination=kill"})
    sent, = send(201)
    wait_until(lambda: daemon.process.poll() is not None, 20, "the kill")
    assert len(hook.requests) == 1
    Daemon(settings, build=DEBUG_BUILD)
    wait_until(lambda: queue_counts(9324, "jobs") == (0, 0, 0), 30, "settled")
    assert [r["requestContext"]["requestId"] for r in hook.records()] == [sent, sent], "twice, and no more"
    assert len({r["headers"]["idempotency-key"] for r in hook.requests}) == 1, "which the receiver can tell"
    assert len(api.requests) == 2


def test_a_destination_that_hangs():
    """Sends end after ten seconds, those that waited in line behind them too; all come again."""
    hook, released = Hook(), threading.Event()
    hook.answer = lambda *_: released.wait(60) and response(204, b"")
    api = target()
    daemon = Daemon(with_ends(on_success={"url": "http://127.0.0.1:8090/done"}))
    ids = send(*[201] * 60)
    failed = 'sluice_destination_sends_total{route="createjob",condition="success",result="error"}'
    wait_until(lambda: daemon.metric(failed) >= 40, 30, "failures")
    assert len(hook.requests) < 40, "some failed in the line"
    released.set()
    wait_until(lambda: queue_counts(9324, "jobs") == (0, 0, 0), 40, "settled")
    assert {r["requestContext"]["requestId"] for r in hook.records()} == set(ids) and len(api.requests) == 60


def test_stopped_while_a_destination_hangs():
    """More sends than run at a time, none answered: the drain's deadline ends it, nothing is lost or leaks."""
    hook = Hook()
    hook.answer = lambda *_: None
    api = target()
    settings = with_ends(on_success={"url": "http://127.0.0.1:8090/done"}) | {"drain_timeout": "1s"}
    daemon = Daemon(settings, build=DEBUG_BUILD)
    ids = send(*[201] * 20)
    wait_until(lambda: len(hook.requests) == 16 and len(api.requests) == 20, 20, "16 sends at a time")
    assert daemon.metric('sluice_messages_held{route="createjob",state="settling"}') == 20
    head, row = [line.split() for line in daemon.cli("status")[1].splitlines()[:2]]
    assert row[head.index("SETTLING")] == "20", (head, row)
    assert daemon.stop() == 4, daemon.text()[-2000:]
    assert "Sanitizer" not in daemon.text(), daemon.text()[-3000:]
    hook.answer = lambda *_: response(204, b"")
    Daemon(settings, build=DEBUG_BUILD)
    wait_until(lambda: queue_counts(9324, "jobs") == (0, 0, 0), 30, "settled")
    taken = {r["requestContext"]["requestId"] for r in hook.records()[16:]}
    assert taken == set(ids) and len(api.requests) == 40


test_a_destination_that_hangs.weight = 15


def test_an_end_while_records_wait_for_their_turn():
    """More of them than one destination is sent at a time; it hangs, and the drain's deadline passes."""
    target()
    hook = ScriptedApi(lambda *_: None, 8090)
    settings = with_ends(on_success={"url": "http://127.0.0.1:8090/done"}) | {"drain_timeout": "1s"}
    settings["targets"]["legacy"]["concurrency"] = 100
    del settings["limits"], settings["routes"]["createjob"]["limits"]
    daemon = Daemon(settings, build=DEBUG_BUILD)
    send(*[201] * 60)
    held = 'sluice_messages_held{route="createjob",state="settling"}'
    wait_until(lambda: len(hook.requests) == 16 and daemon.metric(held) == 60, 20, "all were called, some records are under way")
    assert daemon.stop() == 4, daemon.text()[-2000:]
    assert "Sanitizer" not in daemon.text(), daemon.text()[-2000:]
