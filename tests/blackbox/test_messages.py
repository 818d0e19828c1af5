"""What is in a message reaches the API: a megabyte, attributes of every kind, the trace, what SNS put into an envelope; and what is only a pointer
to S3 does not. From the embedded queue and from a queue of SQS alike."""
import base64
import http.server
import json
import re
import socketserver
import threading

from support import Daemon, md5, sqs, wait_until

SERVER = 9424
ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}
ROOT = "1-4bf92f35-77b34da6a3ce929d0e0e4736"
HEADERS = {"X-Customer": "attribute:customer", "X-Sent": "system:SentTimestamp", "X-Order": "body:/order/id", "X-Attr-*": "attribute:*"}


class Api:
    """Keeps what it gets."""

    def __init__(self, port):
        self.got, api = [], self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                api.got.append((self.headers, body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads = True
        self.server = Server(("127.0.0.1", port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def of(self, message_id):
        return wait_until(lambda: [g for g in self.got if g[0]["Sluice-Message-Id"] == message_id], 20, "a call")[0]


class World:
    """One API, and the same queue on both sides: embedded in the daemon, and of the server that is SQS."""

    def __init__(self, **route):
        self.api = Api(21000)
        queues = {"jobs": {"dead_letter": "jobs-dlq", "max_receives": 5}}
        self.server = Daemon({"sqs_api": {"listen": [f"127.0.0.1:{SERVER}"]}, "http": {"listen": ["127.0.0.1:9425"]}, "queues": queues,
                              "log": {"format": "json"}}, data_dir="server", sqs_port=SERVER, http_port=9425)
        self.daemon = Daemon({"queues": queues,
                              "targets": {"api": {"url": "http://127.0.0.1:21000/", "message_headers": HEADERS}},
                              "routes": {"near": {"queue": "jobs", "target": "api", **route},
                                         "far": {"queue": f"http://127.0.0.1:{SERVER}/000000000000/jobs", "target": "api", **route}},
                              "log": {"format": "json"}}, env=ENVIRONMENT)

    def sides(self):
        import boto3
        for port in (9324, SERVER):
            client = boto3.client("sqs", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1", aws_access_key_id="AKID",
                                  aws_secret_access_key="secret")
            yield port, lambda body, client=client, **more: client.send_message(QueueUrl="jobs", MessageBody=body, **more)["MessageId"]

    def done(self):
        for port in (9324, SERVER):
            def empty(port=port):
                a = sqs(port, "GetQueueAttributes", QueueUrl="jobs", AttributeNames=["All"])["Attributes"]
                return a["ApproximateNumberOfMessages"] == a["ApproximateNumberOfMessagesNotVisible"] == "0"
            wait_until(empty, 20, "all is settled")


def text(value, kind="String"):
    return {"DataType": kind, "StringValue": value}


def test_attributes_become_headers():
    world = World()
    for _, send in world.sides():
        binary = bytes(range(256))
        attributes = {"customer": text("Müller & Söhne 5%"), "n": text("1.50", "Number"), "raw": {"DataType": "Binary", "BinaryValue": binary},
                      **{f"a{i}": text("x" * i) for i in range(1, 8)}}
        headers, body = world.api.of(send('{"order": {"id": 42}}', MessageAttributes=attributes))
        assert headers["X-Customer"] == "M%C3%BCller & S%C3%B6hne 5%25" and headers["X-Order"] == "42", headers
        assert re.fullmatch(r"\d{13}", headers["X-Sent"]) and headers["Content-Type"] == "application/json"
        assert base64.b64decode(headers["X-Attr-raw"]) == binary and headers["X-Attr-n"] == "1.50"
        assert [headers[f"X-Attr-a{i}"] for i in range(1, 8)] == ["x" * i for i in range(1, 8)]
        headers, _ = world.api.of(send("no json", MessageAttributes={"other": text("1")}))
        assert "X-Customer" not in headers and "X-Order" not in headers and headers["X-Attr-other"] == "1"
        headers, _ = world.api.of(send("too much", MessageAttributes={"big": text("y" * 20000), "customer": text("c")}))
        assert headers["X-Customer"] == "c" and "X-Attr-big" not in headers
    assert len([x for x in world.daemon.lines() if x["message"].startswith("a message has more than")]) == 2
    world.done()


def test_a_megabyte():
    world = World()
    for _, send in world.sides():
        attributes = {"customer": text("big")}
        size = (1 << 20) - len("customer") - len("String") - len("big")
        body = ("ä€𝄞\t\n" * (size // 11))[:size // 3]
        body += "z" * (size - len(body.encode()))
        headers, got = world.api.of(send(body, MessageAttributes=attributes))
        assert got == body.encode() and len(got) == size and headers["X-Customer"] == "big", (len(got), size)
        assert md5(got.decode()) == md5(body)
    world.done()


def test_traces_go_on():
    world = World()
    for _, send in world.sides():
        header = {"AWSTraceHeader": text(f"Root={ROOT};Parent=00f067aa0ba902b7;Sampled=1")}
        headers, _ = world.api.of(send("a", MessageSystemAttributes=header))
        parts = headers["traceparent"].split("-")
        assert parts[1] == ROOT[2:].replace("-", "") and parts[2] != "00f067aa0ba902b7" and parts[3] == "01", parts
        assert headers["X-Amzn-Trace-Id"] == f"Root={ROOT};Parent={parts[2]};Sampled=1"
        other = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
        headers, _ = world.api.of(send("b", MessageSystemAttributes=header, MessageAttributes={"traceparent": text(other)}))
        assert headers["traceparent"].split("-")[1] == other.split("-")[1] and headers["traceparent"].endswith("-00")
        headers, _ = world.api.of(send("c"))
        assert "X-Amzn-Trace-Id" not in headers and headers["traceparent"]
    world.done()


def envelope(message, **attributes):
    return json.dumps({"Type": "Notification", "MessageId": "sns-1", "TopicArn": "arn:aws:sns:us-east-1:1:orders", "Message": message,
                       "Timestamp": "2026-11-26T10:00:00.000Z", "MessageAttributes": attributes})


def test_envelopes_of_sns():
    world = World(unwrap="sns", idempotency={"key": "body:/order/id"})
    for port, send in world.sides():
        inner = json.dumps({"order": {"id": f"o-{port}"}})
        sent = send(envelope(inner, customer={"Type": "String", "Value": "acme"}, raw={"Type": "Binary", "Value": "AAEC"}))
        headers, body = world.api.of(sent)
        assert body.decode() == inner and headers["X-Customer"] == "acme" and headers["X-Attr-raw"] == "AAEC", headers
        assert headers["X-Attr-SNS.TopicArn"] == "arn:aws:sns:us-east-1:1:orders" and headers["X-Order"] == f"o-{port}"
        assert headers["Idempotency-Key"] == f"o-{port}", "keys see what was published"
        headers, body = world.api.of(send("raw delivery", MessageAttributes={"customer": text("b")}))
        assert body == b"raw delivery" and headers["X-Customer"] == "b"
    world.done()


def test_pointers_to_s3():
    """No call: to the dead-letter queue, which says why. Also out of an envelope."""
    world = World(unwrap="sns")
    for port, send in world.sides():
        where = {"s3BucketName": "big", "s3Key": "k"}
        bodies = []
        for kind, name in (("software.amazon.payloadoffloading.PayloadS3Pointer", "ExtendedPayloadSize"),
                           ("com.amazon.sqs.javamessaging.MessageS3Pointer", "SQSLargePayloadSize")):
            bodies.append(json.dumps([kind, where]))
            send(bodies[-1], MessageAttributes={name: text("300000", "Number")})
            bodies.append(envelope(json.dumps([kind, where]), **{name: {"Type": "Number", "Value": "300000"}}))
            send(bodies[-1])
        dead = []

        def receive(port=port, dead=dead):
            dead.extend(sqs(port, "ReceiveMessage", QueueUrl="jobs-dlq", MaxNumberOfMessages=10, MessageAttributeNames=["All"]).get("Messages", []))
            return len(dead) == 4
        wait_until(receive, 20, "four dead letters")
        assert sorted(m["Body"] for m in dead) == sorted(bodies), "as they were sent"
        assert {m["MessageAttributes"]["Sluice-Reason"]["StringValue"] for m in dead} == {"s3_pointer"}
        # One who writes about pointers is called.
        world.api.of(send(json.dumps(["software.amazon.payloadoffloading.PayloadS3Pointer", where])))
    assert len(world.api.got) == 2
    for route in ("near", "far"):
        wait_until(lambda: world.daemon.metric(f'sluice_dead_letters_total{{route="{route}",reason="s3_pointer"}}') == 4, 10, "counted")
    assert [x for x in world.daemon.lines() if x.get("give_up") == "s3_pointer" and x["calls"] == 0]
    world.done()
