"""All actions on standard queues through every client, Query and JSON, and the same answer from each."""
import base64
import concurrent.futures
import hashlib
import json

from sqs_clients import ACTIONS, Boto, Cli, Js, RawJson, RawQuery, same_for_all
from support import Daemon, md5, wait_until

EVERY = (RawJson, RawQuery, Boto, Js)
FRESH = """ApproximateNumberOfMessages ApproximateNumberOfMessagesDelayed ApproximateNumberOfMessagesNotVisible CreatedTimestamp
    DelaySeconds LastModifiedTimestamp MaximumMessageSize MessageRetentionPeriod QueueArn ReceiveMessageWaitTimeSeconds
    SqsManagedSseEnabled VisibilityTimeout""".split()
TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"


def run(scenario, *clients):
    daemon = Daemon()
    same_for_all(scenario, *(clients or EVERY))
    assert daemon.stop() == 0


def binary(data):
    return base64.b64encode(data).decode()


# ---- queues ----

def test_queues():
    run(queues)


def queues(c):
    fresh = c.create("fresh")
    found = c.attributes(fresh)
    assert sorted(found) == sorted(FRESH), found
    assert found["QueueArn"] == c.arn("fresh") and found["SqsManagedSseEnabled"] == "true"
    assert [found[n] for n in ("DelaySeconds", "MaximumMessageSize", "MessageRetentionPeriod", "ReceiveMessageWaitTimeSeconds",
                               "VisibilityTimeout")] == ["0", "1048576", "345600", "0", "30"], found
    assert c.call("GetQueueAttributes", QueueUrl=fresh) == {}
    assert sorted(c.attributes(fresh, "QueueArn", "DelaySeconds")) == ["DelaySeconds", "QueueArn"]

    dead = c.create("dead")
    policy = {"Version": "2012-10-17", "Statement": [{"Sid": "x", "Effect": "Allow", "Principal": "*", "Action": "sqs:*",
                                                      "Resource": c.arn("full")}]}
    wanted = {"DelaySeconds": "3", "MaximumMessageSize": "2048", "MessageRetentionPeriod": "3600", "ReceiveMessageWaitTimeSeconds": "2",
              "VisibilityTimeout": "7", "Policy": json.dumps(policy), "KmsMasterKeyId": "alias/aws/sqs",
              "KmsDataKeyReusePeriodSeconds": "600"}
    redrive = {"RedrivePolicy": json.dumps({"maxReceiveCount": "4", "deadLetterTargetArn": c.arn("dead")}),
               "RedriveAllowPolicy": json.dumps({"redrivePermission": "denyAll"})}
    full = c.create("full", dict(wanted, **redrive), {"team": "mill", "empty": ""})
    found = c.attributes(full)
    assert {n: found[n] for n in wanted if n != "Policy"} == {n: v for n, v in wanted.items() if n != "Policy"}, found
    assert json.loads(found["Policy"]) == policy and json.loads(found["RedriveAllowPolicy"]) == {"redrivePermission": "denyAll"}
    assert found["RedrivePolicy"] == json.dumps({"deadLetterTargetArn": c.arn("dead"), "maxReceiveCount": 4}, separators=(",", ":"))
    assert found["SqsManagedSseEnabled"] == "false", found
    assert c.call("ListQueueTags", QueueUrl=full)["Tags"] == {"team": "mill", "empty": ""}

    # What is there already.
    assert c.create("full") == full and c.create("full", {"VisibilityTimeout": "7", "DelaySeconds": "3"}) == full
    c.fails("QueueAlreadyExists", "A queue already exists with the same name and a different value for attribute VisibilityTimeout",
            "CreateQueue", QueueName=c.name("full"), Attributes={"VisibilityTimeout": "8"})
    assert c.call("GetQueueUrl", QueueName=c.name("full")) == {"QueueUrl": full}
    assert c.call("GetQueueUrl", QueueName=c.name("full"), QueueOwnerAWSAccountId="000000000000") == {"QueueUrl": full}

    # Changed, one by one and together; taken back.
    for name, value in {"DelaySeconds": "0", "MaximumMessageSize": "1024", "MessageRetentionPeriod": "60", "VisibilityTimeout": "43200",
                        "ReceiveMessageWaitTimeSeconds": "20"}.items():
        assert c.call("SetQueueAttributes", QueueUrl=full, Attributes={name: value}) == {}
        assert c.attributes(full, name) == {name: value}
    c.call("SetQueueAttributes", QueueUrl=full, Attributes={"Policy": "", "RedrivePolicy": "", "RedriveAllowPolicy": ""})
    assert not {"Policy", "RedrivePolicy", "RedriveAllowPolicy"} & set(c.attributes(full))
    c.fails("InvalidAttributeName", "Unknown Attribute Nonsense.", "GetQueueAttributes", QueueUrl=full, AttributeNames=["Nonsense"])
    c.fails("InvalidAttributeName", "Unknown Attribute Nonsense.", "SetQueueAttributes", QueueUrl=full, Attributes={"Nonsense": "1"})
    c.fails("InvalidAttributeName", "Unknown Attribute ContentBasedDeduplication.", "SetQueueAttributes", QueueUrl=full,
            Attributes={"ContentBasedDeduplication": "true"})
    c.fails("InvalidAttributeName", "You can specify the DeduplicationScope only when FifoQueue is set to true.", "SetQueueAttributes",
            QueueUrl=full, Attributes={"DeduplicationScope": "queue"})
    c.fails("InvalidAttributeValue", "", "SetQueueAttributes", QueueUrl=full, Attributes={"VisibilityTimeout": "43201"})
    c.fails("InvalidAttributeValue", "", "SetQueueAttributes", QueueUrl=full, Attributes={"MessageRetentionPeriod": "59"})
    c.fails("InvalidParameterValue", "Can only include alphanumeric characters", "CreateQueue", QueueName="no spaces")
    c.fails("InvalidParameterValue", "", "CreateQueue", QueueName="x" * 81)

    # One kind of encryption at a time.
    c.fails("InvalidAttributeName", "You can use one type of server-side encryption (SSE) at one time.", "SetQueueAttributes", QueueUrl=full,
            Attributes={"KmsMasterKeyId": "alias/aws/sqs", "SqsManagedSseEnabled": "true"})
    c.fails("InvalidAttributeName", "You can use one type of server-side encryption (SSE) at one time.", "SetQueueAttributes", QueueUrl=full,
            Attributes={"SqsManagedSseEnabled": "true"})
    c.call("SetQueueAttributes", QueueUrl=full, Attributes={"KmsMasterKeyId": ""})
    assert "KmsMasterKeyId" not in c.attributes(full)
    c.call("SetQueueAttributes", QueueUrl=full, Attributes={"SqsManagedSseEnabled": "true"})
    assert c.attributes(full, "SqsManagedSseEnabled") == {"SqsManagedSseEnabled": "true"}

    # Gone.
    for url in (fresh, full, dead):
        assert c.call("DeleteQueue", QueueUrl=url) == {}
    c.fails("NonExistentQueue", "The specified queue does not exist.", "GetQueueUrl", QueueName=c.name("full"))
    c.fails("NonExistentQueue", "The specified queue does not exist.", "GetQueueAttributes", QueueUrl=full)
    c.fails("NonExistentQueue", "The specified queue does not exist.", "DeleteQueue", QueueUrl=full)


