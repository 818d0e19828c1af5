#!/usr/bin/python3
"""The main job, shown: 60 jobs from the stock AWS CLI, an API that takes 5 calls in any second.

usage: demo.py SLUICE [--json] [--keep]
"""
import argparse
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

JOBS, LIMIT = 60, 5
AWS = "/usr/bin/aws"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def get(port, path, method="GET"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


class Stage:
    """One mock API and one sluice, in a directory of their own."""

    def __init__(self, binary, directory, limited, concurrency):
        self.binary, self.directory, self.children = binary, directory, []
        directory.mkdir()
        self.api, self.sqs, self.http = free_port(), free_port(), free_port()
        config = {
            "targets": {"legacy": {"url": f"http://127.0.0.1:{self.api}/jobs", "concurrency": concurrency, "timeout": "30s"}},
            "queues": {"jobs": {"dead_letter": "jobs-dlq", "max_receives": 5}},
            "routes": {"createjob": {"queue": "jobs", "target": "legacy", "paused": True}},
            "sqs_api": {"listen": [f"127.0.0.1:{self.sqs}"]}, "http": {"listen": [f"127.0.0.1:{self.http}"]},
        }
        if limited:
            config["limits"] = {"createjob": {"kind": "window", "requests": LIMIT, "per": "1s"}}
            config["routes"]["createjob"]["limits"] = ["createjob"]
        (directory / "sluice.json").write_text(json.dumps(config, indent=2))
        self.spawn("mock-api", "--listen", f"127.0.0.1:{self.api}", "--limit", f"{LIMIT}/1s", "--latency", "600ms:1",
                   "--seed", "1")
        self.spawn("run", "--config", directory / "sluice.json", "--data-dir", directory / "data")
        self.wait(lambda: get(self.api, "/stats")[0] == 200 and get(self.http, "/readyz")[0] == 200)

    def spawn(self, *args):
        log = open(self.directory / f"{args[0]}.log", "wb")
        self.children.append(subprocess.Popen([self.binary, *map(str, args)], stdout=log, stderr=log,
                                              stdin=subprocess.DEVNULL))

    def wait(self, condition, seconds=20):
        deadline = time.monotonic() + seconds
        while True:
            try:
                if condition():
                    return
            except OSError:
                pass
            for child in self.children:
                if child.poll() is not None:
                    raise SystemExit(f"demo: {child.args[1]} ended with {child.returncode}; its log:\n"
                                     + (self.directory / f"{child.args[1]}.log").read_text()[-2000:])
            if time.monotonic() > deadline:
                raise SystemExit(f"demo: not ready within {seconds} s; logs in {self.directory}")
            time.sleep(0.05)

    def send(self, say):
        """Six calls of ten with the stock client."""
        env = dict(os.environ, AWS_ACCESS_KEY_ID="demo", AWS_SECRET_ACCESS_KEY="demo", AWS_DEFAULT_REGION="us-east-1",
                   AWS_EC2_METADATA_DISABLED="true")
        for first in range(0, JOBS, 10):
            entries = [{"Id": str(i), "MessageBody": json.dumps({"job": i})} for i in range(first, first + 10)]
            done = subprocess.run([AWS, "sqs", "send-message-batch", "--endpoint-url", f"http://127.0.0.1:{self.sqs}",
                                   "--queue-url", f"http://127.0.0.1:{self.sqs}/000000000000/jobs",
                                   "--entries", json.dumps(entries)], env=env, capture_output=True, text=True)
            if done.returncode != 0:
                raise SystemExit(f"demo: the AWS CLI failed: {done.stderr}")
            say(f"\r  sent {first + 10} of {JOBS} jobs with aws sqs send-message-batch", end="")
        say("")

    def stats(self):
        return json.loads(get(self.api, "/stats")[1])

    def metrics(self):
        out = {}
        for line in get(self.http, "/metrics")[1].split("\n"):
            if line and not line.startswith("#"):
                key, value = line.rsplit(" ", 1)
                out[key] = float(value)
        return out

    def control(self, *args):
        subprocess.run([self.binary, *args, "--data-dir", str(self.directory / "data")], check=True,
                       stdout=subprocess.DEVNULL)

    def drain(self, say, seconds=180):
        """Resumes and watches until every job was settled."""
        self.control("route", "resume", "createjob")
        began, arrivals, shown = time.monotonic(), [], 0
        while True:
            now, stats, metrics = time.monotonic(), self.stats(), self.metrics()
            settled = sum(v for k, v in metrics.items() if k.startswith("sluice_messages_settled_total")
                          and ("\"ack\"" in k or "dead_letter" in k))
            arrivals.append((now, stats["arrivals"]))
            last = next((n for t, n in reversed(arrivals) if t <= now - 1), 0)
            flight = metrics.get('sluice_target_in_flight{target="legacy"}', 0)
            if now - shown >= 0.25:
                bar = "#" * int(40 * settled / JOBS)
                say(f"\r  {now - began:5.1f} s [{bar:<40}] {int(settled):2d}/{JOBS} done, backlog {int(JOBS - settled):2d}, "
                    f"in flight {int(flight)}, calls in the last second {stats['arrivals'] - last} (limit {LIMIT}) ", end="")
                shown = now
            if settled >= JOBS:
                say("")
                return
            if now - began > seconds:
                say("")
                raise SystemExit(f"demo: not drained within {seconds} s; logs in {self.directory}")
            time.sleep(0.1)

    def end(self):
        for child in reversed(self.children):
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
        for child in self.children:
            try:
                child.wait(40)
            except subprocess.TimeoutExpired:
                child.kill()


def result(stats):
    return {"sent": JOBS, "delivered": stats["delivered"], "lost": JOBS - stats["delivered_distinct"],
            "repeated": stats["repeated"], "rejected": stats["rejected"], "window_peak": stats["window_peak"],
            "limit": LIMIT, "in_flight_peak": stats["in_flight_peak"], "utilisation": round(stats["utilisation"], 4)}


def all_at_once(binary, directory, say):
    """What the API sees of 60 callers without a queue."""
    directory.mkdir()
    port = free_port()
    log = open(directory / "mock-api.log", "wb")
    child = subprocess.Popen([binary, "mock-api", "--listen", f"127.0.0.1:{port}", "--limit", f"{LIMIT}/1s", "--latency",
                              "600ms:1", "--seed", "1"], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                get(port, "/stats")
                break
            except OSError:
                time.sleep(0.05)
        threads = [threading.Thread(target=lambda: get(port, "/jobs", "POST")) for _ in range(JOBS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        stats = json.loads(get(port, "/stats")[1])
        return dict(result(stats), lost=JOBS - stats["delivered"])
    finally:
        child.terminate()
        child.wait(20)


def cell_of(key, row):
    if key != "utilisation":
        return str(row[key])
    return f"{row[key]:.1%}" if row[key] <= 1.5 else "-"  # all at once: no rate to speak of


def table(rows, say):
    columns = [("sent", "sent"), ("delivered", "delivered"), ("lost", "lost"), ("repeated", "repeated"),
               ("rejected", "rejected"), ("window_peak", "peak in any 1 s"), ("in_flight_peak", "peak in flight"),
               ("utilisation", "utilisation")]
    say("\n  " + " " * 34 + "".join(f"{title:>16}" for _, title in columns))
    for name, row in rows:
        cells = [cell_of(key, row) for key, _ in columns]
        say(f"  {name:<34}" + "".join(f"{cell:>16}" for cell in cells))


def main():
    parser = argparse.ArgumentParser(prog="scripts/demo")
    parser.add_argument("binary")
    parser.add_argument("--json", action="store_true", help="only the sluice run, one JSON line on stdout")
    parser.add_argument("--keep", action="store_true", help="leave sluice and the mock API running")
    options = parser.parse_args()
    binary = str(pathlib.Path(options.binary).resolve())
    top = pathlib.Path(tempfile.mkdtemp(prefix="sluice-demo-"))
    out = sys.stderr if options.json else sys.stdout

    def say(text, end="\n"):
        print(text, end=end, file=out, flush=True)

    rows, stage = [], None
    try:
        say(f"An API that takes {LIMIT} calls in any second and 600 ms each (lognormal, cv 1), and a burst of {JOBS} jobs.\n\n"
            f"1. sluice, {LIMIT} per second, concurrency 8")
        stage = Stage(binary, top / "sluice", True, 8)
        stage.send(say)
        stage.drain(say)
        first = result(stage.stats())
        rows.append((f"sluice, {LIMIT} per 1 s, concurrency 8", first))
        held = first["lost"] == 0 and first["window_peak"] <= LIMIT
        if options.json:
            print(json.dumps(first), flush=True)
        if not options.keep:
            stage.end()
        if not options.json:
            say("2. the same burst, no limit, concurrency 2 (the rule of thumb: 2 × ⌈1 s / 600 ms⌉ = 4 < 5)")
            second = Stage(binary, top / "concurrency", False, 2)
            try:
                second.send(say)
                second.drain(say)
                rows.append(("no limit, concurrency 2", result(second.stats())))
            finally:
                second.end()
            say("3. 60 calls at once, no queue")
            rows.append(("60 calls at once", all_at_once(binary, top / "at-once", say)))
            table(rows, say)
            say(f"\n  {'The limit held and nothing was lost.' if held else 'THE LIMIT DID NOT HOLD OR JOBS WERE LOST.'}")
        if options.keep:
            say(f"\n  still running: SQS API http://127.0.0.1:{stage.sqs}, metrics http://127.0.0.1:{stage.http}/metrics,\n"
                f"  mock API http://127.0.0.1:{stage.api}/stats; {binary} status --data-dir {top}/sluice/data\n"
                f"  end it with: kill {' '.join(str(c.pid) for c in stage.children)}")
        return 0 if held else 1
    finally:
        if stage is not None and not options.keep:
            stage.end()
            shutil.rmtree(top, ignore_errors=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
