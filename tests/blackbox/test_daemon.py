"""The daemon as a person meets it: start, stop, exit codes, wrong input, metrics."""
import json
import os
import pathlib
import shutil
import signal
import subprocess

from support import (BUILD, DEBUG_BUILD, SOURCE, Daemon, MockApi, Program, Skip, SqsError, config, http_call, queue_counts,
                     send_jobs, sqs, wait_until, window)


def run(*args, env=None, build=BUILD):
    done = subprocess.run([str(build / "sluice"), *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          env=dict(os.environ, **(env or {})), timeout=30, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout


def test_without_a_file_it_is_an_sqs_server():
    daemon = Daemon()
    url = daemon.sqs("CreateQueue", QueueName="q")["QueueUrl"]
    assert url == "http://127.0.0.1:9324/000000000000/q", url
    sent = daemon.sqs("SendMessage", QueueUrl=url, MessageBody="hello")
    got = daemon.sqs("ReceiveMessage", QueueUrl=url)["Messages"][0]
    assert got["MessageId"] == sent["MessageId"] and got["Body"] == "hello"
    assert http_call(9325, "GET", "/healthz")[2] == b"ok\n"
    assert daemon.stop() == 0


def test_messages_survive_a_restart():
    daemon = Daemon()
    daemon.sqs("CreateQueue", QueueName="q")
    ids = send_jobs(9324, "q", 25)
    daemon.kill()
    daemon = Daemon()
    seen = set()
    while len(seen) < 25:
        seen |= {m["MessageId"] for m in daemon.sqs("ReceiveMessage", QueueUrl="q", MaxNumberOfMessages=10)["Messages"]}
    assert seen == set(ids)


def test_usage_errors():
    assert run()[0] == 2
    code, text = run("frobnicate")
    assert code == 2 and "frobnicate" in text
    assert run("--help")[0] == 0
    for command in ("run", "check", "status", "route", "plan", "mock-api"):
        code, text = run(command, "--help")
        assert code == 0 and "usage: sluice " + command in text, (command, code, text)
        code, text = run(command, "--no-such-option")
        assert code == 2, (command, code, text)
    assert run("--version")[1].startswith("sluice ")


def test_no_data_directory():
    code, text = run("run", env={"STATE_DIRECTORY": "", "XDG_STATE_HOME": "", "HOME": ""})
    assert code in (2, 3) and "--data-dir" in text, (code, text)


def test_second_start_names_the_holder():
    daemon = Daemon()
    code, text = run("run", "--data-dir", daemon.data_dir)
    assert code == 3 and str(daemon.pid) in text, (code, text)
    assert daemon.stop() == 0


def test_port_in_use():
    daemon = Daemon()
    code, text = run("run", "--data-dir", pathlib.Path("other").resolve())
    assert code in (1, 3) and "127.0.0.1:9324" in text and "in use" in text, (code, text)
    assert daemon.stop() == 0


def test_bad_configuration_is_refused_with_all_errors():
    pathlib.Path("bad.json").write_text('{"limits": {"a": {"requests": 0, "per": "1x"}}, "routse": {}}')
    for command in (("check", "--config", "bad.json"), ("run", "--config", "bad.json", "--data-dir", "d")):
        code, text = run(*command)
        assert code == 3, (code, text)
        for part in ("limits.a.requests", "limits.a.per", "routse", "routes"):
            assert part in text, (part, text)
    code, text = run("check", "--config", SOURCE / "conf/sluice.json")
    assert code == 0, text
    code, text = run("check", "--config", "missing.json")
    assert code == 3 and "missing.json" in text, (code, text)


def test_corrupt_queue_files_are_refused_and_untouched():
    daemon = Daemon()
    daemon.sqs("CreateQueue", QueueName="q")
    send_jobs(9324, "q", 200)
    assert daemon.stop() == 0
    good = pathlib.Path("data/queue.db").read_bytes()
    cases = {
        "truncated": good[:len(good) // 2 + 100], "header": b"x" * 100 + good[100:],
        "text": b"this is no database\n" * 50, "schema": good[:100] + b"\xff" * 2000 + good[2100:],
    }
    for name, data in cases.items():
        shutil.rmtree("broken", ignore_errors=True)
        os.mkdir("broken", 0o700)
        path = pathlib.Path("broken/queue.db")
        path.write_bytes(data)
        code, text = run("run", "--data-dir", pathlib.Path("broken").resolve())
        assert code == 3, (name, code, text)
        assert "queue.db" in text and len(text) > 60, (name, text)
        assert path.read_bytes() == data, f"{name}: the file was touched"


def test_sigterm_drains():
    api = MockApi("--latency", "1500ms")
    daemon = Daemon(config(window(50), concurrency=4))
    ids = send_jobs(9324, "jobs", 30)
    wait_until(lambda: api.stats()["in_flight"] == 4, 20, "four calls in flight")
    assert daemon.stop() == 0, daemon.text()[-500:]
    stats = api.stats()
    assert stats["delivered"] == stats["arrivals"], "calls in flight were finished"
    daemon = Daemon(config(window(50), concurrency=4) | {"routes": {}})
    visible, in_flight, delayed = queue_counts(9324, "jobs")
    assert (in_flight, delayed) == (0, 0) and visible == 30 - stats["delivered"], "the rest was handed back at once"
    got = daemon.sqs("ReceiveMessage", QueueUrl="jobs", MaxNumberOfMessages=10, AttributeNames=["All"])["Messages"]
    assert {m["Attributes"]["ApproximateReceiveCount"] for m in got} == {"1"}, "I5: a hand-back costs no receive"
    assert len(ids) == 30


def test_drain_deadline():
    MockApi("--latency", "20s")
    daemon = Daemon(config(window(50), concurrency=4, drain_timeout="1s"))
    send_jobs(9324, "jobs", 5)
    wait_until(lambda: daemon.metric('sluice_target_in_flight{target="legacy"}') >= 4, 20, "calls in flight")
    assert daemon.stop() == 4


def test_second_signal_ends_at_once():
    MockApi("--latency", "20s")
    daemon = Daemon(config(window(50), concurrency=4))
    send_jobs(9324, "jobs", 5)
    wait_until(lambda: daemon.metric('sluice_target_in_flight{target="legacy"}') >= 4, 20, "calls in flight")
    daemon.kill(signal.SIGTERM)
    wait_until(lambda: http_call(9325, "GET", "/readyz")[0] == 503, 10, "draining")

    def again():  # within 100 ms it would be the same wish
        daemon.kill(signal.SIGTERM)
        return daemon.process.poll() is not None
    wait_until(again, 5, "the end")
    assert daemon.process.returncode == 4


def test_a_call_cut_off_outlives_an_orderly_end():
    """I2: with abort_hold the API may still be working at it, whoever starts next."""
    MockApi("--latency", "20s")
    setup = config(window(50), concurrency=1, timeout="1s")
    setup["targets"]["legacy"]["abort_hold"] = "10m"
    daemon = Daemon(setup)
    send_jobs(9324, "jobs", 1)
    wait_until(lambda: 'code="timeout"' in str(daemon.metrics()), 20, "a call that timed out")
    for _ in range(2):  # the second one ends long before the hold does
        assert daemon.stop() == 0, daemon.text()[-500:]
        daemon = Daemon(setup)
        ready = [line for line in daemon.lines() if line["message"] == "ready"]
        assert ready and ready[0]["unclean_start"] is True, ready


def test_sighup_is_logged_and_ignored():
    daemon = Daemon()
    daemon.kill(signal.SIGHUP)
    wait_until(lambda: "SIGHUP" in daemon.text(), 10, "a line about it")
    assert http_call(9325, "GET", "/readyz")[0] == 200
    assert daemon.stop() == 0


def test_pause_and_resume():
    api = MockApi("--latency", "10ms")
    daemon = Daemon(config(window(100)))
    daemon.cli("route", "pause", "createjob")
    send_jobs(9324, "jobs", 20)
    assert daemon.status()["routes"][0]["paused"] is True
    assert "paused" in daemon.cli("status")[1]
    assert queue_counts(9324, "jobs")[0] >= 10, "what is not received stays for others"
    assert api.stats()["arrivals"] == 0
    daemon.cli("route", "resume", "createjob")
    wait_until(lambda: queue_counts(9324, "jobs") == (0, 0, 0), 20, "drained")
    assert api.stats()["delivered"] == 20
    assert daemon.stop() == 0


def test_control_without_a_daemon():
    code, text = run("status", "--data-dir", pathlib.Path("nowhere").resolve())
    assert code == 1 and "sluice run" in text, (code, text)


def test_metrics_are_clean():
    if not shutil.which("promtool"):
        raise Skip("promtool (package prometheus) is not installed")
    api = MockApi("--latency", "1ms")
    daemon = Daemon(config(window(100)))
    send_jobs(9324, "jobs", 10)
    wait_until(lambda: api.stats()["delivered"] == 10, 20, "ten calls")
    text = http_call(9325, "GET", "/metrics")[2]
    done = subprocess.run(["promtool", "check", "metrics", "--extended"], input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout.decode()
    for name in (b"sluice_target_requests_total{target=\"legacy\",code=\"201\"} 10", b"sluice_queue_messages", b"process_resident_memory_bytes",
                 b"sluice_window_peak_requests", b"sluice_pace_requests_per_second", b"sluice_throttle_wait_seconds_total"):
        assert name in text, name
    assert daemon.stop() == 0


def test_alerts():
    if not shutil.which("promtool"):
        raise Skip("promtool (package prometheus) is not installed")
    for command in (["check", "rules", SOURCE / "conf/alerts.yml"], ["test", "rules", SOURCE / "tests/blackbox/alerts_test.yml"]):
        done = subprocess.run(["promtool", *map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert done.returncode == 0, done.stdout


def test_alert_metrics_exist():
    """Every metric an alert names is exported (up is Prometheus' own)."""
    import re
    names = set(re.findall(r"\bsluice_[a-z_]+\b", (SOURCE / "conf/alerts.yml").read_text()))
    settings = config({"kind": "quota", "requests": 5, "period": "day"})
    settings["routes"]["createjob"]["on_failure"] = {"url": "http://127.0.0.1:8090/failed"}
    settings["routes"]["paid"] = {"queue": "http://127.0.0.1:9500/000000000000/jobs", "target": "legacy", "paused": True}
    daemon = Daemon(settings, env={"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"})
    text = http_call(9325, "GET", "/metrics")[2].decode()
    missing = [n for n in names if f"# TYPE {n} " not in text]
    assert not missing, missing
    assert daemon.stop() == 0


def test_a_deleted_queue_leaves_the_metrics():
    daemon = Daemon()
    for name in ("a", "b"):
        daemon.sqs("CreateQueue", QueueName=name)
        send_jobs(9324, name, 3)
    assert daemon.metric('sluice_queue_messages{queue="a",state="visible"}') == 3
    daemon.sqs("DeleteQueue", QueueUrl="a")
    wait_until(lambda: not [k for k in daemon.metrics() if 'queue="a"' in k], 10, "no series of the deleted queue")
    assert daemon.metric('sluice_queue_messages{queue="b",state="visible"}') == 3
    assert daemon.metric('sluice_queue_sent_total{queue="b"}') == 3
    assert daemon.stop() == 0


def test_log_is_json_and_without_bodies():
    api = MockApi("--latency", "1ms")
    daemon = Daemon(config(window(100)))
    sqs(9324, "SendMessage", QueueUrl="jobs", MessageBody="a-secret-body")
    wait_until(lambda: api.stats()["delivered"] == 1, 20, "the call")
    line = wait_until(lambda: [x for x in daemon.lines() if x.get("outcome") == "ack"], 10, "the canonical line")[0]
    assert list(line)[:5] == ["level", "location", "message", "timestamp", "service"], list(line)
    for key in ("function_name", "function_request_id", "receive_count", "attempts", "target_code", "message_age_ms", "trace_id"):
        assert key in line, key
    assert daemon.stop() == 0
    for text in daemon.text().strip().split("\n"):
        json.loads(text)
    assert "a-secret-body" not in daemon.text()


def test_a_web_page_cannot_purge():
    daemon = Daemon()
    daemon.sqs("CreateQueue", QueueName="q")
    headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "AmazonSQS.PurgeQueue"}
    body = json.dumps({"QueueUrl": "q"})
    for more in ({"Origin": "http://evil.example"}, {"Host": "evil.example"}):
        status, _, text = http_call(9324, "POST", "/", body, headers | more)
        assert status == 403 and b"AccessDenied" in text, (more, status, text)
    assert http_call(9324, "POST", "/", body, headers)[0] == 200
    try:
        sqs(9324, "SendMessage", QueueUrl="nosuch", MessageBody="x")
        raise AssertionError("no error")
    except SqsError as e:
        assert (e.status, e.kind) == (400, "QueueDoesNotExist") and e.code == "AWS.SimpleQueueService.NonExistentQueue;Sender"


def test_listening_beyond_loopback_needs_keys():
    pathlib.Path("open.json").write_text(json.dumps({"sqs_api": {"listen": ["0.0.0.0:9324"]}}))
    code, text = run("check", "--config", "open.json")
    assert code == 3 and "access_keys" in text and "allow_anonymous" in text, (code, text)


def test_pid_one():
    """As process 1 of a container: ready, does a job, reaps what others leave, ends on SIGTERM."""
    api = MockApi("--latency", "10ms")
    pathlib.Path("one.json").write_text(json.dumps(config(window(50))))
    os.mkdir("one-data", 0o700)
    # In a chroot whose / is no mount point nothing can be mounted for the container alone.
    root_is_mounted = any(line.split()[4] == "/" for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines())
    wrapper = Program(["unshare", "--pid", "--fork", *(["--mount-proc"] if root_is_mounted else []), "--kill-child=SIGKILL",
                       BUILD / "sluice", "run", "--config", "one.json", "--data-dir", pathlib.Path("one-data").resolve()], "pid-one")
    wait_until(lambda: up(), 20, "ready")
    send_jobs(9324, "jobs", 3)
    wait_until(lambda: api.stats()["delivered"] == 3, 20, "three calls")
    child = int(pathlib.Path(f"/proc/{wrapper.pid}/task/{wrapper.pid}/children").read_text().split()[0])
    os.kill(child, signal.SIGTERM)
    assert wrapper.process.wait(30) == 0, wrapper.text()[-800:]


def up():
    try:
        return http_call(9325, "GET", "/readyz")[0] == 200
    except OSError:
        return False


def whole_life(build):
    """Start, jobs with failures, pause, resume, drain; the log."""
    if not (build / "sluice").exists():
        raise Skip(f"no build in {build.name}")
    api = MockApi("--latency", "5ms", "--errors", "20%:500:1ms")
    daemon = Daemon(config(window(100), retry={"max_attempts": 100, "min_backoff": "50ms", "max_backoff": "200ms"}), build=build)
    send_jobs(9324, "jobs", 100)
    wait_until(lambda: api.stats()["delivered"] >= 60, 60, "calls")
    daemon.cli("route", "pause", "createjob")
    daemon.cli("route", "limit", "createjob", "50/1s")
    daemon.cli("route", "resume", "createjob")
    daemon.metrics()
    code = daemon.stop()
    assert code == 0, daemon.text()[-3000:]
    return daemon.text()


def test_address_sanitized_life():
    """ASan, UBSan and LSan watch a whole life. uv_loop_close() is 0, nothing leaks."""
    text = whole_life(DEBUG_BUILD)
    for word in ("AddressSanitizer", "LeakSanitizer", "runtime error", "handles were open"):
        assert word not in text, text[-3000:]


def test_thread_sanitized_life():
    text = whole_life(DEBUG_BUILD.parent / "tsan")
    assert "ThreadSanitizer" not in text, text[-3000:]