def test_lists():
    run(lists)


def lists(c):
    urls = [c.create(f"list-{i}") for i in range(5)]
    c.create("other")
    assert "QueueUrls" not in c.call("ListQueues", QueueNamePrefix=c.name("none"))
    answer = c.call("ListQueues", QueueNamePrefix=c.name("list-"))
    assert answer == {"QueueUrls": urls}, answer
    pages, token = [], {}
    while True:
        answer = c.call("ListQueues", QueueNamePrefix=c.name("list-"), MaxResults=2, **token)
        pages.append(answer["QueueUrls"])
        if "NextToken" not in answer:
            break
        token = {"NextToken": answer["NextToken"]}
    assert sorted(sum(pages, [])) == urls and [len(p) for p in pages] == [2, 2, 1], pages
    c.fails("InvalidParameterValue", "", "ListQueues", MaxResults=1001)

    # Sources of a dead-letter queue.
    dead = c.create("sink")
    assert not c.call("ListDeadLetterSourceQueues", QueueUrl=dead).get("queueUrls")
    for url in urls[:3]:
        c.call("SetQueueAttributes", QueueUrl=url, Attributes={"RedrivePolicy": json.dumps(
            {"deadLetterTargetArn": c.arn("sink"), "maxReceiveCount": 3})})
    assert sorted(c.call("ListDeadLetterSourceQueues", QueueUrl=dead)["queueUrls"]) == urls[:3]
    first = c.call("ListDeadLetterSourceQueues", QueueUrl=dead, MaxResults=2)
    second = c.call("ListDeadLetterSourceQueues", QueueUrl=dead, MaxResults=2, NextToken=first["NextToken"])
    assert sorted(first["queueUrls"] + second["queueUrls"]) == urls[:3] and "NextToken" not in second, (first, second)
    c.fails("NonExistentQueue", "", "ListDeadLetterSourceQueues", QueueUrl=dead + "-none")


def test_redrive_rules():
    run(redrive_rules)


def redrive_rules(c):
    """Who may name whom as its dead-letter queue."""
    source, dead = c.create("source"), c.create("dead")

    def policy(target="dead", count=3):
        return {"RedrivePolicy": json.dumps({"deadLetterTargetArn": c.arn(target), "maxReceiveCount": count})}

    def allow(**rule):
        c.call("SetQueueAttributes", QueueUrl=dead, Attributes={"RedriveAllowPolicy": json.dumps(rule)})
        return c.attributes(dead, "RedriveAllowPolicy")
    for count in (0, 1001):
        c.fails("InvalidParameterValue", f"Invalid value for maxReceiveCount: {count}, valid values are from 1 to 1000 both inclusive.",
                "SetQueueAttributes", QueueUrl=source, Attributes=policy(count=count))
    c.fails("InvalidParameterValue", "", "SetQueueAttributes", QueueUrl=source, Attributes=policy("nowhere"))
    c.fails("InvalidParameterValue", "", "SetQueueAttributes", QueueUrl=source, Attributes={"RedrivePolicy": "{"})
    c.fails("InvalidParameterValue", "", "CreateQueue", QueueName=c.name("new"), Attributes=policy("nowhere"))
    c.call("SetQueueAttributes", QueueUrl=source, Attributes=policy("source"))  # to itself is allowed
    allow(redrivePermission="denyAll")
    c.fails("InvalidParameterValue", "", "SetQueueAttributes", QueueUrl=source, Attributes=policy())
    allow(redrivePermission="byQueue", sourceQueueArns=[c.arn("another")])
    c.fails("InvalidParameterValue", "", "SetQueueAttributes", QueueUrl=source, Attributes=policy())
    allow(redrivePermission="byQueue", sourceQueueArns=[c.arn("another"), c.arn("source")])
    c.call("SetQueueAttributes", QueueUrl=source, Attributes=policy())
    allow(redrivePermission="allowAll")
    c.call("SetQueueAttributes", QueueUrl=source, Attributes=policy(count=1000))
    for rule in ({"redrivePermission": "byQueue"}, {"redrivePermission": "allowAll", "sourceQueueArns": [c.arn("source")]},
                 {"redrivePermission": "byQueue", "sourceQueueArns": [c.arn(f"q{i}") for i in range(11)]}, {"redrivePermission": "x"}):
        c.fails("InvalidParameterValue", "", "SetQueueAttributes", QueueUrl=dead, Attributes={"RedriveAllowPolicy": json.dumps(rule)})


