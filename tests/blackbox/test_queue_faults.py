"""Every way a queue can fail, all at once: a proxy between one daemon and its SQS server misbehaves differently for each queue. What
the target sees, how often messages are received, what the metrics and the log say; nothing is lost."""
import json
import time

import sqs_proxy
from fault_target import FOREVER, FaultTarget, answers, answers_late
from sqs_proxy import DROP, after_the_work, cut_off, entries_fail, error, first, slowly, twice, with_both_handles
from support import Daemon, figure, sqs, wait_until, window_peak

SERVER, FIRST_PORT, COUNT, REQUESTS, PER_S, CONCURRENCY = 9424, 21000, 12, 4, 0.1, 3
BAD_GATEWAY = (502, b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>")
HUGE = 200, b'{"Messages":[' + b" " * (64 << 20) + b"]}"
RECEIVE, DELETE, EXTEND = "ReceiveMessage", "DeleteMessageBatch", "ChangeMessageVisibilityBatch"
FAULTS = []


class Fault:
    """A queue that misbehaves. calls: how often a message may be called, least and most. receives: the highest receive count that the
    target may see. says: (message of a log line, its code or error) that must be there, once when once is true."""

    def __init__(self, name, faults, *, calls=(1, 1), receives=1, says=(), once=True, count=COUNT, fails=0, target=None, **route):
        self.name, self.faults, self.calls, self.receives, self.says, self.once = name, faults, calls, receives, says, once
        self.count, self.fails, self.act, self.route = count, fails, target, route
        self.fifo, self.port, self.target, self.sent = name.endswith(".fifo"), FIRST_PORT + len(FAULTS), None, []
        self.key = name.replace(".", "-")
        FAULTS.append(self)

    def send(self):
        """In order, where there is one."""
        for first_of_ten in range(0, self.count, 10):
            numbers = range(first_of_ten, min(first_of_ten + 10, self.count))
            entries = [{"Id": str(i), "MessageBody": json.dumps({"fails": self.fails, "i": i}),
                        **({"MessageGroupId": f"g{i % 2}", "MessageDeduplicationId": f"d{i}"} if self.fifo else {})} for i in numbers]
            answer = sqs(SERVER, "SendMessageBatch", QueueUrl=self.name, Entries=entries)
            self.sent += [m["MessageId"] for m in sorted(answer["Successful"], key=lambda m: int(m["Id"]))]

    def is_over(self):
        a = sqs(SERVER, "GetQueueAttributes", QueueUrl=self.name, AttributeNames=["All"])["Attributes"]
        return a["ApproximateNumberOfMessages"] == a["ApproximateNumberOfMessagesNotVisible"] == "0"


def declare_receives():
    for status, name in ((400, "ThrottlingException"), (403, "RequestThrottled"), (503, "ServiceUnavailable")):
        Fault(f"receive-{status}", {RECEIVE: first(3, error(status, name))},
              says=[("receive failed", "ServiceUnavailable" if status == 503 else "RequestThrottled"), ("receiving again", None)])
    Fault("receive-bad-gateway", {RECEIVE: first(3, BAD_GATEWAY)}, says=[("receive failed", "InternalFailure"), ("receiving again", None)])
    Fault("receive-not-json", {RECEIVE: first(2, (200, b"<html>welcome</html>"))}, says=[("receive failed", "PROTOCOL"), ("receiving again", None)])
    Fault("receive-dropped", {RECEIVE: first(2, DROP)}, says=[("receive failed", "RESET"), ("receiving again", None)])
    Fault("receive-huge", {RECEIVE: first(1, HUGE)}, says=[("receive failed", "TOO_BIG"), ("receiving again", None)])
    Fault("receive-slow", {RECEIVE: slowly(1.5)})
    # Received, and the answer lost: they come again when their visibility ends.
    Fault("receive-cut-off", {RECEIVE: first(1, cut_off)}, receives=2, visibility="3s", says=[("receive failed", None), ("receiving again", None)])
    Fault("receive-twice", {RECEIVE: twice, DELETE: with_both_handles, EXTEND: with_both_handles}, calls=(1, 2))


def declare_settlements():
    Fault("delete-throttled", {DELETE: first(2, error(403, "RequestThrottled"))}, says=[("settle failed", "PROTOCOL")], once=False)
    Fault("delete-bad-gateway", {DELETE: first(2, BAD_GATEWAY)}, says=[("settle failed", "PROTOCOL")], once=False)
    Fault("delete-dropped", {DELETE: first(2, after_the_work(DROP))}, says=[("settle failed", "RESET")], once=False)
    Fault("delete-cut-off", {DELETE: first(2, cut_off)}, says=[("settle failed", "PROTOCOL")], once=False)
    Fault("delete-slow", {DELETE: first(2, slowly(2))})
    Fault("delete-some-fail", {DELETE: first(3, entries_fail("InternalError", False, lambda i: i % 3 == 0))},
          says=[("settle failed", "InternalError")], once=False)
    # The queue says that the handle is no good: nothing is tried again, and the message comes back.
    Fault("delete-handle-invalid", {DELETE: first(1, entries_fail("ReceiptHandleIsInvalid", True, lambda i: i < 2))}, calls=(1, 2), receives=2,
          visibility="5s", says=[("settle failed", "ReceiptHandleIsInvalid")], once=False)
    Fault("extend-some-fail", {EXTEND: first(2, entries_fail("InternalError", False, lambda i: True))}, visibility="6s", count=4,
          target=answers_late(3.5), fails=FOREVER, says=[("settle failed", "InternalError")], once=False)
    # Every extension fails and the deletion comes after the visibility ended: by then the handle has expired.
    Fault("expired.fifo", {EXTEND: error_always, DELETE: first(1, slowly(6))}, calls=(1, 2), receives=6, visibility="5s", count=6,
          says=[("settle failed", None)], once=False)


def error_always(_):
    return error(500, "InternalFailure")


def setup():
    window = {"kind": "window", "requests": REQUESTS, "per": f"{int(PER_S * 1000)}ms"}
    return {
        "limits": {f.key: window for f in FAULTS},
        "targets": {f.key: {"url": f"http://127.0.0.1:{f.port}/", "concurrency": CONCURRENCY,
                            "timeout": "5s" if f.act else "2s"} for f in FAULTS},
        "routes": {f.key: {"queue": f"http://127.0.0.1:9500/000000000000/{f.name}", "target": f.key, "limits": [f.key],
                           "retry": {"max_attempts": 3, "min_backoff": "10ms", "max_backoff": "50ms"}, **f.route} for f in FAULTS},
        "log": {"format": "json"}}


ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent", "AWS_REGION": "us-east-1"}


def start_server(queues=()):
    return Daemon({"sqs_api": {"listen": [f"127.0.0.1:{SERVER}"]}, "http": {"listen": ["127.0.0.1:9425"]},
                   "queues": {q: {"dead_letter": f"dead{'.fifo' if q.endswith('.fifo') else ''}", "max_receives": 20} for q in queues},
                   "log": {"format": "json"}}, data_dir="server", sqs_port=SERVER, http_port=9425)


def metric(metrics, name, route, **labels):
    more = "".join(f',{k}="{v}"' for k, v in labels.items())
    return metrics.get(f'{name}{{route="{route}"{more}}}', 0)


# ---- what must be so ----

def check_calls(f):
    """I3: each is delivered. Duplicates only where the queue made them; I5: receives too."""
    for message_id in f.sent:
        calls = f.target.of(message_id)
        assert f.calls[0] <= len(calls) <= f.calls[1], f"{len(calls)} calls of {message_id}, expected {f.calls}"
    assert {c.message_id for c in f.target.calls} == set(f.sent)
    assert max(c.receive_count for c in f.target.calls) <= f.receives, f"I5: {[c.receive_count for c in f.target.calls]}"
    assert window_peak([c.at for c in f.target.calls], PER_S) <= REQUESTS, "I1"
    assert f.target.active_peak <= CONCURRENCY, f"I2: {f.target.active_peak}"


def check_order(f):
    """I7: the first calls of a group are in the order of sending, and no call comes before one that was sent earlier."""
    for group in (0, 1):
        ids = [m for i, m in enumerate(f.sent) if i % 2 == group]
        seen = [c.message_id for c in f.target.calls if c.message_id in ids]
        assert [m for i, m in enumerate(seen) if m not in seen[:i]] == ids, f"order: {[ids.index(m) for m in seen]}"


def check_metrics(f, metrics):
    assert metric(metrics, "sluice_messages_settled_total", f.key, outcome="ack") >= len(f.sent) - metric(
        metrics, "sluice_messages_settled_total", f.key, outcome="lost")
    assert metric(metrics, "sluice_messages_settled_total", f.key, outcome="dead_letter") == 0
    held = sum(v for k, v in metrics.items() if k.startswith(f'sluice_messages_held{{route="{f.key}"'))
    assert held == 0, f"I4: {held} still held"
    failed = metric(metrics, "sluice_receive_requests_total", f.key, outcome="error")
    expected = len([c for c in f.proxy.of(f.name, RECEIVE) if c.faulty and c.number <= 3]) if "receive failed" in str(f.says) else 0
    assert failed == expected, f"{failed} receives failed, the proxy failed {expected}"


def says(line, f):
    return f.name in (line.get("queue", "") + line.get("function_name", "")).split("/")


def check_log(f, lines):
    for text, code in f.says:
        found = [x for x in lines if x["message"] == text and says(x, f)]
        assert found, f"no line \"{text}\""
        assert not f.once or len(found) == 1, f"{len(found)} lines \"{text}\""
        assert code is None or code in (found[0].get("code"), found[0].get("error")), found[0]
        assert all(x.get("route") == f.key for x in found), found[0]


def check_all(daemon):
    metrics, lines, wrong = daemon.metrics(), daemon.lines(), []
    for f in FAULTS:
        for check in (lambda: check_calls(f), lambda: check_order(f) if f.fifo else None, lambda: check_metrics(f, metrics),
                      lambda: check_log(f, lines)):
            try:
                check()
            except AssertionError as e:
                wrong.append(f"{f.name}: {e}")
    assert not wrong, "\n".join([f"{len(wrong)} things are wrong:"] + wrong)


def test_queue_faults():
    declare_receives()
    declare_settlements()
    start_server([f.name for f in FAULTS])
    proxy = sqs_proxy.SqsProxy()
    for f in FAULTS:
        f.proxy, f.target = proxy, FaultTarget(f.port, f.act or answers(500))
        proxy.faults.update({(f.name, action): fault for action, fault in f.faults.items()})
        f.send()
    daemon = Daemon(setup(), env=ENVIRONMENT)
    wait_until(lambda: not [f for f in FAULTS if not f.is_over()], 60, lambda: f"empty: {[f.name for f in FAULTS if not f.is_over()]}")
    wait_until(lambda: not sum(v for k, v in daemon.metrics().items() if k.startswith("sluice_messages_held")), 20, "nothing held")
    check_all(daemon)
    figure(f"queue faults: {len(FAULTS)} faults, {sum(len(f.sent) for f in FAULTS)} messages, "
           f"{sum(len(f.target.calls) for f in FAULTS)} calls, 0 lost")
    assert daemon.stop() == 0, daemon.text()[-800:]


test_queue_faults.weight = 20
