"""FIFO queues through every client: order, locks, deduplication, attempts, dead letters."""
import hashlib
import json
import re

from sqs_clients import Cli, RawJson
from support import wait_until
from test_actions import ATTRIBUTES, FRESH, attributes_md5, run

FIFO = {"FifoQueue": "true"}
CONTENT = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}


def visible(c, url):
    """Not recorded: for waiting."""
    return int(c.client.call("GetQueueAttributes", QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])["Attributes"]
               ["ApproximateNumberOfMessages"])


def put(c, url, *bodies):
    """Each body into the group of its first letter; the sequence numbers."""
    return [c.send(url, body, MessageGroupId=body[0], MessageDeduplicationId=f"id-{body}")["SequenceNumber"] for body in bodies]


def test_queues():
    run(queues)


def queues(c):
    url = c.create("a.fifo", FIFO)
    found = c.attributes(url)
    more = {"FifoQueue": "true", "ContentBasedDeduplication": "false", "DeduplicationScope": "queue", "FifoThroughputLimit": "perQueue"}
    assert sorted(found) == sorted([*FRESH, *more]) and {n: found[n] for n in more} == more, found
    assert c.create("a.fifo", FIFO) == url and c.call("GetQueueUrl", QueueName=c.name("a.fifo"))["QueueUrl"] == url
    fast = {"DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId", "ContentBasedDeduplication": "true"}
    c.call("SetQueueAttributes", QueueUrl=url, Attributes=fast)
    assert c.attributes(url, *fast) == fast
    both = c.create("both.fifo", dict(FIFO, **fast), {"t": "v"})
    assert c.attributes(both, *fast) == fast
    c.fails("InvalidAttributeValue", "Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported.",
            "SetQueueAttributes", QueueUrl=url, Attributes={"FifoQueue": "false"})
    c.fails("InvalidParameterValue", "", "CreateQueue", QueueName=c.name("standard"), Attributes=FIFO)
    c.fails("InvalidParameterValue", "", "CreateQueue", QueueName=c.name("no.fifo"))
    c.fails("InvalidAttributeName", "Unknown Attribute FifoQueue.", "CreateQueue", QueueName=c.name("standard"), Attributes={"FifoQueue": "false"})
    c.fails("InvalidAttributeValue", "", "SetQueueAttributes", QueueUrl=url, Attributes={"DeduplicationScope": "galaxy"})
    c.fails("InvalidAttributeValue", "", "SetQueueAttributes", QueueUrl=url, Attributes={"FifoThroughputLimit": "none"})
    standard = c.create("standard")
    for source, dead in ((url, "standard"), (standard, "a.fifo")):  # a dead-letter queue is of the same kind
        c.fails("InvalidParameterValue", "", "SetQueueAttributes", QueueUrl=source, Attributes={"RedrivePolicy": json.dumps(
            {"deadLetterTargetArn": c.arn(dead), "maxReceiveCount": 3})})
    c.call("DeleteQueue", QueueUrl=url)


def test_order_and_locks():
    run(order_and_locks)


