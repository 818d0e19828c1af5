"""The embedded queue on a disk that is full, read-only or damaged. Disks are small tmpfs, mounted in a mount namespace of
the test's own: nobody else sees them, and they go with it."""
import ctypes
import os
import pathlib
import sqlite3
import subprocess

from support import BUILD, Daemon, Skip, SqsError, http_call, queue_counts, sqs, wait_until

CLONE_NEWNS = 0x00020000
MS_RDONLY, MS_REMOUNT, MS_REC, MS_PRIVATE = 1, 32, 16384, 1 << 18
LIBC = ctypes.CDLL(None, use_errno=True)
PAGE = 8192


def mount(source, target, kind, flags, options=None):
    if LIBC.mount(source, str(target).encode(), kind, flags, options) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(target))


class Disk:
    """A tmpfs of that size at ./disk."""

    def __init__(self, size):
        self.path = pathlib.Path("disk").resolve()
        self.path.mkdir()
        if LIBC.unshare(CLONE_NEWNS) != 0:
            raise Skip("no mount namespace: " + os.strerror(ctypes.get_errno()))
        mount(b"none", "/", None, MS_REC | MS_PRIVATE)
        mount(b"tmpfs", self.path, b"tmpfs", 0, f"size={size},mode=0700".encode())
        self.ballast = self.path / "ballast"

    def free(self):
        fs = os.statvfs(self.path)
        return fs.f_bavail * fs.f_frsize

    def fill(self, leave=0):
        """Something else takes the room, but for so many bytes."""
        with open(self.ballast, "ab") as file:
            while self.free() > leave:
                try:
                    file.write(b"x" * min(4096, self.free() - leave))
                    file.flush()
                except OSError:
                    return

    def empty(self):
        self.ballast.unlink()

    def read_only(self, on):
        mount(b"tmpfs", self.path, b"tmpfs", MS_REMOUNT | (MS_RDONLY if on else 0))


def refused(call, *args, **members):
    """The error, or None when it was accepted."""
    try:
        call(*args, **members)
        return None
    except SqsError as error:
        return error


def send(body, queue="q"):
    return sqs(9324, "SendMessage", QueueUrl=queue, MessageBody=body)["MessageId"]


def send_until_refused(body="b" * 8000, most=20000):
    """(ids accepted, the error)"""
    ids = []
    for _ in range(most):
        try:
            ids.append(send(body))
        except SqsError as error:
            return ids, error
    raise AssertionError("the disk does not get full")


