"""A daemon with credentials of every kind that AWS hands out: they end after seconds and are replaced while messages flow, the services that hand
them out fail, are slow, are late; nothing is lost, and nothing waits for them that need not."""
import hashlib
import json
import os
import socket
import subprocess
import threading
import time

from aws_services import OWN, PARTNER, PORT, SERVER, AwsServices, write
from fault_target import FaultTarget, answers
from test_access import certificate
from support import BUILD, Daemon, figure, http_call, sqs, wait_until

ENDPOINT = f"http://127.0.0.1:{PORT}"
ROLE = f"arn:aws:iam::{OWN}:role/jobs"
CLEAN = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": "", "AWS_REGION": "eu-west-1", "AWS_PROFILE": "",
         "AWS_EC2_METADATA_DISABLED": "true", "AWS_ENDPOINT_URL_STS": ENDPOINT, "AWS_ENDPOINT_URL_SSO": ENDPOINT,
         "AWS_ENDPOINT_URL_SSO_OIDC": ENDPOINT, "AWS_METADATA_SERVICE_NUM_ATTEMPTS": "2"}


def start_server(*queues):
    return Daemon({"sqs_api": {"listen": [f"127.0.0.1:{SERVER}"]}, "http": {"listen": ["127.0.0.1:9425"]},
                   "queues": {q: {"dead_letter": f"{q}-dlq", "max_receives": 20, "visibility_timeout": "120s"} for q in queues},
                   "log": {"format": "json"}}, data_dir="server", sqs_port=SERVER, http_port=9425)


