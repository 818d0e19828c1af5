#!/usr/bin/python3
"""Runs the black-box tests: every function test_* of tests/blackbox/test_*.py, each in its own process, its own
network namespace (loopback only) and its own directory, several side by side.

    run.py [--build DIR] [--debug DIR] [--jobs N] [--list] [PATTERN …]

A test passes by returning, skips by raising support.Skip, fails by anything else. What it started is ended by its
pid when it ends. The last line is "N passed, N failed, N skipped".
"""
import argparse
import concurrent.futures
import fnmatch
import importlib
import inspect
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
RUNNING = set()
TIMEOUT_S = 240 + 10 * int(os.environ.get("SLUICE_KILLS", "0"))


def discover():
    for path in sorted(HERE.glob("test_*.py")):
        module = importlib.import_module(path.stem)
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if name.startswith("test_") and function.__module__ == path.stem:
                yield f"{path.stem}::{name}", getattr(function, "weight", 1), function.__code__.co_firstlineno


def run_one(test_id):
    """In the child: exit code 0 passed, 77 skipped, 1 failed."""
    import support
    module, name = test_id.split("::")
    code = 1
    try:
        getattr(importlib.import_module(module), name)()
        code = 0
    except support.Skip as skip:
        print(f"SKIP {test_id}: {skip}")
        code = 77
    except BaseException:
        traceback.print_exc()
        support.show_logs()
    finally:
        support.end_everything()
    sys.stdout.flush()
    os._exit(code)


def spawn(test_id, directory, env):
    command = ["unshare", "--net", "--", "/bin/sh", "-c", "ip link set lo up && exec \"$@\"", "sh",
               "/usr/bin/python3", str(HERE / "run.py"), "--one", test_id]
    with open(directory / "output", "wb") as output:
        child = subprocess.Popen(command, cwd=directory, env=env, stdin=subprocess.DEVNULL, stdout=output,
                                 stderr=subprocess.STDOUT, start_new_session=True)
        RUNNING.add(child)
        try:
            return child.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            output.write(b"\ntimed out\n")
            return 1
        finally:
            RUNNING.discard(child)


def interrupt_running(number):
    """SIGINT: a test ends what it started. SIGKILL: it does not."""
    for child in list(RUNNING):
        try:
            os.killpg(child.pid, number) if number == signal.SIGKILL else child.send_signal(number)
        except ProcessLookupError:
            pass


def attempt(test_id, options):
    directory = pathlib.Path(tempfile.mkdtemp(prefix="sluice-test-"))
    env = dict(os.environ, SLUICE_BUILD=str(options.build), SLUICE_DEBUG_BUILD=str(options.debug), HOME=str(directory),
               AWS_EC2_METADATA_DISABLED="true", AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test",
               AWS_DEFAULT_REGION="us-east-1", AWS_MAX_ATTEMPTS="1", LC_ALL="C.UTF-8", TMPDIR=str(directory))
    began = time.monotonic()
    code = spawn(test_id, directory, env)
    text = (directory / "output").read_text(errors="replace")
    shutil.rmtree(directory, ignore_errors=True)
    return test_id, code, text, time.monotonic() - began


def show(result, counts):
    test_id, code, text, seconds = result
    code = code if code in counts else 1
    counts[code] += 1
    print(f"{ {0: 'ok  ', 1: 'FAIL', 77: 'SKIP'}[code] } {test_id} ({seconds:.1f} s)", flush=True)
    lines = text.strip().split("\n")
    shown = lines[-60:] if code == 1 else [line for line in lines if line.startswith(("SKIP", "figure"))]
    for line in shown:
        print("     " + line, flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build/release", type=pathlib.Path)
    parser.add_argument("--debug", default="build/debug", type=pathlib.Path)
    parser.add_argument("--jobs", type=int, default=8)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--one")
    parser.add_argument("patterns", nargs="*")
    options = parser.parse_args()
    options.build, options.debug = options.build.resolve(), options.debug.resolve()
    if options.one:
        run_one(options.one)
    tests = [t for t in discover() if not options.patterns or any(fnmatch.fnmatch(t[0], f"*{p}*") for p in options.patterns)]
    tests.sort(key=lambda t: (-t[1], t[0], t[2]))  # the long ones first, side by side
    if options.list:
        print("\n".join(t[0] for t in tests))
        return 0
    counts = {0: 0, 1: 0, 77: 0}
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    pool = concurrent.futures.ThreadPoolExecutor(options.jobs)
    try:
        for future in concurrent.futures.as_completed([pool.submit(attempt, t[0], options) for t in tests]):
            show(future.result(), counts)
    except KeyboardInterrupt:
        pool.shutdown(wait=False, cancel_futures=True)
        interrupt_running(signal.SIGINT)
        last = threading.Timer(15, interrupt_running, [signal.SIGKILL])
        last.start()
        pool.shutdown(wait=True)
        last.cancel()
        print("interrupted")
        return 130
    print(f"{counts[0]} passed, {counts[1]} failed, {counts[77]} skipped")
    return 1 if counts[1] or not counts[0] else 0


if __name__ == "__main__":
    sys.exit(main())