def take(count=10, queue="q"):
    """Receives and deletes; ids."""
    messages = sqs(9324, "ReceiveMessage", QueueUrl=queue, MaxNumberOfMessages=count).get("Messages", [])
    for message in messages:
        sqs(9324, "DeleteMessage", QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    return [message["MessageId"] for message in messages]


def drain(queue="q"):
    ids = []
    while True:
        got = take(queue=queue)
        if not got:
            return ids
        ids += got


def run_sluice(*args):
    done = subprocess.run([str(BUILD / "sluice"), *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=60, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout


def log_has(daemon, text):
    return any(text in line.get("message", "") for line in daemon.lines())


def start(disk, **settings):
    daemon = Daemon(dict({"log": {"format": "json"}}, **settings), data_dir=disk.path / "data")
    sqs(9324, "CreateQueue", QueueName="q")
    return daemon


def test_full_disk():
    """Senders are told, receivers and deleters go on, and it resumes by itself. Nothing accepted is missing."""
    disk = Disk("24m")
    daemon = start(disk)
    before = [send(f"early {i}") for i in range(50)]
    ids, error = send_until_refused()
    assert error.status == 503 and "full" in error.message, error
    assert ids, "it took messages before it was full"
    assert wait_until(lambda: daemon.metric("sluice_store_error") == 1, 10, "the metric")
    assert log_has(daemon, "nearly full"), daemon.text()[-800:]
    assert http_call(9325, "GET", "/readyz")[0] == 200, "receivers shall come on"
    # with the room that was kept: receives and deletes, while sends are still refused
    taken = take(10)
    assert len(taken) == 10 and set(taken) <= set(before)
    assert refused(send, "more").status == 503
    # room inside the file again: the queue takes messages without anybody's help
    taken += [m for _ in range(len(ids) // 20) for m in take(10)]
    wait_until(lambda: refused(send, "resumed") is None, 20, "sending resumes")
    wait_until(lambda: daemon.metric("sluice_store_error") == 0, 10, "the metric")
    assert log_has(daemon, "has room again")
    rest = drain()
    assert set(before + ids) <= set(taken + rest), "I3: what was accepted is there"
    assert daemon.stop() == 0


def test_disk_filled_by_others():
    """Nothing at all is free: every write is refused, none half done; what was accepted is there after a kill too."""
    disk = Disk("24m")
    daemon = start(disk)
    ids = [send("b" * 2000) for _ in range(300)]
    disk.fill()
    error = refused(send, "x")
    assert error is not None and error.status == 503 and "full" in error.message, error
    more, error = send_until_refused("c" * 100, 50) if refused(send, "x") is None else ([], error)
    counts = queue_counts(9324, "q")
    assert counts[0] == len(ids) + len(more), (counts, len(ids))
    wait_until(lambda: daemon.metric("sluice_store_error") == 1, 10, "the metric")
    daemon.kill()
    disk.empty()
    daemon = Daemon({"log": {"format": "json"}}, data_dir=disk.path / "data")
    assert log_has(daemon, "not closed cleanly") and log_has(daemon, "sound")
    ids.append(send("again"))
    assert set(drain()) == set(ids + more)
    assert daemon.stop() == 0


def test_read_only_disk():
    """A start is refused and says why, nothing is touched, and it starts again when the disk can be written. (A disk that
    turns read-only under the running store: tests/unit/queue/store_test.c. The kernel lets nobody do it to a tmpfs
    with open files.)"""
    disk = Disk("32m")
    daemon = start(disk)
    ids = [send(f"m{i}") for i in range(20)]
    assert daemon.stop() == 0
    path = disk.path / "data" / "queue.db"
    good = path.read_bytes()
    disk.read_only(True)
    code, text = run_sluice("run", "--data-dir", path.parent)
    assert code in (1, 3) and "ead-only" in text and str(path.parent) in text, (code, text)
    assert path.read_bytes() == good and not list(path.parent.glob("queue.db-*"))
    disk.read_only(False)
    daemon = Daemon({"log": {"format": "json"}}, data_dir=disk.path / "data")
    assert set(drain()) == set(ids)
    assert daemon.stop() == 0


def damage(path, pages):
    with open(path, "r+b") as file:
        for page in pages:
            file.seek(page * PAGE)
            file.write(b"\xa5" * PAGE)


def pages_of(path, name, limit=1000):
    """Numbers of the pages of a table or index, by SQLite itself."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as file:
        try:
            return [row[0] - 1 for row in file.execute("SELECT pageno FROM dbstat WHERE name = ? LIMIT ?", (name, limit))]
        except sqlite3.OperationalError as error:
            raise Skip(f"no dbstat in this SQLite: {error}") from error


def test_damaged_page_of_a_small_file():
    """Refused at the start, whichever page it is, with the way out; the file is as it was."""
    daemon = Daemon({"log": {"format": "json"}})
    sqs(9324, "CreateQueue", QueueName="q")
    for i in range(30):
        send(f"{i}" + "b" * 3000)
    assert daemon.stop() == 0
    path = pathlib.Path("data/queue.db")
    good = path.read_bytes()
    for name in ("messages", "messages_due", "queues"):
        path.write_bytes(good)
        damage(path, pages_of(path, name)[-1:])
        bad = path.read_bytes()
        code, text = run_sluice("run", "--data-dir", path.parent.resolve())
        assert code == 3 and "damaged" in text and ".recover" in text, (name, code, text)
        assert path.read_bytes() == bad, "the file was touched"
    path.write_bytes(good)
    daemon = Daemon({"log": {"format": "json"}})
    assert queue_counts(9324, "q") == (30, 0, 0)
    assert daemon.stop() == 0


def test_damaged_page_of_a_large_file():
    """Found when an operation comes to it: that one fails, other queues work; found at the start after a kill."""
    daemon = Daemon({"log": {"format": "json"}})
    for name in ("q", "fine"):
        sqs(9324, "CreateQueue", QueueName=name)
    for _ in range(150):
        sqs(9324, "SendMessageBatch", QueueUrl="q",
            Entries=[{"Id": str(i), "MessageBody": "b" * 7000} for i in range(10)])
    assert daemon.stop() == 0
    path = pathlib.Path("data/queue.db").resolve()
    assert path.stat().st_size > 10 << 20
    leaves = pages_of(path, "messages", 100000)
    damage(path, leaves[len(leaves) // 4: len(leaves) // 4 + 20])
    daemon = Daemon({"log": {"format": "json"}})
    error = None
    for _ in range(200):
        error = refused(take)
        if error is not None:
            break
    assert error is not None and error.status == 500 and "nothing was changed" in error.message, error
    wait_until(lambda: daemon.metric("sluice_store_error") == 1, 10, "the metric")
    assert log_has(daemon, "queue file is damaged"), daemon.text()[-800:]
    sent = [send("unharmed", "fine") for _ in range(20)]
    assert sorted(drain("fine")) == sorted(sent), "another queue works"
    assert refused(take) is not None
    assert daemon.metric("sluice_store_error") == 1, "damage is no news that ends"
    assert sum("damaged" in line["message"] for line in daemon.lines()) == 1, "and is told once"
    assert http_call(9325, "GET", "/readyz")[0] == 200, "other queues work"
    daemon.kill()
    code, text = run_sluice("run", "--data-dir", path.parent)
    assert code == 3 and "damaged" in text and ".recover" in text, (code, text)
