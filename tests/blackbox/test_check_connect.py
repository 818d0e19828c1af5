"""sluice check --connect: what it finds at the queues and targets, and says about them."""
import json
import os
import pathlib
import subprocess

from support import BUILD, Daemon, ScriptedApi, config, response, send_jobs, wait_until, window

KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
QUEUE = "http://127.0.0.1:9424/000000000000/work"


def server():
    """The SQS side: signed requests only."""
    return Daemon({"sqs_api": {"listen": ["127.0.0.1:9424"], "access_keys": [
                       {"id": KEY, "secret": SECRET}, {"id": "SENDER", "secret": SECRET, "actions": ["SendMessage"]}]},
                   "http": {"listen": ["127.0.0.1:9425"]},
                   "queues": {"work": {"dead_letter": "work-dlq", "max_receives": 2, "retention": "1m"}}},
                  data_dir="server", sqs_port=9424, http_port=9425)


def remote(queue=QUEUE, **more):
    settings = config(window(5), **more)
    del settings["queues"]
    settings["routes"]["createjob"]["queue"] = queue
    settings["targets"]["legacy"]["connect_timeout"] = "3s"
    return settings


def check(settings, *args, key=KEY, secret=SECRET, region="us-east-1"):
    """(exit code, standard output, standard error)"""
    pathlib.Path("check.json").write_text(json.dumps(settings))
    env = dict(os.environ, AWS_ACCESS_KEY_ID=key, AWS_SECRET_ACCESS_KEY=secret, AWS_REGION=region,
               AWS_SHARED_CREDENTIALS_FILE="/nonexistent")
    done = subprocess.run([BUILD / "sluice", "check", "--connect", "--config", "check.json", *args], env=env, timeout=60,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert SECRET not in done.stdout + done.stderr
    return done.returncode, done.stdout, done.stderr


def refused(settings, *wanted, **more):
    code, out, err = check(settings, **more)
    assert code == 3 and "check.json: refused: 1 error\n" in err and "good (" not in out, (code, out, err)
    for text in wanted:
        assert text in err, (text, err)


def test_a_queue_of_sqs():
    server()
    api = ScriptedApi(lambda *_: response())
    boto = __import__("boto3").client("sqs", endpoint_url="http://127.0.0.1:9424", region_name="us-east-1",
                                      aws_access_key_id=KEY, aws_secret_access_key=SECRET)
    for _ in range(32):
        boto.send_message_batch(QueueUrl=QUEUE, Entries=[{"Id": str(i), "MessageBody": "x"} for i in range(10)])
    code, out, err = check(remote())
    assert code == 0, (code, out, err)
    assert "targets.legacy.url: 127.0.0.1:8080 accepts connections, in " in out and "no request was sent" in out, out
    assert "standard; 320 visible, 0 in flight, 0 delayed; visibility 30s, retention 1m0s, dead-letter queue work-dlq " \
           "after 2 receives\n" in out, out
    assert "backlog  320 messages, at that pace 1m" in out and "check.json: good (routes: 1" in out, out
    assert "routes.createjob.queue: the backlog of 320 messages takes 1m5s, and a message is kept for 1m0s" \
        in err, err
    assert "gives a message up after 2 receives" in err and "routes.createjob.retry.max_attempts: 20 attempts" in err, err
    assert api.requests == [], "a check calls nobody"
    wait_until(lambda: boto.get_queue_attributes(QueueUrl=QUEUE, AttributeNames=["All"])["Attributes"]
               ["ApproximateNumberOfMessages"] == "320", 5, "nothing was received")


def test_queues_that_cannot_be_asked():
    server()
    ScriptedApi(lambda *_: response())
    path = "check.json: routes.createjob.queue: "
    refused(remote(QUEUE + "-other"), path + "there is no such queue", "QueueDoesNotExist")
    refused(remote(), path + "the signature is refused: the secret key (environment) or the region", secret="wrong")
    refused(remote(), path + "the signature is refused", region="eu-west-1")
    refused(remote(), path + "the access key is not known there", key="NOBODY")
    refused(remote(), path + "the credentials (environment) may not read the queue", key="SENDER")
    refused(remote(QUEUE.replace("9424", "9499")), path + "the queue cannot be asked: could not connect")
    refused(remote("https://sqs.eu-central-1.amazonaws.com/123456789012/jobs"), path + "no AWS credentials: environment: no AWS_ACCESS_KEY_ID; role: ", key="",
            secret="")


def test_targets_that_cannot_be_reached():
    daemon = server()
    path = "check.json: targets.legacy.url: cannot be reached "
    refused(remote(), path + "(could not connect)")
    refused(remote(url="http://no-such-host.invalid/"), path + "(name could not be resolved)")
    refused(remote(url=f"https://127.0.0.1:{daemon.http_port}/"), path + "(TLS")


def test_destinations():
    server()
    ScriptedApi(lambda *_: response())

    def with_destinations(success, failure):
        settings = remote()
        settings["routes"]["createjob"] |= {"on_success": success, "on_failure": failure}
        return settings

    code, out, err = check(with_destinations({"url": "http://127.0.0.1:8080/done"}, {"queue": QUEUE + "-dlq"}))
    assert code == 0, (out, err)
    assert "routes.createjob.on_success.url: 127.0.0.1:8080 accepts" in out, out
    assert "routes.createjob.on_failure.queue: is there\n" in out, out
    refused(with_destinations({"queue": QUEUE + "-none"}, {"queue": QUEUE + "-dlq"}),
            "check.json: routes.createjob.on_success.queue: there is no such queue")
    refused(with_destinations({"queue": QUEUE + "-dlq"}, {"url": "http://127.0.0.1:8081/"}),
            "check.json: routes.createjob.on_failure.url: cannot be reached (could not connect)")


def test_embedded_queues():
    ScriptedApi(lambda *_: response())
    settings = config(window(5))
    settings["routes"]["createjob"]["paused"] = True
    code, out, err = check(settings, "--data-dir", "data")
    assert code == 0 and "embedded queues as declared, without counts: no daemon runs on this data directory" in out, out
    assert "queue    standard; visibility 30s, retention 14d0h, dead-letter queue jobs-dlq after 5 receives\n" in out, out
    daemon = Daemon(settings)
    send_jobs(daemon.sqs_port, "jobs", 20)
    wait_until(lambda: "oldest_age_seconds" in [q for q in daemon.status()["queues"] if q["name"] == "jobs"][0], 10,
               "the age of the oldest")
    code, out, err = check(settings, "--data-dir", "data")
    assert code == 0 and "20 visible, 0 in flight, 0 delayed" in out and "as declared" not in out, (out, err)
    assert "20 messages, at that pace" in out and "; the oldest is " in out, out
    assert "warning" not in err, err
    settings["routes"]["createjob"]["queue"] = "later"
    settings["queues"]["later"] = {"dead_letter": "jobs-dlq"}
    code, out, err = check(settings, "--data-dir", "data")
    assert code == 0 and "queue later: the daemon does not have it yet; as declared" in out, (out, err)
