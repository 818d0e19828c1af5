"""A route on a queue of SQS stops and goes on: nothing waits out a visibility timeout for it (five minutes here, and nobody waits for that), and
nothing is asked while nothing can be called."""
import json
import pathlib
import signal
import time

import sqs_proxy
from fault_target import DnsServer, FaultTarget, answers
from support import Daemon, figure, sqs, wait_until

SERVER = 9424
ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}


def resolver():
    """The daemon's command in a mount namespace with a resolver of this test's."""
    pathlib.Path("resolv.conf").write_text("nameserver 127.0.0.1\noptions attempts:1 timeout:5\n")
    mount = f"mount --bind {pathlib.Path('resolv.conf').resolve()} /etc/resolv.conf"
    return ["unshare", "--mount", "--", "/bin/sh", "-c", f"{mount} && exec \"$@\"", "sh"]


def start(url, limit=None, concurrency=4, pause=0, target_timeout="10s", prefix=()):
    server = Daemon({"sqs_api": {"listen": [f"127.0.0.1:{SERVER}"]}, "http": {"listen": ["127.0.0.1:9425"]},
                     "queues": {"jobs": {"dead_letter": "jobs-dlq", "max_receives": 3}}, "log": {"format": "json"}},
                    data_dir="server", sqs_port=SERVER, http_port=9425)
    target = FaultTarget(21000, answers(200), pause=pause)
    daemon = Daemon({"limits": {"l": limit} if limit else {},
                     "targets": {"api": {"url": "http://127.0.0.1:21000/", "concurrency": concurrency, "timeout": target_timeout}},
                     "routes": {"r": {"queue": url, "target": "api", "visibility": "5m", **({"limits": ["l"]} if limit else {})}},
                     "log": {"format": "json"}}, env=ENVIRONMENT, prefix=prefix)
    return server, target, daemon


def poll_is_out(proxy):
    """The daemon's first long poll, of twenty seconds, has reached the queue."""
    wait_until(lambda: proxy.of("jobs", "ReceiveMessage"), 20, "a poll")


def send(count):
    ids = []
    for first in range(0, count, 10):
        entries = [{"Id": str(i), "MessageBody": json.dumps({"fails": 0, "i": i})} for i in range(first, min(first + 10, count))]
        ids += [m["MessageId"] for m in sqs(SERVER, "SendMessageBatch", QueueUrl="jobs", Entries=entries)["Successful"]]
    return ids


def counts():
    a = sqs(SERVER, "GetQueueAttributes", QueueUrl="jobs", AttributeNames=["All"])["Attributes"]
    return int(a["ApproximateNumberOfMessages"]), int(a["ApproximateNumberOfMessagesNotVisible"])


def held(daemon):
    return sum(v for k, v in daemon.metrics().items() if k.startswith("sluice_messages_held"))


def test_pause_and_resume():
    """Within one poll of a pause nothing is received any more; what that poll brought is called after the resume."""
    proxy = sqs_proxy.SqsProxy()  # long polls of a second
    _, target, daemon = start(proxy.url("jobs"))
    wait_until(lambda: proxy.of("jobs", "ReceiveMessage"), 20, "it polls")
    daemon.cli("route", "pause", "r")
    paused_at = time.monotonic()
    sent = send(30)
    wait_until(lambda: time.monotonic() > paused_at + 3.5, 10, "three polls' time")
    asked = proxy.of("jobs", "ReceiveMessage")
    assert not [c for c in asked if c.at > paused_at + 0.2], "a poll began during the pause"
    assert held(daemon) <= 10 and not target.calls, (held(daemon), len(target.calls))
    daemon.cli("route", "resume", "r")
    wait_until(lambda: target.delivered() == set(sent), 15, "all are called")
    wait_until(lambda: counts() == (0, 0), 15, "and deleted")
    assert {c.receive_count for c in target.calls} == {1} and len(target.calls) == 30
    assert daemon.stop() == 0, daemon.text()[-600:]


def test_sigterm_while_a_poll_is_out():
    """The long poll of twenty seconds is not cut off, for the queue may be handing out messages: what it brings goes back at once."""
    proxy = sqs_proxy.SqsProxy()
    proxy.max_wait = 20
    _, target, daemon = start(proxy.url("jobs"))
    poll_is_out(proxy)
    daemon.kill(signal.SIGTERM)
    wait_until(lambda: [x for x in daemon.lines() if x["message"].startswith("draining")], 10, "it drains")
    sent = send(5)
    code = daemon.process.wait(timeout=20)
    assert code == 0, (code, daemon.text()[-600:])
    wait_until(lambda: counts() == (5, 0), 5, lambda: f"all are visible again, not after five minutes: {counts()}")
    assert len(proxy.of("jobs", "ReceiveMessage")) == 1 and proxy.of("jobs", "ChangeMessageVisibilityBatch"), "that poll brought them"
    got = sqs(SERVER, "ReceiveMessage", QueueUrl="jobs", MaxNumberOfMessages=10)["Messages"]
    assert {m["MessageId"] for m in got} <= set(sent) and not target.calls


