"""What black-box tests use: the daemon, the mock API, SQS by raw requests, conditions with deadlines.

Everything runs in the test's own network namespace, so fixed ports are free. No sleeps: wait_until.
"""
import hashlib
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading
import time

BUILD = pathlib.Path(os.environ.get("SLUICE_BUILD", "build/release"))
DEBUG_BUILD = pathlib.Path(os.environ.get("SLUICE_DEBUG_BUILD", "build/debug"))
SOURCE = pathlib.Path(__file__).resolve().parents[2]
PROCESSES = []
LOGS = []


class Skip(Exception):
    """This machine cannot run the test; the text says why."""


def figure(text):
    """A measured number, shown in the summary of the run."""
    print(f"figure: {text}", flush=True)


def wait_until(condition, timeout=20, what="condition"):
    """Polls until condition() is true, returns its value; fails after timeout seconds. what: a text, or a function of it."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what() if callable(what) else what}")
        time.sleep(0.02)


def end_everything():
    for process in reversed(PROCESSES):
        if process.poll() is None:
            try:
                os.kill(process.pid, signal.SIGCONT)
                process.kill()
                process.wait(10)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                pass


def show_logs():
    for path in LOGS:
        text = path.read_text(errors="replace") if path.exists() else ""
        print(f"--- {path.name} (end)\n" + "\n".join(text.split("\n")[-25:]))


class Program:
    """A child process with its output in a file."""

    def __init__(self, command, name, env=None, cwd=None):
        self.log = pathlib.Path(f"{name}.{len(LOGS)}.log").resolve()
        LOGS.append(self.log)
        self.output = open(self.log, "wb")
        self.process = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=self.output,
                                        stderr=subprocess.STDOUT, env=dict(os.environ, **(env or {})), cwd=cwd)
        PROCESSES.append(self.process)

    @property
    def pid(self):
        return self.process.pid

    def text(self):
        return self.log.read_text(errors="replace")

    def lines(self):
        """The log lines that are JSON objects."""
        out = []
        for line in self.text().split("\n"):
            if line.startswith("{"):
                try:
                    out.append(json.loads(line))
                except ValueError:
                    pass
        return out

    def kill(self, sig=signal.SIGKILL):
        os.kill(self.pid, sig)
        if sig == signal.SIGKILL:
            self.process.wait(20)

    def stop(self, timeout=40):
        """SIGTERM; the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(timeout)


def http_call(port, method, path, body=None, headers=None, timeout=30, host="127.0.0.1"):
    """(status, headers, body bytes)"""
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


class Daemon(Program):
    """sluice run. config: a dict (written to a file), a path, or None. prefix: a command that executes the rest."""

    def __init__(self, config=None, data_dir="data", build=BUILD, env=None, wait=True, args=(), sqs_port=9324,
                 http_port=9325, prefix=()):
        self.data_dir, self.sqs_port, self.http_port = pathlib.Path(data_dir).resolve(), sqs_port, http_port
        command = [*prefix, build / "sluice", "run", "--data-dir", self.data_dir, *args]
        if isinstance(config, dict):
            path = pathlib.Path(f"{self.data_dir.name}.json").resolve()
            path.write_text(json.dumps(config, indent=1))
            config = path
        if config is not None:
            command += ["--config", config]
        self.build = build
        super().__init__(command, f"sluice-{self.data_dir.name}", env)
        if wait:
            self.wait_ready()

    def wait_ready(self, timeout=20):
        def ready():
            if self.process.poll() is not None:
                raise AssertionError(f"the daemon ended with {self.process.returncode}:\n{self.text()[-2000:]}")
            try:
                return http_call(self.http_port, "GET", "/readyz", timeout=5)[0] == 200
            except OSError:
                return False
        wait_until(ready, timeout, "daemon ready")

    def cli(self, *args, check=True):
        """sluice <args> on this daemon's data directory; (exit code, output)."""
        done = subprocess.run([str(self.build / "sluice"), *args, "--data-dir", str(self.data_dir)],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30)
        if check and done.returncode != 0:
            raise AssertionError(f"sluice {args}: exit {done.returncode}: {done.stdout}")
        return done.returncode, done.stdout

    def metrics(self):
        """{'name{a="b"}': value}"""
        status, _, body = http_call(self.http_port, "GET", "/metrics")
        assert status == 200
        out = {}
        for line in body.decode().split("\n"):
            if line and not line.startswith("#"):
                key, value = line.rsplit(" ", 1)
                out[key] = float(value)
        return out

    def metric(self, key):
        return self.metrics().get(key, 0.0)

    def status(self):
        return json.loads(self.cli("status", "--json")[1])

    def sqs(self, action, **members):
        return sqs(self.sqs_port, action, **members)


class SqsError(Exception):
    def __init__(self, status, kind, message, code):
        super().__init__(f"{status} {kind}: {message}")
        self.status, self.kind, self.message, self.code = status, kind, message, code


def sqs(port, action, timeout=40, **members):
    """One request in AWS JSON 1.0; the answer as a dict. QueueUrl may be a bare name."""
    status, headers, body = http_call(port, "POST", "/", json.dumps(members),
                                      {"Content-Type": "application/x-amz-json-1.0",
                                       "X-Amz-Target": f"AmazonSQS.{action}"}, timeout)
    answer = json.loads(body) if body else {}
    if status != 200:
        raise SqsError(status, answer.get("__type", "").split("#")[-1], answer.get("message"),
                       headers.get("x-amzn-query-error", ""))
    return answer


