"""The embedded queue's benches: its work against what it is built on, and a queue with a backlog against an empty one."""
import os
import pathlib
import shutil
import sqlite3
import subprocess
import json

HERE = pathlib.Path(__file__).resolve().parent
SQS_PORT, CONSTANT_PORT = 9324, 9424
CONNECTIONS, SECONDS, GOAL = 64, 3, 0.6
BACKLOG_SECONDS, BACKLOG_GOAL, RSS_GOAL_MIB = 2, 0.8, 64
LOG = {"format": "json", "level": "warning"}


def say(text):
    import sys
    print(text, file=sys.stderr, flush=True)


def work(kind, port=SQS_PORT, queue="bench", groups=0, connections=CONNECTIONS, seconds=SECONDS, count=[0]):
    """wrk with queue.lua; its figures."""
    count[0] += 1
    env = dict(os.environ, WORK=kind, QUEUE=queue, GROUPS=str(groups), COUNT=str(count[0]))
    command = ["wrk", f"-t{min(2, connections)}", f"-c{connections}", f"-d{seconds}s", "-s", HERE / "queue.lua", f"http://127.0.0.1:{port}/"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120, env=env)
    lines = [line for line in done.stdout.split("\n") if line.startswith("{")]
    if done.returncode != 0 or not lines:
        raise SystemExit(f"wrk: exit {done.returncode}: {done.stdout[-500:]}{done.stderr[-500:]}")
    figures = json.loads(lines[-1])
    if figures["failed"]:
        say(f"{kind}: {figures['failed']} requests failed")
    return figures


# ---- against a bare SQLite program and our HTTP server answering a constant: the lower of both ----

def measured(daemon, kind):
    """(messages/s, operations a commit)"""
    before = daemon.metrics()
    figures = work(kind)
    after = daemon.metrics()
    operations, commits = (after[f"sluice_store_{k}_total"] - before[f"sluice_store_{k}_total"] for k in ("operations", "commits"))
    return figures["sent_per_s" if kind in ("send", "batch") else "deleted_per_s"], operations / max(1, commits)


def sqlite_rate(bench, kind, per_commit):
    """Of the bare program, with as many messages a commit. It inserts, or receives and deletes; a cycle is both."""
    figures = bench.run_json(bench.program("sqlite_yardstick_bench"), "--per-commit", min(4096, max(1, round(per_commit))),
                             "--messages", 100000 if per_commit > 8 else 10000)
    inserts, takes = figures["inserts_per_s"], figures["receive_deletes_per_s"]
    return {"batch": inserts, "receive": takes, "cycle": 1 / (1 / inserts + 1 / takes)}[kind]


def constant_rate(bench, kind):
    server = bench.support.Program([bench.program("http_constant_bench"), "--listen", f"127.0.0.1:{CONSTANT_PORT}"], "constant")
    bench.support.wait_until(lambda: "ready" in server.text(), 10, "constant server up")
    figures = work(kind, CONSTANT_PORT)
    server.stop()
    return figures["sent_per_s" if kind == "batch" else "deleted_per_s"]


def against_parts(bench, kind, name, per_operation):
    """per_operation: messages an operation of the store stands for, of one pass through the file."""
    ours, group, sqlites, constants = [], [], [], []
    for i in range(bench.repeats):
        say(f"{kind} {i + 1} of {bench.repeats}")
        daemon = bench.daemon({"queues": {"bench": {}}, "log": LOG})
        if kind == "receive":
            work("batch", seconds=2 * SECONDS)
        rate, operations = measured(daemon, kind)
        daemon.stop()
        shutil.rmtree(daemon.data_dir, ignore_errors=True)
        ours.append(rate)
        group.append(operations * per_operation)
        sqlites.append(sqlite_rate(bench, kind, operations * per_operation))
        constants.append(constant_rate(bench, kind))
    lower = [min(pair) for pair in zip(sqlites, constants)]
    add = bench.table.add
    add(f"{name}: sluice", ours, "messages/s", f"{CONNECTIONS} connections, AWS JSON, 512 bytes, synced")
    add(f"{name}: messages a sync", group, "")
    add(f"{name}: bare SQLite", sqlites, "messages/s", "as many a commit, no HTTP")
    add(f"{name}: HTTP server, constant", constants, "messages/s", "no queue")
    add(f"{name}: sluice / lower of both", [a / b for a, b in zip(ours, lower)], "ratio", f"goal {GOAL}")


def batch(bench):
    against_parts(bench, "batch", "SendMessageBatch", 10)


def receive(bench):
    against_parts(bench, "receive", "receive + delete of 10", 10)


def cycle(bench):
    against_parts(bench, "cycle", "send, receive, delete", 10)


# ---- a backlog against an empty queue ----

