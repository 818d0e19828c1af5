"""Who may use the SQS API and how: keys with rights, regions, TLS, and looking at messages."""
import json
import os
import pathlib
import re
import subprocess
import urllib.parse

import boto3
import botocore.exceptions
from botocore.config import Config

from support import BUILD, SOURCE, Daemon, http_call, sqs

NO_RETRY = Config(retries={"max_attempts": 0})


def client(url="http://127.0.0.1:9324", key="test", secret="test", region="us-east-1", **more):
    return boto3.client("sqs", endpoint_url=url, aws_access_key_id=key, aws_secret_access_key=secret,
                        region_name=region, config=NO_RETRY, **more)


def refused(call, *args, **kwargs):
    """(code, message, status) of the error that the call must end with."""
    try:
        call(*args, **kwargs)
    except botocore.exceptions.ClientError as error:
        return (error.response["Error"]["Code"], error.response["Error"]["Message"],
                error.response["ResponseMetadata"]["HTTPStatusCode"])
    raise AssertionError(f"{call} was served")


def test_keys_have_rights():
    daemon = Daemon({"queues": {"jobs": {}, "jobs-eu": {}, "other": {}}, "sqs_api": {"access_keys": [
        {"id": "ADMIN", "secret": "all of it"},
        {"id": "SENDER", "secret": "only sends", "actions": ["SendMessage", "Get*"], "queues": ["jobs*"]}]}})
    admin, sender = client(key="ADMIN", secret="all of it"), client(key="SENDER", secret="only sends")
    url = sender.get_queue_url(QueueName="jobs-eu")["QueueUrl"]
    sender.send_message(QueueUrl=url, MessageBody="one")
    assert not sender.send_message_batch(QueueUrl=url, Entries=[{"Id": "1", "MessageBody": "two"}]).get("Failed")
    code, message, status = refused(sender.receive_message, QueueUrl=url)
    assert (code, status) == ("AccessDenied", 403)
    assert message.startswith("User: arn:aws:iam::000000000000:user/SENDER is not authorized to perform: "
                              "sqs:ReceiveMessage on resource: arn:aws:sqs:us-east-1:000000000000:jobs-eu "), message
    other = admin.get_queue_url(QueueName="other")["QueueUrl"]
    for call in (lambda: sender.send_message(QueueUrl=other, MessageBody="x"), lambda: sender.purge_queue(QueueUrl=url),
                 lambda: sender.get_queue_attributes(QueueUrl=other, AttributeNames=["All"]),
                 lambda: sender.create_queue(QueueName="jobs-2"), sender.list_queues):
        assert refused(call)[0] == "AccessDenied"
    assert refused(client(key="SENDER", secret="guessed").list_queues)[0] == "SignatureDoesNotMatch"
    assert refused(client(key="NOBODY").list_queues)[0] == "InvalidClientTokenId"
    assert refused(client(key="ADMIN", secret="all of it", region="eu-west-1").list_queues)[0] == "SignatureDoesNotMatch"
    token = boto3.client("sqs", endpoint_url="http://127.0.0.1:9324", aws_access_key_id="ADMIN",
                         aws_secret_access_key="all of it", aws_session_token="FwoGZXIvYXdz", region_name="us-east-1",
                         config=NO_RETRY)
    assert "no session tokens" in refused(token.list_queues)[1]
    assert len(admin.list_queues()["QueueUrls"]) == 3
    assert len(admin.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]) == 2
    assert daemon.stop() == 0


def test_regions_are_one_namespace():
    daemon = Daemon({"queues": {"jobs": {"dead_letter": "dead"}}})
    for region in ("us-east-1", "eu-central-1"):
        here = client(region=region)
        url = here.get_queue_url(QueueName="jobs")["QueueUrl"]
        shown = here.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        assert shown["QueueArn"] == f"arn:aws:sqs:{region}:000000000000:jobs"
        policy = json.loads(shown["RedrivePolicy"])
        assert policy["deadLetterTargetArn"] == f"arn:aws:sqs:{region}:000000000000:dead"
        here.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": shown["RedrivePolicy"]})
    code, message, _ = refused(client(region="us-east-1").set_queue_attributes, QueueUrl=url,
                               Attributes={"RedrivePolicy": json.dumps(policy)})
    assert code == "InvalidParameterValue" and "same account and region" in message
    assert daemon.stop() == 0


