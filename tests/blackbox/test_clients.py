"""Stock clients, unmodified: Debian's AWS CLI and boto3 (Query protocol), npm's @aws-sdk/client-sqs (AWS JSON)."""
import json
import os
import pathlib
import shutil
import subprocess

from support import SOURCE, Daemon, Skip, http_call

ENDPOINT = "http://127.0.0.1:9324"
# Wrong requests and what AWS says: name of the shape, query code, HTTP status, a part of the text.
ERRORS = {
    "no_queue": ("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue", 400, "The specified queue does not exist"),
    "empty_body": ("MissingRequiredParameterException", "MissingParameter", 400, "The request must contain the parameter MessageBody."),
    "bad_handle": ("ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid", 404, 'The input receipt handle "garbage" is not a valid receipt handle.'),
    "too_many": ("InvalidParameterValueException", "InvalidParameterValue", 400,
                 "Value 11 for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided."),
    "too_long_wait": ("InvalidParameterValueException", "InvalidParameterValue", 400,
                      "Value 21 for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided."),
    "empty_batch": ("EmptyBatchRequest", "AWS.SimpleQueueService.EmptyBatchRequest", 400, "There should be at least one"),
    "same_ids": ("BatchEntryIdsNotDistinct", "AWS.SimpleQueueService.BatchEntryIdsNotDistinct", 400, "Id a repeated."),
    "bad_name": ("InvalidParameterValueException", "InvalidParameterValue", 400, "Can only include alphanumeric characters"),
    "other_attributes": ("QueueNameExists", "QueueAlreadyExists", 400,
                         "A queue already exists with the same name and a different value for attribute VisibilityTimeout"),
    "unknown_attribute": ("InvalidAttributeName", "InvalidAttributeName", 400, "Unknown Attribute Nonsense."),
    "bad_characters": ("InvalidMessageContents", "InvalidMessageContents", 400, ""),
}


def aws(*args, check=True):
    if not os.path.exists("/usr/bin/aws"):
        raise Skip("the AWS CLI (package awscli) is not installed")
    done = subprocess.run(["/usr/bin/aws", "--endpoint-url", ENDPOINT, "--output", "json", "sqs", *args], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=60)
    if check:
        assert done.returncode == 0, (args, done.stderr)
        return json.loads(done.stdout) if done.stdout.strip() else {}
    return done.returncode, done.stderr


def test_aws_cli():
    daemon = Daemon()
    url = aws("create-queue", "--queue-name", "cli-queue", "--attributes", "VisibilityTimeout=20")["QueueUrl"]
    assert url == f"{ENDPOINT}/000000000000/cli-queue"
    assert aws("get-queue-url", "--queue-name", "cli-queue")["QueueUrl"] == url
    assert aws("list-queues", "--queue-name-prefix", "cli-")["QueueUrls"] == [url]
    sent = aws("send-message", "--queue-url", url, "--message-body", "grüß dich <&> \r\n",
               "--message-attributes", '{"color":{"DataType":"String","StringValue":"blue"}}')
    assert sent["MD5OfMessageAttributes"] == "da1b33cc3cbfe8b1630921e78e6b9880"
    got = aws("receive-message", "--queue-url", url, "--attribute-names", "All", "--message-attribute-names", "All")["Messages"][0]
    assert got["Body"] == "grüß dich <&> \r\n" and got["MessageId"] == sent["MessageId"]
    assert got["MessageAttributes"]["color"]["StringValue"] == "blue"
    assert got["Attributes"]["ApproximateReceiveCount"] == "1"
    aws("change-message-visibility", "--queue-url", url, "--receipt-handle", got["ReceiptHandle"], "--visibility-timeout", "60")
    aws("delete-message", "--queue-url", url, "--receipt-handle", got["ReceiptHandle"])
    entries = json.dumps([{"Id": str(i), "MessageBody": f"body {i}"} for i in range(10)])
    assert len(aws("send-message-batch", "--queue-url", url, "--entries", entries)["Successful"]) == 10
    assert aws("get-queue-attributes", "--queue-url", url, "--attribute-names", "All")["Attributes"]["ApproximateNumberOfMessages"] == "10"
    aws("set-queue-attributes", "--queue-url", url, "--attributes", "DelaySeconds=5")
    code, text = aws("send-message", "--queue-url", url + "-none", "--message-body", "x", check=False)
    assert code != 0 and "AWS.SimpleQueueService.NonExistentQueue" in text and "for this wsdl version" in text, text
    code, text = aws("delete-message", "--queue-url", url, "--receipt-handle", "garbage", check=False)
    assert code != 0 and "ReceiptHandleIsInvalid" in text, text
    aws("purge-queue", "--queue-url", url)
    aws("delete-queue", "--queue-url", url)
    code, text = aws("get-queue-url", "--queue-name", "cli-queue", check=False)
    assert code != 0 and "NonExistentQueue" in text, text
    assert daemon.stop() == 0


