#!/usr/bin/python3
"""Measures sluice against its yardsticks and prints a table. Nothing is asserted: it informs, it does not pass or fail.

    run.py [--build build/bench] [--repeats 3] [--json] [NAME …]

NAMEs: delivery, send, batch, receive, cycle, backlog, memory, cpu, start, limit, sqs (all of them without a name). Build first:

    cmake --preset bench && cmake --build --preset bench

Contenders take turns within each repetition, so that a slow moment of the machine meets all of them; figures are medians
with the lowest and highest in brackets; a ratio is taken within its repetition. Everything runs on the loopback of a
network namespace of its own, with its files beside the build (the disk matters), and ends by itself.
"""
import argparse
import http.client
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
SQS_PORT, API_PORT, CONSTANT_PORT = 9324, 8080, 9424
DELIVERED, CONCURRENCY = 50000, 32
SEND_SECONDS, SEND_CONNECTIONS = 5, 64
WAITING = 100_000
CPU_SECONDS, CPU_WINDOWS = 20, 3
GOAL = 0.6


class Table:
    def __init__(self):
        self.rows = []

    def add(self, name, values, unit, note=""):
        self.rows.append({"name": name, "unit": unit, "note": note, "median": statistics.median(values),
                          "min": min(values), "max": max(values), "values": values})

    def show(self):
        width = max(len(row["name"]) for row in self.rows) + 2
        for row in self.rows:
            spread = f"[{number(row['min'])} … {number(row['max'])}]"
            print(f"{row['name']:<{width}}{number(row['median']):>10} {row['unit']:<12}{spread:<22} {row['note']}")


def number(value):
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def say(text):
    print(text, file=sys.stderr, flush=True)


def own_namespace():
    """Runs this script again inside a network namespace with nothing but a loopback."""
    if os.environ.get("SLUICE_BENCH_NAMESPACE"):
        return
    os.environ["SLUICE_BENCH_NAMESPACE"] = "1"
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    os.execvp("unshare", ["unshare", "--net", *user, "--", "/bin/sh", "-c", 'ip link set lo up && exec "$@"', "sh",
                          sys.executable, str(HERE / "run.py"), *sys.argv[1:]])


def run_json(*command):
    """Runs a program that prints one line of JSON; its last line as a dict."""
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120)
    lines = [line for line in done.stdout.split("\n") if line.startswith("{")]
    if done.returncode != 0 or not lines:
        raise SystemExit(f"{command[0]}: exit {done.returncode}: {done.stdout[-500:]}{done.stderr[-500:]}")
    return json.loads(lines[-1])


def wrk(script, url, connections, seconds):
    return run_json("wrk", "-t2", f"-c{connections}", f"-d{seconds}s", "-s", HERE / script, url)


