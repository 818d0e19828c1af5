"""What the configuration says an answer means, and answers that ask for a pause."""
import email.utils
import json
import time

from support import Daemon, ScriptedApi, config, queue_counts, response, send_jobs, wait_until, window

RULES = [
    {"status": "409", "outcome": "ack"},
    {"status": "2xx", "body": "/status", "value": "busy", "outcome": "throttle"},
    {"header": "X-Result: fail*", "outcome": "retry"},
    {"status": ["500-502"], "body": "/error/code", "value": "7", "outcome": "dead_letter"},
    {"error": "connection_broken", "outcome": "dead_letter"},
]


def job_of(request):
    return json.loads(request["body"])["job"]


def test_rules_decide():
    seen = {}

    def answer(api, connection, request):
        job = job_of(request)
        seen[job] = seen.get(job, 0) + 1
        first = seen[job] == 1
        return {0: lambda: response(409),
                1: lambda: response(200, b'{"status": "busy"}') if first else response(201),
                2: lambda: response(404, b"", "x-result: FAILED for now\r\n") if first else response(201),
                3: lambda: response(500, b'{"error": {"code": 7}}'),
                4: lambda: "close",
                5: lambda: response(404)}[job]()

    ScriptedApi(answer)
    settings = config(window(50), retry={"min_backoff": "50ms", "max_backoff": "200ms"})
    settings["targets"]["legacy"]["outcomes"] = RULES
    daemon = Daemon(settings)
    ids = send_jobs(daemon.sqs_port, "jobs", 6)
    wait_until(lambda: queue_counts(daemon.sqs_port, "jobs") == (0, 0, 0), 30, "all settled")
    wait_until(lambda: queue_counts(daemon.sqs_port, "jobs-dlq")[0] == 3, 20, "three dead letters")
    lines = {x["function_request_id"]: x for x in daemon.lines() if "function_request_id" in x and "target_code" in x}
    got = [tuple(lines[i].get(k) for k in ("outcome", "outcome_rule", "target_code", "calls", "attempts")) for i in ids]
    assert got == [("ack", "outcomes[0]", "409", 1, 1),
                   ("ack", None, "201", 2, 1),  # the throttle does not count
                   ("ack", None, "201", 2, 2),
                   ("dead_letter", "outcomes[3]", "500", 1, 1),
                   ("dead_letter", "outcomes[4]", "connection_broken", 1, 1),
                   ("dead_letter", None, "404", 1, 1)], got
    assert daemon.stop() == 0, daemon.text()[-800:]


def test_answers_that_ask_for_a_pause():
    """Two routes on one limit, one call at a time: behind each pause nobody calls before its end."""
    pauses = []  # (answered at, not before; both on the wall clock)

    def until(seconds):
        now = time.time()
        pauses.append((now, now + seconds))

    def date():
        at = int(time.time()) + 2
        pauses.append((time.time(), at))
        return at

    def success_with_list():
        until(1)
        return response(201, b"{}", 'RateLimit: "minute";r=9;t=60, "second";r=0;t=1\r\n')

    def refused_with_seconds():
        until(1)
        return response(429, b"", "Retry-After: 1\r\n")

    def failed_with_date():
        return response(500, b"", f"Retry-After: {email.utils.formatdate(date(), usegmt=True)}\r\n")

    def success_with_epoch():
        return response(201, b"{}", f"X-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: {date()}\r\n")

    def refused_with_milliseconds():
        until(0.7)
        return response(503, b"", "x-amz-retry-after: 700\r\n")

    script = [success_with_list, refused_with_seconds, failed_with_date, success_with_epoch, refused_with_milliseconds]
    called = []

    def answer(api, connection, request):
        called.append(time.time())
        # Accepted: when to ask for its result, which is no pause.
        return script[len(called) - 1]() if len(called) <= len(script) else response(202, b"", "Retry-After: 600\r\n")

    ScriptedApi(answer)
    settings = config(window(50), concurrency=1, retry={"min_backoff": "10ms", "max_backoff": "20ms"})
    settings["queues"]["more"] = {"dead_letter": "jobs-dlq"}
    settings["routes"]["second"] = {"queue": "more", "target": "legacy", "limits": ["createjob"],
                                    "retry": settings["routes"]["createjob"]["retry"]}
    daemon = Daemon(settings)
    send_jobs(daemon.sqs_port, "jobs", 10)
    send_jobs(daemon.sqs_port, "more", 10)
    wait_until(lambda: queue_counts(daemon.sqs_port, "jobs") == queue_counts(daemon.sqs_port, "more") == (0, 0, 0), 60,
               "all settled")
    assert len(pauses) == len(script) and len(called) == 23, (len(pauses), len(called))  # three came back
    for at, not_before in pauses:
        after = [t for t in called if t > at]
        assert after and min(after) >= not_before - 0.01, (at, not_before, min(after))
    lines = [x for x in daemon.lines() if x.get("message") == "the target asks for a pause"]
    assert [x["header"] for x in lines] == ["RateLimit", "Retry-After", "Retry-After", "X-RateLimit-Reset",
                                            "x-amz-retry-after"], lines
    assert all(x["route"] in ("createjob", "second") and x["limit"] == "createjob" and x["until"] for x in lines), lines
    gated = daemon.metric('sluice_limit_gated_seconds_total{limit="createjob"}')
    asked = sum(not_before - at for at, not_before in pauses)
    assert asked * 0.9 <= gated <= asked * 1.1, (asked, gated)
    assert sum(v for k, v in daemon.metrics().items()
               if k.startswith("sluice_throttle_wait_seconds_total") and 'reason="gate"' in k) > 0
    assert daemon.stop() == 0, daemon.text()[-800:]


def test_a_pause_of_days_is_cut():
    api = ScriptedApi(lambda api, connection, request: response(429, b"", "Retry-After: 864000\r\n"))
    daemon = Daemon(config(window(50), concurrency=1))
    send_jobs(daemon.sqs_port, "jobs", 3)
    line = wait_until(lambda: [x for x in daemon.lines() if "cut to the longest allowed" in x.get("message", "")], 20,
                      "a line about it")[0]
    assert line["level"] == "WARNING" and line["header"] == "Retry-After" and 890e3 < line["pause_ms"] <= 900e3, line
    wait_until(lambda: daemon.metric('sluice_limit_gated_seconds_total{limit="createjob"}') > 0.2, 20, "time in the gate")
    assert len(api.requests) == 1
    assert daemon.stop() == 0, daemon.text()[-800:]
    assert len(api.requests) == 1


def test_connections_that_are_closed_when_they_are_used_again():
    """libcurl counts them over its transfers; a person reads the same of each."""
    def answer(_, connection, __):
        first = connection not in used
        used.add(connection)
        return response(201) if first else "close"

    used = set()
    api = ScriptedApi(answer)
    daemon = Daemon(config(window(50), concurrency=1, retry={"min_backoff": "1ms", "max_backoff": "1ms"}))
    send_jobs(9324, "jobs", 10)
    wait_until(lambda: queue_counts(9324, "jobs") == (0, 0, 0), 20, "all delivered")
    reasons = [line["reason"] for line in daemon.lines() if line.get("message") == "attempt failed"]
    assert len(reasons) >= 7 and set(reasons) == {"the connection was closed without an answer"}, reasons
    assert len(api.requests) == 10 + len(reasons)