def test_tags():
    run(tags)


def tags(c):
    url = c.create("tagged", tags={"a": "1"})
    assert c.call("TagQueue", QueueUrl=url, Tags={"b": "zwei", "a": "neu", "ключ": ""}) == {}
    assert c.call("ListQueueTags", QueueUrl=url) == {"Tags": {"a": "neu", "b": "zwei", "ключ": ""}}
    assert c.call("UntagQueue", QueueUrl=url, TagKeys=["a", "nothing"]) == {}
    assert c.call("ListQueueTags", QueueUrl=url) == {"Tags": {"b": "zwei", "ключ": ""}}
    c.call("UntagQueue", QueueUrl=url, TagKeys=["b", "ключ"])
    assert c.call("ListQueueTags", QueueUrl=url) == {}
    for action, more in (("TagQueue", {"Tags": {"a": "1"}}), ("UntagQueue", {"TagKeys": ["a"]}), ("ListQueueTags", {})):
        c.fails("NonExistentQueue", "The specified queue does not exist.", action, QueueUrl=url + "-none", **more)


def test_permissions():
    run(permissions)


def permissions(c):
    url = c.create("shared")
    assert c.call("AddPermission", QueueUrl=url, Label="one", AWSAccountIds=["111122223333"], Actions=["ReceiveMessage"]) == {}
    c.call("AddPermission", QueueUrl=url, Label="two", AWSAccountIds=["111122223333", "444455556666"], Actions=["SendMessage", "*"])
    policy = json.loads(c.attributes(url, "Policy")["Policy"])
    assert policy["Version"] == "2008-10-17" and policy["Id"] == f"{c.arn('shared')}/SQSDefaultPolicy", policy
    assert policy["Statement"] == [
        {"Sid": "one", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:root"}, "Action": "SQS:ReceiveMessage",
         "Resource": c.arn("shared")},
        {"Sid": "two", "Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam::111122223333:root", "arn:aws:iam::444455556666:root"]},
         "Action": ["SQS:SendMessage", "SQS:*"], "Resource": c.arn("shared")}], policy
    c.fails("InvalidParameterValue", "Value one for parameter Label is invalid. Reason: Already exists.", "AddPermission", QueueUrl=url,
            Label="one", AWSAccountIds=["111122223333"], Actions=["SendMessage"])
    assert c.call("RemovePermission", QueueUrl=url, Label="one") == {}
    assert [s["Sid"] for s in json.loads(c.attributes(url, "Policy")["Policy"])["Statement"]] == ["two"]
    c.fails("InvalidParameterValue", "Value one for parameter Label is invalid. Reason: can't find label.", "RemovePermission",
            QueueUrl=url, Label="one")
    c.fails("NonExistentQueue", "", "AddPermission", QueueUrl=url + "-none", Label="x", AWSAccountIds=["111122223333"], Actions=["*"])


# ---- messages ----

ATTRIBUTES = {
    "color": {"DataType": "String", "StringValue": "blue"},
    "size": {"DataType": "Number.float", "StringValue": "4563442423554324324264524243.32543234"},
    "blob": {"DataType": "Binary", "BinaryValue": binary(bytes(range(256)))},
    "picture": {"DataType": "Binary.png", "BinaryValue": binary(b"\x89PNG\r\n")},
    "kind": {"DataType": "String.Label.x", "StringValue": "<&>\"' \t\r\n grüß 😀"},
    "cost.euro": {"DataType": "Number", "StringValue": "-3.50"},
    "cost.dollar": {"DataType": "Number", "StringValue": "0"},
}
BODY = "grüß dich <&> \"'\r\n\t\r世界 😀 \ue000"


def attributes_md5(attributes):
    out = b""
    for name in sorted(attributes, key=str.encode):
        value = attributes[name]
        data = base64.b64decode(value["BinaryValue"]) if "BinaryValue" in value else value["StringValue"].encode()
        for text in (name.encode(), value["DataType"].encode()):
            out += len(text).to_bytes(4, "big") + text
        out += (b"\2" if "BinaryValue" in value else b"\1") + len(data).to_bytes(4, "big") + data
    return hashlib.md5(out).hexdigest()


def test_message_attributes():
    run(message_attributes)


