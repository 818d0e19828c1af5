"""Every way to speak SQS, with one face: call(action, members) → the answer as a dict, or SqsError.

    RawJson   AWS JSON 1.0, requests of our own
    RawQuery  the Query protocol, requests of our own
    Boto      Debian's boto3 (Query); what it is too old to know goes through RawQuery
    Cli       Debian's AWS CLI (Query), likewise; a second a call, so only for one pass
    Js        npm's @aws-sdk/client-sqs (JSON), which verifies every MD5

Binary values are base64 text here, whatever the client takes. A Recorder keeps what a client was answered with ids,
handles, times and names replaced, so that the records of two clients are equal when the answers are.
"""
import base64
import itertools
import json
import os
import queue
import re
import shutil
import subprocess
import threading
import urllib.parse
import xml.etree.ElementTree as xml

from support import PROCESSES, SOURCE, Skip, http_call

ENDPOINT = "http://127.0.0.1:9324"
NAMESPACE = "{http://queue.amazonaws.com/doc/2012-11-05/}"
ACTIONS = """AddPermission CancelMessageMoveTask ChangeMessageVisibility ChangeMessageVisibilityBatch CreateQueue
    DeleteMessage DeleteMessageBatch DeleteQueue GetQueueAttributes GetQueueUrl ListDeadLetterSourceQueues
    ListMessageMoveTasks ListQueueTags ListQueues PurgeQueue ReceiveMessage RemovePermission SendMessage SendMessageBatch
    SetQueueAttributes StartMessageMoveTask TagQueue UntagQueue""".split()
VOID = """AddPermission ChangeMessageVisibility DeleteMessage DeleteQueue PurgeQueue RemovePermission SetQueueAttributes
    TagQueue UntagQueue""".split()
assert len(ACTIONS) == 23


class SqsError(Exception):
    def __init__(self, code, message, status=None):
        super().__init__(f"{code} ({status}): {message}")
        self.code, self.message, self.status = code, message, status


def plain_message(text):
    """The one text in which the two protocols differ."""
    return text.replace("does not exist for this wsdl version.", "does not exist.")


class RawJson:
    name = "json"
    # Shapes whose name is not the query code.
    CODES = {"QueueDoesNotExist": "AWS.SimpleQueueService.NonExistentQueue", "QueueNameExists": "QueueAlreadyExists",
             "MissingRequiredParameterException": "MissingParameter", "SerializationException": "MalformedInput",
             "InvalidParameterValueException": "InvalidParameterValue", "UnknownOperationException": "InvalidAction"}
    PREFIXED = """QueueDeletedRecently PurgeQueueInProgress MessageNotInflight UnsupportedOperation EmptyBatchRequest
        TooManyEntriesInBatchRequest BatchEntryIdsNotDistinct InvalidBatchEntryId BatchRequestTooLong""".split()
    CORAL = "SerializationException UnknownOperationException InvalidParameterValueException MissingRequiredParameterException".split()

    def call(self, action, **members):
        status, headers, body = http_call(9324, "POST", "/", json.dumps(members), {
            "Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": f"AmazonSQS.{action}", "x-amzn-query-mode": "true"}, 60)
        assert headers["Content-Type"] == "application/x-amz-json-1.0", headers
        assert re.fullmatch(r"[0-9a-f-]{36}", headers["x-amzn-RequestId"]), headers
        if status == 200:
            assert (body == b"") == (action in VOID), (action, body)
            return json.loads(body or b"{}")
        answer = json.loads(body)
        assert set(answer) == {"__type", "message"}, answer
        namespace, shape = answer["__type"].split("#")
        code, fault = headers["x-amzn-query-error"].split(";")
        assert fault == "Sender", headers
        assert namespace == ("com.amazon.coral.service" if shape in self.CORAL else "com.amazonaws.sqs"), answer
        expected = self.CODES.get(shape, ("AWS.SimpleQueueService." if shape in self.PREFIXED else "") + shape)
        assert code == expected, (answer, headers)
        raise SqsError(code, answer["message"], status)

    def close(self):
        pass