def order_and_locks(c):
    url = c.create("order.fifo", dict(FIFO, VisibilityTimeout="600"))
    sent = c.send(url, "a1", MessageGroupId="a", MessageDeduplicationId="id-a1", MessageAttributes=ATTRIBUTES)
    assert sent["MD5OfMessageAttributes"] == attributes_md5(ATTRIBUTES)
    numbers = [sent["SequenceNumber"], *put(c, url, "a2", "b1", "a3", "a4", "c1", "b2")]
    assert all(re.fullmatch(r"[0-9]{20}", n) for n in numbers) and sorted(set(numbers)) == numbers, numbers
    answer = c.call("SendMessageBatch", QueueUrl=url, Entries=[
        {"Id": f"e{i}", "MessageBody": f"d{i}", "MessageGroupId": "d", "MessageDeduplicationId": f"id-d{i}"} for i in range(3)])
    more = [e["SequenceNumber"] for e in answer["Successful"]]
    assert [e["Id"] for e in answer["Successful"]] == ["e0", "e1", "e2"] and sorted(more) == more and more[0] > numbers[-1], answer

    first = c.receive(url, 1, AttributeNames=["All"], MessageAttributeNames=["All"])
    found = first[0]["Attributes"]
    assert first[0]["Body"] == "a1" and first[0]["MessageAttributes"] == ATTRIBUTES, first
    assert (found["MessageGroupId"], found["MessageDeduplicationId"], found["SequenceNumber"]) == ("a", "id-a1", numbers[0]), found
    # Group a is locked; the rest of each other group comes in order.
    got = c.receive(url, 10)
    bodies = [m["Body"] for m in got]
    assert sorted(bodies) == ["b1", "b2", "c1", "d0", "d1", "d2"], bodies
    assert [b for b in bodies if b[0] == "b"] == ["b1", "b2"] and [b for b in bodies if b[0] == "d"] == ["d0", "d1", "d2"], bodies
    assert c.bodies(url) == [] and c.counts(url) == (3, 7, 0)
    # Deleted: the group goes on.
    c.delete(url, first[0])
    second = c.receive(url, 2)
    assert [m["Body"] for m in second] == ["a2", "a3"] and c.bodies(url) == []
    # Only the first of two is visible again: it is all that comes.
    c.call("ChangeMessageVisibility", QueueUrl=url, ReceiptHandle=second[0]["ReceiptHandle"], VisibilityTimeout=0)
    again = c.receive(url)
    assert [m["Body"] for m in again] == ["a2"] and again[0]["ReceiptHandle"] != second[0]["ReceiptHandle"], again
    # The second is visible, but the first is not: nothing.
    c.call("ChangeMessageVisibility", QueueUrl=url, ReceiptHandle=second[1]["ReceiptHandle"], VisibilityTimeout=0)
    assert c.bodies(url) == []
    c.call("ChangeMessageVisibilityBatch", QueueUrl=url, Entries=[{"Id": "x", "ReceiptHandle": again[0]["ReceiptHandle"], "VisibilityTimeout": 0}])
    last = c.receive(url)
    assert [m["Body"] for m in last] == ["a2", "a3", "a4"], last
    answer = c.call("DeleteMessageBatch", QueueUrl=url, Entries=[{"Id": f"{i}", "ReceiptHandle": m["ReceiptHandle"]} for i, m in
                                                                enumerate(last + got)])
    assert len(answer["Successful"]) == 9 and c.counts(url) == (0, 0, 0), answer


def test_handles():
    run(handles)


def handles(c):
    url = c.create("handles.fifo", FIFO)
    put(c, url, "a1")
    first = c.receive(url, VisibilityTimeout=1)[0]
    wait_until(lambda: visible(c, url) == 1, 10, "visible again")
    expired = f"Value {first['ReceiptHandle']} for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired."
    c.fails("InvalidParameterValue", expired, "DeleteMessage", QueueUrl=url, ReceiptHandle=first["ReceiptHandle"])
    second = c.receive(url, VisibilityTimeout=1)[0]
    c.fails("InvalidParameterValue", expired, "DeleteMessage", QueueUrl=url, ReceiptHandle=first["ReceiptHandle"])
    answer = c.call("DeleteMessageBatch", QueueUrl=url, Entries=[{"Id": "x", "ReceiptHandle": first["ReceiptHandle"]}])
    assert [e["Id"] for e in answer["Failed"]] == ["x"], answer
    c.call("ChangeMessageVisibility", QueueUrl=url, ReceiptHandle=second["ReceiptHandle"], VisibilityTimeout=600)
    c.delete(url, second)  # extended in time
    c.delete(url, second)
    assert c.counts(url) == (0, 0, 0)
    c.fails("ReceiptHandleIsInvalid", 'The input receipt handle "garbage" is not a valid receipt handle.', "DeleteMessage", QueueUrl=url,
            ReceiptHandle="garbage")


def test_deduplication():
    run(deduplication)


