"""A target that fails as a whole: no calls and no receiving while it does, and nothing given up for it."""
from support import Daemon, MockApi, ScriptedApi, config, queue_counts, response, send_jobs, wait_until, window

RETRY = {"min_backoff": "100ms", "max_backoff": "1s", "max_attempts": 3}


def breaker(daemon, state):
    return daemon.metric(f'sluice_breaker_state{{target="legacy",state="{state}"}}')


def entered(daemon, state):
    return daemon.metric(f'sluice_breaker_transitions_total{{target="legacy",to="{state}"}}')


def received(daemon):
    return daemon.metric('sluice_messages_received_total{route="createjob"}')


def lines_of(daemon, level, part):
    return [line for line in daemon.lines() if line["level"] == level and part in line["message"]]


def test_no_calls_and_no_receiving_while_it_is_down():
    api = MockApi("--limit", "50/1s", "--latency", "20ms")
    daemon = Daemon(config(window(50), concurrency=4, retry=RETRY))
    ids = send_jobs(9324, "jobs", 300)
    wait_until(lambda: api.stats()["arrivals"] >= 100, 20, "calls")
    assert breaker(daemon, "closed") == 1 and breaker(daemon, "open") == 0
    first = api.stats()["arrivals"]
    api.kill()
    wait_until(lambda: entered(daemon, "open") >= 2, 20, "an open breaker, and a probe")
    refused = 'sluice_target_requests_total{target="legacy",code="connect_error"}'
    held, calls, opened = received(daemon), daemon.metric(refused), entered(daemon, "open")
    wait_until(lambda: entered(daemon, "open") >= opened + 3, 60, "three more probes")
    opened = entered(daemon, "open") - opened
    calls = daemon.metric(refused) - calls
    assert received(daemon) == held, "no receiving while it is down"
    assert opened - 1 <= calls <= opened + 1, f"{calls} calls for {opened} probes: nothing but probes"
    assert queue_counts(9324, "jobs")[0] > 0, "there was more to receive"
    text = str(daemon.cli("status"))
    assert "BREAKER" in text and "open " in text, text
    assert daemon.status()["targets"][0]["breaker"] in ("open", "half_open")
    wait_until(lambda: daemon.metric('sluice_throttle_wait_seconds_total{route="createjob",reason="breaker"}') > 0, 20, "a named wait")
    MockApi("--limit", "50/1s", "--latency", "20ms")
    wait_until(lambda: queue_counts(9324, "jobs") == (0, 0, 0), 120, "all delivered")
    assert breaker(daemon, "closed") == 1 and entered(daemon, "closed") == 1
    acks = [line for line in daemon.lines() if line.get("outcome") == "ack"]
    assert len(acks) == len(ids) and {line["receive_count"] for line in acks} == {1}, "I5"
    assert first < 300 and queue_counts(9324, "jobs-dlq") == (0, 0, 0)
    warned = lines_of(daemon, "WARNING", "the target fails")
    assert warned[0]["reason"] == "unreached" and warned[0]["failures"] == 5, warned[0]
    assert {line["reason"] for line in warned[1:]} == {"probe_failed"}
    assert len(lines_of(daemon, "INFO", "the target answers again")) == 1


def test_an_outage_gives_nothing_up():
    """Three attempts are allowed, every message is answered 500 for longer than that: none is dead-lettered."""
    down = [True]
    ScriptedApi(lambda api, connection, request: response(500 if down[0] else 201))
    daemon = Daemon(config(window(50), concurrency=4, retry=RETRY))
    ids = send_jobs(9324, "jobs", 40)
    wait_until(lambda: entered(daemon, "open") >= 4, 60, "an open breaker, and probes")
    assert daemon.metric('sluice_target_requests_total{target="legacy",code="500"}') >= 10
    down[0] = False
    wait_until(lambda: queue_counts(9324, "jobs") == (0, 0, 0), 90, "all delivered")
    assert queue_counts(9324, "jobs-dlq") == (0, 0, 0), "an outage dead-letters nothing"
    acks = [line for line in daemon.lines() if line.get("outcome") == "ack"]
    assert len(acks) == len(ids) and {line["receive_count"] for line in acks} == {1}, "I5"
    assert sum(line["attempts"] for line in acks) == len(ids) + 4, "four failures are counted, all in all"
    assert lines_of(daemon, "WARNING", "the target fails")[0]["reason"] == "failures"
