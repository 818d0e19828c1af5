"""The services of AWS that hand out credentials, scripted, and an SQS that believes only them: every request's signature is computed again by
botocore, with the keys that were handed out and have not ended; then it is passed on to a sluice that is the server.

    services = AwsServices()                      # everything on 127.0.0.1:9600
    services.life = 8                             # seconds that keys are good for
    services.trouble["sts"] = lambda: (500, b"")  # instead of its answer; None: its answer
"""
import collections
import datetime
import http.client
import http.server
import itertools
import json
import pathlib
import re
import socketserver
import threading
import time
import urllib.parse

import botocore.auth
import botocore.awsrequest
import botocore.credentials

PORT, SERVER = 9600, 9424
OWN, PARTNER = "111111111111", "222222222222"
Keys = collections.namedtuple("Keys", "id secret token until account by number")


def stamp(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class Refused(Exception):
    def __init__(self, code, text="no"):
        super().__init__(f"{code}: {text}")
        self.code, self.text = code, text


def signature_of(headers, body, keys, url="http://127.0.0.1/"):
    """What botocore signs this request with, of the headers that the request itself names."""
    parts = dict(p.strip().split("=", 1) for p in headers["Authorization"].split(" ", 1)[1].split(","))
    _, _, region, service, _ = parts["Credential"].split("/")
    request = botocore.awsrequest.AWSRequest("POST", url, data=body, headers={h: headers[h] for h in parts["SignedHeaders"].split(";")})
    request.context["timestamp"] = headers["X-Amz-Date"]
    auth = botocore.auth.SigV4Auth(botocore.credentials.Credentials(keys.id, keys.secret, keys.token), service, region)
    return auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request), parts["Signature"]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def date_time_string(self, timestamp=None):
        return super().date_time_string(self.server.services.now())

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def answer(self):
        status, content = self.server.services.answer(self.command, self.path, self.headers, self.body())
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        except OSError:
            self.close_connection = True

    do_GET = do_PUT = do_POST = answer

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads, allow_reuse_address, request_queue_size = True, True, 256

    def handle_error(self, *_):
        pass


