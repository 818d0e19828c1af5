"""The Query protocol as old clients speak it: the queue's path, GET, CR in bodies; and JSON's own liberties."""
import json

import xml.etree.ElementTree as xml

from sqs_clients import ENDPOINT, NAMESPACE, RawJson, RawQuery, SqsError
from support import Daemon, http_call, md5

VERSION = {"Version": "2012-11-05"}


def fails(code, text, query, action, **how):
    try:
        answer = query.parse(action, query.send(Action=action, **VERSION, **how))
    except SqsError as e:
        assert e.code in (code, "AWS.SimpleQueueService." + code) and text in e.message, (e.code, e.message)
        return e
    raise AssertionError(answer)


def test_the_path_names_the_queue():
    daemon, query = Daemon(), RawQuery()
    for name in ("one", "two"):
        daemon.sqs("CreateQueue", QueueName=name)
    one, two = "/000000000000/one", "/000000000000/two"

    def ask(action, path, method="POST", **parameters):
        return query.parse(action, query.send(method, path, Action=action, **VERSION, **parameters))
    sent = ask("SendMessage", one, MessageBody="by path & <query>")
    assert sent["MD5OfMessageBody"] == md5("by path & <query>")
    got = ask("ReceiveMessage", one, **{"AttributeName.1": "All", "VisibilityTimeout": "0"})["Messages"]
    assert [m["Body"] for m in got] == ["by path & <query>"] and got[0]["MessageId"] == sent["MessageId"]
    assert ask("GetQueueAttributes", one, "GET", **{"AttributeName.1": "ApproximateNumberOfMessages"}) == \
        {"Attributes": {"ApproximateNumberOfMessages": "1"}}
    assert ask("ReceiveMessage", one, "GET", MaxNumberOfMessages="10", VisibilityTimeout="0")["Messages"][0]["Body"] == got[0]["Body"]
    assert ask("SendMessage", one, "GET", MessageBody="by GET: grüß 100% + 1")["MD5OfMessageBody"] == md5("by GET: grüß 100% + 1")
    # The parameter goes before the path.
    ask("SendMessage", one, MessageBody="for two", QueueUrl=f"{ENDPOINT}{two}")
    assert [m["Body"] for m in ask("ReceiveMessage", two)["Messages"]] == ["for two"] and ask("ReceiveMessage", two) == {}
    # Any host in a queue URL; the answer's follows the Host header.
    assert ask("GetQueueAttributes", "/", QueueUrl="https://sqs.eu-central-1.amazonaws.com/123456789012/one", **{"AttributeName.1": "QueueArn"})
    answer = query.send("GET", "/", {"Host": "localhost:9324"}, Action="GetQueueUrl", QueueName="one", **VERSION)
    assert query.parse("GetQueueUrl", answer) == {"QueueUrl": "http://localhost:9324/000000000000/one"}
    assert ask("GetQueueUrl", one, QueueName="two")["QueueUrl"] == f"{ENDPOINT}{two}"  # allowed at a queue's path
    for action, more in (("CreateQueue", {"QueueName": "three"}), ("ListQueues", {})):
        for method in ("POST", "GET"):
            error = fails("InvalidAction", f"The action {action} is not valid for this endpoint.", query, action, method=method, path=one, **more)
            assert error.status == 400
    assert fails("NonExistentQueue", "The specified queue does not exist", query, "SendMessage", path="/000000000000/none",
                 MessageBody="x").status == 400
    fails("NonExistentQueue", "", query, "SendMessage", MessageBody="x")  # neither path nor parameter
    assert daemon.stop() == 0


def test_what_is_no_action():
    daemon, query = Daemon(), RawQuery()
    daemon.sqs("CreateQueue", QueueName="one")
    status, headers, body = http_call(9324, "GET", "/000000000000/one")
    assert status == 404 and body.strip() == b"<UnknownOperationException/>", (status, body)
    for method, path in (("GET", "/"), ("POST", "/"), ("POST", "/000000000000/one")):
        fails("InvalidAction", "The action FooBar is not valid for this endpoint.", query, "FooBar", method=method, path=path)
    for headers in ({"X-Amz-Target": "AmazonSQS.FooBar"}, {"X-Amz-Target": "Other.SendMessage"}, {"X-Amz-Target": "SendMessage"}, {}):
        status, answer, body = http_call(9324, "POST", "/", "{}", dict({"Content-Type": "application/x-amz-json-1.0"}, **headers))
        assert (status, answer["x-amzn-query-error"]) == (400, "InvalidAction;Sender"), (headers, status, answer, body)
        assert json.loads(body)["__type"] == "com.amazon.coral.service#UnknownOperationException", body
    for body in ("{", "[]", '"x"', "{} x", '{"QueueUrl": 1}', ""):
        status, answer, text = http_call(9324, "POST", "/", body, {"Content-Type": "application/x-amz-json-1.0",
                                                                  "X-Amz-Target": "AmazonSQS.GetQueueAttributes"})
        assert status == 400 and answer["x-amzn-query-error"] == "MalformedInput;Sender", (body, answer, text)
    assert daemon.stop() == 0


