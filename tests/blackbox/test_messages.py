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
FAR = f"http://127.0.0.1:{SERVER}/000000000000/"
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

    def __init__(self, target=None, queue="jobs", far=None, **route):
        self.api, self.queue = Api(21000), queue
        queues = {"jobs": {"dead_letter": "jobs-dlq", "max_receives": 5}, "jobs.fifo": {}, "done": {}}
        self.server = Daemon({"sqs_api": {"listen": [f"127.0.0.1:{SERVER}"]}, "http": {"listen": ["127.0.0.1:9425"]}, "queues": queues,
                              "log": {"format": "json"}}, data_dir="server", sqs_port=SERVER, http_port=9425)
        self.daemon = Daemon({"queues": queues,
                              "targets": {"api": {"url": "http://127.0.0.1:21000/", "message_headers": HEADERS, **(target or {})}},
                              "routes": {"near": {"queue": queue, "target": "api", **route},
                                         "far": {"queue": FAR + queue, "target": "api", **route, **(far or {})}},
                              "log": {"format": "json"}}, env=ENVIRONMENT)

    def sides(self):
        import boto3
        for port in (9324, SERVER):
            client = boto3.client("sqs", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1", aws_access_key_id="AKID",
                                  aws_secret_access_key="secret")
            yield port, lambda body, client=client, **more: client.send_message(QueueUrl=self.queue, MessageBody=body, **more)["MessageId"]

    def done(self):
        for port in (9324, SERVER):
            def empty(port=port):
                a = sqs(port, "GetQueueAttributes", QueueUrl=self.queue, AttributeNames=["All"])["Attributes"]
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


def test_senders_name_no_header_of_others():
    """What is configured stays as it is, and a name that no header can have harms nobody."""
    world = World({"headers": {"X-Key": "fixed"}, "message_headers": {"X-*": "attribute:*", "X-Tenant": "attribute:tenant"}}, unwrap="sns")
    for _, send in world.sides():
        evil = {"Key": text("evil"), "Tenant": text("evil"), "a": text("1"), "A": text("2"), "Amzn-Trace-Id": text("evil")}
        trace = {"AWSTraceHeader": text(f"Root={ROOT}")}
        headers, _ = world.api.of(send("1", MessageAttributes=evil, MessageSystemAttributes=trace))
        assert headers.get_all("X-Key") == ["fixed"] and "X-Tenant" not in headers and len(headers.get_all("X-A")) == 1, headers
        assert len(headers.get_all("X-Amzn-Trace-Id")) == 1 and headers["X-Amzn-Trace-Id"].startswith(f"Root={ROOT};"), headers
        odd = {name: {"Type": "String", "Value": "1"} for name in ("a b", "c\r\nEvil: 1", "d:", "", "é", "fine")}
        headers, body = world.api.of(send(envelope("2", **odd)))
        assert body == b"2" and headers["X-fine"] == "1" and "Evil" not in headers, headers
        assert [k for k in headers.keys() if k.startswith("X-")] == ["X-Key", "X-fine", "X-SNS.TopicArn", "X-SNS.MessageId"], headers
        big = {"a-big": text("y" * 20000), "small": text("s")}
        headers, _ = world.api.of(send("3", MessageAttributes=big))
        assert headers["X-small"] == "s" and "X-a-big" not in headers, headers
    world.done()


def test_content_type():
    """Of a message, or of the target: one, and not guessed."""
    world = World({"message_headers": {"Content-Type": "attribute:contentType"}})
    for _, send in world.sides():
        headers, _ = world.api.of(send("<a/>", MessageAttributes={"contentType": text("application/xml")}))
        assert headers.get_all("Content-Type") == ["application/xml"], headers
        headers, _ = world.api.of(send("{}"))
        assert headers.get_all("Content-Type") == ["application/json"], headers
    world.done()


def test_content_type_of_the_target():
    world = World({"headers": {"content-type": "application/vnd.api+json"}})
    for _, send in world.sides():
        headers, _ = world.api.of(send("{}"))
        assert headers.get_all("Content-Type") == ["application/vnd.api+json"], headers
    world.done()


