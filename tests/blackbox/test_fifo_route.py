"""I7 order: a route drains an embedded FIFO queue; one group's messages are called in order, one at a time."""
import json
import threading

from support import Daemon, ScriptedApi, figure, queue_counts, response, sqs, wait_until

GROUPS, EACH = 5, 12
QUEUE = "orders.fifo"


class Shop:
    """A target that notes who is being served, and fails every seventh call."""

    def __init__(self):
        self.lock, self.calls, self.running, self.most = threading.Lock(), 0, {}, 0
        self.served, self.overlaps = [], 0
        self.hold = threading.Event()

    def answer(self, _api, _connection, request):
        job = json.loads(request["body"])
        with self.lock:
            self.calls += 1
            fails = self.calls % 7 == 0
            self.overlaps += self.running.get(job["group"], 0)
            self.running[job["group"]] = self.running.get(job["group"], 0) + 1
            self.most = max(self.most, sum(self.running.values()))
        self.hold.wait(0.02)  # a call takes a while
        with self.lock:
            self.running[job["group"]] -= 1
            if not fails:
                self.served.append((job["group"], job["number"], request["headers"]["sluice-message-id"]))
        return response(500 if fails else 201)


def settings():
    return {"targets": {"shop": {"url": "http://127.0.0.1:8080/orders", "concurrency": 8}},
            "queues": {QUEUE: {"dead_letter": "orders-dlq.fifo", "max_receives": 1000,
                               "content_based_deduplication": True}},
            "routes": {"orders": {"queue": QUEUE, "target": "shop",
                                  "retry": {"max_attempts": 100, "min_backoff": "10ms", "max_backoff": "50ms"}}},
            "log": {"format": "json"}}


def send_orders():
    for number in range(EACH):
        sent = sqs(9324, "SendMessageBatch", QueueUrl=QUEUE, Entries=[
            {"Id": str(group), "MessageBody": json.dumps({"group": group, "number": number}),
             "MessageGroupId": f"customer-{group}"} for group in range(GROUPS)])
        assert len(sent["Successful"]) == GROUPS


def first_servings(served):
    """What was served, without repeats of the same message."""
    seen, out = set(), []
    for group, number, message in served:
        if message not in seen:
            seen.add(message)
            out.append((group, number))
    return out


def test_order_through_failures():
    """Failures and retries do not reorder a group; other groups go on meanwhile."""
    shop = Shop()
    ScriptedApi(shop.answer)
    daemon = Daemon(settings())
    send_orders()
    wait_until(lambda: len(shop.served) >= GROUPS * EACH, 60, "all orders served")
    wait_until(lambda: queue_counts(9324, QUEUE) == (0, 0, 0), 20, "drained")
    assert shop.overlaps == 0, "I7: two calls of a group at once"
    assert shop.most > 1, "groups are served in parallel"
    for group in range(GROUPS):
        assert [n for g, n, _ in shop.served if g == group] == list(range(EACH)), "I7 order"
    assert queue_counts(9324, "orders-dlq.fifo") == (0, 0, 0)
    figure(f"FIFO route: {shop.calls} calls for {GROUPS * EACH} orders of {GROUPS} groups, {shop.most} at once")
    assert daemon.stop() == 0


def test_order_survives_kill():
    """kill -9 in the middle: what was in flight may be repeated, nothing overtakes."""
    shop = Shop()
    ScriptedApi(shop.answer)
    daemon = Daemon(settings())
    send_orders()
    wait_until(lambda: len(shop.served) >= GROUPS * EACH // 2, 60, "half of the orders")
    daemon.kill()
    daemon = Daemon(settings())
    wait_until(lambda: len(first_servings(shop.served)) >= GROUPS * EACH, 60, "all orders served")
    wait_until(lambda: queue_counts(9324, QUEUE) == (0, 0, 0), 20, "drained")
    for group in range(GROUPS):
        assert [n for g, n in first_servings(shop.served) if g == group] == list(range(EACH)), "I7 order"
    assert daemon.stop() == 0
