"""A long poll ends by what makes a message visible, not by its time: each wake-up while another poll, begun before, still waits."""
import json
import threading

from sqs_clients import Boto, Js, RawJson, RawQuery
from support import Daemon, wait_until


class Poll(threading.Thread):
    """ReceiveMessage that waits 20 s, known to wait in the store when the constructor returns."""

    def __init__(self, daemon, client, url, **members):
        super().__init__(daemon=True)
        self.client, self.url, self.members, self.messages = client, url, members, None
        before = daemon.metric("sluice_store_operations_total")
        self.start()
        wait_until(lambda: daemon.metric("sluice_store_operations_total") > before, 20, "the receive is in the store")

    def run(self):
        answer = self.client.call("ReceiveMessage", QueueUrl=self.url, WaitTimeSeconds=20, MaxNumberOfMessages=10, **self.members)
        self.messages = answer.get("Messages", [])

    def bodies(self, other):
        """What ended it; `other` must wait still."""
        self.join(30)
        assert other.is_alive() and self.messages is not None, "the time ended it, not the message"
        return [m["Body"] for m in self.messages]


def begin():
    """A daemon and a poll of an empty queue that nothing wakes."""
    daemon = Daemon()
    never = daemon.sqs("CreateQueue", QueueName="never")["QueueUrl"]
    return daemon, Poll(daemon, RawJson(), never)


def end(daemon, never):
    assert never.is_alive()
    assert daemon.stop() == 0  # it is told so at once
    never.join(30)
    assert never.messages == [], never.messages


def test_send_wakes_every_client():
    daemon, never = begin()
    for kind in (RawJson, RawQuery, Boto, Js):
        client = kind()
        url = client.call("CreateQueue", QueueName=f"q-{kind.name}")["QueueUrl"]
        poll = Poll(daemon, client, url)
        daemon.sqs("SendMessage", QueueUrl=url, MessageBody="x")
        assert poll.bodies(never) == ["x"]
        poll = Poll(daemon, client, url)
        daemon.sqs("SendMessageBatch", QueueUrl=url, Entries=[{"Id": i, "MessageBody": i} for i in "ab"])
        assert sorted(poll.bodies(never)) == ["a", "b"]
        if kind is not Js:  # it ends with the daemon's answer to the poll that nothing wakes
            client.close()
    end(daemon, never)


def test_the_queue_waits_by_itself():
    """ReceiveMessageWaitTimeSeconds instead of WaitTimeSeconds; 0 in the request overrides it."""
    daemon, never = begin()
    url = daemon.sqs("CreateQueue", QueueName="q", Attributes={"ReceiveMessageWaitTimeSeconds": "20"})["QueueUrl"]
    assert daemon.sqs("ReceiveMessage", QueueUrl=url, WaitTimeSeconds=0) == {} and never.is_alive()

    class Plain(Poll):
        def run(self):
            self.messages = self.client.call("ReceiveMessage", QueueUrl=self.url).get("Messages", [])
    poll = Plain(daemon, RawJson(), url)
    daemon.sqs("SendMessage", QueueUrl=url, MessageBody="x")
    assert poll.bodies(never) == ["x"]
    end(daemon, never)


def test_time_and_visibility_wake():
    """A delay that ends, a timeout that ends, a visibility of 0."""
    daemon, never = begin()
    url = daemon.sqs("CreateQueue", QueueName="q")["QueueUrl"]
    poll = Poll(daemon, RawJson(), url)
    daemon.sqs("SendMessage", QueueUrl=url, MessageBody="delayed", DelaySeconds=1)
    assert poll.bodies(never) == ["delayed"]
    daemon.sqs("ChangeMessageVisibility", QueueUrl=url, ReceiptHandle=poll.messages[0]["ReceiptHandle"], VisibilityTimeout=1)
    poll = Poll(daemon, RawJson(), url)
    assert poll.bodies(never) == ["delayed"]
    handle = poll.messages[0]["ReceiptHandle"]
    poll = Poll(daemon, RawQuery(), url)
    daemon.sqs("ChangeMessageVisibility", QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=0)
    assert poll.bodies(never) == ["delayed"]
    handle = poll.messages[0]["ReceiptHandle"]
    poll = Poll(daemon, RawQuery(), url)
    daemon.sqs("ChangeMessageVisibilityBatch", QueueUrl=url, Entries=[{"Id": "x", "ReceiptHandle": handle, "VisibilityTimeout": 0}])
    assert poll.bodies(never) == ["delayed"]
    end(daemon, never)