def test_system_attributes():
    """The same names on both sides, with what a receiver of the queue would read."""
    names = ["SentTimestamp", "ApproximateReceiveCount", "ApproximateFirstReceiveTimestamp", "MessageGroupId", "MessageDeduplicationId",
             "SequenceNumber", "SenderId", "AWSTraceHeader", "DeadLetterQueueSourceArn"]
    world = World({"message_headers": {f"X-{n}": f"system:{n}" for n in names}}, queue="jobs.fifo")
    for _, send in world.sides():
        trace = f"Root={ROOT};Sampled=0"
        headers, _ = world.api.of(send("a", MessageGroupId="g", MessageDeduplicationId="d", MessageSystemAttributes={"AWSTraceHeader": text(trace)}))
        assert [headers[f"X-{n}"] for n in names[3:5]] == ["g", "d"] and headers["X-ApproximateReceiveCount"] == "1", headers
        assert re.fullmatch(r"\d{20}", headers["X-SequenceNumber"]) and headers["X-AWSTraceHeader"] == trace, headers
        assert int(headers["X-ApproximateFirstReceiveTimestamp"]) >= int(headers["X-SentTimestamp"]), headers
        assert headers["X-SenderId"] == "000000000000" and "X-DeadLetterQueueSourceArn" not in headers, headers
    world.done()


def test_system_attributes_of_a_redriven_message():
    world = World({"message_headers": {"X-Source": "system:DeadLetterQueueSourceArn", "X-Sequence": "system:SequenceNumber"}}, queue="jobs-dlq")
    for port, _ in world.sides():
        sqs(port, "CreateQueue", QueueName="other", Attributes={"VisibilityTimeout": "0", "RedrivePolicy": json.dumps(
            {"deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:jobs-dlq", "maxReceiveCount": 1})})
        sent = sqs(port, "SendMessage", QueueUrl="other", MessageBody="a")["MessageId"]
        wait_until(lambda port=port: not sqs(port, "ReceiveMessage", QueueUrl="other").get("Messages"), 10, "it is moved")
        headers, _ = world.api.of(sent)
        assert headers["X-Source"] == "arn:aws:sqs:us-east-1:000000000000:other" and "X-Sequence" not in headers, headers
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
        parts = headers["traceparent"].split("-")
        assert headers["X-Amzn-Trace-Id"] == f"Root={ROOT};Parent={parts[2]};Sampled=1", "the trace of X-Ray stays its own"
        wrong = {"AWSTraceHeader": text("Root=1-5;Parent=x")}
        for more in ({}, {"MessageSystemAttributes": wrong}, {"MessageSystemAttributes": wrong, "MessageAttributes": {"traceparent": text(other)}}):
            headers, _ = world.api.of(send("c", **more))
            assert "X-Amzn-Trace-Id" not in headers and headers["traceparent"]
    world.done()


def test_traces_go_on_to_destinations():
    """Also of a message that is given up. One that had no AWSTraceHeader gets none."""
    world = World(on_success={"queue": "done"}, far={"on_success": {"queue": FAR + "done"}})
    header = f"Root={ROOT};Parent=00f067aa0ba902b7;Sampled=1"
    for port, send in world.sides():
        sent = [send("a", MessageSystemAttributes={"AWSTraceHeader": text(header)}), send("b")]
        got = {}

        def receive(port=port, got=got):
            for m in sqs(port, "ReceiveMessage", QueueUrl="done", MaxNumberOfMessages=10, AttributeNames=["All"]).get("Messages", []):
                got[json.loads(m["Body"])["requestContext"]["requestId"]] = m["Attributes"].get("AWSTraceHeader")
            return len(got) == 2
        wait_until(receive, 20, "two records")
        assert got == {sent[0]: header, sent[1]: None}, got
        pointer = json.dumps(["software.amazon.payloadoffloading.PayloadS3Pointer", {"s3BucketName": "b", "s3Key": "k"}])
        send(pointer, MessageAttributes={"ExtendedPayloadSize": text("1", "Number")}, MessageSystemAttributes={"AWSTraceHeader": text(header)})
        dead, = wait_until(lambda port=port: sqs(port, "ReceiveMessage", QueueUrl="jobs-dlq", AttributeNames=["All"]).get("Messages"), 20, "it is dead")
        assert dead["Attributes"]["AWSTraceHeader"] == header and dead["Body"] == pointer
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
        trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
        headers, _ = world.api.of(send(envelope("traced", traceparent={"Type": "String", "Value": trace})))
        assert headers["traceparent"].startswith(trace[:36]) and headers["traceparent"].endswith("-00"), headers
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
