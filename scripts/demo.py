#!/usr/bin/python3
"""The main job, shown: 60 jobs from the stock AWS CLI, an API that takes 5 calls in any second.

usage: demo.py SLUICE [--json] [--keep]       (scripts/demo builds it and starts this)
"""
import argparse
import ctypes
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
IN_FLIGHT = 'sluice_target_in_flight{target="legacy"}'
CHILDREN = []  # what must not outlive the demo


class Trouble(Exception):
    """What the demo cannot go on with, said to the person who watches."""


class Interrupted(BaseException):
    """By a signal, its number."""


def interrupt(number, _):
    raise Interrupted(number)


class Say:
    """Text for the person who watches: a progress line is written over on a terminal, seldom elsewhere."""

    def __init__(self, out):
        self.out, self.live = out, out.isatty()
        self.interval = 0.25 if self.live else 2
        out.reconfigure(errors="replace")  # a terminal that is not UTF-8 shows a question mark

    def __call__(self, text):
        print(text, file=self.out, flush=True)

    def progress(self, text):
        print("\r" + text if self.live else text, end="" if self.live else "\n", file=self.out, flush=True)

    def end_progress(self):
        print(end="\n" if self.live else "", file=self.out, flush=True)


def end_with_parent():
    """In the child: whatever kills the demo ends it, too."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def spawn(command, directory, keep=False):
    """A program in a session of its own: Ctrl-C is for the demo, which ends it."""
    with open(directory / f"{command[1]}.log", "wb") as log:
        child = subprocess.Popen([str(word) for word in command], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                 start_new_session=True, preexec_fn=None if keep else end_with_parent)
    CHILDREN.append(child)
    return child


def end(children, hurry=False):
    """SIGTERM lets them finish what they have begun; in a hurry they have a second for it."""
    for child in reversed(children):
        if child.poll() is None:
            child.terminate()
    for child in children:
        try:
            child.wait(1 if hurry else 40)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        if child in CHILDREN:
            CHILDREN.remove(child)


def stock_client_environment():
    """The AWS CLI as if freshly installed: no profile, no endpoint, no proxy of this shell's."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("AWS_") and not k.lower().endswith("_proxy")
           and not k.startswith("PYTHON")}
    env.update(AWS_ACCESS_KEY_ID="demo", AWS_SECRET_ACCESS_KEY="demo", AWS_DEFAULT_REGION="us-east-1",
               AWS_EC2_METADATA_DISABLED="true", AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull)
    return env


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

    def __init__(self, binary, directory, limited, concurrency, keep=False):
        self.binary, self.directory, self.keep, self.children = binary, directory, keep, []
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
        self.children.append(spawn([self.binary, *args], self.directory, self.keep))

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
                    raise Trouble(f"{child.args[1]} ended with {child.returncode}; its log:\n"
                                     + (self.directory / f"{child.args[1]}.log").read_text()[-2000:])
            if time.monotonic() > deadline:
                raise Trouble(f"not ready within {seconds} s")
            time.sleep(0.05)

    def send(self, say):
        """Six calls of ten with the stock client."""
        env = stock_client_environment()
        for first in range(0, JOBS, 10):
            entries = [{"Id": str(i), "MessageBody": json.dumps({"job": i})} for i in range(first, first + 10)]
            done = subprocess.run([AWS, "sqs", "send-message-batch", "--endpoint-url", f"http://127.0.0.1:{self.sqs}",
                                   "--queue-url", f"http://127.0.0.1:{self.sqs}/000000000000/jobs",
                                   "--entries", json.dumps(entries)], env=env, capture_output=True, text=True)
            if done.returncode != 0:
                raise Trouble(f"the AWS CLI failed: {done.stderr}")
            say.progress(f"  sent {first + 10} of {JOBS} jobs with aws sqs send-message-batch")
        say.end_progress()

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
        began, samples, shown = time.monotonic(), [], 0
        while True:
            before, stats, after, metrics = time.monotonic(), self.stats(), time.monotonic(), self.metrics()
            settled = int(sum(v for k, v in metrics.items() if k.startswith("sluice_messages_settled_total")
                              and ("\"ack\"" in k or "dead_letter" in k)))
            # The oldest sample that certainly lies within one second of this one.
            samples = [(t, n) for t, n in samples if t >= after - 1] + [(before, stats["arrivals"])]
            line = (f"{after - began:5.1f} s [{'#' * (16 * settled // JOBS):<16}] {settled:2d}/{JOBS}  backlog {JOBS - settled:2d}  "
                    f"in flight {int(metrics.get(IN_FLIGHT, 0))}  calls/s {stats['arrivals'] - samples[0][1]} (limit {LIMIT})")
            if settled >= JOBS or after - shown >= say.interval:
                say.progress(line)
                shown = after
            if settled >= JOBS:
                say.end_progress()
                return
            if after - began > seconds:
                say.end_progress()
                raise Trouble(f"not drained within {seconds} s")
            time.sleep(0.05)

    def end(self):
        end(self.children)