def send_jobs(port, queue, count, start=0, body=lambda i: json.dumps({"job": i})):
    """count messages in batches of ten; the message ids in order."""
    ids = []
    for first in range(start, start + count, 10):
        entries = [{"Id": str(i), "MessageBody": body(i)} for i in range(first, min(first + 10, start + count))]
        answer = sqs(port, "SendMessageBatch", QueueUrl=queue, Entries=entries)
        assert not answer.get("Failed"), answer
        ids += [e["MessageId"] for e in answer["Successful"]]
    return ids


def queue_counts(port, queue):
    """(visible, in flight, delayed)"""
    a = sqs(port, "GetQueueAttributes", QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    return tuple(int(a[f"ApproximateNumberOfMessages{x}"]) for x in ("", "NotVisible", "Delayed"))


class MockApi(Program):
    """sluice mock-api on a fixed port. link: at end b of that link, 10.77.0.2; asked from there too."""

    def __init__(self, *args, port=8080, build=BUILD, wait=True, link=None):
        self.port, self.link = port, link
        self.host = "127.0.0.1" if link is None else "10.77.0.2"
        self.arrivals_path = pathlib.Path(f"mock-{port}-{len(LOGS)}.arrivals").resolve()
        command = [build / "sluice", "mock-api", "--listen", f"{self.host}:{port}", "--log", self.arrivals_path, *args]
        super().__init__(command if link is None else link.command_in_b(*command), f"mock-api-{port}")
        if wait:
            wait_until(self.is_up, 10, "mock-api up")

    def get_stats(self):
        def ask():
            return http_call(self.port, "GET", "/stats", timeout=5, host=self.host)
        return ask() if self.link is None else self.link.in_b(ask)

    def is_up(self):
        if self.process.poll() is not None:
            raise AssertionError(f"mock-api ended: {self.text()[-1000:]}")
        try:
            return self.get_stats()[0] == 200
        except OSError:
            return False

    def stats(self):
        return json.loads(self.get_stats()[2])

    def arrivals(self):
        """[(kernel time in s, message id, status)] of its own log; status 0: never answered."""
        out = []
        for line in self.arrivals_path.read_text().split("\n"):
            parts = line.split()
            if len(parts) >= 4:
                out.append((int(parts[0]) / 1e9, parts[2], int(parts[3])))
        return out


def config(limit=None, url="http://127.0.0.1:8080/jobs", concurrency=8, timeout="30s", retry=None, max_receives=5,
           **top):
    """One queue jobs → route createjob → target legacy."""
    out = {"targets": {"legacy": {"url": url, "concurrency": concurrency, "timeout": timeout}},
           "queues": {"jobs": {"dead_letter": "jobs-dlq", "max_receives": max_receives}},
           "routes": {"createjob": {"queue": "jobs", "target": "legacy"}},
           "log": {"format": "json"}}
    if limit is not None:
        out["limits"] = {"createjob": limit}
        out["routes"]["createjob"]["limits"] = ["createjob"]
    if retry:
        out["routes"]["createjob"]["retry"] = retry
    out.update(top)
    return out


def window(requests=5, per="1s", **more):
    return dict({"kind": "window", "requests": requests, "per": per}, **more)


def window_peak(stamps_s, per_s):
    """Highest count in any half-open window of per_s seconds."""
    stamps, first, peak = sorted(stamps_s), 0, 0
    for i, stamp in enumerate(stamps):
        while stamps[first] <= stamp - per_s:
            first += 1
        peak = max(peak, i - first + 1)
    return peak


def utilisation(stamps_s, requests, per_s):
    stamps = sorted(stamps_s)
    return (len(stamps) - 1) * per_s / requests / (stamps[-1] - stamps[0])


def md5(text):
    return hashlib.md5(text.encode()).hexdigest()


class ScriptedApi(threading.Thread):
    """A target whose behaviour is a Python function: answer(api, connection, request dict) → bytes to send, None to
    say nothing (and keep the connection), or "close". Records (monotonic time, message id)."""

    def __init__(self, answer, port=8080):
        super().__init__(daemon=True)
        self.answer, self.port, self.requests = answer, port, []
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(128)
        self.start()

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        data = b""
        while True:
            while b"\r\n\r\n" not in data:
                more = self.read(connection)
                if not more:
                    return connection.close()
                data += more
            head, data = data.split(b"\r\n\r\n", 1)
            headers = {k.lower(): v for k, v in re.findall(r"(?m)^([^:\r\n]+): *([^\r\n]*)", head.decode())}
            length = int(headers.get("content-length", 0))
            while len(data) < length:
                more = self.read(connection)
                if not more:
                    return connection.close()
                data += more
            request = {"head": head.decode(), "headers": headers, "body": data[:length], "at": time.monotonic()}
            data = data[length:]
            self.requests.append(request)
            answer = self.answer(self, connection, request)
            if answer == "close":
                return connection.close()
            if answer:
                connection.sendall(answer)

    @staticmethod
    def read(connection):
        try:
            return connection.recv(65536)
        except OSError:
            return b""

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def response(status=201, body=b"{}", headers=""):
    return (f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{headers}\r\n").encode() + body