def cpu_s(pid):
    """Time on a CPU of all threads of a process."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def memory_mib(pid):
    """(all that is resident, of that not backed by a file)"""
    fields = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().split("\n") if ":" in line)
    return tuple(int(fields[key].split()[0]) / 1024 for key in ("VmRSS", "RssAnon"))


def fill(queue, count, threads=4):
    """count messages of 512 bytes of JSON into a queue, in batches of ten over kept-alive connections."""
    body = '"' + "x" * 510 + '"'
    request = json.dumps({"QueueUrl": f"http://127.0.0.1:{SQS_PORT}/000000000000/{queue}",
                          "Entries": [{"Id": str(i), "MessageBody": body} for i in range(10)]}).encode()
    headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "AmazonSQS.SendMessageBatch"}
    failures = []

    def body_of(batches):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", SQS_PORT, timeout=60)
            for _ in range(batches):
                connection.request("POST", "/", request, headers)
                answer = connection.getresponse()
                text = answer.read()
                if answer.status != 200 or b'"Failed":[{' in text:
                    raise RuntimeError(f"{answer.status} {text[:300]}")
            connection.close()
        except Exception as error:
            failures.append(error)

    workers = [threading.Thread(target=body_of, args=(count // 10 // threads,)) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if failures:
        raise SystemExit(f"filling the queue failed: {failures[0]}")


class Bench:
    def __init__(self, options, support, table):
        self.build, self.repeats, self.support, self.table = options.build, options.repeats, support, table
        self.count, self.run_json, self.fill, self.say = 0, run_json, fill, say

    def program(self, name):
        return self.build / "tests" / "bench" / name

    def daemon(self, config, **more):
        self.count += 1
        return self.support.Daemon(config, data_dir=f"data{self.count}", build=self.build, **more)

    def config(self, limit=None, **more):
        out = self.support.config(limit=limit, url=f"http://127.0.0.1:{API_PORT}/jobs", concurrency=CONCURRENCY, **more)
        out["log"] = {"format": "json", "level": "warning"}
        return out

    def mock_api(self, *args):
        api = self.support.Program([self.build / "sluice", "mock-api", "--listen", f"127.0.0.1:{API_PORT}", *args], "mock-api")
        self.support.wait_until(lambda: answers(API_PORT, "/stats"), 10, "mock-api up")
        return api

    # ---- embedded queue → API, as fast as it goes ----

    def deliver(self):
        """(messages/s, CPU µs a message) of sluice between the 10th and the 95th hundredth of a drain."""
        api = self.mock_api()
        config = self.config()
        config["routes"]["createjob"]["paused"] = True
        daemon = self.daemon(config)
        fill("jobs", DELIVERED)
        samples = []

        def sample():
            settled = sum(v for k, v in daemon.metrics().items()
                          if k.startswith("sluice_messages_settled_total") and '"ack"' in k)
            samples.append((time.monotonic(), settled, cpu_s(daemon.pid)))
            time.sleep(0.03)
            return settled >= DELIVERED
        daemon.cli("route", "resume", "createjob")
        self.support.wait_until(sample, 120, "drained")
        daemon.stop()
        api.stop()
        first = next(s for s in samples if s[1] >= 0.10 * DELIVERED)
        last = next(s for s in samples if s[1] >= 0.95 * DELIVERED)
        if last is first:
            first = samples[0]
        messages = last[1] - first[1]
        return messages / (last[0] - first[0]), (last[2] - first[2]) * 1e6 / messages

    def against_api(self, client):
        api = self.mock_api()
        figures = client()
        api.stop()
        return figures

    def delivery(self):
        url = f"http://127.0.0.1:{API_PORT}/jobs"
        ours, ours_cpu, curl, curl_cpu, wrks = [], [], [], [], []
        for i in range(self.repeats):
            say(f"delivery {i + 1} of {self.repeats}")
            figures = self.against_api(lambda: run_json(self.program("curl_yardstick_bench"), "--url", url, "--concurrency",
                                                        CONCURRENCY, "--requests", DELIVERED))
            curl.append(figures["requests_per_s"])
            curl_cpu.append(figures["cpu_us_per_request"])
            rate, cpu = self.deliver()
            ours.append(rate)
            ours_cpu.append(cpu)
            wrks.append(self.against_api(lambda: wrk("post.lua", url, CONCURRENCY, 2))["requests_per_s"])
        self.table.add("delivery: sluice, limit off", ours, "messages/s", f"embedded queue → mock API, concurrency {CONCURRENCY}")
        self.table.add("delivery: bare curl multi on libuv", curl, "requests/s", "same API, no queue")
        self.table.add("delivery: wrk", wrks, "requests/s", "same API, no queue")
        self.table.add("delivery: sluice / curl", ratios(ours, curl), "ratio", f"goal {GOAL}")
        self.table.add("delivery: sluice / wrk", ratios(ours, wrks), "ratio")
        self.table.add("delivery: CPU of sluice", ours_cpu, "µs/message", "queue included")
        self.table.add("delivery: CPU of bare curl", curl_cpu, "µs/request")

    # ---- SendMessage ----

    def send_once(self):
        """(messages/s, messages a commit, p99 ms) over the SQS API."""
        daemon = self.daemon({"queues": {"bench": {}}, "log": {"format": "json", "level": "warning"}})
        before = daemon.metrics()
        figures = wrk("send_message.lua", f"http://127.0.0.1:{SQS_PORT}/", SEND_CONNECTIONS, SEND_SECONDS)
        after = daemon.metrics()
        operations, commits = (after[key] - before[key] for key in ("sluice_store_operations_total",
                                                                    "sluice_store_commits_total"))
        if figures["failed"]:
            say(f"send: {figures['failed']} requests failed")
        daemon.stop()
        return figures["requests_per_s"], operations / max(commits, 1), figures["p99_ms"]

    def sqlite(self, per_commit):
        return run_json(self.program("sqlite_yardstick_bench"), "--per-commit", max(1, round(per_commit)), "--messages",
                        50000 if per_commit > 8 else 10000)["inserts_per_s"]

    def constant(self):
        server = self.support.Program([self.program("http_constant_bench"), "--listen", f"127.0.0.1:{CONSTANT_PORT}"], "constant")
        self.support.wait_until(lambda: "ready" in server.text(), 10, "constant server up")
        rate = wrk("send_message.lua", f"http://127.0.0.1:{CONSTANT_PORT}/", SEND_CONNECTIONS, SEND_SECONDS)["requests_per_s"]
        server.stop()
        return rate

    def send(self):
        ours, group, p99, sqlites, constants = [], [], [], [], []
        for i in range(self.repeats):
            say(f"send {i + 1} of {self.repeats}")
            rate, per_commit, late = self.send_once()
            ours.append(rate)
            group.append(per_commit)
            p99.append(late)
            sqlites.append(self.sqlite(per_commit))
            constants.append(self.constant())
        lower = [min(pair) for pair in zip(sqlites, constants)]
        self.table.add("SendMessage: sluice", ours, "messages/s", f"{SEND_CONNECTIONS} connections, AWS JSON, 512 bytes, synced")
        self.table.add("SendMessage: operations a commit", group, "")
        self.table.add("SendMessage: 99th percentile", p99, "ms")
        self.table.add("SendMessage: bare SQLite", sqlites, "inserts/s", "as many a commit, no HTTP")
        self.table.add("SendMessage: HTTP server, constant", constants, "requests/s", "no queue")
        self.table.add("SendMessage: sluice / lower of both", ratios(ours, lower), "ratio", f"goal {GOAL}")

    # ---- memory, CPU, start ----

    def memory(self):
        idle, idle_anon, full, full_anon, restarts = [], [], [], [], []
        for i in range(self.repeats):
            say(f"memory {i + 1} of {self.repeats}")
            config = self.config()
            config["routes"]["createjob"]["paused"] = True
            daemon = self.daemon(config)
            resident, anonymous = memory_mib(daemon.pid)
            idle.append(resident)
            idle_anon.append(anonymous)
            fill("jobs", WAITING)
            resident, anonymous = memory_mib(daemon.pid)
            full.append(resident)
            full_anon.append(anonymous)
            daemon.stop()
            restarts.append(self.start_ms(config, daemon.data_dir))
        self.table.add("memory: RSS idle", idle, "MiB", f"of it {statistics.median(idle_anon):.1f} not of files")
        self.table.add(f"memory: RSS, {WAITING:,} waiting", full, "MiB", f"of it {statistics.median(full_anon):.1f} not of files")
        self.table.add(f"start to ready, {WAITING:,} waiting", restarts, "ms")

    def cpu(self):
        say(f"cpu: {CPU_WINDOWS} times {CPU_SECONDS} s")
        api = self.mock_api("--latency", "600ms")
        daemon = self.daemon(self.config(self.support.window(5, "1s")))
        fill("jobs", 10 * 4 * (5 * (CPU_SECONDS * CPU_WINDOWS + 10) // 40 + 1))
        self.support.wait_until(lambda: calls(daemon) >= 5, 20, "first calls")
        shares, rates = [], []
        for _ in range(CPU_WINDOWS):
            began, cpu, count = time.monotonic(), cpu_s(daemon.pid), calls(daemon)
            time.sleep(CPU_SECONDS)
            seconds = time.monotonic() - began
            shares.append((cpu_s(daemon.pid) - cpu) / seconds * 100)
            rates.append((calls(daemon) - count) / seconds)
        daemon.kill()
        api.stop()
        self.table.add("CPU at 5 per second", shares, "% of a CPU", f"{statistics.median(rates):.2f} calls/s, API takes 600 ms")

    def start_ms(self, config, data_dir):
        """From fork to READY=1, which the daemon says when it listens."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            path = pathlib.Path("notify").resolve()
            path.unlink(missing_ok=True)
            notify.bind(str(path))
            notify.settimeout(20)
            pathlib.Path("start.json").write_text(json.dumps(config))
            began = time.monotonic()
            daemon = self.support.Program([self.build / "sluice", "run", "--data-dir", data_dir, "--config", "start.json"],
                                          "start", env={"NOTIFY_SOCKET": str(path)})
            while b"READY=1" not in notify.recv(4096):
                pass
            took = (time.monotonic() - began) * 1e3
            daemon.stop()
            return took

    def start(self):
        say("start")
        config = self.config(self.support.window(5, "1s"))
        times = [self.start_ms(config, f"start{i}") for i in range(3 * self.repeats)]
        self.table.add("start to ready, new directory", times, "ms")
        times = [self.start_ms(config, "start0") for _ in range(3 * self.repeats)]
        self.table.add("start to ready, empty queue", times, "ms")

    def limit(self):
        say("limit")
        program, runs = self.program("limit_bench"), []
        if not program.exists():
            say(f"limit: {program} is not built")
            return
        for _ in range(self.repeats):
            done = subprocess.run([str(program)], stdout=subprocess.PIPE, text=True, timeout=120, check=True)
            runs.append([json.loads(line) for line in done.stdout.split("\n") if line.startswith("{")])
        for lines in zip(*runs):
            # A line is one case: its name, and numbers whose names begin with their unit.
            for key in (key for key in lines[0] if key.startswith("ns")):
                self.table.add(f"limiter: {lines[0].get('name', '')}, {key[3:].replace('_', ' ')}", [line[key] for line in lines], "ns")
        if not any(runs):
            print(done.stdout, end="")  # a table of its own