def redriven(daemon, suffix="", **attributes):
    dead = daemon.sqs("CreateQueue", QueueName=f"dead{suffix}", Attributes=attributes)["QueueUrl"]
    policy = {"deadLetterTargetArn": f"arn:aws:sqs:us-east-1:000000000000:dead{suffix}", "maxReceiveCount": 1}
    source = daemon.sqs("CreateQueue", QueueName=f"source{suffix}", Attributes=dict(
        attributes, VisibilityTimeout="0", RedrivePolicy=json.dumps(policy)))["QueueUrl"]
    return source, dead, policy["deadLetterTargetArn"]


def test_dead_letters_and_redrive_wake():
    daemon, never = begin()
    source, dead, arn = redriven(daemon)
    daemon.sqs("SendMessage", QueueUrl=source, MessageBody="x")
    assert daemon.sqs("ReceiveMessage", QueueUrl=source)["Messages"]
    poll = Poll(daemon, RawJson(), dead, VisibilityTimeout=0)
    assert daemon.sqs("ReceiveMessage", QueueUrl=source) == {}  # the receive that finds it has had enough moves it
    assert poll.bodies(never) == ["x"]
    poll = Poll(daemon, RawJson(), source)
    daemon.sqs("StartMessageMoveTask", SourceArn=arn)
    assert poll.bodies(never) == ["x"]
    end(daemon, never)


def test_fifo_groups_wake():
    """A group that is locked comes free by a delete, by a visibility of 0, by its timeout."""
    daemon, never = begin()
    url = daemon.sqs("CreateQueue", QueueName="q.fifo", Attributes={"FifoQueue": "true", "ContentBasedDeduplication": "true"})["QueueUrl"]
    daemon.sqs("SendMessageBatch", QueueUrl=url, Entries=[{"Id": i, "MessageBody": i, "MessageGroupId": "g"} for i in "abc"])
    first = daemon.sqs("ReceiveMessage", QueueUrl=url)["Messages"][0]
    assert first["Body"] == "a"
    poll = Poll(daemon, RawJson(), url, VisibilityTimeout=600)
    daemon.sqs("DeleteMessage", QueueUrl=url, ReceiptHandle=first["ReceiptHandle"])
    assert poll.bodies(never) == ["b", "c"]
    handles = [m["ReceiptHandle"] for m in poll.messages]
    poll = Poll(daemon, RawQuery(), url)
    daemon.sqs("ChangeMessageVisibilityBatch", QueueUrl=url, Entries=[{"Id": f"{i}", "ReceiptHandle": h, "VisibilityTimeout": 0}
                                                                      for i, h in enumerate(handles)])
    assert poll.bodies(never) == ["b", "c"]
    daemon.sqs("ChangeMessageVisibilityBatch", QueueUrl=url, Entries=[{"Id": f"{i}", "ReceiptHandle": m["ReceiptHandle"], "VisibilityTimeout": 1}
                                                                      for i, m in enumerate(poll.messages)])
    poll = Poll(daemon, RawJson(), url)
    assert poll.bodies(never) == ["b", "c"]
    poll = Poll(daemon, RawJson(), url)
    daemon.sqs("SendMessage", QueueUrl=url, MessageBody="d", MessageGroupId="h")  # another group wakes too
    assert poll.bodies(never) == ["d"]
    end(daemon, never)