class RawQuery:
    name = "query"
    LISTS = {"AttributeNames": "AttributeName", "MessageAttributeNames": "MessageAttributeName", "TagKeys": "TagKey",
             "MessageSystemAttributeNames": "MessageSystemAttributeName", "AWSAccountIds": "AWSAccountId", "Actions": "ActionName"}
    MAPS = {"Attributes": ("Attribute", "Name"), "tags": ("Tag", "Key"), "Tags": ("Tag", "Key"),
            "MessageAttributes": ("MessageAttribute", "Name"), "MessageSystemAttributes": ("MessageSystemAttribute", "Name")}
    ANSWER_MAPS = {("GetQueueAttributes", "Attribute"): "Attributes", ("ListQueueTags", "Tag"): "Tags",
                   ("Message", "Attribute"): "Attributes", ("Message", "MessageAttribute"): "MessageAttributes"}
    ANSWER_LISTS = {("ListQueues", "QueueUrl"): "QueueUrls", ("ListDeadLetterSourceQueues", "QueueUrl"): "queueUrls",
                    ("ReceiveMessage", "Message"): "Messages", ("ListMessageMoveTasks", "ListMessageMoveTasksResultEntry"): "Results"}
    NUMBERS = ("ApproximateNumberOfMessagesMoved", "ApproximateNumberOfMessagesToMove", "MaxNumberOfMessagesPerSecond", "StartedTimestamp")

    def flatten(self, members, prefix="", action=""):
        """Members as they are named in JSON → [(Query name, text)]"""
        for name, value in members.items():
            if name in self.LISTS:
                for i, item in enumerate(value, 1):
                    yield f"{prefix}{self.LISTS[name]}.{i}", item
            elif name in self.MAPS:
                element, key = self.MAPS[name]
                for i, (k, v) in enumerate(value.items(), 1):
                    yield f"{prefix}{element}.{i}.{key}", k
                    fields = v if isinstance(v, dict) else {"": v}
                    for field, text in fields.items():
                        yield f"{prefix}{element}.{i}.Value{'.' + field if field else ''}", text
            elif name == "Entries":
                for i, entry in enumerate(value, 1):
                    yield from self.flatten(entry, f"{action}RequestEntry.{i}.")
            else:
                yield prefix + name, str(value)

    def parse_struct(self, element, context):
        out = {}
        for child in element:
            tag = child.tag.removeprefix(NAMESPACE)
            if (context, tag) in self.ANSWER_MAPS:
                key, value = list(child)
                value = value.text or "" if len(value) == 0 else {c.tag.removeprefix(NAMESPACE): c.text or "" for c in value}
                out.setdefault(self.ANSWER_MAPS[context, tag], {})[key.text] = value
            elif (context, tag) in self.ANSWER_LISTS:
                item = self.parse_struct(child, tag) if len(child) else child.text
                out.setdefault(self.ANSWER_LISTS[context, tag], []).append(item)
            elif tag.endswith("BatchResultEntry"):
                out.setdefault("Successful", []).append(self.parse_struct(child, tag))
            elif tag == "BatchResultErrorEntry":
                out.setdefault("Failed", []).append(self.parse_struct(child, tag))
            else:
                assert tag not in out, (context, tag)
                text = child.text or ""
                out[tag] = int(text) if tag in self.NUMBERS else text == "true" if tag == "SenderFault" else text
        return out

    def send(self, method="POST", path="/", headers=None, **parameters):
        """One request; its answer as http_call gives it."""
        form = urllib.parse.urlencode(parameters)
        if method == "GET":
            return http_call(9324, "GET", f"{path}?{form}" if form else path, None, headers, 60)
        return http_call(9324, method, path, form,
                         dict({"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}, **(headers or {})), 60)

    def parse(self, action, answer):
        status, headers, body = answer
        assert headers["Content-Type"].startswith("text/xml"), headers
        root = xml.fromstring(body)
        if status != 200:
            assert root.tag == NAMESPACE + "ErrorResponse" and root.find(f"{NAMESPACE}RequestId").text, body
            error = {c.tag.removeprefix(NAMESPACE): c.text or "" for c in root.find(f"{NAMESPACE}Error")}
            assert error["Type"] == "Sender" and error["Detail"] == "", body
            raise SqsError(error["Code"], plain_message(error["Message"]), status)
        assert root.tag == f"{NAMESPACE}{action}Response", body
        assert root.find(f"{NAMESPACE}ResponseMetadata/{NAMESPACE}RequestId").text == headers["x-amzn-RequestId"], body
        result = root.find(f"{NAMESPACE}{action}Result")
        assert (result is None) == (action in VOID), body
        return {} if result is None else self.parse_struct(result, action)

    def call(self, action, **members):
        parameters = dict(self.flatten(members, action=action))
        return self.parse(action, self.send(Action=action, Version="2012-11-05", **parameters))

    def close(self):
        pass


def map_binary(value, change):
    if isinstance(value, dict):
        return {k: change(v) if k == "BinaryValue" else map_binary(v, change) for k, v in value.items()}
    return [map_binary(v, change) for v in value] if isinstance(value, list) else value


class Boto:
    name = "boto"

    def __init__(self):
        try:
            import boto3
            import botocore.config
        except ModuleNotFoundError:
            raise Skip("boto3 (package python3-boto3) is not installed")
        config = botocore.config.Config(retries={"max_attempts": 0}, parameter_validation=False, max_pool_connections=50)
        self.client = boto3.client("sqs", endpoint_url=ENDPOINT, region_name="us-east-1", config=config,
                                   aws_access_key_id="test", aws_secret_access_key="test")
        self.model, self.raw = self.client.meta.service_model, RawQuery()

    def knows(self, action, members):
        return action in self.model.operation_names and set(members) <= set(self.model.operation_model(action).input_shape.members)

    def call(self, action, **members):
        import botocore.exceptions
        if not self.knows(action, members):
            return self.raw.call(action, **members)
        method = re.sub(r"(?<!^)([A-Z])", r"_\1", action).lower()
        try:
            answer = getattr(self.client, method)(**map_binary(members, base64.b64decode))
        except botocore.exceptions.ClientError as e:
            error, status = e.response["Error"], e.response["ResponseMetadata"]["HTTPStatusCode"]
            raise SqsError(error["Code"], plain_message(error["Message"]), status)
        assert answer.pop("ResponseMetadata")["HTTPStatusCode"] == 200
        return map_binary(answer, lambda data: base64.b64encode(data).decode())

    def close(self):
        self.client.close()


class Cli:
    name = "cli"

    def __init__(self):
        if not os.path.exists("/usr/bin/aws"):
            raise Skip("the AWS CLI (package awscli) is not installed")
        self.boto = Boto()

    def call(self, action, **members):
        if not self.boto.knows(action, members):
            return self.boto.raw.call(action, **members)
        command = re.sub(r"(?<!^)([A-Z])", r"-\1", action).lower()
        done = subprocess.run(["/usr/bin/aws", "--endpoint-url", ENDPOINT, "--output", "json", "--no-paginate", "sqs", command,
                               "--cli-input-json", json.dumps(members)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=120)
        if done.returncode != 0:
            found = re.search(r"An error occurred \(([\w.]+)\) when calling the \w+ operation(?: \(reached max retries: 0\))?: (.*)", done.stderr, re.S)
            assert found, (action, done.stderr)
            raise SqsError(found[1], plain_message(found[2].strip()))
        return json.loads(done.stdout) if done.stdout.strip() else {}

    def close(self):
        self.boto.close()


class Js:
    """A node process: a request a line in, an answer a line out, in any order."""
    name = "js"

    def __init__(self):
        node, js = shutil.which("node"), SOURCE / "tests/blackbox/js"
        if not node or not (js / "node_modules").exists():
            raise Skip("nodejs or the npm packages are not installed (scripts/setup)")
        self.process = subprocess.Popen([node, js / "bridge.mjs", ENDPOINT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        PROCESSES.append(self.process)
        self.numbers, self.lock, self.answers = itertools.count(), threading.Lock(), {}
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            answer = json.loads(line)
            self.answers[answer["number"]].put(answer)
        for waiting in list(self.answers.values()):
            waiting.put({"error": {"code": "the bridge ended", "message": "", "status": 0}})

    def call(self, action, **members):
        number = next(self.numbers)
        self.answers[number] = queue.Queue()
        with self.lock:
            self.process.stdin.write(json.dumps({"number": number, "action": action, "members": members}) + "\n")
            self.process.stdin.flush()
        answer = self.answers[number].get(timeout=120)
        if "error" in answer:
            raise SqsError(answer["error"]["code"], answer["error"]["message"], answer["error"]["status"])
        return answer["answer"]

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(20) == 0


class Recorder:
    """A client with a queue-name prefix of its own and a record of its answers."""
    NUMBERED = ("MessageId", "ReceiptHandle", "SequenceNumber", "NextToken", "TaskHandle")

    def __init__(self, client):
        self.client, self.prefix, self.record = client, f"{client.name:x<5}-", []  # as long for all: texts are cut
        self.seen, self.lock = {}, threading.Lock()

    def name(self, queue_name):
        return self.prefix + queue_name

    def arn(self, queue_name):
        return f"arn:aws:sqs:us-east-1:000000000000:{self.name(queue_name)}"

    def url(self, queue_name):
        return f"{ENDPOINT}/000000000000/{self.name(queue_name)}"

    def normal(self, value, key=""):
        if isinstance(value, dict):
            return {k: self.normal(v, k) for k, v in sorted(value.items())}
        if isinstance(value, list):
            return [self.normal(v, key) for v in value]
        if key in self.NUMBERED and value:
            return self.seen.setdefault((key, value), f"{key} {sum(k == key for k, _ in self.seen) + 1}")
        if key.endswith("Timestamp"):
            assert re.fullmatch(r"[0-9]{10}|[0-9]{13}", str(value)), (key, value)
            return "a time"
        if isinstance(value, str):
            for (_, text), token in self.seen.items():
                value = value.replace(text, token)
            return value.replace(self.prefix, "NAME-")
        return value

    def call(self, action, **members):
        """Recorded."""
        try:
            answer = self.client.call(action, **members)
        except SqsError as e:
            with self.lock:
                self.record.append((action, {"code": e.code, "message": self.normal(e.message), "status": e.status}))
            raise
        with self.lock:
            self.record.append((action, self.normal(answer)))
        return answer

    def fails(self, code, text, action, **members):
        """Recorded; what it must fail with: a name of errors, the message or a part of it."""
        try:
            answer = self.call(action, **members)
        except SqsError as e:
            assert e.code in (code, "AWS.SimpleQueueService." + code), (action, members, e.code, e.message)
            assert text in e.message, (action, members, e.message)
            return e
        raise AssertionError(f"{self.client.name}: {action} {members} was answered: {answer}")

    # ---- short forms ----

    def create(self, queue_name, attributes=None, tags=None):
        members = {"Attributes": attributes, "tags": tags}
        url = self.call("CreateQueue", QueueName=self.name(queue_name), **{k: v for k, v in members.items() if v})["QueueUrl"]
        assert url == self.url(queue_name), url
        return url

    def attributes(self, url, *names):
        return self.call("GetQueueAttributes", QueueUrl=url, AttributeNames=list(names or ["All"])).get("Attributes", {})

    def counts(self, url):
        """(visible, in flight, delayed)"""
        found = self.attributes(url, *(f"ApproximateNumberOfMessages{x}" for x in ("", "NotVisible", "Delayed")))
        return tuple(int(found[f"ApproximateNumberOfMessages{x}"]) for x in ("", "NotVisible", "Delayed"))

    def send(self, url, body, **members):
        return self.call("SendMessage", QueueUrl=url, MessageBody=body, **members)

    def receive(self, url, count=10, **members):
        return self.call("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=count, **members).get("Messages", [])

    def bodies(self, url, count=10, **members):
        return [m["Body"] for m in self.receive(url, count, **members)]

    def delete(self, url, message):
        assert self.call("DeleteMessage", QueueUrl=url, ReceiptHandle=message["ReceiptHandle"]) == {}


def same_for_all(scenario, *clients):
    """Runs the scenario with each kind of client (on queues of its own) and compares what they were answered."""
    reference = None
    for kind in clients:
        recorder = Recorder(kind())
        scenario(recorder)
        recorder.client.close()
        record = recorder.record
        if reference is None:
            reference = record
            continue
        assert len(record) == len(reference), (len(record), len(reference), kind.name)
        for step, (theirs, ours) in enumerate(zip(record, reference)):
            if kind is Cli and "status" in theirs[1]:
                theirs[1]["status"] = ours[1].get("status")  # it does not say
            assert theirs == ours, f"step {step}: {clients[0].name} was answered {ours}\n{kind.name} was answered {theirs}"
    return len(reference)
