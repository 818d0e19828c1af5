"""Limits that outlive the process: a quota of the day over kill -9, a window of minutes over a restart, and what
`sluice usage` says of them."""
import json
import random
import time

from support import DEBUG_BUILD, Daemon, MockApi, config, figure, queue_counts, send_jobs, wait_until

KILLS = 20


def noon_zone():
    """A zone where it is about noon now: its day does not end during the test."""
    ahead = 12 - time.gmtime().tm_hour
    return f"Etc/GMT{-ahead:+d}"  # the signs of these names are POSIX's


def quota(requests, period="day"):
    return {"kind": "quota", "requests": requests, "period": period}


def quota_config(requests, **more):
    return config(quota(requests), time_zone=noon_zone(), retry={"max_attempts": 1000, "min_backoff": "100ms"}, **more)


def usage(daemon):
    return json.loads(daemon.cli("usage", "--json")[1])["limits"][0]


def is_used_up(daemon, requests):
    m = daemon.metrics()
    return (m['sluice_quota_used{limit="createjob"}'] == requests and
            m['sluice_target_in_flight{target="legacy"}'] == 0)


def test_quota_over_kills():
    """1,000 a day over 20 kill -9: never 1,001, and at most 1 % of it is lost to them."""
    seed = int(time.time())
    rng = random.Random(seed)
    api = MockApi("--latency", "10ms")
    settings = quota_config(1000, concurrency=2)
    daemon = Daemon(settings)
    send_jobs(9324, "jobs", 1100)
    killed = 0
    for i in range(KILLS):
        at = api.stats()["arrivals"] + rng.randrange(20, 50)
        wait_until(lambda: api.stats()["arrivals"] >= at, 60, f"{at} calls (seed {seed})")
        assert api.stats()["arrivals"] < 1000, "the quota was used up before the last kill"
        daemon.kill()
        killed += 1
        daemon = Daemon(settings)
    wait_until(lambda: is_used_up(daemon, 1000), 60, "the quota is used up")
    arrivals = api.stats()["arrivals"]
    figure(f"quota of 1,000 a day, {killed} kill -9: {arrivals} arrived, {1000 - arrivals} lost to the kills")
    assert killed == KILLS and 990 <= arrivals <= 1000, f"{arrivals} arrived (seed {seed})"
    said = usage(daemon)
    assert (said["kind"], said["period"], said["used"], said["requests"]) == ("quota", "day", 1000, 1000), said
    # The rest waits in the queue: nothing is received for a call tomorrow.
    assert daemon.stop() == 0
    assert api.stats()["arrivals"] == arrivals


def test_quota_over_a_clean_stop():
    """A stop in order loses nothing; the rest stays in the queue, received at most once more than called."""
    api = MockApi()
    settings = quota_config(100)
    daemon = Daemon(settings)
    send_jobs(9324, "jobs", 60)
    wait_until(lambda: api.stats()["arrivals"] == 60, 30, "60 calls")
    assert daemon.stop() == 0
    daemon = Daemon(settings)
    wait_until(lambda: daemon.metric('sluice_quota_used{limit="createjob"}') == 60, 10, "60 used")
    send_jobs(9324, "jobs", 60)
    wait_until(lambda: is_used_up(daemon, 100), 30, "the quota is used up")
    assert api.stats()["arrivals"] == 100
    text = daemon.cli("usage")[1]
    assert "100/day" in text and "100/100" in text and "100.0 %" in text and "T00:00:00" in text, text
    assert daemon.metric('sluice_quota_requests{limit="createjob"}') == 100
    reset = daemon.metric('sluice_quota_reset_timestamp_seconds{limit="createjob"}')
    assert 3600 < reset - time.time() <= 86400, reset
    # More for today, by hand: what waits is called at once.
    daemon.cli("route", "limit", "createjob", "110/24h")
    wait_until(lambda: is_used_up(daemon, 110), 30, "ten more")
    assert api.stats()["arrivals"] == 110
    code, said = daemon.cli("route", "limit", "createjob", "5/1s", check=False)
    assert code == 1 and "keeps its period" in said, said
    assert daemon.stop() == 0


def test_long_window_over_a_kill():
    """I1 of a window of minutes, over kill -9 and a clean stop."""
    api = MockApi()
    settings = config({"kind": "bucket", "requests": 20, "per": "1h", "burst": 20}, concurrency=1)
    daemon = Daemon(settings)
    send_jobs(9324, "jobs", 30)
    wait_until(lambda: api.stats()["arrivals"] >= 8, 30, "eight calls")
    daemon.kill()
    daemon = Daemon(settings)
    wait_until(lambda: api.stats()["arrivals"] >= 12, 30, "four more")
    assert daemon.stop() == 0
    daemon = Daemon(settings)

    def is_over():
        (limit,) = daemon.status()["limits"]
        return limit["free_permits"] == 0 and daemon.metric('sluice_target_in_flight{target="legacy"}') == 0
    wait_until(is_over, 30, "no permit is left")
    arrivals = api.stats()["arrivals"]
    assert 18 <= arrivals <= 20, arrivals
    code, said = daemon.cli("route", "limit", "createjob", "5/1s", check=False)
    assert code == 1 and "on disk" in said, said
    assert daemon.stop() == 0




def test_quota_waits_for_the_disk():
    """What cannot be written down is not called: a claim that fails is made again, and nothing is called twice or lost."""
    api = MockApi("--latency", "1ms")
    settings = quota_config(100, concurrency=2)
    daemon = Daemon(settings, build=DEBUG_BUILD)
    daemon.cli("route", "pause", "createjob")
    send_jobs(9324, "jobs", 50)
    assert daemon.stop() == 0
    # A group that fails is tried once more, one operation after the other.
    fault = ",".join(f"store.before_commit:{n}" for n in range(30, 42))
    daemon = Daemon(settings, build=DEBUG_BUILD, env={"SLUICE_FAULT": fault})
    wait_until(lambda: api.stats()["arrivals"] == 50, 30, "50 calls")
    wait_until(lambda: queue_counts(9324, "jobs") == (0, 0, 0), 20, "an empty queue")
    assert daemon.metric('sluice_quota_used{limit="createjob"}') == 50
    assert daemon.metric('sluice_limit_state_errors_total{limit="createjob"}') >= 1
    messages = [line["message"] for line in daemon.lines()]
    failed = messages.count("the limit's state cannot be written: its calls wait")
    assert failed >= 1 and messages.count("the limit's state is written again") == failed, messages
    assert daemon.stop() == 0