def test_carriage_returns_survive_xml():
    """A parser of XML makes a line feed of a carriage return, unless it is escaped."""
    daemon, query, js = Daemon(), RawQuery(), RawJson()
    url = daemon.sqs("CreateQueue", QueueName="cr", Attributes={"VisibilityTimeout": "0"})["QueueUrl"]
    body, value = "a\rb\r\nc\n\r\td ]]> &#13; &amp;", "x\ry\r\nz"
    query.call("SendMessage", QueueUrl=url, MessageBody=body, MessageAttributes={"v": {"DataType": "String", "StringValue": value}})
    raw = query.send(Action="ReceiveMessage", QueueUrl=url, **VERSION, **{"MessageAttributeName.1": "All"})[2]
    assert b"\r" not in raw and b"a&#13;b&#13;\nc\n&#13;" in raw and b"x&#13;y&#13;\nz" in raw, raw
    text = [e.text for e in xml.fromstring(raw).iter(f"{NAMESPACE}Body")]
    assert text == [body], text
    message = js.call("ReceiveMessage", QueueUrl=url, MessageAttributeNames=["All"])["Messages"][0]
    assert (message["Body"], message["MessageAttributes"]["v"]["StringValue"]) == (body, value), message
    assert message["MD5OfBody"] == md5(body)
    assert daemon.stop() == 0


def test_liberties_of_json():
    """A bare name as QueueUrl; a queue's path; a newer content type; members nobody knows."""
    daemon, js = Daemon(), RawJson()
    js.call("CreateQueue", QueueName="bare", Unknown={"x": [1, None]})
    assert js.call("SendMessage", QueueUrl="bare", MessageBody="x", AnotherUnknown=3)["MD5OfMessageBody"] == md5("x")
    for url in ("bare", "/000000000000/bare", "http://elsewhere:1/000000000000/bare", "https://sqs.us-east-1.amazonaws.com/1/bare"):
        assert js.call("GetQueueAttributes", QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])["Attributes"] == \
            {"ApproximateNumberOfMessages": "1"}, url
    target = {"X-Amz-Target": "AmazonSQS.ReceiveMessage"}
    for path in ("/000000000000/bare", "/bare", "/some/other/path"):
        for kind in ("application/x-amz-json-1.0", "application/x-amz-json-1.1", "application/json"):
            status, _, body = http_call(9324, "POST", path, '{"QueueUrl": "bare", "VisibilityTimeout": 0}', dict(target, **{"Content-Type": kind}))
            assert status == 200 and json.loads(body)["Messages"][0]["Body"] == "x", (path, kind, body)
    status, _, body = http_call(9324, "POST", "/000000000000/bare", '{"VisibilityTimeout": 0}',
                                dict(target, **{"Content-Type": "application/x-amz-json-1.0"}))
    assert status == 200 and json.loads(body)["Messages"][0]["Body"] == "x", body
    assert daemon.stop() == 0


def test_names_of_list_members():
    """MessageSystemAttributeName.N and AttributeName.N; entries by number, with gaps and out of order."""
    daemon, query = Daemon(), RawQuery()
    url = daemon.sqs("CreateQueue", QueueName="names", Attributes={"VisibilityTimeout": "0"})["QueueUrl"]
    entry = "SendMessageBatchRequestEntry"
    answer = query.parse("SendMessageBatch", query.send(Action="SendMessageBatch", QueueUrl=url, **VERSION, **{
        f"{entry}.2.Id": "b", f"{entry}.2.MessageBody": "two", f"{entry}.1.MessageBody": "one", f"{entry}.1.Id": "a",
        f"{entry}.2.MessageAttribute.1.Name": "n", f"{entry}.2.MessageAttribute.1.Value.DataType": "Binary",
        f"{entry}.2.MessageAttribute.1.Value.BinaryValue": "AQID"}))
    assert [e["Id"] for e in answer["Successful"]] == ["a", "b"], answer
    for name in ("AttributeName.1", "MessageSystemAttributeName.1"):
        got = query.parse("ReceiveMessage", query.send(Action="ReceiveMessage", QueueUrl=url, **VERSION, **{name: "SentTimestamp"}))["Messages"]
        assert list(got[0]["Attributes"]) == ["SentTimestamp"], (name, got)
    got = query.call("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["n"])["Messages"]
    assert [m["MessageAttributes"] for m in got if m["Body"] == "two"] == [{"n": {"DataType": "Binary", "BinaryValue": "AQID"}}], got
    assert daemon.stop() == 0