def deduplication(c):
    url = c.create("dedup.fifo", FIFO)
    first = c.send(url, "one", MessageGroupId="g", MessageDeduplicationId="x")
    again = c.send(url, "another body", MessageGroupId="h", MessageDeduplicationId="x")
    assert (again["MessageId"], again["SequenceNumber"]) == (first["MessageId"], first["SequenceNumber"]), (first, again)
    batch = c.call("SendMessageBatch", QueueUrl=url, Entries=[
        {"Id": "a", "MessageBody": "one", "MessageGroupId": "g", "MessageDeduplicationId": "x"},
        {"Id": "b", "MessageBody": "two", "MessageGroupId": "g", "MessageDeduplicationId": "y"},
        {"Id": "c", "MessageBody": "two", "MessageGroupId": "g", "MessageDeduplicationId": "y"}])["Successful"]
    assert batch[0]["MessageId"] == first["MessageId"] and batch[1]["MessageId"] == batch[2]["MessageId"] != first["MessageId"], batch
    got = c.receive(url)
    assert [m["Body"] for m in got] == ["one", "two"], got
    for message in got:
        c.delete(url, message)
    assert c.send(url, "one", MessageGroupId="g", MessageDeduplicationId="x")["MessageId"] == first["MessageId"]
    assert c.counts(url) == (0, 0, 0) and c.bodies(url) == []  # deleted, but remembered
    c.fails("InvalidParameterValue", "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided "
            "explicitly", "SendMessage", QueueUrl=url, MessageBody="x", MessageGroupId="g")
    c.fails("InvalidParameterValue", "The queue should either have ContentBasedDeduplication enabled", "SendMessageBatch", QueueUrl=url,
            Entries=[{"Id": "a", "MessageBody": "x", "MessageGroupId": "g"}])
    c.fails("MissingParameter", "The request must contain the parameter MessageGroupId.", "SendMessage", QueueUrl=url, MessageBody="x",
            MessageDeduplicationId="z")
    c.fails("InvalidParameterValue", "The request must contain the parameter MessageGroupId.", "SendMessageBatch", QueueUrl=url,
            Entries=[{"Id": "a", "MessageBody": "x", "MessageDeduplicationId": "z"},
                     {"Id": "b", "MessageBody": "x", "MessageDeduplicationId": "z", "MessageGroupId": "g"}])
    for member in ("MessageGroupId", "MessageDeduplicationId"):
        for bad in ("a b", "x" * 129):
            c.fails("InvalidParameterValue", f"Value {bad} for parameter {member} is invalid. Reason: {member} can only include alphanumeric "
                    "and punctuation characters. 1 to 128 in length.", "SendMessage", QueueUrl=url, MessageBody="x",
                    **dict({"MessageGroupId": "g", "MessageDeduplicationId": "d"}, **{member: bad}))
    every = "azAZ09!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
    c.send(url, "punctuation", MessageGroupId=every, MessageDeduplicationId=every)
    found = c.receive(url, AttributeNames=["MessageGroupId", "MessageDeduplicationId"])[0]["Attributes"]
    assert found == {"MessageGroupId": every, "MessageDeduplicationId": every}, found

    # By content.
    url = c.create("content.fifo", CONTENT)
    first = c.send(url, "same", MessageGroupId="g")
    assert c.send(url, "same", MessageGroupId="h", MessageAttributes=ATTRIBUTES)["MessageId"] == first["MessageId"]
    other = c.send(url, "same", MessageGroupId="g", MessageDeduplicationId="explicit")
    assert other["MessageId"] != first["MessageId"]
    got = c.receive(url, AttributeNames=["MessageDeduplicationId"])
    assert [m["Attributes"]["MessageDeduplicationId"] for m in got] == [hashlib.sha256(b"same").hexdigest(), "explicit"], got

    # By group.
    url = c.create("group.fifo", dict(CONTENT, DeduplicationScope="messageGroup", FifoThroughputLimit="perMessageGroupId"))
    ids = {c.send(url, "same", MessageGroupId=g)["MessageId"] for g in ("g", "h", "g", "h", "i")}
    assert len(ids) == 3 and len(c.receive(url)) == 3


def test_attempts():
    run(attempts)


def attempts(c):
    """A receive that is tried again gets the same messages and handles."""
    url = c.create("attempts.fifo", dict(FIFO, VisibilityTimeout="600"))
    put(c, url, "a1", "a2", "b1")
    first = c.receive(url, 2, ReceiveRequestAttemptId="try-1")
    assert [m["Body"] for m in first] == ["a1", "a2"], first
    again = c.receive(url, 2, ReceiveRequestAttemptId="try-1")
    assert [(m["MessageId"], m["ReceiptHandle"]) for m in again] == [(m["MessageId"], m["ReceiptHandle"]) for m in first], again
    assert c.counts(url) == (1, 2, 0)
    assert c.bodies(url, 1, ReceiveRequestAttemptId="try-2") == ["b1"]
    assert c.bodies(url, 1, ReceiveRequestAttemptId="try-3") == []
    c.delete(url, first[0])
    assert "a1" not in c.bodies(url, 2, ReceiveRequestAttemptId="try-1")  # changed: no longer the same attempt
    for bad in ("a b", "x" * 129):
        c.fails("InvalidParameterValue", "", "ReceiveMessage", QueueUrl=url, ReceiveRequestAttemptId=bad)