def answers(port, path):
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False


def calls(daemon):
    return sum(v for k, v in daemon.metrics().items() if k.startswith("sluice_target_requests_total"))


def ratios(ours, theirs):
    return [a / b for a, b in zip(ours, theirs)]


def main():
    names = ["delivery", "send", "batch", "receive", "cycle", "backlog", "memory", "cpu", "start", "limit", "sqs"]
    parser = argparse.ArgumentParser(prog="tests/bench/run.py", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--build", default="build/bench", type=pathlib.Path)
    parser.add_argument("--repeats", default=3, type=int)
    parser.add_argument("--json", action="store_true", help="the rows as one line of JSON instead of the table")
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    options.build = options.build.resolve()
    unknown = set(options.names) - set(names)
    if unknown or options.repeats < 1:
        parser.error(f"no such bench: {' '.join(unknown)}" if unknown else "--repeats: at least 1")
    if not (options.build / "sluice").exists():
        raise SystemExit(f"{options.build / 'sluice'} is missing: cmake --preset bench && cmake --build --preset bench")
    own_namespace()
    sys.path.insert(0, str(HERE.parent / "blackbox"))
    directory = pathlib.Path(tempfile.mkdtemp(prefix="bench-", dir=options.build))
    os.chdir(directory)
    import queue_cases
    import sqs_cases
    import support
    table, load = Table(), os.getloadavg()[0]
    bench = Bench(options, support, table)
    try:
        for name in options.names or names:
            if hasattr(bench, name):
                getattr(bench, name)()
            else:
                getattr(sqs_cases if name == "sqs" else queue_cases, name)(bench)
    finally:
        support.end_everything()
        os.chdir(options.build)
        shutil.rmtree(directory, ignore_errors=True)
    if options.json:
        print(json.dumps(table.rows))
    elif table.rows:
        print(f"{os.cpu_count()} CPUs, {options.repeats} repetitions, load {load:.1f} at the start: median [lowest … highest]")
        table.show()


if __name__ == "__main__":
    main()