def test_boto3():
    script = pathlib.Path("boto.py")
    script.write_text(BOTO)
    daemon = Daemon()
    done = subprocess.run(["/usr/bin/python3", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120)
    if "No module named 'boto3'" in done.stderr:
        raise Skip("boto3 (package python3-boto3) is not installed")
    assert done.returncode == 0, done.stderr
    out = json.loads(done.stdout)
    assert out["url"] == f"{ENDPOINT}/000000000000/boto-queue" and out["messages"] == 14 and out["left"] == "0", out
    for name, (_, code, status, text) in ERRORS.items():
        error = out["errors"][name]
        assert error and error["code"] == code and error["status"] == status and text in error["message"], (name, error)
    assert daemon.stop() == 0


BOTO = '''
import json, boto3, botocore.config, botocore.exceptions
c = boto3.client("sqs", endpoint_url="http://127.0.0.1:9324", config=botocore.config.Config(retries={"max_attempts": 0}, parameter_validation=False))
out = {"url": c.create_queue(QueueName="boto-queue", Attributes={"VisibilityTimeout": "20"})["QueueUrl"]}
url = out["url"]
def fails(function, **members):
    try:
        function(**members)
    except botocore.exceptions.ClientError as e:
        r = e.response
        return {"code": r["Error"]["Code"], "message": r["Error"]["Message"], "status": r["ResponseMetadata"]["HTTPStatusCode"]}
c.send_message(QueueUrl=url, MessageBody="one", MessageAttributes={"n": {"DataType": "Number", "StringValue": "3"}, "b": {"DataType": "Binary", "BinaryValue": b"\\x01\\x02"}})
for i in range(3):
    c.send_message(QueueUrl=url, MessageBody=f"m{i}")
assert len(c.send_message_batch(QueueUrl=url, Entries=[{"Id": str(i), "MessageBody": f"b{i}"} for i in range(10)])["Successful"]) == 10
got = []
while len(got) < 14:
    got += c.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1, AttributeNames=["All"], MessageAttributeNames=["All"]).get("Messages", [])
one = [m for m in got if m["Body"] == "one"][0]
assert one["MessageAttributes"]["b"]["BinaryValue"] == b"\\x01\\x02" and one["MessageAttributes"]["n"]["StringValue"] == "3"
out["messages"] = len(got)
c.change_message_visibility(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"], VisibilityTimeout=50)
assert len(c.change_message_visibility_batch(QueueUrl=url, Entries=[{"Id": "a", "ReceiptHandle": got[0]["ReceiptHandle"], "VisibilityTimeout": 40}])["Successful"]) == 1
for m in got[:4]:
    c.delete_message(QueueUrl=url, ReceiptHandle=m["ReceiptHandle"])
assert len(c.delete_message_batch(QueueUrl=url, Entries=[{"Id": str(i), "ReceiptHandle": m["ReceiptHandle"]} for i, m in enumerate(got[4:])])["Successful"]) == 10
a = c.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
out["left"] = a["ApproximateNumberOfMessagesNotVisible"]
assert a["QueueArn"] == "arn:aws:sqs:us-east-1:000000000000:boto-queue", a
out["errors"] = {
    "no_queue": fails(c.send_message, QueueUrl=url + "-none", MessageBody="x"),
    "empty_body": fails(c.send_message, QueueUrl=url, MessageBody=""),
    "bad_handle": fails(c.delete_message, QueueUrl=url, ReceiptHandle="garbage"),
    "too_many": fails(c.receive_message, QueueUrl=url, MaxNumberOfMessages=11),
    "too_long_wait": fails(c.receive_message, QueueUrl=url, WaitTimeSeconds=21),
    "empty_batch": fails(c.send_message_batch, QueueUrl=url, Entries=[]),
    "same_ids": fails(c.send_message_batch, QueueUrl=url, Entries=[{"Id": "a", "MessageBody": "1"}, {"Id": "a", "MessageBody": "2"}]),
    "bad_name": fails(c.create_queue, QueueName="no spaces allowed"),
    "other_attributes": fails(c.create_queue, QueueName="boto-queue", Attributes={"VisibilityTimeout": "21"}),
    "unknown_attribute": fails(c.get_queue_attributes, QueueUrl=url, AttributeNames=["Nonsense"]),
    "bad_characters": fails(c.send_message, QueueUrl=url, MessageBody="a\\x01b"),
}
c.purge_queue(QueueUrl=url)
c.delete_queue(QueueUrl=url)
print(json.dumps(out))
'''


def test_javascript_sdk():
    node, js = shutil.which("node"), SOURCE / "tests/blackbox/js"
    if not node or not (js / "node_modules").exists():
        raise Skip("nodejs or the npm packages are not installed (scripts/setup)")
    daemon = Daemon()
    done = subprocess.run([node, js / "client.mjs", ENDPOINT], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    out = json.loads(done.stdout.strip().split("\n")[-1])
    assert out["url"] == out["found"] == f"{ENDPOINT}/000000000000/js-queue" and out["listed"] == [out["url"]]
    assert out["body"] == "grüß dich, 世界" and out["attributes"] == {"color": "blue", "blob": [1, 2, 3]}
    assert (out["batch"], out["extended"], out["deleted"], out["receive_count"]) == (3, 2, 3, "1"), out
    assert out["after"]["DelaySeconds"] == "1" and out["after"]["ApproximateNumberOfMessagesNotVisible"] == "0", out["after"]
    for name, (shape, _, status, text) in ERRORS.items():
        error = out["errors"][name]
        assert error and error["status"] == status and text in error["message"], (name, error)
        assert error["name"] in (shape, ERRORS[name][1], shape.replace("Exception", "")), (name, error)
    assert out["gone"]["status"] == 400, out["gone"]
    assert daemon.stop() == 0


def test_both_protocols_give_the_same_answer():
    """GetQueueAttributes by JSON and by Query."""
    daemon = Daemon()
    daemon.sqs("CreateQueue", QueueName="q")
    as_json = daemon.sqs("GetQueueAttributes", QueueUrl="q", AttributeNames=["All"])["Attributes"]
    status, headers, body = http_call(9324, "POST", "/000000000000/q", "Action=GetQueueAttributes&Version=2012-11-05&AttributeName.1=All",
                                      {"Content-Type": "application/x-www-form-urlencoded"})
    import xml.etree.ElementTree as xml
    ns = "{http://queue.amazonaws.com/doc/2012-11-05/}"
    root = xml.fromstring(body)
    as_query = {a.find(f"{ns}Name").text: a.find(f"{ns}Value").text for a in root.iter(f"{ns}Attribute")}
    assert status == 200 and headers["Content-Type"].startswith("text/xml") and as_query == as_json, (as_query, as_json)
    status, _, body = http_call(9324, "GET", "/?Action=FooBar&Version=2012-11-05")
    assert status == 400 and b"The action FooBar is not valid for this endpoint." in body
    status, headers, body = http_call(9324, "POST", "/", "{", {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "AmazonSQS.ListQueues"})
    assert status == 400 and json.loads(body)["__type"] == "com.amazon.coral.service#SerializationException", body
    assert daemon.stop() == 0