class Worker:
    """A daemon that drains one queue into one target. kind: where its credentials are from."""
    count = 0

    def __init__(self, services, kind, home=None, route=None, wait=True, **environment):
        Worker.count += 1
        n = Worker.count
        self.services, self.kind, self.queue, self.sent = services, kind, kind, []
        self.home = os.path.abspath(home or f"home-{kind}")
        os.makedirs(self.home, exist_ok=True)
        self.target = FaultTarget(21000 + n, answers(200))
        settings = {"targets": {"api": {"url": f"http://127.0.0.1:{21000 + n}/", "timeout": "5s"}},
                    "routes": {kind: {"queue": services.url(self.queue), "target": "api", "visibility": "60s", **(route or {})}},
                    "sqs_api": {"listen": [f"127.0.0.1:{9700 + 2 * n}"]}, "http": {"listen": [f"127.0.0.1:{9701 + 2 * n}"]},
                    "log": {"format": "json", "level": "warning"}}
        self.daemon = Daemon(settings, data_dir=f"data-{kind}", wait=False, sqs_port=9700 + 2 * n, http_port=9701 + 2 * n,
                             env={**CLEAN, "HOME": self.home, **self.prepare(kind), **environment})
        self.http_port = 9701 + 2 * n
        if wait:
            self.daemon.wait_ready()

    def prepare(self, kind):
        """Files, and the variables."""
        if kind == "container":
            write(f"{self.home}/token", "Bearer abc")
            return {"AWS_CONTAINER_CREDENTIALS_FULL_URI": ENDPOINT + "/creds", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": f"{self.home}/token"}
        if kind == "instance":
            return {"AWS_EC2_METADATA_DISABLED": "", "AWS_EC2_METADATA_SERVICE_ENDPOINT": ENDPOINT}
        if kind == "web":
            write(f"{self.home}/jwt", self.services.jwt + "\n")
            return {"AWS_WEB_IDENTITY_TOKEN_FILE": f"{self.home}/jwt", "AWS_ROLE_ARN": ROLE}
        if kind == "role":
            base = self.services.hand_out("base", life=0, token=False)
            write(f"{self.home}/.aws/credentials", f"[base]\naws_access_key_id = {base.id}\naws_secret_access_key = {base.secret}\n")
            write(f"{self.home}/.aws/config", f"[profile r]\nrole_arn = {ROLE}\nsource_profile = base\nduration_seconds = 900\n")
            return {"AWS_PROFILE": "r"}
        if kind == "process":
            script = f"#!/bin/sh\nexec /usr/bin/python3 -c 'import json, urllib.request as u; k = json.load(u.urlopen(\"{ENDPOINT}/creds\")); " \
                     "k.update(Version=1, SessionToken=k[\"Token\"]); print(json.dumps(k))'\n"
            write(f"{self.home}/give keys", script, 0o755)
            write(f"{self.home}/.aws/config", f"[default]\ncredential_process = \"{self.home}/give keys\" now\n")
            return {}
        if kind == "sso":
            self.login()
            write(f"{self.home}/.aws/config", "[default]\nsso_session = corp\nsso_account_id = 111111111111\nsso_role_name = ops\n"
                  "[sso-session corp]\nsso_region = eu-central-1\nsso_start_url = https://corp.awsapps.com/start\n")
            return {}
        return {}

    def cache(self):
        return f"{self.home}/.aws/sso/cache/{hashlib.sha1(b'corp').hexdigest()}.json"

    def login(self, until="2099-01-01T00:00:00Z", **more):
        write(self.cache(), json.dumps({"startUrl": "https://corp.awsapps.com/start", "region": "eu-central-1", "accessToken": "login-1",
                                        "expiresAt": until, **more}))

    def send(self, count=1):
        entries = [{"Id": str(i), "MessageBody": json.dumps({"fails": 0, "i": len(self.sent) + i})} for i in range(count)]
        answer = sqs(SERVER, "SendMessageBatch", QueueUrl=self.queue, Entries=entries)
        self.sent += [m["MessageId"] for m in answer["Successful"]]

    def is_empty(self):
        a = sqs(SERVER, "GetQueueAttributes", QueueUrl=self.queue, AttributeNames=["All"])["Attributes"]
        return a["ApproximateNumberOfMessages"] == a["ApproximateNumberOfMessagesNotVisible"] == "0"

    def over(self, timeout=40):
        wait_until(lambda: self.target.delivered() == set(self.sent), timeout, lambda: f"{self.kind}: all delivered")
        wait_until(self.is_empty, timeout, lambda: f"{self.kind}: all deleted")
        assert sorted(c.message_id for c in self.target.calls) == sorted(self.sent), f"{self.kind}: each once"
        assert {c.receive_count for c in self.target.calls} == {1}, f"{self.kind}: none waited out its visibility"

    def lines(self, text):
        return [x for x in self.daemon.lines() if x["message"] == text]

    def stop(self):
        assert self.daemon.stop() == 0, self.daemon.text()[-800:]
        assert "secret/" not in self.daemon.text() and "token==" not in self.daemon.text(), "no secret in the log"


KINDS = ("container", "instance", "web", "role", "process", "sso")
# Whom each of them asks; our command asks the container endpoint.
SERVICES = {"container": "container", "process": "container", "instance": "instance", "web": "sts", "role": "sts", "sso": "sso"}


def used(services, worker):
    return {services.keys[k].number for k in services.used[worker.queue]}


def test_rotation_under_load():
    """Every source hands out keys for eight seconds; messages flow all the time."""
    start_server(*KINDS)
    services = AwsServices()
    services.life = 8
    workers = [Worker(services, kind) for kind in KINDS]
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not all(len(used(services, w)) >= 4 for w in workers):
        for w in workers:
            w.send()
        time.sleep(0.2)  # the load, not a wait
    for w in workers:
        w.over()
    figure("rotation: " + ", ".join(f"{w.kind} {len(used(services, w))} keys for {len(w.sent)} messages" for w in workers)
           + f"; refused by SQS: {len(services.refused)}")
    assert all(len(used(services, w)) >= 4 for w in workers), "they were replaced"
    assert not services.refused, services.refused[:3]
    assert {a for s, a in services.asked if s == "container"} <= {"Bearer abc", None}
    assert {"account_id": "111111111111", "role_name": "ops"} in [a for s, a in services.asked if s == "sso"]
    role = [a for s, a in services.asked if s == "sts" and a["Action"] == "AssumeRole"]
    assert {(a["RoleArn"], a["RoleSessionName"], a["DurationSeconds"]) for a in role} == {(ROLE, "sluice", "900")}
    for w in workers:
        w.stop()


def test_sources_that_fail_at_the_start():
    """The daemon runs, says what it tried, is not ready, and goes on when they are back."""
    start_server(*KINDS)
    services = AwsServices()
    for name in ("container", "instance", "sso", "sts"):
        services.trouble[name] = lambda: (500, b"<html>no</html>")
    workers = [Worker(services, kind, wait=False) for kind in KINDS]
    for w in workers:
        w.send(5)
        line = wait_until(lambda: w.lines("no AWS credentials"), 30, f"{w.kind}: a line about it")[0]
        assert line["reason"], line
        assert w.kind != "instance" or "container endpoint: no AWS_CONTAINER_CREDENTIALS_FULL_URI" in line["passed_over"], line
        status, _, body = http_call(w.http_port, "GET", "/readyz")
        assert status == 503 and b"no AWS credentials" in body, (status, body)
    assert not services.used, "nobody asked SQS without"
    services.trouble.clear()
    for w in workers:
        w.over()
        assert http_call(w.http_port, "GET", "/readyz")[0] == 200, w.kind
        assert len(w.lines("no AWS credentials")) == 1, f"{w.kind}: said once"
        metrics = w.daemon.metrics()
        assert metrics['sluice_aws_credentials_failures_total{role="own"}'] >= 1
        assert metrics['sluice_aws_credentials_expiry_timestamp_seconds{role="own"}'] > time.time()
        w.stop()


def test_renewal_that_fails_and_is_slow():
    """Keys for sixteen seconds, renewed four before their end: it fails twice, and then takes its time. Those that hold are used meanwhile, and the
    calls of the target do not wait."""
    start_server(*KINDS)
    services = AwsServices()
    services.life = 16
    workers = [Worker(services, kind) for kind in KINDS]
    for w in workers:
        w.send(3)
    for w in workers:
        w.over()
    asked, slow, meanwhile = {}, [], set()

    def trouble(name, seconds):
        def of():
            asked[name] = asked.get(name, 0) + 1
            if asked[name] <= 2:
                return 503, b""
            slow.append(name)
            time.sleep(seconds)  # the service's own slowness
            slow.remove(name)
            return None
        return of
    for name, seconds in (("container", 1.5), ("instance", 0.6), ("sts", 3), ("sso", 3)):
        services.trouble[name] = trouble(name, seconds)

    def replaced():
        for w in workers:
            w.send()
            before = list(slow)
            assert http_call(w.http_port, "GET", "/healthz")[0] == 200
            meanwhile.update({SERVICES[w.kind]} & set(before) & set(slow))
        time.sleep(0.2)  # the load
        return meanwhile == set(SERVICES.values()) and all(len(used(services, w)) >= 2 for w in workers)
    wait_until(replaced, 90, lambda: f"replaced, and the loop went on: {meanwhile}, {[(w.kind, used(services, w)) for w in workers]}")
    for w in workers:
        w.over()
        w.stop()
    assert not services.refused, services.refused[:3]
    assert len(asked) == 4 and all(n > 2 for n in asked.values()), asked


def test_keys_that_aws_takes_back():
    """Those in use are refused from one moment to the next: others are fetched at once, and nobody notices."""
    start_server(*KINDS)
    services = AwsServices()
    workers = [Worker(services, kind) for kind in KINDS]
    for _ in range(3):
        for w in workers:
            w.send(5)
        for w in workers:
            w.over()
        services.revoked |= {k.id for k in services.keys.values() if k.by != "base"}
    for w in workers:
        w.send(5)
    for w in workers:
        w.over()
        assert not w.lines("receive failed") and not w.lines("settle failed"), w.daemon.text()[-600:]
        assert len(used(services, w)) >= 3, f"{w.kind}: {used(services, w)}"
        w.stop()
    assert {c for c, _ in services.refused} == {"ExpiredTokenException"} and len(services.refused) <= len(KINDS) * 3 * 4, services.refused


def test_instance_metadata_that_has_nothing_newer():
    """It gives the old keys again, beyond their end, and then fails: they are used as long as AWS takes them, and it is not asked all the time."""
    start_server("instance")
    services = AwsServices()
    services.life, services.lenient, asked = 3, True, []

    def again():
        """The first fetch is three requests, as any; then the same keys, then nothing at all."""
        asked.append(1)
        keys = services.of("instance")
        if not keys or len(asked) in (4, 5):
            return None
        return services.json_keys(keys[0], Code="Success") if len(asked) == 6 else (500, b"")
    services.trouble["instance"] = again
    w = Worker(services, "instance")
    w.send(5)
    old = wait_until(lambda: services.of("instance"), 20, "keys")[0]
    while time.time() < old.until + 4:
        w.send()
        time.sleep(0.2)  # the load
    w.over()
    assert used(services, w) == {old.number} and len(asked) == 6, (len(asked), used(services, w))
    w.stop()


def test_keys_replaced_in_the_file():
    """Old keys are deactivated at AWS after new ones were written into the credentials file."""
    start_server("file")
    services = AwsServices()
    home = os.path.abspath("home-file")

    def put():
        keys = services.hand_out("file", life=0, token=False)
        write(f"{home}/.aws/credentials", f"[default]\naws_access_key_id = {keys.id}\naws_secret_access_key = {keys.secret}\n")
        return keys
    first = put()
    w = Worker(services, "file", home=home)
    w.send(5)
    w.over()
    put()
    services.revoked.add(first.id)
    w.send(5)
    w.over()
    assert len(used(services, w)) == 2
    w.stop()


def test_login_that_is_renewed():
    """The token of `aws sso login` has ended; its refresh token gets another one, which the file keeps. Without one: who has to do what."""
    start_server("sso")
    services = AwsServices()
    services.refresh_token = "refresh-1"
    services.bearer = set()
    w = Worker(services, "sso", wait=False)
    line = wait_until(lambda: w.lines("no AWS credentials"), 20, "a line about it")[0]
    assert "aws sso login" in line["reason"], line
    w.login(until="2020-01-01T00:00:00Z", refreshToken="refresh-1", clientId="id", clientSecret="hush", registrationExpiresAt="2099-01-01T00:00:00Z")
    w.send(5)
    w.over()
    kept = json.load(open(w.cache()))
    assert kept["accessToken"] in services.bearer and kept["refreshToken"] == services.refresh_token and kept["clientId"] == "id", kept
    assert os.stat(w.cache()).st_mode & 0o777 == 0o600 and "hush" not in w.daemon.text()
    w.stop()


def test_two_accounts():
    """One daemon, two queues: its own account's, and a partner's by a role with an external id."""
    start_server("mine", "theirs", "results")
    services = AwsServices()
    role = f"arn:aws:iam::{PARTNER}:role/queue-reader"
    services.accounts = {"mine": OWN, "results": OWN, "theirs": PARTNER, "theirs-dlq": PARTNER}
    services.external_ids = {role: "between-us"}
    base = services.hand_out("base", OWN, life=0, token=False)
    target = FaultTarget(21000, answers(200))
    settings = {"targets": {"api": {"url": "http://127.0.0.1:21000/", "timeout": "5s"}},
                "routes": {"mine": {"queue": services.url("mine"), "target": "api"},
                           "theirs": {"queue": services.url("theirs", PARTNER), "target": "api", "on_success": {"queue": services.url("results")},
                                      "assume_role": {"arn": role, "external_id": "wrong", "session_name": "acme"}}},
                "log": {"format": "json"}}
    environment = {**CLEAN, "HOME": os.getcwd(), "AWS_ACCESS_KEY_ID": base.id, "AWS_SECRET_ACCESS_KEY": base.secret}
    daemon = Daemon(settings, env=environment, wait=False)
    sent = {q: [sqs(SERVER, "SendMessage", QueueUrl=q, MessageBody='{"fails": 0}')["MessageId"] for _ in range(5)] for q in ("mine", "theirs")}
    line = wait_until(lambda: [x for x in daemon.lines() if x["message"] == "no AWS credentials"], 20, "a line about it")[0]
    assert "AccessDenied" in line["reason"] and role in line["reason"] and "wrong" not in json.dumps(line), line
    wait_until(lambda: target.delivered() == set(sent["mine"]), 20, "its own queue is drained all the same")
    daemon.stop()
    settings["routes"]["theirs"]["assume_role"]["external_id"] = "between-us"
    daemon = Daemon(settings, env=environment)
    wait_until(lambda: target.delivered() == set(sent["mine"] + sent["theirs"]), 30, "both are")

    def empty(queue):
        return sqs(SERVER, "GetQueueAttributes", QueueUrl=queue, AttributeNames=["All"])["Attributes"]["ApproximateNumberOfMessagesNotVisible"] == "0"
    wait_until(lambda: empty("theirs") and empty("mine"), 20, "and deleted")
    assert sqs(SERVER, "GetQueueAttributes", QueueUrl="results", AttributeNames=["All"])["Attributes"]["ApproximateNumberOfMessages"] == "5"
    assert {services.keys[k].account for k in services.used["theirs"]} == {PARTNER}
    assert {services.keys[k].account for k in services.used["results"]} == {OWN}
    asked = [a for s, a in services.asked if s == "sts"][-1]
    assert (asked["RoleArn"], asked["ExternalId"], asked["RoleSessionName"]) == (role, "between-us", "acme"), asked
    assert not [r for r in services.refused if r[0] == "AccessDeniedException"], services.refused
    assert daemon.stop() == 0, daemon.text()[-600:]
    assert "between-us" not in daemon.text() + show("data.json")


def test_clocks_that_disagree():
    """AWS's clock is ten minutes ahead of ours from the start, then ten behind: each is noticed by one refusal at most a call, and corrected."""
    start_server("role")
    services = AwsServices()
    services.ahead = 600
    w = Worker(services, "role")
    told = "the clock of this machine is not that of AWS: requests are signed with theirs"
    for ahead, times in ((600, 1), (-600, 2)):
        services.ahead = ahead
        for _ in range(5):
            w.send(3)
            w.over()
        said = wait_until(lambda: len(w.lines(told)) == times and w.lines(told), 10, "it is said")
        assert abs(said[-1]["ahead_seconds"] + ahead) < 5, said
    assert len(services.refused) <= 12 and {c for c, _ in services.refused} == {"InvalidSignatureException"}, services.refused
    assert not w.lines("receive failed") and not w.lines("settle failed"), "nobody noticed"
    w.stop()


class ConnectProxy(threading.Thread):
    """An HTTP proxy: tunnels to wherever it is asked to, and asks for a password."""

    def __init__(self, port=3128):
        super().__init__(daemon=True)
        self.asked, self.listener = [], socket.create_server(("127.0.0.1", port))
        self.start()

    def run(self):
        while True:
            threading.Thread(target=self.serve, args=(self.listener.accept()[0],), daemon=True).start()

    def serve(self, one):
        head = b""
        while b"\r\n\r\n" not in head:
            head += one.recv(4096)
        where = head.split()[1].decode()
        self.asked.append((head.split()[0].decode(), where, b"Basic dXNlcjpwYXNz" in head))
        if not self.asked[-1][2]:
            one.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return
        other = socket.create_connection(where.split(":"))
        one.sendall(b"HTTP/1.1 200 Connection established\r\nX-Proxy: yes\r\n\r\n")
        threading.Thread(target=self.carry, args=(other, one), daemon=True).start()
        self.carry(one, other)

    @staticmethod
    def carry(one, other):
        try:
            while data := one.recv(65536):
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def test_proxy_and_own_certificates():
    """SQS over TLS with a certificate of a company's own, through a proxy, by the configuration and by the variables. The target is never
    called through it."""
    cert, key = certificate("company")
    server = Daemon({"sqs_api": {"listen": [f"127.0.0.1:{SERVER}"], "region": "eu-west-1", "access_keys": [{"id": "AKID", "secret": "hush/1"}],
                                 "tls": {"cert_file": str(cert), "key_file": str(key)}},
                     "http": {"listen": ["127.0.0.1:9425"]}, "queues": {"variables": {}, "settings": {}}, "log": {"format": "json"}},
                    data_dir="server", sqs_port=SERVER, http_port=9425)
    target, proxy = FaultTarget(21000, answers(200)), ConnectProxy()
    keys = {**CLEAN, "AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "hush/1"}
    settings = {"targets": {"api": {"url": "http://127.0.0.1:21000/", "timeout": "5s"}},
                "log": {"format": "json"}}
    by_variables = {"AWS_CA_BUNDLE": str(cert), "https_proxy": "http://user:pass@127.0.0.1:3128", "http_proxy": "http://127.0.0.1:1"}
    by_settings = {"ca_file": str(cert), "proxy": "http://user:pass@127.0.0.1:3128"}
    sent = 0
    for queue, environment, aws in (("variables", by_variables, {}), ("settings", {}, by_settings)):
        settings["routes"] = {"r": {"queue": f"https://localhost:{SERVER}/000000000000/{queue}", "target": "api"}}
        import boto3
        boto = boto3.client("sqs", endpoint_url=f"https://localhost:{SERVER}", region_name="eu-west-1", aws_access_key_id="AKID",
                            aws_secret_access_key="hush/1", verify=str(cert))
        boto.send_message_batch(QueueUrl=queue, Entries=[{"Id": str(i), "MessageBody": '{"fails": 0}'} for i in range(5)])
        sent += 5
        before = len(proxy.asked)
        daemon = Daemon({**settings, "aws": aws}, env={**keys, **environment})
        wait_until(lambda: len(target.delivered()) == sent, 20, "delivered through the proxy")
        assert proxy.asked[before:] and {a for a in proxy.asked} == {("CONNECT", f"localhost:{SERVER}", True)}, proxy.asked
        daemon.kill()  # a drain would wait for the long poll
        assert "pass" not in daemon.text().replace("passed", "") + show("data.json"), "the proxy's password"
    daemon = Daemon({**settings, "aws": {"ca_file": str(certificate("other")[0])}}, env=keys)
    line = wait_until(lambda: [x for x in daemon.lines() if x["message"] == "receive failed"], 20, "a line about it")[0]
    assert line["error"] == "TLS", line
    daemon.kill()
    assert server.stop() == 0


def test_region_of_the_instance():
    """A queue URL that is not of AWS, and nobody says which region: the instance does, and credentials come from it, too."""
    start_server("instance")
    services = AwsServices()
    w = Worker(services, "instance", AWS_REGION="", AWS_DEFAULT_REGION="")
    w.send(5)
    w.over()
    w.stop()
    services.trouble["instance"] = lambda: (404, b"")
    w = Worker(services, "instance", wait=False, AWS_REGION="", AWS_DEFAULT_REGION="")
    wait_until(lambda: w.daemon.process.poll() == 3, 20, "refused")
    assert "no region: set aws.region" in w.daemon.text(), w.daemon.text()


def show(config):
    return subprocess.run([BUILD / "sluice", "config", "show", "--config", config], capture_output=True, text=True, check=True, timeout=20).stdout


for test in (test_rotation_under_load, test_sources_that_fail_at_the_start, test_renewal_that_fails_and_is_slow, test_keys_that_aws_takes_back):
    test.weight = 40
