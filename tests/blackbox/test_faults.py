"""I3 no loss and I1 across kills: the daemon killed, stopped, the API killed, while jobs drain."""
import json
import os
import random
import signal

from support import Daemon, MockApi, Program, config, figure, queue_counts, send_jobs, wait_until, window, window_peak

RETRY = {"max_attempts": 1000, "min_backoff": "100ms", "max_backoff": "1s"}


def drained():
    return queue_counts(9324, "jobs") == (0, 0, 0)


def delivered_ids(api):
    return [i for _, i, status in api.arrivals() if status == 201]


def test_kill_nine():
    """20 times kill -9 at random moments while 2,000 jobs drain (SLUICE_KILLS for more of both)."""
    kills = int(os.environ.get("SLUICE_KILLS", "20"))
    seed = int(os.environ.get("SLUICE_SEED", random.randrange(1 << 30)))
    rng = random.Random(seed)
    print(f"seed {seed}")
    requests, per = 100, 0.2
    api = MockApi("--limit", f"{requests}/200ms", "--latency", "20ms:1", "--seed", "3")
    settings = config(window(requests, "200ms"), concurrency=16, retry=RETRY, max_receives=1000)
    daemon = Daemon(settings)
    daemon.cli("route", "pause", "createjob")
    ids = send_jobs(9324, "jobs", 100 * kills)
    daemon.cli("route", "resume", "createjob")
    held = 0
    for kill in range(kills):
        target = 100 * kill + rng.randrange(10, 90)
        wait_until(lambda: api.stats()["arrivals"] >= target or drained(), 30, f"{target} arrivals")
        daemon.kill()
        held += 16 + 16  # in flight, and settling in one commit
        daemon = Daemon(settings)
    wait_until(drained, 60, "all drained")
    assert daemon.stop() == 0
    seen = delivered_ids(api)
    repeats = len(seen) - len(set(seen))
    stamps = [t for t, _, _ in api.arrivals()]
    figure(f"{kills} kills: lost {len(set(ids) - set(seen))}, repeated {repeats}, peak {window_peak(stamps, per)} of {requests}")
    assert set(seen) == set(ids), "I3: lost messages"
    assert window_peak(stamps, per) <= requests, "I1 across restarts"
    assert repeats <= held, "repeats only for messages in flight or settling at a kill"


def test_stop_and_continue():
    """SIGSTOP for three seconds, several times: no burst afterwards."""
    api = MockApi("--limit", "20/1s", "--latency", "50ms")
    daemon = Daemon(config(window(20), concurrency=8, retry=RETRY))
    ids = send_jobs(9324, "jobs", 120)
    for round_ in range(2):
        wait_until(lambda: api.stats()["arrivals"] >= 15 + 30 * round_, 20, "calls")
        daemon.kill(signal.SIGSTOP)
        stopped = api.stats()
        pause = Program(["/bin/sleep", "3"], "pause")
        pause.process.wait(10)
        assert api.stats()["arrivals"] <= stopped["arrivals"] + 8
        daemon.kill(signal.SIGCONT)
    wait_until(drained, 30, "all drained")
    stats = api.stats()
    assert stats["window_peak"] <= 20, f"I1 after SIGCONT: {stats}"
    assert stats["window_peak"] >= 18, stats
    assert set(delivered_ids(api)) == set(ids) and stats["repeated"] == 0, "I3"


def test_api_killed_and_restarted():
    api = MockApi("--limit", "50/1s", "--latency", "20ms")
    daemon = Daemon(config(window(50), concurrency=8, retry=RETRY))
    ids = send_jobs(9324, "jobs", 300)
    wait_until(lambda: api.stats()["arrivals"] >= 100, 20, "calls")
    api.kill()
    first = delivered_ids(api)
    wait_until(lambda: daemon.metric('sluice_target_requests_total{target="legacy",code="connect_error"}') >= 3, 20,
               "refused connections are counted")
    api2 = MockApi("--limit", "50/1s", "--latency", "20ms")
    wait_until(drained, 60, "all drained")
    seen = set(first) | set(delivered_ids(api2))
    assert seen == set(ids), "I3"
    assert api2.stats()["window_peak"] <= 50, "I1"
    dead = daemon.sqs("GetQueueAttributes", QueueUrl="jobs-dlq", AttributeNames=["All"])["Attributes"]
    assert dead["ApproximateNumberOfMessages"] == "0", "an outage dead-letters nothing"
    counts = [line["receive_count"] for line in daemon.lines() if line.get("outcome") == "ack"]
    assert counts and set(counts) == {1}, f"I5: waiting costs no receive: {set(counts)}"


def test_restarts_while_the_api_is_down_cost_no_receive():
    """I5: what never reached the API is no reason for a dead letter, however often sluice restarts meanwhile."""
    setup = config(window(50), max_receives=2)
    for i in range(3):
        daemon = Daemon(setup)
        if i == 0:
            send_jobs(9324, "jobs", 1)
        wait_until(lambda: 'code="connect_error"' in str(daemon.metrics()), 20, "a refused connection")
        assert daemon.stop() == 0, daemon.text()[-500:]
    api = MockApi()
    daemon = Daemon(setup)
    wait_until(lambda: api.stats()["delivered"] == 1, 20, "the delivery")
    assert queue_counts(9324, "jobs-dlq") == (0, 0, 0)


def test_dead_letters():
    """What the API refuses for good goes to the dead-letter queue, with its body."""
    api = MockApi("--latency", "1ms", "--errors", "100%:400:1ms")
    daemon = Daemon(config(window(50)))
    ids = send_jobs(9324, "jobs", 10)
    wait_until(lambda: queue_counts(9324, "jobs-dlq")[0] == 10, 20, "ten dead letters")
    got = daemon.sqs("ReceiveMessage", QueueUrl="jobs-dlq", MaxNumberOfMessages=10, AttributeNames=["All"],
                     MessageAttributeNames=["Sluice-.*"])["Messages"]
    assert {m["MessageId"] for m in got} == set(ids)
    marks = [{k: v["StringValue"] for k, v in m["MessageAttributes"].items()} for m in got]
    assert all(m["Sluice-Reason"] == "refused" and m["Sluice-Status"] == "400" and m["Sluice-Attempts"] == "1" for m in marks), marks
    assert all(json.loads(m["Body"])["job"] >= 0 for m in got)
    assert api.stats()["arrivals"] == 10
    assert daemon.metric('sluice_messages_settled_total{route="createjob",outcome="dead_letter"}') == 10


def test_retry_after_gates_the_limit():
    api = MockApi("--limit", "2/1s", "--latency", "1ms", "--retry-after", "2")
    daemon = Daemon(config(window(5), retry=RETRY))  # set too high on purpose
    ids = send_jobs(9324, "jobs", 12)
    wait_until(drained, 60, "all drained in spite of 429s")
    log = api.arrivals()
    assert set(delivered_ids(api)) == set(ids), "I3"
    refused = [t for t, _, status in log if status == 429]
    assert refused, "the API did refuse"
    first = refused[0]
    inside = [t for t, _, _ in log if first + 0.5 < t < first + 1.95]
    assert not inside, f"calls inside Retry-After: {inside}"
    assert queue_counts(9324, "jobs-dlq")[0] == 0, "a throttle is no failure"


test_kill_nine.weight = 80