def result(stats):
    return {"sent": JOBS, "delivered": stats["delivered"], "lost": JOBS - stats["delivered_distinct"],
            "repeated": stats["repeated"], "rejected": stats["rejected"], "window_peak": stats["window_peak"],
            "limit": LIMIT, "in_flight_peak": stats["in_flight_peak"], "utilisation": round(stats["utilisation"], 4)}


def all_at_once(binary, directory):
    """What the API sees of 60 callers without a queue."""
    directory.mkdir()
    port = free_port()
    child = spawn([binary, "mock-api", "--listen", f"127.0.0.1:{port}", "--limit", f"{LIMIT}/1s", "--latency", "600ms:1",
                   "--seed", "1"], directory)
    try:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                get(port, "/stats")
                break
            except OSError:
                time.sleep(0.05)
        threads = [threading.Thread(target=lambda: get(port, "/jobs", "POST"), daemon=True) for _ in range(JOBS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        stats = json.loads(get(port, "/stats")[1])
        return dict(result(stats), lost=JOBS - stats["delivered"])
    finally:
        end([child])


def cell_of(key, row):
    if key != "utilisation":
        return str(row[key])
    return f"{row[key]:.1%}" if row[key] <= 1.5 else "-"  # all at once: no rate to speak of


def table(rows, say):
    lines = [("sent", "sent"), ("delivered", "delivered"), ("lost", "lost"), ("repeated", "repeated"),
             ("rejected", "rejected by the API"), ("window_peak", "peak in any 1 s"), ("in_flight_peak", "peak in flight"),
             ("utilisation", "utilisation")]
    say("")
    for part in (0, 1):
        say(f"  {'':<20}" + "".join(f"{names[part]:>18}" for names, _ in rows))
    for key, title in lines:
        say(f"  {title:<20}" + "".join(f"{cell_of(key, row):>18}" for _, row in rows))


def show(options, binary, top, say):
    """The whole demo; returns its exit code."""
    say(f"An API that takes {LIMIT} calls in any second and 600 ms each (lognormal, cv 1),\nand a burst of {JOBS} jobs.\n\n"
        f"1. sluice, {LIMIT} per second, concurrency 8")
    stage = Stage(binary, top / "sluice", True, 8, options.keep)
    stage.send(say)
    stage.drain(say)
    first = result(stage.stats())
    held = first["lost"] == 0 and first["window_peak"] <= LIMIT
    if options.json:
        print(json.dumps(first, separators=(",", ":")), flush=True)
    if not options.keep:
        stage.end()
    if not options.json:
        say("\n2. the same burst, no limit, concurrency 2\n"
            "   (the rule of thumb: 2 × ⌈1 s / 600 ms⌉ = 4 < 5)")
        second = Stage(binary, top / "concurrency", False, 2)
        second.send(say)
        second.drain(say)
        unlimited = result(second.stats())
        second.end()
        say("\n3. 60 calls at once, no queue")
        at_once = all_at_once(binary, top / "at-once")
        table([(("sluice,", "5 per 1 s"), first), (("no limit,", "concurrency 2"), unlimited), (("60 calls", "at once"), at_once)],
              say)
        say(f"\n  {'The limit held and nothing was lost.' if held else 'THE LIMIT DID NOT HOLD OR JOBS WERE LOST.'}")
    if options.keep:
        say(f"\n  Still running: SQS API http://127.0.0.1:{stage.sqs}, mock API http://127.0.0.1:{stage.api}/stats,\n"
            f"  metrics http://127.0.0.1:{stage.http}/metrics\n"
            f"  Look at it:  {binary} status --data-dir {stage.directory}/data\n"
            f"  End it:      kill {' '.join(str(c.pid) for c in reversed(stage.children))}; rm -r {top}")
    return 0 if held else 1


def main():
    parser = argparse.ArgumentParser(prog="scripts/demo")
    parser.add_argument("binary")
    parser.add_argument("--json", action="store_true", help="only the sluice run, one JSON line on stdout")
    parser.add_argument("--keep", action="store_true", help="leave sluice and the mock API running")
    options = parser.parse_args()
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in signals:
        signal.signal(number, interrupt)
    top = pathlib.Path(tempfile.mkdtemp(prefix="sluice-demo-"))
    failed = True
    try:
        code = show(options, str(pathlib.Path(options.binary).resolve()), top,
                    Say(sys.stderr if options.json else sys.stdout))
        failed = False
        return code
    except Interrupted as interrupted:
        print("\ndemo: interrupted", file=sys.stderr)
        failed = options.keep = False
        return 128 + interrupted.args[0]
    except (Trouble, OSError, http.client.HTTPException, subprocess.CalledProcessError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    finally:
        for number in signals:
            signal.signal(number, signal.SIG_IGN)
        if failed or not options.keep:
            end(list(CHILDREN), hurry=True)
        if failed:
            print(f"demo: its logs are in {top}", file=sys.stderr)
        elif not options.keep:
            shutil.rmtree(top, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
