"""sluice queue: the embedded queue for the people on call, against a running daemon."""
import json
import os
import pathlib
import pty
import shutil
import subprocess
import threading
import time

from support import BUILD, Daemon, MockApi, config, figure, queue_counts, send_jobs, sqs, wait_until


def queue(*args, data_dir="data", text=None, build=BUILD, env=None):
    """sluice queue …: (exit code, standard output, standard error)"""
    command = [str(build / "sluice"), "queue", *[str(a) for a in args]]
    if data_dir is not None:
        command += ["--data-dir", str(data_dir)]
    done = subprocess.run(command, input=text if text is not None else "", stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=120, env=dict(os.environ, **(env or {})))
    return done.returncode, done.stdout, done.stderr


def good(*args, **more):
    code, out, err = queue(*args, **more)
    assert code == 0, (args, code, out, err)
    return out


def listed(name):
    """The queue's line of ls --json; None when it is not there."""
    return next((q for q in json.loads(good("ls", "--json")) if q["name"] == name), None)


def test_the_verbs():
    daemon = Daemon({"queues": {"jobs": {"dead_letter": "jobs-dlq"}}})
    assert good("create", "mail", "--attribute", "VisibilityTimeout=7", "-a", "DelaySeconds=0") == "queue mail: created\n"
    assert good("create", "mail") == "queue mail: was there already\n"
    attributes = daemon.sqs("GetQueueAttributes", QueueUrl="mail", AttributeNames=["All"])["Attributes"]
    assert attributes["VisibilityTimeout"] == "7"
    assert good("create", "orders.fifo", "-a", "ContentBasedDeduplication=true") == "queue orders.fifo: created\n"
    assert daemon.sqs("GetQueueAttributes", QueueUrl="orders.fifo", AttributeNames=["FifoQueue"])["Attributes"]["FifoQueue"] == "true"

    # send: what a client receives is what was given, byte for byte.
    pathlib.Path("body").write_text("from a file \u20ac\n")
    ids = [good("send", "mail", "plain", "--attribute", "color=blue", "-a", "equation=a=b").strip(),
           good("send", "mail", "--file", "body").strip(),
           good("send", "mail", "-", text="from a pipe\n").strip()]
    late = good("send", "mail", "late", "--delay", "900").strip()
    got = {m["MessageId"]: m for m in daemon.sqs("ReceiveMessage", QueueUrl="mail", MaxNumberOfMessages=10,
                                                 MessageAttributeNames=["All"])["Messages"]}
    assert [got[i]["Body"] for i in ids] == ["plain", "from a file \u20ac\n", "from a pipe\n"]
    assert {k: v["StringValue"] for k, v in got[ids[0]]["MessageAttributes"].items()} == {"color": "blue", "equation": "a=b"}
    assert queue_counts(9324, "mail") == (0, 3, 1)
    first = good("send", "orders.fifo", "one", "--group", "g", "--dedup-id", "d")
    assert good("send", "orders.fifo", "other", "--group", "g", "--dedup-id", "d") == first, "deduplicated"

    # ls
    wait_until(lambda: (listed("mail") or {}).get("in_flight") == 3, what="ls knows")
    assert listed("mail")["delayed"] == 1 and "oldest_age_seconds" not in listed("mail")
    assert listed("jobs")["dead_letter"] == "jobs-dlq" and "dead_letter" not in listed("jobs-dlq")
    wait_until(lambda: "oldest_age_seconds" in listed("orders.fifo"), what="the age of the oldest")
    table = [line.split() for line in good("ls").strip().split("\n")]
    assert table[0][:1] == ["QUEUE"] and ["jobs", "0", "0", "0", "-", "jobs-dlq"] in table, table
    assert [row[:4] for row in table if row[0] == "mail"] == [["mail", "0", "3", "1"]], table

    # purge and rm
    assert queue("purge", "mail")[0] == 2 and queue("rm", "mail")[0] == 2, "nobody can be asked"
    assert queue_counts(9324, "mail") == (0, 3, 1)
    assert good("purge", "mail", "--yes") == "queue mail: 4 messages deleted\n"
    assert queue_counts(9324, "mail") == (0, 0, 0)
    assert good("rm", "mail", "-y") == "queue mail: removed, 0 messages deleted\n"
    wait_until(lambda: listed("mail") is None, what="removed from ls")
    assert late not in ids
    assert daemon.stop() == 0