def message_attributes(c):
    url = c.create("messages")
    sent = c.send(url, BODY, MessageAttributes=ATTRIBUTES, DelaySeconds=0,
                  MessageSystemAttributes={"AWSTraceHeader": {"DataType": "String", "StringValue": TRACE}})
    assert sorted(sent) == ["MD5OfMessageAttributes", "MD5OfMessageBody", "MD5OfMessageSystemAttributes", "MessageId"], sent
    assert sent["MD5OfMessageBody"] == md5(BODY) and sent["MD5OfMessageAttributes"] == attributes_md5(ATTRIBUTES)
    assert sent["MD5OfMessageSystemAttributes"] == "5ae4d5d7636402d80f4eb6d213245a88"

    def look(**names):
        """The message as a receive with these names shows it; visible again at once."""
        found = c.receive(url, 1, VisibilityTimeout=0, **names)
        assert len(found) == 1 and found[0]["Body"] == BODY and found[0]["MD5OfBody"] == md5(BODY), found
        shown = found[0].get("MessageAttributes", {})
        assert shown == {n: ATTRIBUTES[n] for n in shown}, shown
        assert found[0].get("MD5OfMessageAttributes") == (attributes_md5(shown) if shown else None), found
        return sorted(shown), found[0].get("Attributes", {})
    nothing = look()
    assert nothing == ([], {}), nothing
    for names, shown in {("All",): sorted(ATTRIBUTES), (".*",): sorted(ATTRIBUTES), ("color",): ["color"],
                         ("cost.*",): ["cost.dollar", "cost.euro"], ("co.*",): ["color", "cost.dollar", "cost.euro"],
                         ("blob", "kind", "absent"): ["blob", "kind"], ("absent",): [], ("picture", "cost.euro"): ["cost.euro", "picture"],
                         ("none.*",): [], ("blob", "All"): sorted(ATTRIBUTES)}.items():
        assert look(MessageAttributeNames=list(names)) == (shown, {}), names
    every = look(AttributeNames=["All"])[1]
    assert sorted(every) == ["AWSTraceHeader", "ApproximateFirstReceiveTimestamp", "ApproximateReceiveCount", "SenderId", "SentTimestamp"]
    assert every["AWSTraceHeader"] == TRACE and int(every["ApproximateReceiveCount"]) == 12, every
    assert int(every["ApproximateFirstReceiveTimestamp"]) >= int(every["SentTimestamp"])
    assert look(MessageSystemAttributeNames=["All"])[1].keys() == every.keys()
    assert list(look(AttributeNames=["SentTimestamp"])[1]) == ["SentTimestamp"]
    assert list(look(MessageSystemAttributeNames=["AWSTraceHeader"])[1]) == ["AWSTraceHeader"]
    both = look(AttributeNames=["SenderId"], MessageSystemAttributeNames=["ApproximateReceiveCount"], MessageAttributeNames=["color"])
    assert both[0] == ["color"] and sorted(both[1]) == ["ApproximateReceiveCount", "SenderId"], both
    c.fails("InvalidAttributeName", "Unknown Attribute Nonsense.", "ReceiveMessage", QueueUrl=url, AttributeNames=["Nonsense"])


def test_message_limits():
    run(message_limits)


