"""One configuration for several stages, and what a deployment needs beside it: the policy that is just enough, a template."""
import json
import os
import pathlib
import subprocess

from fault_target import FaultTarget, answers
from support import BUILD, Daemon, wait_until

SERVER = 9424
BASE = """{
  // what all stages have in common
  "limits":  { "createjob": { "requests": 5, "per": "1s" } },
  "targets": { "legacy": { "url": "http://127.0.0.1:21000/jobs?key=hush", "headers": { "Authorization": "Bearer hush" } } },
  "routes":  { "createjob": { "queue": "https://sqs.eu-west-1.amazonaws.com/111111111111/jobs", "target": "legacy", "limits": ["createjob"] },
               "theirs": { "queue": "https://sqs.eu-west-1.amazonaws.com/222222222222/orders.fifo", "target": "legacy",
                           "assume_role": { "arn": "arn:aws:iam::222222222222:role/reader", "external_id": "between-us" },
                           "on_failure": { "queue": "https://sqs.us-gov-west-1.amazonaws.com/111111111111/failures" } } },
  "log": { "level": "debug" },
}
"""
PRD = """{ "limits": { "createjob": { "requests": 50 } }, "log": { "level": "warning" }, // louder by day
  "routes": { "theirs": null }, "http": { "listen": ["127.0.0.1:9399"] } }"""
ROLE_ROUTE = ["--route", "theirs"]


def sluice(*args, code=0, env=None):
    done = subprocess.run([str(BUILD / "sluice"), *args], capture_output=True, text=True, timeout=20, env={**os.environ, **(env or {})})
    assert done.returncode == code, (args, done.returncode, done.stdout[-500:], done.stderr[-800:])
    return done.stdout if code == 0 else done.stderr


def files():
    pathlib.Path("sluice.json").write_text(BASE)
    pathlib.Path("sluice.prd.json").write_text(PRD)
    pathlib.Path("sluice.dev.json").write_text('{ "log": { "format": "json" } }')


def test_a_stage_is_merged():
    files()
    base = json.loads(sluice("config", "show", "--config", "sluice.json"))
    prd = json.loads(sluice("config", "show", "--config", "sluice.json", "--stage", "prd"))
    assert base["limits"]["createjob"]["requests"] == 5 and prd["limits"]["createjob"]["requests"] == 50
    assert prd["limits"]["createjob"]["per"] == base["limits"]["createjob"]["per"] == "1s"
    assert prd["stage"] == "prd" and "stage" not in base and prd["http"]["listen"] == ["127.0.0.1:9399"]
    assert set(prd["routes"]) == {"createjob"} and set(base["routes"]) == {"createjob", "theirs"}
    assert prd == json.loads(sluice("config", "show", "-c", "sluice.json", env={"SLUICE_STAGE": "prd"}))
    for shown in (base, prd):
        assert "hush" not in json.dumps(shown) and "between-us" not in json.dumps(shown)
        assert shown["targets"]["legacy"]["url"] == "http://127.0.0.1:21000/jobs?***"
    assert "good" in sluice("check", "--config", "sluice.json", "--stage", "prd")


def test_what_is_wrong_with_a_stage():
    files()
    error = sluice("check", "--config", "sluice.json", "--stage", "stg", code=3)
    assert "there is no sluice.stg.json; stages that have a file: " in error and "dev" in error and "prd" in error, error
    pathlib.Path("sluice.prd.json").write_text('{ "limits": { "createjob": { "requests": "many" } }, "lgo": {}, "routes": { "createjob": { "x": 1 } } }')
    error = sluice("check", "--config", "sluice.json", "--stage", "prd", code=3)
    for where in ("limits.createjob.requests: ", "lgo: ", "routes.createjob.x: "):
        line = [x for x in error.split("\n") if where in x]
        assert line and line[0].endswith("(in sluice.prd.json)"), error
    pathlib.Path("sluice.prd.json").write_text('{ "limits": ')
    error = sluice("run", "--config", "sluice.json", "--stage", "prd", code=3)
    assert "sluice.prd.json" in error and "line 1" in error, error
    pathlib.Path("sluice.prd.json").write_text('{ "stage": "dev" }')
    assert 'found "dev"' in sluice("check", "--config", "sluice.json", "--stage", "prd", code=3)
    assert "allowed: letters" in sluice("check", "--config", "sluice.json", "--stage", "../prd", code=3)
    sluice("run", "--stage", "prd", code=2)
    sluice("config", "hide", code=2)
    # An error of the base is not the stage's.
    pathlib.Path("sluice.json").write_text(BASE.replace('"1s"', '"soon"'))
    pathlib.Path("sluice.prd.json").write_text(PRD)
    error = sluice("check", "--config", "sluice.json", "--stage", "prd", code=3)
    assert "limits.createjob.per: " in error and "(in " not in error, error