class AwsServices:
    def __init__(self, port=PORT):
        self.lock, self.numbers = threading.Lock(), itertools.count(1)
        self.ahead = 0  # of this machine's clock, in seconds
        self.lenient = False  # keys are taken beyond their end
        self.keys, self.life, self.trouble, self.revoked = {}, 3600, {}, set()
        self.asked = []    # (service, parameters)
        self.refused = []  # (code, access key id)
        self.used = collections.defaultdict(collections.Counter)  # queue → access key id → requests
        self.accounts, self.external_ids = {}, {}  # queue → account, role → external id
        self.bearer, self.refresh_token, self.jwt = {"login-1"}, None, "jwt"
        self.server = Server(("127.0.0.1", port), Handler)
        self.server.services = self
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, queue, account=OWN):
        return f"http://127.0.0.1:{PORT}/{account}/{queue}"

    def now(self):
        return time.time() + self.ahead

    # ---- keys ----

    def hand_out(self, by, account=OWN, life=None, token=True):
        with self.lock:
            n = next(self.numbers)
            keys = Keys(f"AKID{by.upper()}{n}", f"secret/{n}+x", f"token=={n}" if token else None,
                        None if life == 0 else self.now() + (life or self.life), account, by, n)
            self.keys[keys.id] = keys
            return keys

    def of(self, by):
        return [k for k in self.keys.values() if k.by == by]

    def check(self, headers, body):
        """The keys of a request, or Refused."""
        match = re.match(r"AWS4-HMAC-SHA256 Credential=([^/]+)/", headers.get("Authorization", ""))
        if not match:
            raise Refused("MissingAuthenticationToken")
        keys = self.keys.get(match.group(1))
        if keys is None or keys.token != headers.get("X-Amz-Security-Token"):
            raise Refused("UnrecognizedClientException")
        if keys.id in self.revoked or not self.lenient and keys.until is not None and self.now() >= keys.until:
            raise Refused("ExpiredTokenException")
        stamp_at = datetime.datetime.strptime(headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc).timestamp()
        if abs(stamp_at - self.now()) > 300:
            raise Refused("InvalidSignatureException", "Signature expired: it is now another time")
        expected, found = signature_of(headers, body, keys)
        if expected != found:
            raise Refused("SignatureDoesNotMatch")
        return keys

    # ---- answers ----

    def answer(self, method, path, headers, body):
        if "X-Amz-Target" in headers:
            return self.sqs(headers, body)
        for pattern, name in (("/creds", "container"), ("/latest/", "instance"), ("/federation/", "sso"), ("/token", "oidc"), ("/", "sts")):
            if path.startswith(pattern):
                break
        with self.lock:
            trouble = self.trouble.get(name)
        instead = trouble() if trouble else None
        return instead if instead else getattr(self, name)(method, path, headers, body)

    def json_keys(self, keys, **more):
        return 200, {"AccessKeyId": keys.id, "SecretAccessKey": keys.secret, "Token": keys.token, "Expiration": stamp(keys.until), **more}

    def container(self, method, path, headers, body):
        self.asked.append(("container", headers.get("Authorization")))
        return self.json_keys(self.hand_out("container"))

    def instance(self, method, path, headers, body):
        if method == "PUT":
            return 200, b"imds-session"
        if headers.get("X-aws-ec2-metadata-token") != "imds-session":
            return 401, b""
        if path.endswith("/placement/region"):
            return 200, b"eu-north-1"
        if path.endswith("/security-credentials/"):
            return 200, b"my-role"
        self.asked.append(("instance", path.rsplit("/", 1)[1]))
        return self.json_keys(self.hand_out("instance"), Code="Success", Type="AWS-HMAC")

    def sso(self, method, path, headers, body):
        if headers.get("x-amz-sso_bearer_token") not in self.bearer:
            return 401, {"message": "Session token not found or invalid"}
        self.asked.append(("sso", dict(urllib.parse.parse_qsl(path.split("?")[1]))))
        keys = self.hand_out("sso")
        return 200, {"roleCredentials": {"accessKeyId": keys.id, "secretAccessKey": keys.secret, "sessionToken": keys.token,
                                         "expiration": int(keys.until) * 1000}}

    def oidc(self, method, path, headers, body):
        asked = json.loads(body)
        self.asked.append(("oidc", asked))
        if asked["refreshToken"] != self.refresh_token:
            return 400, {"error": "invalid_grant"}
        with self.lock:
            login = f"login-{next(self.numbers)}"
        self.bearer, self.refresh_token = {login}, f"refresh-of-{login}"
        return 200, {"accessToken": login, "expiresIn": 3600, "refreshToken": self.refresh_token, "tokenType": "Bearer"}

    def sts(self, method, path, headers, body):
        asked = dict(urllib.parse.parse_qsl(body.decode()))
        self.asked.append(("sts", asked))
        try:
            if asked["Action"] == "AssumeRole":
                self.check(headers, body)
            elif asked["WebIdentityToken"] != self.jwt:
                raise Refused("InvalidIdentityToken", "the token is not ours")
            wanted = self.external_ids.get(asked["RoleArn"])
            if wanted and asked.get("ExternalId") != wanted:
                raise Refused("AccessDenied", f"not authorized to perform sts:AssumeRole on {asked['RoleArn']}")
        except Refused as e:
            return 403, (f'<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>{e.code}</Code>'
                         f'<Message>{e.text}</Message></Error><RequestId>1</RequestId></ErrorResponse>').encode()
        keys = self.hand_out("web" if "WebIdentityToken" in asked else "role", asked["RoleArn"].split(":")[4])
        action = asked["Action"]
        return 200, (f'<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/">\n<{action}Result><Credentials>\n'
                     f'<AccessKeyId>{keys.id}</AccessKeyId><SecretAccessKey>{keys.secret}</SecretAccessKey>\n'
                     f'<SessionToken>{keys.token}</SessionToken><Expiration>{stamp(keys.until)}</Expiration></Credentials>'
                     f'</{action}Result><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></{action}Response>').encode()

    def sqs(self, headers, body):
        asked = json.loads(body)
        queue = asked.get("QueueUrl", "").rsplit("/", 1)[-1]
        try:
            keys = self.check(headers, body)
            if self.accounts.get(queue, keys.account) != keys.account:
                raise Refused("AccessDeniedException", "the queue is of another account")
        except Refused as e:
            with self.lock:
                self.refused.append((e.code, headers.get("Authorization", "")[:60]))
            return 403, {"__type": f"com.amazon.coral.service#{e.code}", "message": e.text}
        with self.lock:
            self.used[queue][keys.id] += 1
        if "WaitTimeSeconds" in asked:
            asked["WaitTimeSeconds"] = min(asked["WaitTimeSeconds"], 1)
        asked["QueueUrl"] = queue
        connection = http.client.HTTPConnection("127.0.0.1", SERVER, timeout=60)
        connection.request("POST", "/", json.dumps(asked), {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": headers["X-Amz-Target"]})
        response = connection.getresponse()
        status, data = response.status, response.read()
        connection.close()
        return status, data


def write(path, text, mode=0o600):
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    new = pathlib.Path(str(path) + ".new")
    new.write_text(text)
    new.chmod(mode)
    new.replace(path)