def test_a_person_is_asked():
    daemon = Daemon()
    good("create", "jobs")
    good("send", "jobs", "x")

    def answered(answer):
        ours, theirs = pty.openpty()
        child = subprocess.Popen([str(BUILD / "sluice"), "queue", "purge", "jobs", "--data-dir", "data"], stdin=theirs,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        os.write(ours, answer)
        out, err = child.communicate(timeout=30)
        os.close(ours)
        os.close(theirs)
        return child.returncode, out, err

    code, out, err = answered(b"n\n")
    assert code == 1 and b"Delete all 1 messages of queue jobs? [y/N]" in err and queue_counts(9324, "jobs") == (1, 0, 0), (out, err)
    code, out, err = answered(b"y\n")
    assert code == 0 and queue_counts(9324, "jobs") == (0, 0, 0), (out, err)
    assert daemon.stop() == 0


def test_peek_changes_nothing():
    daemon = Daemon()
    good("create", "jobs")
    for i in range(12):
        good("send", "jobs", f"body {i}", *(["--group", "tenant"] if i == 1 else []))
    good("send", "jobs", "hidden", "--delay", "900")
    before = daemon.metric('sluice_queue_received_total{queue="jobs"}')
    shown = json.loads(good("peek", "jobs", "--json"))["Messages"]
    assert [m["Body"] for m in shown] == [f"body {i}" for i in range(10)], "oldest first, ten of them"
    assert len(json.loads(good("peek", "jobs", "--json", "--max", "1000"))["Messages"]) == 12
    assert len(json.loads(good("peek", "jobs", "--json", "-n", "2"))["Messages"]) == 2
    everything = json.loads(good("peek", "jobs", "--json", "--max", "1000", "--all"))["Messages"]
    assert sorted(m["Body"] for m in everything)[-1] == "hidden" and len(everything) == 13
    text = good("peek", "jobs", "--all", "--max", "100")
    assert text.count("received 0 times") == 13 and ", group tenant" in text and "delayed" in text and "\nbody 11\n" in text
    assert queue_counts(9324, "jobs") == (12, 0, 1)
    got = daemon.sqs("ReceiveMessage", QueueUrl="jobs", AttributeNames=["All"])["Messages"][0]
    assert got["Attributes"]["ApproximateReceiveCount"] == "1", "the looks were no receives"
    assert daemon.metric('sluice_queue_received_total{queue="jobs"}') >= before
    assert "in flight" in good("peek", "jobs", "--all", "--max", "100")
    good("create", "empty")
    assert good("peek", "empty") == "" and json.loads(good("peek", "empty", "--json")) == {}
    assert daemon.stop() == 0


def test_redrive():
    daemon = Daemon({"queues": {"jobs": {"dead_letter": "jobs-dlq", "max_receives": 1, "visibility_timeout": "0s"}}})
    send_jobs(9324, "jobs", 30)

    def all_dead():
        sqs(9324, "ReceiveMessage", QueueUrl="jobs", MaxNumberOfMessages=10)
        return queue_counts(9324, "jobs-dlq")[0] == 30
    wait_until(all_dead, what="all messages are dead letters")
    assert good("redrive", "jobs-dlq") == "queue jobs-dlq: 30 messages moved\n"
    assert queue_counts(9324, "jobs-dlq") == (0, 0, 0) and queue_counts(9324, "jobs")[0] == 30
    wait_until(all_dead, what="dead again")
    good("create", "elsewhere")
    assert good("redrive", "jobs-dlq", "--to", "elsewhere", "--rate", "500", "--detach") == "queue jobs-dlq: the move has begun\n"
    wait_until(lambda: queue_counts(9324, "elsewhere")[0] == 30, what="moved in the background")
    code, _, err = queue("redrive", "jobs")
    assert code == 1 and "Source queue must be configured as a Dead Letter Queue." in err, err
    assert daemon.stop() == 0


def test_errors_are_clear():
    code, _, err = queue("ls")
    assert code == 1 and "no daemon runs on this data directory" in err and "sluice run --data-dir data" in err, err
    code, _, err = queue("ls", data_dir=None, env={"STATE_DIRECTORY": "", "XDG_STATE_HOME": ""})
    assert code == 2 and "--data-dir" in err, err
    daemon = Daemon({"sqs_api": {"access_keys": [{"id": "KEY", "secret": "secret"}]}})
    assert good("create", "jobs") == "queue jobs: created\n", "whoever owns the data directory needs no signature"
    for args in (["send", "none", "x"], ["purge", "none", "--yes"], ["rm", "none", "-y"], ["peek", "none"], ["redrive", "none"]):
        code, _, err = queue(*args)
        assert code == 1 and 'there is no queue "none"' in err, (args, code, err)
    for args in ([], ["nonsense"], ["create"], ["create", "no dots."], ["create", "a", "b"], ["create", "a", "-a", "novalue"],
                 ["send", "jobs"], ["send", "jobs", "x", "--file", "y"], ["send", "jobs", "x", "--delay", "901"],
                 ["send", "jobs", "x", "--delay", "-1"], ["peek", "jobs", "--max", "0"], ["peek", "jobs", "--max"],
                 ["redrive", "jobs", "--rate", "501"], ["ls", "extra"], ["ls", "--wrong"], ["backup"], ["check", "a", "b"]):
        code, _, err = queue(*args)
        assert code == 2 and err, (args, code, err)
    code, _, err = queue("create", "jobs", "-a", "VisibilityTimeout=-1")
    assert code == 1 and "VisibilityTimeout" in err, err
    code, _, err = queue("send", "jobs", "--file", "not-there")
    assert code == 1 and "not-there" in err and "No such file" in err, err
    pathlib.Path("large").write_bytes(b"x" * (1048576 + 1))
    code, _, err = queue("send", "jobs", "--file", "large")
    assert code == 1 and "1048576" in err, err
    pathlib.Path("large").write_bytes(b"x" * 1048576)
    good("send", "jobs", "--file", "large")
    pathlib.Path("binary").write_bytes(b"\xff\x00")
    code, _, err = queue("send", "jobs", "--file", "binary")
    assert code == 1 and "base64" in err, err
    for verb in ("ls", "create", "send", "peek", "purge", "redrive", "rm", "backup", "check"):
        assert good(verb, "--help", data_dir=None).startswith(f"usage: sluice queue {verb}")
    assert daemon.stop() == 0


class Senders:
    """Threads that send without a pause; accepted: the ids that were answered."""

    def __init__(self, count):
        self.accepted, self.ending = [], False
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def run(self):
        while not self.ending:
            try:
                self.accepted += send_jobs(9324, "jobs", 10, body=lambda i: "x" * 2000)
            except OSError:
                return

    def end(self):
        self.ending = True
        for thread in self.threads:
            thread.join(30)


def bodies_and_ids(daemon):
    return {m["MessageId"] for m in drain(daemon)}


def drain(daemon):
    while True:
        messages = daemon.sqs("ReceiveMessage", QueueUrl="jobs", MaxNumberOfMessages=10).get("Messages", [])
        if not messages:
            return
        yield from messages


def test_backup_under_load():
    """I3: every message that was accepted before the backup began is in it, and so is what others did meanwhile or not."""
    daemon = Daemon({"queues": {"jobs": {"dead_letter": "jobs-dlq"}}})
    senders = Senders(4)
    wait_until(lambda: len(senders.accepted) >= 3000, 60, "a backlog")
    before = set(senders.accepted)
    begin = time.monotonic()
    out = good("backup", "backup.db")
    took = time.monotonic() - begin
    during = len(senders.accepted) - len(before)
    daemon.kill()
    senders.end()
    path = pathlib.Path("backup.db").resolve()
    assert out.startswith(f"{path}: ") and f"{path.stat().st_size} bytes" in out, out
    count = int(out.split(": ")[1].split()[0])
    figure(f"backup of {path.stat().st_size >> 20} MiB under load in {took:.2f} s, {during} messages accepted meanwhile")
    assert count >= len(before) and during > 0 and path.stat().st_mode & 0o777 == 0o600
    assert not pathlib.Path("backup.db.part").exists()
    checked = good("check", "backup.db", data_dir=None)
    assert "sound (2 queues" in checked and f", {count} messages," in checked, checked

    # The file is a queue: a daemon starts from it.
    pathlib.Path("restored").mkdir()
    shutil.copy("backup.db", "restored/queue.db")
    restored = Daemon(data_dir="restored")
    found = bodies_and_ids(restored)
    assert before <= found and len(found) == count, (len(before), len(found), count)
    assert restored.stop() == 0

    # And so is the one that was killed.
    again = Daemon()
    assert set(senders.accepted) <= bodies_and_ids(again)
    assert again.stop() == 0


def test_backup_refusals():
    daemon = Daemon()
    good("create", "jobs")
    good("send", "jobs", "x")
    good("backup", "b.db")
    code, _, err = queue("backup", "b.db")
    assert code == 1 and "is there already; --force replaces it" in err, err
    good("send", "jobs", "y")
    assert ": 2 messages" in good("backup", "b.db", "--force")
    pathlib.Path("letter").write_text("dear reader")
    code, _, err = queue("backup", "letter", "--force")
    assert code == 1 and "will not be replaced" in err and pathlib.Path("letter").read_text() == "dear reader", err
    for name in ("data/queue.db", "data/queue.db-wal", "data/queue.db-new"):
        code, _, err = queue("backup", name, "--force")
        assert code == 1 and "queue" in err, (name, err)
    code, _, err = queue("backup", "nowhere/b.db")
    assert code == 1 and "No such file" in err, err
    os.symlink("/dev/full", "full.db.part")
    assert ": 2 messages" in good("backup", "full.db"), "a leftover .part is no obstacle"
    assert queue_counts(9324, "jobs") == (2, 0, 0)
    assert daemon.stop() == 0
    code, _, err = queue("backup", "c.db")
    assert code == 1 and "no daemon runs" in err, err


def test_check():
    daemon = Daemon()
    good("create", "jobs")
    send_jobs(9324, "jobs", 20)
    code, _, err = queue("check")
    assert code == 1 and f"in use by process {daemon.pid}" in err, err
    code, _, err = queue("check", "data/queue.db", data_dir=None)
    assert code == 1 and "in use by process" in err, err
    daemon.kill()
    code, out, err = queue("check")
    assert code == 0 and "sound (1 queues, 20 messages" in out and not err, ("after a kill, its log included", out, err)
    assert Daemon().stop() == 0
    before = pathlib.Path("data/queue.db").read_bytes()
    assert "sound (1 queues, 20 messages" in good("check") and pathlib.Path("data/queue.db").read_bytes() == before
    assert sorted(os.listdir("data")) == ["lock", "queue.db"], "nothing is left beside it"
    damaged = bytearray(before)
    at = before.rindex(b'{"job": 1')
    page = at // 8192 * 8192
    damaged[page:page + 8192] = bytes(8192)
    pathlib.Path("damaged.db").write_bytes(damaged)
    code, out, err = queue("check", "damaged.db", data_dir=None)
    assert code == 3 and not out and "put a backup in its place" in err and "recover" in err, (code, out, err)
    assert pathlib.Path("damaged.db").read_bytes() == damaged
    code, _, err = queue("check", "not-there.db", data_dir=None)
    assert code == 1 and "there is no queue file" in err, err
    pathlib.Path("letter").write_text("dear reader" * 20)
    assert queue("check", "letter", data_dir=None)[0] == 3


def test_declared_fifo_queue():
    """Made at the start, changed at the next, and drained in order into a target."""
    declared = {"dead_letter": "orders-dlq.fifo", "content_based_deduplication": True, "deduplication_scope": "message_group",
                "fifo_throughput_limit": "per_message_group_id", "max_message_bytes": 2048, "receive_wait": "3s"}
    api = MockApi()
    settings = config(limit={"requests": 1000, "per": "1s"})
    settings["queues"] = {"orders.fifo": declared}
    settings["routes"]["createjob"]["queue"] = "orders.fifo"
    settings["routes"]["createjob"]["paused"] = True
    daemon = Daemon(settings)
    a = daemon.sqs("GetQueueAttributes", QueueUrl="orders.fifo", AttributeNames=["All"])["Attributes"]
    assert (a["FifoQueue"], a["ContentBasedDeduplication"], a["DeduplicationScope"], a["FifoThroughputLimit"], a["MaximumMessageSize"],
            a["ReceiveMessageWaitTimeSeconds"]) == ("true", "true", "messageGroup", "perMessageGroupId", "2048", "3"), a
    assert json.loads(a["RedrivePolicy"])["deadLetterTargetArn"].endswith(":orders-dlq.fifo")
    ids = [good("send", "orders.fifo", str(i), "--group", "g").strip() for i in range(10)]
    assert good("send", "orders.fifo", "3", "--group", "g").strip() == ids[3], "content-based"
    assert daemon.stop() == 0
    declared["max_message_bytes"] = 4096
    settings["routes"]["createjob"]["paused"] = False
    daemon = Daemon(settings)
    assert daemon.sqs("GetQueueAttributes", QueueUrl="orders.fifo",
                      AttributeNames=["MaximumMessageSize"])["Attributes"]["MaximumMessageSize"] == "4096"
    wait_until(lambda: len(api.arrivals()) >= 10, 30, "all are delivered")
    assert [m for _, m, _ in api.arrivals()] == ids, "I7: in order"
    wait_until(lambda: queue_counts(9324, "orders.fifo") == (0, 0, 0), what="all are settled")
    assert daemon.stop() == 0 and api.stop() == 0


test_backup_under_load.weight = 20