def test_the_stage_in_logs_and_metrics():
    pathlib.Path("base.json").write_text('{ "log": { "format": "json" } }')
    pathlib.Path("base.prd.json").write_text('{ "log": { "service": "jobs" } }')
    daemon = Daemon(pathlib.Path("base.json").resolve(), args=["--stage", "prd"])
    assert {x["stage"] for x in daemon.lines()} == {"prd"} and {x["service"] for x in daemon.lines()} == {"jobs"}
    assert [k for k in daemon.metrics() if k.startswith("sluice_build_info{") and 'stage="prd"' in k]
    assert daemon.status()["stage"] == "prd"
    assert daemon.stop() == 0


def statements(*args):
    policy = json.loads(sluice("iam-policy", "--config", "sluice.json", *args))
    assert policy["Version"] == "2012-10-17" and len({s["Sid"] for s in policy["Statement"]}) == len(policy["Statement"])
    assert all(s["Sid"].isalnum() and s["Effect"] == "Allow" for s in policy["Statement"])
    return {s["Resource"]: s["Action"] for s in policy["Statement"]}


def test_iam_policy():
    files()
    drain = ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"]
    jobs = "arn:aws:sqs:eu-west-1:111111111111:jobs"
    assert statements() == {jobs: drain, "arn:aws:iam::222222222222:role/reader": ["sts:AssumeRole"],
                            "arn:aws-us-gov:sqs:us-gov-west-1:111111111111:failures": ["sqs:SendMessage"]}
    assert statements("--stage", "prd", "--dead-letter", "jobs-dlq", "--kms-key", "arn:aws:kms:eu-west-1:1:key/k") == {
        jobs: drain, jobs + "-dlq": ["sqs:SendMessage"], "arn:aws:kms:eu-west-1:1:key/k": ["kms:Decrypt", "kms:GenerateDataKey"]}
    assert statements(*ROLE_ROUTE, "--dead-letter", "arn:aws:sqs:eu-west-1:222222222222:dead.fifo") == {
        "arn:aws:sqs:eu-west-1:222222222222:orders.fifo": drain, "arn:aws:sqs:eu-west-1:222222222222:dead.fifo": ["sqs:SendMessage"]}
    trust = json.loads(sluice("iam-policy", "--config", "sluice.json", *ROLE_ROUTE, "--trust", "arn:aws:iam::111111111111:role/sluice"))
    assert trust["Statement"] == [{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111111111111:role/sluice"}, "Action": "sts:AssumeRole",
                                   "Condition": {"StringEquals": {"sts:ExternalId": "between-us"}}}]
    assert "no such route" in sluice("iam-policy", "--config", "sluice.json", "--route", "gone", code=3)
    pathlib.Path("plain.json").write_text('{ "queues": { "jobs": {} } }')
    assert "nothing to allow" in sluice("iam-policy", "--config", "plain.json", code=3)
    sluice("iam-policy", code=2)


