"""Every way a queue can fail, all at once: a proxy between one daemon and its SQS server misbehaves differently for each queue. What
the target sees, how often messages are received, what the metrics and the log say; nothing is lost."""
import concurrent.futures
import json

import sqs_proxy
from fault_target import FOREVER, FaultTarget, answers, answers_late
from sqs_proxy import DROP, after_the_work, cut_off, entries_fail, error, first, slowly, twice, with_both_handles
from support import Daemon, figure, sqs, wait_until, window_peak

SERVER, FIRST_PORT, COUNT, REQUESTS, PER_S, CONCURRENCY = 9424, 21000, 12, 4, 0.1, 3
BAD_GATEWAY = (502, b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>")
HUGE = 200, b'{"Messages":[' + b" " * (64 << 20) + b"]}"
RECEIVE, DELETE, EXTEND, COPY = "ReceiveMessage", "DeleteMessageBatch", "ChangeMessageVisibilityBatch", "SendMessage"
UNUSABLE = [{}, {"MessageId": "m", "Body": "{}"}, {"MessageId": "m\r\nEvil: 1", "ReceiptHandle": "h", "Body": "{}"}]
FAULTS = []


def dead_queue(name):
    return name.replace(".fifo", "") + ("-dead.fifo" if name.endswith(".fifo") else "-dead")


class Fault:
    """A queue that misbehaves. calls: how often a message may be called, least and most. receives: the highest receive count that the
    target may see. says: (message of a log line, its code or error) that must be there, once when once is true. dead: the target refuses
    all, so that all are dead letters."""

    def __init__(self, name, faults, *, calls=(1, 1), receives=1, says=(), once=True, count=COUNT, fails=0, target=None, dead=False, pause=0,
                 timeout=None, **route):
        self.pause, self.timeout = pause, timeout or ("5s" if target else "2s")
        self.dead, self.name, self.faults, self.calls, self.receives, self.says, self.once = dead, name, faults, calls, receives, says, once
        self.count, self.fails, self.act, self.route = count, fails, target, route
        self.fifo, self.port, self.target, self.sent = name.endswith(".fifo"), FIRST_PORT + len(FAULTS), None, []
        self.key = name.replace(".", "-")
        self.dead_queue = dead_queue(name)
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
    for name, code in (("OverLimit", "OverLimit"), ("AccessDenied", "AccessDenied"), ("KmsDisabled", "KMS.DisabledException")):
        Fault(f"receive-{name.lower()}", {RECEIVE: first(3, error(403, name))}, says=[("receive failed", code), ("receiving again", None)])
    Fault("receive-bad-gateway", {RECEIVE: first(3, BAD_GATEWAY)}, says=[("receive failed", "InternalFailure"), ("receiving again", None)])
    Fault("receive-not-json", {RECEIVE: first(2, (200, b"<html>welcome</html>"))}, says=[("receive failed", "PROTOCOL"), ("receiving again", None)])
    Fault("receive-dropped", {RECEIVE: first(2, DROP)}, says=[("receive failed", "RESET"), ("receiving again", None)])
    Fault("receive-huge", {RECEIVE: first(1, HUGE)}, says=[("receive failed", "TOO_BIG"), ("receiving again", None)])
    Fault("receive-unusable", {RECEIVE: first(3, lambda call: (200, {"Messages": [UNUSABLE[call.number - 1]]}))},
          says=[("receive failed", "PROTOCOL"), ("receiving again", None)])
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
    # The target refuses all; neither the copy nor the deletion after it works the first time.
    Fault("copy-throttled", {(dead_queue("copy-throttled"), COPY): first(2, error(400, "ThrottlingException")),
                             DELETE: first(1, entries_fail("InternalError", False, lambda i: True))}, dead=True, fails=FOREVER, count=3,
          target=answers(422), says=[("the dead-letter queue did not take the message", "PROTOCOL"), ("settle failed", "InternalError")],
          once=False)
    # Nobody knows at first whether there is a dead-letter queue: what is refused goes back until that is known.
    Fault("attributes-throttled", {"GetQueueAttributes": first(1, error(400, "ThrottlingException"))}, dead=True, fails=FOREVER, count=3,
          target=answers(422), calls=(1, 3), receives=3, says=[("the queue's attributes could not be read", "PROTOCOL")])
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
                            "timeout": f.timeout} for f in FAULTS},
        "routes": {f.key: {"queue": f"http://127.0.0.1:9500/000000000000/{f.name}", "target": f.key, "limits": [f.key],
                           "retry": {"max_attempts": 3, "min_backoff": "10ms", "max_backoff": "50ms"}, **f.route} for f in FAULTS},
        "log": {"format": "json"}}


ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent", "AWS_REGION": "us-east-1"}