def test_delay_and_purge():
    run(delay_and_purge)


def delay_and_purge(c):
    url = c.create("late.fifo", dict(CONTENT, DelaySeconds="1"))
    c.fails("InvalidParameterValue", "Value 2 for parameter DelaySeconds is invalid. Reason: The request include parameter that is not valid "
            "for this queue type.", "SendMessage", QueueUrl=url, MessageBody="x", MessageGroupId="g", DelaySeconds=2)
    c.send(url, "x", MessageGroupId="g", DelaySeconds=0)
    got = c.receive(url, WaitTimeSeconds=20)
    assert [m["Body"] for m in got] == ["x"], got
    c.send(url, "y", MessageGroupId="g")
    c.call("PurgeQueue", QueueUrl=url)
    assert c.counts(url) == (0, 0, 0)
    c.call("SetQueueAttributes", QueueUrl=url, Attributes={"DelaySeconds": "0"})
    c.send(url, "z", MessageGroupId="g")
    assert c.bodies(url) == ["z"]  # what was purged locks nothing


def test_dead_letters():
    run(dead_letters)


def dead_letters(c):
    dead = c.create("dead.fifo", FIFO)
    source = c.create("source.fifo", dict(FIFO, VisibilityTimeout="600", RedrivePolicy=json.dumps(
        {"deadLetterTargetArn": c.arn("dead.fifo"), "maxReceiveCount": 1})))

    def receive_and_give_up():
        """In the order received; all visible again, the last first: a group is free with its first."""
        got = c.receive(source)
        c.call("ChangeMessageVisibilityBatch", QueueUrl=source, Entries=[
            {"Id": f"e{i}", "ReceiptHandle": m["ReceiptHandle"], "VisibilityTimeout": 0} for i, m in enumerate(reversed(got))])
        return {m["Body"]: m["MessageId"] for m in got}
    put(c, source, "a1", "a2", "b1")
    ids = receive_and_give_up()
    assert sorted(ids) == ["a1", "a2", "b1"], ids
    assert c.bodies(source) == []
    assert (c.counts(source), c.counts(dead)) == ((0, 0, 0), (3, 0, 0))
    got = c.receive(dead, AttributeNames=["All"])
    assert [m["Body"] for m in got if m["Body"][0] == "a"] == ["a1", "a2"] and len(got) == 3, got
    for message in got:
        found = message["Attributes"]
        assert message["MessageId"] == ids[message["Body"]] == found["MessageDeduplicationId"], (message, ids)
        assert found["DeadLetterQueueSourceArn"] == c.arn("source.fifo") and found["MessageGroupId"] == message["Body"][0], found
    for message in got:
        c.delete(dead, message)
    # Again into the dead letters, and all the way back.
    put(c, source, "c1", "c2")
    assert list(receive_and_give_up()) == ["c1", "c2"] and c.bodies(source) == []
    c.call("StartMessageMoveTask", SourceArn=c.arn("dead.fifo"))
    wait_until(lambda: c.client.call("ListMessageMoveTasks", SourceArn=c.arn("dead.fifo"))["Results"][0]["Status"] == "COMPLETED", 20, "moved")
    assert c.bodies(source) == ["c1", "c2"]


def test_the_cli():
    run(cli_pass, RawJson, Cli)


test_the_cli.weight = 20


def cli_pass(c):
    url = c.create("cli.fifo", dict(CONTENT, VisibilityTimeout="600"))
    sent = c.send(url, "one", MessageGroupId="g", MessageDeduplicationId="x")
    assert c.send(url, "one", MessageGroupId="g", MessageDeduplicationId="x") == sent
    answer = c.call("SendMessageBatch", QueueUrl=url, Entries=[{"Id": i, "MessageBody": i, "MessageGroupId": "h"} for i in "ab"])
    assert len(answer["Successful"]) == 2
    got = c.receive(url, 10, AttributeNames=["All"], ReceiveRequestAttemptId="try")
    assert [m["Body"] for m in got] == ["one", "a", "b"], got
    assert c.receive(url, 10, AttributeNames=["All"], ReceiveRequestAttemptId="try")[0]["ReceiptHandle"] == got[0]["ReceiptHandle"]
    c.delete(url, got[0])
    assert c.attributes(url)["ContentBasedDeduplication"] == "true"