def test_the_policy_is_enough_and_no_more():
    """A server whose key may do what the policy says, on the queues that it says: the daemon drains and dead-letters; all else is refused."""
    pathlib.Path("sluice.json").write_text(json.dumps({
        "targets": {"api": {"url": "http://127.0.0.1:21000/"}},
        "routes": {"r": {"queue": f"http://127.0.0.1:{SERVER}/000000000000/jobs", "target": "api"}},
        "log": {"format": "json"}}))
    policy = json.loads(sluice("iam-policy", "--config", "sluice.json", "--dead-letter", "jobs-dlq", env={"AWS_REGION": "us-east-1"}))
    keys = [{"id": f"AKID{i}", "secret": "hush", "actions": [a.split(":")[1] for a in s["Action"]], "queues": [s["Resource"].split(":")[-1]]}
            for i, s in enumerate(policy["Statement"])]
    # One key for both statements here: its rights are the union, which is checked on the queues.
    both = {"id": "AKID", "secret": "hush", "actions": sorted({a for k in keys for a in k["actions"]}), "queues": [k["queues"][0] for k in keys]}
    admin = {"id": "ADMIN", "secret": "hush"}
    Daemon({"sqs_api": {"listen": [f"127.0.0.1:{SERVER}"], "access_keys": [both, admin]}, "http": {"listen": ["127.0.0.1:9425"]},
            "queues": {"jobs": {"dead_letter": "jobs-dlq"}, "other": {}}, "log": {"format": "json"}}, data_dir="server", sqs_port=SERVER,
           http_port=9425)
    import boto3

    def client(key):
        return boto3.client("sqs", endpoint_url=f"http://127.0.0.1:{SERVER}", region_name="us-east-1", aws_access_key_id=key, aws_secret_access_key="hush")
    boss = client("ADMIN")
    good = [boss.send_message(QueueUrl="jobs", MessageBody='{"fails": 0}')["MessageId"] for _ in range(5)]
    bad = boss.send_message(QueueUrl="jobs", MessageBody='{"fails": 1000}')["MessageId"]
    target = FaultTarget(21000, answers(422))
    daemon = Daemon(pathlib.Path("sluice.json").resolve(), env={"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "hush",
                                                                "AWS_REGION": "us-east-1"})
    wait_until(lambda: target.delivered() == set(good) and bad in {c.message_id for c in target.calls}, 20, "all are called")

    def counts(queue):
        a = boss.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
        return int(a["ApproximateNumberOfMessages"]), int(a["ApproximateNumberOfMessagesNotVisible"])
    wait_until(lambda: counts("jobs") == (0, 0) and counts("jobs-dlq")[0] == 1, 20, "drained, and one given up")
    assert not [x for x in daemon.lines() if "AccessDenied" in json.dumps(x)], daemon.text()[-800:]
    worker = client("AKID")
    for call in (lambda: worker.purge_queue(QueueUrl="jobs"), lambda: worker.delete_queue(QueueUrl="jobs"), lambda: worker.receive_message(QueueUrl="other"),
                 lambda: worker.create_queue(QueueName="new"), lambda: worker.list_dead_letter_source_queues(QueueUrl="jobs-dlq")):
        try:
            call()
            raise AssertionError("it may do more than the policy says")
        except worker.exceptions.ClientError as e:
            assert "AccessDenied" in e.response["Error"]["Code"], e


def walk(value, found):
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "Ref":
                found.append(inner)
            elif key == "Fn::GetAtt":
                found.append(inner[0])
            elif key == "Fn::If":
                found.append("condition:" + inner[0])
            walk(inner, found)
    elif isinstance(value, list):
        for inner in value:
            walk(inner, found)


def test_cloudformation():
    files()
    base = json.loads(BASE.replace("// what all stages have in common", "").replace("},\n}", "}\n}"))
    base["routes"]["again"] = {"queue": base["routes"]["createjob"]["queue"], "target": "legacy"}
    base["routes"]["fifo"] = {"queue": "https://sqs.eu-west-1.amazonaws.com/111111111111/orders-v2.fifo", "target": "legacy", "visibility": "2m"}
    pathlib.Path("sluice.json").write_text(json.dumps(base))
    template = json.loads(sluice("cloudformation", "--config", "sluice.json", "--stage", "prd"))
    resources = template["Resources"]
    found = []
    walk(template["Resources"], found)
    walk(template["Outputs"], found)
    known = set(resources) | set(template["Parameters"]) | {"AWS::NoValue"} | {"condition:" + c for c in template["Conditions"]}
    assert set(found) <= known, set(found) - known
    assert all(k.isalnum() and len(k) < 255 for k in [*resources, *template["Outputs"]])
    queues = {r["Properties"]["QueueName"]: r["Properties"] for r in resources.values() if r["Type"] == "AWS::SQS::Queue"}
    assert set(queues) == {"jobs", "jobs-dlq", "orders-v2.fifo", "orders-v2-dlq.fifo"}, set(queues)
    assert queues["orders-v2.fifo"]["FifoQueue"] is queues["orders-v2-dlq.fifo"]["FifoQueue"] is True and "FifoQueue" not in queues["jobs"]
    assert queues["orders-v2.fifo"]["VisibilityTimeout"] == 120 and queues["jobs"]["VisibilityTimeout"] == 60
    assert all(q["SqsManagedSseEnabled"] and q["MessageRetentionPeriod"] == 1209600 for q in queues.values())
    assert template["Parameters"]["Stage"]["Default"] == "prd"
    policy = resources["SluicePolicy"]["Properties"]["PolicyDocument"]["Statement"]
    ours = json.loads(sluice("iam-policy", "--config", "sluice.json"))["Statement"]
    assert policy[0]["Action"] == ours[0]["Action"] and len(policy[0]["Resource"]) == 2
    assert [r for r in resources.values() if r["Type"] == "AWS::CloudWatch::Alarm"].__len__() == 4
    pathlib.Path("plain.json").write_text('{ "queues": { "jobs": {} } }')
    assert "nothing to deploy" in sluice("cloudformation", "--config", "plain.json", code=3)
