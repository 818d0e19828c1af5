"""npm's sqs-consumer, unmodified, on the embedded queue."""
import json
import shutil
import subprocess
import threading

from sqs_clients import ENDPOINT
from support import PROCESSES, SOURCE, Daemon, Skip, queue_counts, wait_until


class Consumer:
    def __init__(self, url, mode):
        node, js = shutil.which("node"), SOURCE / "tests/blackbox/js"
        if not node or not (js / "node_modules/sqs-consumer").exists():
            raise Skip("nodejs or the npm packages are not installed (scripts/setup)")
        self.process = subprocess.Popen([node, js / "consumer.mjs", ENDPOINT, url, mode], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)
        PROCESSES.append(self.process)
        self.events = []
        self.reader = threading.Thread(target=lambda: self.events.extend(map(json.loads, iter(self.process.stdout.readline, ""))), daemon=True)
        self.reader.start()

    def said(self, event, **more):
        return [e for e in self.events if e["event"] == event and more.items() <= e.items()]

    def stop(self):
        """Its exit code; nothing may have gone wrong on the way."""
        self.process.stdin.close()
        code = self.process.wait(20)
        self.reader.join(20)
        names = [e["event"] for e in self.events]  # after "stopped": that the poll was cut off
        assert "stopped" in names and "error" not in names[:names.index("stopped")], self.events
        return code


def test_messages():
    """Receives, deletes; an error brings the message back at once; a heartbeat keeps a slow one away from others."""
    daemon = Daemon()
    url = daemon.sqs("CreateQueue", QueueName="work", Attributes={"VisibilityTimeout": "600"})["QueueUrl"]
    color = {"color": {"DataType": "String", "StringValue": "blue"}}
    for body in ("one", "poison", "slow"):
        daemon.sqs("SendMessage", QueueUrl=url, MessageBody=body, MessageAttributes=color)
    consumer = Consumer(url, "single")
    wait_until(lambda: consumer.said("handle", body="slow"), 30, "the slow one is being handled")
    assert consumer.said("handle", body="one", count="1", color="blue")
    wait_until(lambda: consumer.said("processed", body="one"), 30, "deleted")
    wait_until(lambda: consumer.said("processing_error", body="poison"), 30, "failed")
    # sqs-consumer polls on when the whole receive is done; another client meets the message that came back.
    back = wait_until(lambda: daemon.sqs("ReceiveMessage", QueueUrl=url, AttributeNames=["All"], VisibilityTimeout=0).get("Messages"), 20,
                      "the failed one is back")
    assert back[0]["Body"] == "poison" and int(back[0]["Attributes"]["ApproximateReceiveCount"]) >= 2, back
    # Four seconds of visibility, a heartbeat a second: only they carry the slow one past its first timeout.
    beats = 'sluice_sqs_requests_total{action="ChangeMessageVisibility",code="OK"}'
    wait_until(lambda: daemon.metric(beats) >= 8, 60, "heartbeats")
    assert len(consumer.said("handle", body="slow")) == 1 and queue_counts(9324, "work") == (1, 1, 0), consumer.events
    consumer.process.stdin.write("done slow\n")
    consumer.process.stdin.flush()
    wait_until(lambda: consumer.said("processed", body="slow") and consumer.said("processed", body="poison"), 30, "all done")
    wait_until(lambda: queue_counts(9324, "work") == (0, 0, 0), 10, "all deleted")
    # And a message that comes while it polls.
    daemon.sqs("SendMessage", QueueUrl=url, MessageBody="late")
    wait_until(lambda: consumer.said("processed", body="late"), 30, "woken")
    assert consumer.stop() == 0 and daemon.stop() == 0


def test_batches():
    """handleMessageBatch: what it returns is deleted in one batch, the rest comes back when its timeout ends."""
    daemon = Daemon()
    url = daemon.sqs("CreateQueue", QueueName="work")["QueueUrl"]
    bodies = [f"{'no' if i % 3 == 0 else 'yes'} {i}" for i in range(10)]
    daemon.sqs("SendMessageBatch", QueueUrl=url, Entries=[{"Id": str(i), "MessageBody": b} for i, b in enumerate(bodies)])
    consumer = Consumer(url, "batch")
    wait_until(lambda: sorted(e["body"] for e in consumer.said("processed")) == sorted(bodies), 60, "all processed")
    batches = consumer.said("batch")
    assert sorted(batches[0]["bodies"]) == sorted(bodies) and set(batches[0]["counts"]) == {"1"}, batches
    again = sorted(b for e in batches[1:] for b in e["bodies"])
    assert again == sorted(b for b in bodies if b.startswith("no")) and {c for e in batches[1:] for c in e["counts"]} == {"2"}, batches
    wait_until(lambda: queue_counts(9324, "work") == (0, 0, 0), 10, "all deleted")
    assert daemon.metric('sluice_sqs_requests_total{action="DeleteMessageBatch",code="OK"}') == len(batches)
    assert daemon.metric('sluice_sqs_requests_total{action="DeleteMessage",code="OK"}') == 0
    assert consumer.stop() == 0 and daemon.stop() == 0