def test_sigterm_while_paused():
    proxy = sqs_proxy.SqsProxy()
    proxy.max_wait = 20
    _, target, daemon = start(proxy.url("jobs"))
    poll_is_out(proxy)
    daemon.cli("route", "pause", "r")
    send(5)  # the poll that is out takes them
    wait_until(lambda: held(daemon) >= 4, 10, "it holds what it asked for")
    assert daemon.stop() == 0, daemon.text()[-600:]
    wait_until(lambda: counts() == (5, 0), 5, lambda: f"all are visible again: {counts()}")
    assert not target.calls


def test_sigterm_under_load():
    """Several polls are out, messages are held, in flight, about to be deleted: each was delivered and is gone, or can be received at once."""
    proxy = sqs_proxy.SqsProxy()
    _, target, daemon = start(proxy.url("jobs"), concurrency=16, pause=0.02)
    sent = send(2000)
    wait_until(lambda: len(target.calls) > 600, 30, "it is under way")
    at_once = max(sum(1 for c in proxy.of("jobs", "ReceiveMessage") if c.at <= t and (c.done_at or 1e18) > t)
                  for t in [c.at for c in proxy.of("jobs", "ReceiveMessage")])
    assert daemon.stop() == 0, daemon.text()[-600:]
    delivered = target.delivered()
    wait_until(lambda: counts() == (len(sent) - len(delivered), 0), 10, lambda: f"{len(delivered)} delivered, {counts()} left")
    assert len(target.calls) == len(delivered), "each once"
    figure(f"SIGTERM under load: {len(delivered)} of {len(sent)} delivered, {len(sent) - len(delivered)} visible at once, "
           f"{at_once} receives at once at most")
    assert at_once >= 2, "the receives follow the backlog"


def test_no_polls_while_nothing_can_be_called():
    """The next permit is eight seconds away: no receive is made until two seconds before."""
    proxy = sqs_proxy.SqsProxy()
    _, target, daemon = start(proxy.url("jobs"), limit={"requests": 3, "per": "8s"})
    sent = send(20)
    wait_until(lambda: len(target.calls) == 3, 20, "three calls")
    wait_until(lambda: len(target.calls) == 12, 60, "and nine more")
    calls, asked = [c.at for c in target.calls], [c.at for c in proxy.of("jobs", "ReceiveMessage")]
    figure(f"3 calls per 8 s: {len(asked)} receives for {len(calls)} calls")
    assert len(asked) <= 12, "it polled without a permit"
    assert len(sent) == 20 and {c.receive_count for c in target.calls} == {1}
    daemon.kill()


def test_the_endpoint_moves():
    """Its name does not resolve at first, then it does, then it is another address; and every connection ends with its answer. Nothing is lost,
    and nothing comes twice."""
    where = {"sqs.test": "servfail"}
    dns = DnsServer(lambda name, before: where.get(name, "nxdomain"))
    old, new = (sqs_proxy.SqsProxy(address=a) for a in ("127.0.0.2", "127.0.0.3"))
    old.churn = new.churn = True
    _, target, daemon = start("http://sqs.test:9500/000000000000/jobs", prefix=resolver())
    sent = send(10)
    line = wait_until(lambda: [x for x in daemon.lines() if x["message"] == "receive failed"], 20, "a line about it")[0]
    assert line["error"] == "RESOLVE" and len(dns.questions("sqs.test")) < 10, line
    where["sqs.test"] = "127.0.0.2"
    wait_until(lambda: target.delivered() == set(sent) and counts() == (0, 0), 30, "all are delivered and deleted")
    assert old.calls and not new.calls
    where["sqs.test"] = "127.0.0.3"

    def trickle():
        sent.extend(send(1))
        time.sleep(0.1)  # the load
        return len(new.of("jobs", "ReceiveMessage")) > 3
    wait_until(trickle, 40, "it has moved along")
    wait_until(lambda: target.delivered() == set(sent) and counts() == (0, 0), 20, "all are delivered and deleted")
    assert len(target.calls) == len(sent) and {c.receive_count for c in target.calls} == {1}
    assert len([x for x in daemon.lines() if x["message"] == "receive failed"]) == 1, "nobody noticed that it moved"
    assert daemon.stop() == 0, daemon.text()[-600:]


def test_the_silent_bound_of_messages_in_flight():
    """Long polls come back empty while the queue has messages: SQS says nothing, the daemon does, once."""
    proxy = sqs_proxy.SqsProxy()
    proxy.faults[("jobs", "ReceiveMessage")] = lambda call: time.sleep(0.2) or (200, {})
    proxy.faults[("jobs", "GetQueueAttributes")] = lambda call: (200, {"Attributes": {"ApproximateNumberOfMessages": "7",
                                                                                   "ApproximateNumberOfMessagesNotVisible": "120000"}}) \
        if call.number > 1 else None
    _, _, daemon = start(proxy.url("jobs"))
    line = wait_until(lambda: [x for x in daemon.lines() if x["message"].startswith("SQS hands out no message")], 20, "a line about it")[0]
    assert (line["visible"], line["in_flight"], line["route"]) == (7, 120000, "r"), line
    seen = len(proxy.of("jobs", "ReceiveMessage"))
    wait_until(lambda: len(proxy.of("jobs", "ReceiveMessage")) > seen + 10, 20, "more polls")
    assert len(proxy.of("jobs", "GetQueueAttributes")) == 2, "it looks now and then"
    assert len([x for x in daemon.lines() if x["message"].startswith("SQS hands out")]) == 1
    daemon.kill()