def peek(daemon, queue, headers=None, **parameters):
    query = urllib.parse.urlencode(dict(parameters, QueueUrl=f"http://localhost:9324/000000000000/{queue}"))
    return http_call(daemon.sqs_port, "GET", f"/_aws/sqs/messages?{query}", headers=headers)


def test_peek():
    daemon = Daemon({"queues": {"jobs": {}}})
    as_json = {"Accept": "application/json"}

    def bodies(**parameters):
        status, headers, body = peek(daemon, "jobs", as_json, **parameters)
        assert status == 200 and headers["Content-Type"] == "application/json"
        result = json.loads(body)["ReceiveMessageResponse"]["ReceiveMessageResult"]
        found = (result or {}).get("Message", [])
        return [m["Body"] for m in (found if isinstance(found, list) else [found])]

    assert bodies() == []
    for i in range(25):
        sqs(9324, "SendMessage", QueueUrl="jobs", MessageBody=f"job {i}",
            MessageAttributes={"n": {"DataType": "Number", "StringValue": str(i)}})
    sqs(9324, "SendMessage", QueueUrl="jobs", MessageBody="later", DelaySeconds=900)
    assert len(sqs(9324, "ReceiveMessage", QueueUrl="jobs", MaxNumberOfMessages=5)["Messages"]) == 5
    before = sqs(9324, "GetQueueAttributes", QueueUrl="jobs", AttributeNames=["All"])
    assert bodies() == [f"job {i}" for i in range(5, 25)]
    assert bodies(Limit=3) == ["job 5", "job 6", "job 7"]
    assert bodies(ShowInvisible="true", ShowDelayed="true") == [f"job {i}" for i in range(25)] + ["later"]
    assert sqs(9324, "GetQueueAttributes", QueueUrl="jobs", AttributeNames=["All"]) == before
    status, headers, body = peek(daemon, "jobs", Limit=1, ShowInvisible=1)
    assert status == 200 and headers["Content-Type"] == "text/xml"
    assert b"<Attribute><Name>IsVisible</Name><Value>false</Value></Attribute>" in body
    assert b"<MessageAttribute><Name>n</Name><Value>" in body
    status, _, body = http_call(9324, "GET", "/_aws/sqs/messages/eu-west-1/000000000000/jobs", headers=as_json)
    assert status == 200 and b'"job 24"' in body
    assert peek(daemon, "nosuch")[0] == 400
    # The SDK of this machine, with that address as its endpoint.
    looking = client("http://127.0.0.1:9324/_aws/sqs/messages")
    assert len(looking.receive_message(QueueUrl="http://127.0.0.1:9324/000000000000/jobs")["Messages"]) == 20
    assert refused(looking.purge_queue, QueueUrl="jobs")[2] == 400
    # A backlog much longer than an answer: still answered, still the oldest.
    for first in range(0, 3000, 10):
        sqs(9324, "SendMessageBatch", QueueUrl="jobs",
            Entries=[{"Id": str(i), "MessageBody": f"more {first + i}"} for i in range(10)])
    assert len(bodies()) == 1000
    assert daemon.metric('sluice_sqs_requests_total{action="peek",code="OK"}') >= 8
    assert daemon.stop() == 0