def start_server(queues=()):
    return Daemon({"sqs_api": {"listen": [f"127.0.0.1:{SERVER}"]}, "http": {"listen": ["127.0.0.1:9425"]},
                   "queues": {q: {"dead_letter": dead_queue(q), "max_receives": 20} for q in queues},
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


def check_dead_letters(f):
    """I3: what is given up is in the dead-letter queue, once."""
    dead, got = [], [None]
    while got:
        got = sqs(SERVER, "ReceiveMessage", QueueUrl=f.dead_queue, MaxNumberOfMessages=10).get("Messages", [])
        dead += [json.loads(m["Body"])["i"] for m in got]
    assert sorted(dead) == (list(range(f.count)) if f.dead else []), f"dead letters {dead}"


def check_no_hot_loop(f):
    """What fails is not tried again and again: a few times in any second at most, of one queue and action."""
    for action in {c.action for c in f.proxy.calls if c.queue == f.name}:
        at = [c.at for c in f.proxy.of(f.name, action) if c.faulty and (c.status or 500) >= 400]
        assert window_peak(at, 1) <= max(8, 2 * f.count), f"{window_peak(at, 1)} failing {action} in a second"


def check_metrics(f, metrics):
    out = {how: metric(metrics, "sluice_messages_settled_total", f.key, outcome=how) for how in ("ack", "dead_letter", "release", "lost")}
    assert out["dead_letter"] == (len(f.sent) if f.dead else 0), out
    assert out["ack"] + out["lost"] >= (0 if f.dead else len(f.sent)), out
    held = sum(v for k, v in metrics.items() if k.startswith(f'sluice_messages_held{{route="{f.key}"'))
    assert held == 0, f"I4: {held} still held"
    failed = metric(metrics, "sluice_receive_requests_total", f.key, outcome="error")
    expected = len([c for c in f.proxy.of(f.name, RECEIVE) if c.faulty and c.number <= 3]) if "receive failed" in str(f.says) else 0
    assert failed == expected, f"{failed} receives failed, the proxy failed {expected}"


def check_log(f, lines):
    for text, code in f.says:
        found = [x for x in lines if x["message"] == text and x.get("route") == f.key]
        assert found, f"no line \"{text}\""
        assert not f.once or len(found) == 1, f"{len(found)} lines \"{text}\""
        assert code is None or code in (found[0].get("code"), found[0].get("error")), found[0]
        assert text == "receiving again" or found[0]["reason"], found[0]


def check_all(daemon):
    metrics, lines, wrong = daemon.metrics(), daemon.lines(), []
    for f in FAULTS:
        for check in (lambda: check_no_hot_loop(f), lambda: check_calls(f), lambda: check_dead_letters(f), lambda: check_order(f) if f.fifo else None, lambda: check_metrics(f, metrics),
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
        f.proxy, f.target = proxy, FaultTarget(f.port, f.act or answers(500), pause=f.pause)
        proxy.faults.update({k if isinstance(k, tuple) else (f.name, k): fault for k, fault in f.faults.items()})
        f.send()
    daemon = Daemon(setup(), env=ENVIRONMENT)
    wait_until(lambda: all(f.is_over() for f in FAULTS), 60, lambda: f"not empty: {[f.name for f in FAULTS if not f.is_over()]}")
    wait_until(lambda: not sum(v for k, v in daemon.metrics().items() if k.startswith("sluice_messages_held")), 20, "nothing held")
    check_all(daemon)
    figure(f"queue faults: {len(FAULTS)} faults, {sum(len(f.sent) for f in FAULTS)} messages, "
           f"{sum(len(f.target.calls) for f in FAULTS)} calls, 0 lost")
    assert daemon.stop() == 0, daemon.text()[-800:]


# ---- queues that go away ----

def lines_about(daemon, text, **more):
    return [x for x in daemon.lines() if x["message"] == text and more.items() <= x.items()]


def empty(f):
    return lambda: f.is_over()


def recreate(f, daemon):
    """The queue is deleted while a call runs, and made again: what is sent then is delivered; what was in it is gone with it."""
    f.send()
    wait_until(lambda: len(f.target.calls) == f.count, 20, "all are being called")
    sqs(SERVER, "DeleteQueue", QueueUrl=f.name)
    wait_until(lambda: lines_about(daemon, "receive failed", route=f.key, code="AWS.SimpleQueueService.NonExistentQueue"), 20, "a line about it")
    sqs(SERVER, "CreateQueue", QueueName=f.name)
    before, f.sent = set(f.sent), []
    f.send()
    wait_until(lambda: set(f.sent) <= f.target.delivered(), 40, "those sent afterwards are delivered")
    wait_until(empty(f), 20, "and deleted")
    wait_until(lambda: not held(daemon, f), 20, "nothing held of the old queue")
    assert before <= f.target.delivered() and all(len(f.target.of(i)) == 1 for i in before | set(f.sent)), "each called once"
    assert len(lines_about(daemon, "receive failed", route=f.key)) == len(lines_about(daemon, "receiving again", route=f.key)) == 1


def held(daemon, f):
    return sum(v for k, v in daemon.metrics().items() if k.startswith(f'sluice_messages_held{{route="{f.key}"'))


def lose_leases(f, daemon, other, other_target):
    """Two consumers on one queue. The first holds all messages, its target is down and no extension of its gets through: the second
    receives them, the first notices, and calls none of them again."""
    f.send()
    wait_until(lambda: {c.message_id for c in f.target.calls} == set(f.sent), 20, "the first has them all")
    daemon.cli("route", "pause", f.key)
    other.cli("route", "resume", "other")
    wait_until(lambda: other_target.delivered() == set(f.sent), 30, "the second delivers them all")
    wait_until(empty(f), 20, "and deletes them")
    wait_until(lambda: not held(daemon, f), 20, "the first holds none any more")
    first_delivery = min(c.at for c in other_target.calls)
    assert [c.receive_count for c in other_target.calls] == [2] * f.count, [c.receive_count for c in other_target.calls]
    assert max(c.at for c in f.target.calls) < first_delivery, "a call of a message that was another's"
    lost = [x for x in daemon.lines() if x.get("route") == f.key and x.get("outcome") == "lost"]
    assert {x["function_request_id"] for x in lost} == set(f.sent) and len(lost) == f.count, "one line for each"
    assert metric(daemon.metrics(), "sluice_messages_settled_total", f.key, outcome="lost") == f.count


def kill_server(f, daemon, server, queues):
    """kill -9 of the server while messages are called; it comes back with what it had."""
    f.send()
    wait_until(lambda: len(f.target.calls) >= f.count // 3, 20, "calls")
    server.kill()
    wait_until(lambda: lines_about(daemon, "receive failed", route=f.key) or lines_about(daemon, "settle failed", route=f.key), 40, "it is noticed")
    server = start_server(queues)
    wait_until(lambda: f.target.delivered() == set(f.sent), 40, "all delivered")
    wait_until(empty(f), 40, "all deleted")
    assert max(len(f.target.of(i)) for i in f.sent) == 1, "none is called twice: it was held all the time"
    assert window_peak([c.at for c in f.target.calls], PER_S) == REQUESTS, "I1, and N was reached"
    return server


def test_queues_that_go_away():
    recreated = Fault("recreated", {}, count=3, pause=0.5)
    # Its first call comes when the start is over, a second after the receive: the lease must still cover the target's timeout then.
    shared = Fault("shared", {EXTEND: error_always}, count=3, fails=FOREVER, target=answers(500), timeout="1s", visibility="8s",
                   retry={"max_attempts": 0, "min_backoff": "100ms", "max_backoff": "500ms"})
    killed = Fault("killed", {}, count=60, visibility="10s")
    queues, proxy = [f.name for f in FAULTS], sqs_proxy.SqsProxy()
    server = start_server(queues)
    for f in FAULTS:
        f.proxy, f.target = proxy, FaultTarget(f.port, f.act or answers(500), pause=f.pause)
        proxy.faults.update({(f.name, action): fault for action, fault in f.faults.items()})
    daemon = Daemon(setup(), env=ENVIRONMENT)
    other_target = FaultTarget(FIRST_PORT + 100, None)
    other = Daemon({"targets": {"other": {"url": f"http://127.0.0.1:{FIRST_PORT + 100}/", "timeout": "2s"}},
                    "routes": {"other": {"queue": proxy.url("other-way"), "target": "other", "paused": True}},
                    "sqs_api": {"listen": ["127.0.0.1:9524"]}, "http": {"listen": ["127.0.0.1:9525"]}, "log": {"format": "json"}},
                   data_dir="other", env=ENVIRONMENT, sqs_port=9524, http_port=9525)
    proxy.aliases["other-way"] = "shared"
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for done in (pool.submit(recreate, recreated, daemon), pool.submit(lose_leases, shared, daemon, other, other_target)):
            done.result()
    server = kill_server(killed, daemon, server, queues)
    assert daemon.stop() == 0 and other.stop() == 0 and server.stop() == 0, daemon.text()[-800:]


for test in (test_queue_faults, test_queues_that_go_away):
    test.weight = 20