def message_limits(c):
    url, mega = c.create("limits"), 1 << 20
    big = "€" * (mega // 3) + "x" * (mega % 3)
    assert c.send(url, big)["MD5OfMessageBody"] == md5(big)
    got = c.receive(url)
    assert len(got) == 1 and got[0]["Body"] == big
    c.delete(url, got[0])
    for more in ("x", "\r"):
        c.fails("InvalidParameterValue", "One or more parameters are invalid. Reason: Message must be shorter than 1048576 bytes.",
                "SendMessage", QueueUrl=url, MessageBody=big + more)
    c.fails("InvalidParameterValue", "Message must be shorter than", "SendMessage", QueueUrl=url, MessageBody="x" * (mega - 14),
            MessageAttributes={"color": {"DataType": "String", "StringValue": "blue"}})  # 5 + 6 + 4 more
    c.send(url, "x" * (mega - 15), MessageAttributes={"color": {"DataType": "String", "StringValue": "blue"}})
    c.fails("BatchRequestTooLong", "Batch requests cannot be longer than 1048576 bytes. You have sent 1048577 bytes.", "SendMessageBatch",
            QueueUrl=url, Entries=[{"Id": "a", "MessageBody": "x" * (mega // 2)}, {"Id": "b", "MessageBody": "x" * (mega // 2 + 1)}])
    c.call("SetQueueAttributes", QueueUrl=url, Attributes={"MaximumMessageSize": "1024"})
    answer = c.call("SendMessageBatch", QueueUrl=url, Entries=[{"Id": str(i), "MessageBody": "x" * (1020 + i)} for i in range(10)])
    assert [e["Id"] for e in answer["Successful"]] == ["0", "1", "2", "3", "4"], answer
    assert all(e["Code"] == "InvalidParameterValue" and e["SenderFault"] is True and e["Message"] ==
               "One or more parameters cannot be validated. Reason: Message must be shorter than 1024 bytes." for e in answer["Failed"])
    c.fails("InvalidMessageContents", "", "SendMessage", QueueUrl=url, MessageBody="a\x01b")
    c.fails("MissingParameter", "The request must contain the parameter MessageBody.", "SendMessage", QueueUrl=url, MessageBody="")
    string = {"DataType": "String", "StringValue": "x"}
    for name, value in {"empty": {"DataType": "String", "StringValue": ""}, "AWS.x": string, "amazon.y": string, ".x": string, "x.": string,
                        "a..b": string, "a b": string, "untyped": {"DataType": "", "StringValue": "x"},
                        "other": {"DataType": "Strong", "StringValue": "x"}, "nan": {"DataType": "Number", "StringValue": "x1"}}.items():
        c.fails("InvalidParameterValue", "", "SendMessage", QueueUrl=url, MessageBody="x", MessageAttributes={name: value})
    c.fails("InvalidParameterValue", "Message (user) attribute 'empty' must contain a non-empty value of type 'String'.", "SendMessage",
            QueueUrl=url, MessageBody="x", MessageAttributes={"empty": {"DataType": "String", "StringValue": ""}})
    c.fails("InvalidParameterValue", "", "SendMessage", QueueUrl=url, MessageBody="x", MessageAttributes={f"a{i}": string for i in range(11)})
    c.fails("InvalidParameterValue", "", "SendMessage", QueueUrl=url, MessageBody="x", DelaySeconds=901)
    c.fails("InvalidParameterValue", "", "SendMessage", QueueUrl=url, MessageBody="x", DelaySeconds=-1)


def test_batches():
    run(batches)


def batches(c):
    url = c.create("batches")
    answer = c.call("SendMessageBatch", QueueUrl=url, Entries=[
        {"Id": "plain", "MessageBody": "one"}, {"Id": "bad", "MessageBody": "a\x02"},
        {"Id": "all-of_it", "MessageBody": "two", "DelaySeconds": 0, "MessageAttributes": ATTRIBUTES,
         "MessageSystemAttributes": {"AWSTraceHeader": {"DataType": "String", "StringValue": TRACE}}}])
    assert [e["Id"] for e in answer["Successful"]] == ["plain", "all-of_it"] and [e["Id"] for e in answer["Failed"]] == ["bad"], answer
    assert answer["Failed"][0]["Code"] == "InvalidMessageContents" and answer["Failed"][0]["SenderFault"] is True
    two = answer["Successful"][1]
    assert two["MD5OfMessageBody"] == md5("two") and two["MD5OfMessageAttributes"] == attributes_md5(ATTRIBUTES)
    assert two["MD5OfMessageSystemAttributes"] == "5ae4d5d7636402d80f4eb6d213245a88"
    answer = c.call("SendMessageBatch", QueueUrl=url, Entries=[{"Id": f"{i}", "MessageBody": f"more {i}"} for i in range(8)])
    assert len(answer["Successful"]) == 8 and "Failed" not in answer, answer

    got = c.receive(url)
    assert sorted(m["Body"] for m in got) == sorted(["one", "two", *(f"more {i}" for i in range(8))])
    handles = [m["ReceiptHandle"] for m in got]
    answer = c.call("ChangeMessageVisibilityBatch", QueueUrl=url, Entries=[
        {"Id": "a", "ReceiptHandle": handles[0], "VisibilityTimeout": 0}, {"Id": "b", "ReceiptHandle": "garbage", "VisibilityTimeout": 5},
        {"Id": "c", "ReceiptHandle": handles[1], "VisibilityTimeout": 600}])
    assert [e["Id"] for e in answer["Successful"]] == ["a", "c"] and [e["Id"] for e in answer["Failed"]] == ["b"], answer
    assert answer["Failed"][0]["Code"] == "ReceiptHandleIsInvalid" and answer["Failed"][0]["SenderFault"] is True
    assert c.counts(url) == (1, 9, 0)
    answer = c.call("DeleteMessageBatch", QueueUrl=url, Entries=[{"Id": f"{i}", "ReceiptHandle": h} for i, h in enumerate(handles[:9])] +
                    [{"Id": "bad", "ReceiptHandle": "garbage"}])
    assert len(answer["Successful"]) == 9 and [e["Id"] for e in answer["Failed"]] == ["bad"], answer
    assert answer["Failed"][0]["Message"] == 'The input receipt handle "garbage" is not a valid receipt handle.', answer
    answer = c.call("DeleteMessageBatch", QueueUrl=url, Entries=[{"Id": "x", "ReceiptHandle": handles[9]}])
    assert answer == {"Successful": [{"Id": "x"}]} and c.counts(url) == (0, 0, 0), answer

    # A batch that is wrong as a whole changes nothing.
    for action, entry in {"SendMessageBatch": {"MessageBody": "x"}, "DeleteMessageBatch": {"ReceiptHandle": "x"},
                          "ChangeMessageVisibilityBatch": {"ReceiptHandle": "x", "VisibilityTimeout": 1}}.items():
        entries = [dict(entry, Id=f"e{i}") for i in range(11)]
        c.fails("EmptyBatchRequest", "There should be at least one", action, QueueUrl=url, Entries=[])
        c.fails("TooManyEntriesInBatchRequest", "Maximum number of entries per request are 10. You have sent 11.", action, QueueUrl=url,
                Entries=entries)
        c.fails("BatchEntryIdsNotDistinct", "Id e0 repeated.", action, QueueUrl=url, Entries=[entries[0], entries[0]])
        c.fails("InvalidBatchEntryId", "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at "
                "most 80 letters long.", action, QueueUrl=url, Entries=[dict(entries[0], Id="no spaces")])
        c.fails("InvalidBatchEntryId", "", action, QueueUrl=url, Entries=[dict(entries[0], Id="x" * 81)])
        c.fails("NonExistentQueue", "", action, QueueUrl=url + "-none", Entries=entries[:1])
    assert c.counts(url) == (0, 0, 0)


def test_visibility_and_handles():
    run(visibility_and_handles)


def visibility_and_handles(c):
    url = c.create("handles", {"VisibilityTimeout": "600"})
    c.send(url, "x")
    first = c.receive(url, VisibilityTimeout=30)[0]
    assert c.bodies(url) == [] and c.counts(url) == (0, 1, 0)
    assert c.call("ChangeMessageVisibility", QueueUrl=url, ReceiptHandle=first["ReceiptHandle"], VisibilityTimeout=0) == {}
    assert c.counts(url) == (1, 0, 0)
    # The same handle hides it again on a standard queue.
    c.call("ChangeMessageVisibility", QueueUrl=url, ReceiptHandle=first["ReceiptHandle"], VisibilityTimeout=60)
    assert c.counts(url) == (0, 1, 0) and c.bodies(url) == []
    c.call("ChangeMessageVisibility", QueueUrl=url, ReceiptHandle=first["ReceiptHandle"], VisibilityTimeout=0)
    second = c.receive(url, AttributeNames=["ApproximateReceiveCount"])[0]
    assert second["ReceiptHandle"] != first["ReceiptHandle"] and second["MessageId"] == first["MessageId"]
    assert second["Attributes"] == {"ApproximateReceiveCount": "2"}
    c.delete(url, first)  # an old handle: accepted, deletes nothing
    assert c.counts(url) == (0, 1, 0)
    c.delete(url, second)
    c.delete(url, second)
    assert c.counts(url) == (0, 0, 0)
    c.fails("InvalidParameterValue", "Reason: Message does not exist or is not available for visibility timeout change.",
            "ChangeMessageVisibility", QueueUrl=url, ReceiptHandle=second["ReceiptHandle"], VisibilityTimeout=10)
    # A handle whose time is over still deletes what nobody received since.
    c.send(url, "y")
    third = c.receive(url, VisibilityTimeout=1)[0]
    wait_until(lambda: c.client.call("GetQueueAttributes", QueueUrl=url, AttributeNames=["All"])["Attributes"]
               ["ApproximateNumberOfMessages"] == "1", 10, "visible again")
    c.delete(url, third)
    assert c.counts(url) == (0, 0, 0)
    for bad in (-1, 43201):
        c.fails("InvalidParameterValue", "", "ChangeMessageVisibility", QueueUrl=url, ReceiptHandle=third["ReceiptHandle"], VisibilityTimeout=bad)
        c.fails("InvalidParameterValue", "", "ReceiveMessage", QueueUrl=url, VisibilityTimeout=bad)
    for action, more in (("DeleteMessage", {}), ("ChangeMessageVisibility", {"VisibilityTimeout": 1})):
        error = c.fails("ReceiptHandleIsInvalid", 'The input receipt handle "garbage" is not a valid receipt handle.', action, QueueUrl=url,
                        ReceiptHandle="garbage", **more)
        assert error.status in (404, None)
    c.fails("InvalidParameterValue", "Value 11 for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided.",
            "ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=11)
    c.fails("InvalidParameterValue", "Value 0 for parameter MaxNumberOfMessages is invalid.", "ReceiveMessage", QueueUrl=url,
            MaxNumberOfMessages=0)
    c.fails("InvalidParameterValue", "Value 21 for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided.",
            "ReceiveMessage", QueueUrl=url, WaitTimeSeconds=21)


def test_delay_and_purge():
    run(delay_and_purge)


def delay_and_purge(c):
    url = c.create("late", {"DelaySeconds": "900"})
    c.send(url, "by the queue")
    c.send(url, "at once", DelaySeconds=0)
    c.send(url, "in a second", DelaySeconds=1)
    assert c.call("SendMessageBatch", QueueUrl=url, Entries=[{"Id": "a", "MessageBody": "by batch", "DelaySeconds": 0}])["Successful"]
    got = c.receive(url) + c.receive(url, WaitTimeSeconds=20)
    if len(got) < 3:
        got += c.receive(url, WaitTimeSeconds=20)
    assert sorted(m["Body"] for m in got) == ["at once", "by batch", "in a second"], got
    assert c.client.call("GetQueueAttributes", QueueUrl=url, AttributeNames=["All"])["Attributes"]["ApproximateNumberOfMessagesDelayed"] == "1"
    c.send(url, "visible", DelaySeconds=0)
    assert c.counts(url) == (1, 3, 1)
    assert c.call("PurgeQueue", QueueUrl=url) == {}
    assert c.counts(url) == (0, 0, 0) and c.bodies(url) == []
    c.delete(url, got[0])  # of a message that was purged: fine
    c.fails("NonExistentQueue", "The specified queue does not exist.", "PurgeQueue", QueueUrl=url + "-none")


def test_dead_letters():
    run(dead_letters)


def dead_letters(c):
    dead = c.create("dead")
    source = c.create("source", {"VisibilityTimeout": "0", "RedrivePolicy": json.dumps(
        {"deadLetterTargetArn": c.arn("dead"), "maxReceiveCount": 2})})
    sent = c.send(source, BODY, MessageAttributes=ATTRIBUTES)
    for count in ("1", "2"):
        got = c.receive(source, AttributeNames=["All"])
        assert [m["Attributes"]["ApproximateReceiveCount"] for m in got] == [count], got
        stamp = got[0]["Attributes"]["SentTimestamp"]
    assert c.bodies(source) == [] and c.counts(source) == (0, 0, 0) and c.counts(dead) == (1, 0, 0)
    message = c.receive(dead, AttributeNames=["All"], MessageAttributeNames=["All"])[0]
    assert message["MessageId"] == sent["MessageId"] and message["Body"] == BODY and message["MessageAttributes"] == ATTRIBUTES
    found = message["Attributes"]
    assert found["DeadLetterQueueSourceArn"] == c.arn("source") and found["SentTimestamp"] == stamp, found
    assert found["ApproximateReceiveCount"] == "3", found
    c.delete(dead, message)


def test_move_tasks():
    run(move_tasks)


def move_tasks(c):
    dead, other = c.create("dead"), c.create("other")
    c.fails("InvalidParameterValue", "Source queue must be configured as a Dead Letter Queue.", "StartMessageMoveTask", SourceArn=c.arn("dead"))
    c.fails("ResourceNotFoundException", "The resource that you specified for the SourceArn parameter doesn't exist.",
            "StartMessageMoveTask", SourceArn=c.arn("nowhere"))
    source = c.create("source", {"VisibilityTimeout": "0", "RedrivePolicy": json.dumps(
        {"deadLetterTargetArn": c.arn("dead"), "maxReceiveCount": 1})})
    c.fails("ResourceNotFoundException", "The resource that you specified for the DestinationArn parameter doesn't exist.",
            "StartMessageMoveTask", SourceArn=c.arn("dead"), DestinationArn=c.arn("nowhere"))

    def die(count):
        for i in range(count):
            c.send(source, f"m{i}")
        assert len(c.receive(source)) == count and c.bodies(source) == []

    def tasks(**more):
        return c.client.call("ListMessageMoveTasks", SourceArn=c.arn("dead"), **more).get("Results", [])

    def ended(status):
        wait_until(lambda: tasks()[0]["Status"] == status, 20, f"task {status}")
        return c.call("ListMessageMoveTasks", SourceArn=c.arn("dead"), MaxResults=1)["Results"][0]
    assert c.call("ListMessageMoveTasks", SourceArn=c.arn("dead")).get("Results", []) == []
    # Back to where each came from: as new messages.
    die(5)
    before = {m["MessageId"] for m in c.receive(dead, VisibilityTimeout=0)}
    handle = c.call("StartMessageMoveTask", SourceArn=c.arn("dead"))["TaskHandle"]
    decoded = json.loads(base64.b64decode(handle))
    assert sorted(decoded) == ["sourceArn", "taskId"] and decoded["sourceArn"] == c.arn("dead"), decoded
    task = ended("COMPLETED")
    assert task["ApproximateNumberOfMessagesMoved"] == task["ApproximateNumberOfMessagesToMove"] == 5 and "TaskHandle" not in task, task
    assert task["SourceArn"] == c.arn("dead") and not task.get("FailureReason") and not task.get("DestinationArn"), task
    assert c.counts(dead) == (0, 0, 0) and c.counts(source) == (5, 0, 0)
    got = c.receive(source, AttributeNames=["All"])
    assert not before & {m["MessageId"] for m in got} and {m["Attributes"]["ApproximateReceiveCount"] for m in got} == {"1"}, got
    # To another queue, slowly; one at a time; canceled.
    assert c.bodies(source) == [] and c.counts(dead) == (5, 0, 0)
    handle = c.call("StartMessageMoveTask", SourceArn=c.arn("dead"), DestinationArn=c.arn("other"), MaxNumberOfMessagesPerSecond=1)["TaskHandle"]
    running = tasks()[0]
    assert (running["Status"], running["TaskHandle"], running["MaxNumberOfMessagesPerSecond"], running["DestinationArn"]) == \
        ("RUNNING", handle, 1, c.arn("other")), running
    c.fails("InvalidParameterValue", "There is already a task running. Only one active task is allowed for a source queue arn at a given time.",
            "StartMessageMoveTask", SourceArn=c.arn("dead"))
    moved = c.client.call("CancelMessageMoveTask", TaskHandle=handle)["ApproximateNumberOfMessagesMoved"]
    wait_until(lambda: tasks()[0]["Status"] == "CANCELLED", 20, "canceled")
    assert 0 <= moved < 5 and "TaskHandle" not in tasks()[0], tasks()
    visible = [sum(int(c.client.call("GetQueueAttributes", QueueUrl=url, AttributeNames=["All"])["Attributes"]["ApproximateNumberOfMessages"])
                   for url in pair) for pair in ((dead, other),)]
    assert visible == [5], visible
    assert len(tasks(MaxResults=10)) == 2
    c.fails("InvalidParameterValue", "Value for parameter TaskHandle is invalid.", "CancelMessageMoveTask", TaskHandle="garbage")
    unknown = base64.b64encode(json.dumps({"taskId": "00000000-0000-4000-8000-000000000000", "sourceArn": c.arn("dead")}).encode()).decode()
    c.fails("ResourceNotFoundException", "Task does not exist.", "CancelMessageMoveTask", TaskHandle=unknown)
    c.fails("InvalidParameterValue", "", "StartMessageMoveTask", SourceArn=c.arn("dead"), MaxNumberOfMessagesPerSecond=501)
    c.fails("ResourceNotFoundException", "The resource that you specified for the SourceArn parameter doesn't exist.",
            "ListMessageMoveTasks", SourceArn=c.arn("nowhere"))


def test_groups_on_standard_queues():
    run(groups_on_standard_queues)


def groups_on_standard_queues(c):
    """A MessageGroupId on a standard queue is a tenant: stored, returned, no order, no lock."""
    url = c.create("fair")
    for i in range(3):
        assert "SequenceNumber" not in c.send(url, f"a{i}", MessageGroupId="tenant-a")
    c.call("SendMessageBatch", QueueUrl=url, Entries=[{"Id": "b", "MessageBody": "b", "MessageGroupId": "tenant:b!"},
                                                      {"Id": "n", "MessageBody": "none"}])
    got = []
    while len(got) < 5:
        more = c.client.call("ReceiveMessage", QueueUrl=url, AttributeNames=["MessageGroupId"], WaitTimeSeconds=20)["Messages"]
        got += more
    groups = {m["Body"]: m.get("Attributes", {}).get("MessageGroupId") for m in got}
    assert groups == {"a0": "tenant-a", "a1": "tenant-a", "a2": "tenant-a", "b": "tenant:b!", "none": None}, groups
    text = "Value {} for parameter MessageGroupId is invalid. Reason: MessageGroupId can only include alphanumeric and punctuation " \
           "characters. 1 to 128 in length."
    for bad in ("with space", "x" * 129, "grün"):
        c.fails("InvalidParameterValue", text.format(bad), "SendMessage", QueueUrl=url, MessageBody="x", MessageGroupId=bad)
    c.fails("InvalidParameterValue", "", "SendMessage", QueueUrl=url, MessageBody="x", MessageGroupId="")
    c.fails("InvalidParameterValue", "Value d for parameter MessageDeduplicationId is invalid. Reason: The request includes a parameter "
            "that is not valid for this queue type.", "SendMessage", QueueUrl=url, MessageBody="x", MessageDeduplicationId="d")
    c.fails("InvalidParameterValue", "", "ReceiveMessage", QueueUrl=url, ReceiveRequestAttemptId="again")


# ---- the AWS CLI ----

def test_every_action_with_the_cli():
    """One pass of all 23 actions, in parts side by side: the CLI's answers are those of our own requests."""
    seen, daemon = set(), Daemon()

    def compare(part):
        def noted(c):
            part(c)
            seen.update(action for action, _ in c.record)
        same_for_all(noted, RawJson, Cli)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(compare, (actions_on_queues, actions_on_messages, actions_on_batches)))
    assert seen == set(ACTIONS), set(ACTIONS) ^ seen
    assert daemon.stop() == 0


test_every_action_with_the_cli.weight = 30


def actions_on_queues(c):
    url = c.create("queue", {"VisibilityTimeout": "7"}, {"team": "mill"})
    assert c.call("GetQueueUrl", QueueName=c.name("queue"))["QueueUrl"] == url
    assert c.call("ListQueues", QueueNamePrefix=c.name("qu"), MaxResults=5)["QueueUrls"] == [url]
    c.call("TagQueue", QueueUrl=url, Tags={"a": "b"})
    c.call("UntagQueue", QueueUrl=url, TagKeys=["team"])
    assert c.call("ListQueueTags", QueueUrl=url) == {"Tags": {"a": "b"}}
    c.call("AddPermission", QueueUrl=url, Label="l", AWSAccountIds=["111122223333"], Actions=["SendMessage"])
    c.call("RemovePermission", QueueUrl=url, Label="l")
    c.call("SetQueueAttributes", QueueUrl=url, Attributes={"VisibilityTimeout": "600"})
    assert c.attributes(url)["VisibilityTimeout"] == "600"
    c.call("PurgeQueue", QueueUrl=url)
    c.call("DeleteQueue", QueueUrl=url)
    c.fails("NonExistentQueue", "The specified queue does not exist.", "SendMessage", QueueUrl=url, MessageBody="x")


def actions_on_messages(c):
    dead = c.create("dead")
    url = c.create("pass", {"VisibilityTimeout": "0", "RedrivePolicy": json.dumps(
        {"deadLetterTargetArn": c.arn("dead"), "maxReceiveCount": 1})})
    assert c.call("ListDeadLetterSourceQueues", QueueUrl=dead)["queueUrls"] == [url]
    assert c.send(url, BODY, MessageAttributes=ATTRIBUTES, MessageSystemAttributes={
        "AWSTraceHeader": {"DataType": "String", "StringValue": TRACE}})["MD5OfMessageAttributes"] == attributes_md5(ATTRIBUTES)
    message = c.receive(url, AttributeNames=["All"], MessageAttributeNames=["All"], WaitTimeSeconds=1)[0]
    assert message["Body"] == BODY and message["MessageAttributes"] == ATTRIBUTES
    assert c.bodies(url) == []  # it went to the dead letters
    handle = c.call("StartMessageMoveTask", SourceArn=c.arn("dead"))["TaskHandle"]
    wait_until(lambda: RawJson().call("ListMessageMoveTasks", SourceArn=c.arn("dead"))["Results"][0]["Status"] == "COMPLETED", 20, "moved")
    c.call("ListMessageMoveTasks", SourceArn=c.arn("dead"))
    c.fails("InvalidParameterValue", "Only active tasks can be cancelled.", "CancelMessageMoveTask", TaskHandle=handle)
    message = c.receive(url, VisibilityTimeout=600)[0]
    c.call("ChangeMessageVisibility", QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=900)
    c.delete(url, message)
    c.fails("ReceiptHandleIsInvalid", "", "DeleteMessage", QueueUrl=url, ReceiptHandle="garbage")


def actions_on_batches(c):
    url = c.create("batch", {"VisibilityTimeout": "600"})
    assert len(c.call("SendMessageBatch", QueueUrl=url, Entries=[{"Id": "a", "MessageBody": "1"}, {"Id": "b", "MessageBody": "\x01"}])["Failed"]) == 1
    handle = c.receive(url)[0]["ReceiptHandle"]
    entries = [{"Id": "a", "ReceiptHandle": handle}, {"Id": "b", "ReceiptHandle": "garbage"}]
    answer = c.call("ChangeMessageVisibilityBatch", QueueUrl=url, Entries=[dict(e, VisibilityTimeout=60) for e in entries])
    assert [e["Id"] for e in answer["Successful"]] == ["a"] and [e["Id"] for e in answer["Failed"]] == ["b"]
    answer = c.call("DeleteMessageBatch", QueueUrl=url, Entries=entries)
    assert [e["Id"] for e in answer["Successful"]] == ["a"] and [e["Id"] for e in answer["Failed"]] == ["b"]