def certificate(name, *more):
    """(certificate, key): self-signed for localhost and 127.0.0.1, by the openssl of this machine."""
    cert, key = pathlib.Path(f"{name}.pem").resolve(), pathlib.Path(f"{name}-key.pem").resolve()
    subprocess.run(["/usr/bin/openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                    "-keyout", key, "-out", cert, *more], check=True, stderr=subprocess.DEVNULL)
    return cert, key


def curl(cert, *args):
    done = subprocess.run(["/usr/bin/curl", "-sS", "--max-time", "30", "--cacert", cert, *args], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


def test_tls():
    cert, key = certificate("good")
    daemon = Daemon({"queues": {"jobs": {}}, "sqs_api": {"listen": ["127.0.0.1:9324", f"unix:{os.getcwd()}/sqs.sock"],
                                                         "tls": {"cert_file": str(cert), "key_file": str(key)}}})
    url = "https://localhost:9324"
    code, text = curl(cert, f"{url}/?Action=GetQueueUrl&QueueName=jobs")
    assert code == 0 and "<QueueUrl>https://localhost:9324/000000000000/jobs</QueueUrl>" in text, text
    code, text = curl(cert, f"{url}/?Action=ListQueues", f"{url}/?Action=ListQueues", "--tls-max", "1.2", "--tlsv1.2")
    assert code == 0 and text.count("<ListQueuesResult>") == 2, text
    assert curl(cert, "--tls-max", "1.1", f"{url}/?Action=ListQueues")[0] != 0
    code, text = curl(cert, "--unix-socket", "sqs.sock", "http://localhost/?Action=ListQueues")
    assert code == 0 and "<QueueUrl>http://localhost/000000000000/jobs</QueueUrl>" in text, text
    code, text = curl(cert, "http://127.0.0.1:9324/")
    assert code == 0 and "this address speaks TLS: use https://" in text, text

    boto = client(url, verify=str(cert))
    queue = boto.get_queue_url(QueueName="jobs")["QueueUrl"]
    assert queue == "https://localhost:9324/000000000000/jobs"
    large = "x" * 1048576
    boto.send_message(QueueUrl=queue, MessageBody=large)
    boto.send_message(QueueUrl=queue, MessageBody="small")
    got = []
    while len(got) < 2:
        got += boto.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=5)["Messages"]
    assert sorted(len(m["Body"]) for m in got) == [5, 1048576]
    try:
        client(url, verify=str(certificate("other")[0])).list_queues()
        raise AssertionError("another certificate was believed")
    except botocore.exceptions.SSLError:
        pass
    done = subprocess.run(["/usr/bin/aws", "--endpoint-url", url, "--ca-bundle", cert, "sqs", "send-message",
                           "--queue-url", queue, "--message-body", "from the cli"], stdout=subprocess.PIPE, check=True)
    assert "MD5OfMessageBody" in json.loads(done.stdout)
    assert daemon.stop() == 0


def test_tls_files_are_refused():
    cert, key = certificate("good")
    other = certificate("other")[1]
    garbage = pathlib.Path("garbage.pem").resolve()
    garbage.write_text("no certificate\n")
    cases = [(cert, other, "is not the key of the certificate in"), (garbage, key, "holds no certificate"),
             (cert, garbage, "holds no private key"), (pathlib.Path("/nonexistent"), key, "cannot be read: not found")]
    for number, (cert_file, key_file, text) in enumerate(cases):
        config = {"sqs_api": {"tls": {"cert_file": str(cert_file), "key_file": str(key_file)}}}
        daemon = Daemon(config, data_dir=f"data{number}", wait=False)
        assert daemon.process.wait(20) == 3
        assert text in daemon.text(), daemon.text()
        done = subprocess.run([BUILD / "sluice", "check", f"data{number}.json"], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
        assert done.returncode == 3 and "sqs_api.tls: " in done.stdout and text in done.stdout, done.stdout


def test_keys_and_tls_of_the_readme():
    block = re.findall(r"```json\n(.*?)```", (SOURCE / "README.md").read_text(), re.S)[1]
    cert, key = certificate("good")
    for name, path in (("cert", cert), ("key", key)):
        assert f"/etc/sluice/tls/{name}.pem" in block
        block = block.replace(f"/etc/sluice/tls/{name}.pem", str(path))
    pathlib.Path("readme.json").write_text("{" + block + "}")
    done = subprocess.run([BUILD / "sluice", "check", "readme.json"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True)
    assert done.returncode == 0 and "good" in done.stdout, done.stdout