# name: (messages waiting, groups, SQL of visible_at with the clock's :now, connections)
BACKLOGS = {
    "1,000,000 standard": (1_000_000, 0, ":now", 64),
    "200,000 FIFO, 1 group": (200_000, 1, ":now", 4),
    "200,000 FIFO, 50,000 groups": (200_000, 50_000, ":now", 64),
    "100,000 delayed": (100_000, 0, ":now + 900000", 64),
    "100,000 in flight": (100_000, 0, ":now + 40000000", 64),
}


def fill_file(path, messages, groups, visible_at):
    """The rows that sends would have written, beside the one message that is there and tells space, lane and clock."""
    db = sqlite3.connect(path)
    identity, lane, now, sent_at = db.execute("SELECT id, lane, enqueued_at, sent_at FROM messages").fetchone()
    space, values = identity >> 40, {"now": now, "first": identity + 1, "lane": lane, "sent": sent_at, "groups": groups,
                                     "messages": messages, "in_flight": int("40000000" in visible_at)}
    values["space"] = space
    db.executescript("PRAGMA synchronous = OFF; PRAGMA cache_size = -200000")
    numbers = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :{}) "
    if groups:
        db.execute(numbers.format("groups") + "INSERT OR IGNORE INTO groups (space, due_at, name) SELECT :space, :now, 'group-' || i FROM n", values)
    group = "(SELECT id FROM groups WHERE space = :space AND name = 'group-' || (i % :groups))" if groups else "0"
    db.execute(numbers.format("messages") + f"""INSERT INTO messages (id, lane, visible_at, receive_count, token, received_at,
        first_received_at, enqueued_at, sent_at, group_key, message_id, group_id, deduplication_id, body)
        SELECT :first + i, :lane, {visible_at}, :in_flight, 1 << 60, :now, :sent, :now, :sent, {group}, randomblob(16),
        {"'group-' || (i % :groups), 'd' || i" if groups else "NULL, NULL"}, printf('%.512c', 'x') FROM n""", values)
    db.execute("DELETE FROM closings")  # counted at the next start, as after a crash
    db.commit()
    db.close()


def queue_file(daemon):
    files = list(daemon.data_dir.glob("*.db"))
    assert len(files) == 1, files
    return files[0]


def prepared(bench, name, with_backlog):
    messages, groups, visible_at, _ = BACKLOGS[name]
    queue = "bench.fifo" if groups else "bench"
    config = {"queues": {}, "log": LOG}
    daemon = bench.daemon(config)
    daemon.sqs("CreateQueue", QueueName=queue, **({"Attributes": {"FifoQueue": "true"}} if groups else {}))
    daemon.sqs("SendMessage", QueueUrl=queue, MessageBody="x" * 512, **(
        {"MessageGroupId": "group-0", "MessageDeduplicationId": "first"} if groups else {}))
    daemon.stop()
    if with_backlog:
        fill_file(queue_file(daemon), messages, groups, visible_at)
    return daemon.data_dir


def rates(bench, directory, name):
    """(messages sent a second, received and deleted a second, RSS MiB) by a daemon on this directory."""
    _, groups, _, connections = BACKLOGS[name]
    queue = "bench.fifo" if groups else "bench"
    daemon = bench.support.Daemon({"queues": {}, "log": LOG}, data_dir=directory, build=bench.build)
    sent = work("batch", queue=queue, groups=groups, connections=connections, seconds=BACKLOG_SECONDS)["sent_per_s"]
    deleted = work("receive", queue=queue, groups=groups, connections=connections, seconds=1)["deleted_per_s"]
    status = pathlib.Path(f"/proc/{daemon.pid}/status").read_text()
    rss = next(int(line.split()[1]) / 1024 for line in status.split("\n") if line.startswith("VmRSS"))
    daemon.stop()
    return sent, deleted, rss


def backlog(bench):
    """Send and receive + delete with a backlog, and the same on an empty queue, in turns. BACKLOG=text: those whose name has it."""
    for name in (name for name in BACKLOGS if os.environ.get("BACKLOG", "") in name):
        say(f"backlog: {name}")
        empty, full = prepared(bench, name, False), prepared(bench, name, True)
        pairs = [(rates(bench, empty, name), rates(bench, full, name)) for _ in range(bench.repeats)]
        shutil.rmtree(empty)
        shutil.rmtree(full)
        for index, kind in ((0, "send"), (1, "receive + delete")):
            bench.table.add(f"{name}: {kind}", [f[index] for _, f in pairs], "messages/s",
                            f"empty queue: {sorted(e[index] for e, _ in pairs)[len(pairs) // 2]:,.0f}")
            bench.table.add(f"{name}: {kind}, of an empty queue", [f[index] / max(1, e[index]) for e, f in pairs], "ratio",
                            f"goal {BACKLOG_GOAL}")
        bench.table.add(f"{name}: RSS", [f[2] for _, f in pairs], "MiB", f"goal {RSS_GOAL_MIB}")
