"""A bad network link between two network namespaces, carried by tests/support/link_tool.c.

    with Link(seed=1, delay_ms=(0, 20), spike=(0.01, 200), loss=0.01) as link:
        api = Program(link.command_in_b(BUILD / "sluice", "mock-api", "--listen", "10.77.0.2:8080"), "mock-api")
        sluice = link.in_a(lambda: Daemon(config(url="http://10.77.0.2:8080/jobs")))
        link.black_hole()          # drops everything, what is under way too
        link.restore()
    link.stats["a_to_b"]["lost"]

End a is 10.77.0.1, end b 10.77.0.2. With a_here=True end a is the namespace of the test itself, so that what runs there
needs no command_in_a. Nothing has a name outside the tool's process: the namespaces end with it and with what runs in them.
"""
import ctypes
import os
import signal
import threading

import support

ADDRESS_A, ADDRESS_B = "10.77.0.1", "10.77.0.2"
CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


def run_in(namespace, function):
    """function() in a thread that has entered the namespace; sockets it opens and processes it starts stay there."""
    outcome = []

    def body():
        try:
            fd = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
            try:
                if LIBC.setns(fd, CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), namespace)
            finally:
                os.close(fd)
            outcome.append((function(), None))
        except BaseException as error:
            outcome.append((None, error))

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    value, error = outcome[0]
    if error is not None:
        raise error
    return value


class Link:
    def __init__(self, seed=1, delay_ms=(0, 20), spike=(0.01, 200), loss=0.01, reorder=False, a_here=False, seconds=240):
        """delay_ms: uniform, each way. spike: (share of packets, ms added). Order is kept unless reorder."""
        self.seed, self.stats = seed, None
        self.options = ["--seed", seed, "--delay-min", f"{delay_ms[0]}ms", "--delay-max", f"{delay_ms[1]}ms",
                        "--spike-share", spike[0], "--spike", f"{spike[1]}ms", "--loss", loss, "--for", f"{seconds}s"]
        self.options += ["--reorder"] * reorder + ["--a-here"] * a_here

    def __enter__(self):
        tool = support.DEBUG_BUILD / "tests" / "link_tool"
        if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
            raise support.Skip("/dev/net/tun cannot be opened (needs root and the tun module)")
        assert tool.exists(), f"{tool} is missing: build the debug preset"
        self.tool = support.Program([tool, *self.options], "link")
        try:
            ready = self.wait_event("ready")
        except BaseException:
            self.tool.kill()
            raise
        self.namespace_a, self.namespace_b = ready["a"], ready["b"]
        return self

    def __exit__(self, *_):
        if self.tool.process.poll() is None:
            self.tool.stop(10)
        self.stats = next((line for line in self.tool.lines() if line.get("event") == "end"), None)

    def events(self, name):
        return [line for line in self.tool.lines() if line.get("event") == name]

    def wait_event(self, name, count=1):
        """The count-th event of that name."""
        def come():
            events = self.events(name)
            if len(events) < count and self.tool.process.poll() is not None:
                raise AssertionError(f"link_tool ended with {self.tool.process.returncode}: {self.tool.text()[-500:]}")
            return len(events) >= count and events[count - 1]
        return support.wait_until(come, 10, f"link_tool says {name}")

    def ask(self, sig, event):
        seen = len(self.events(event))
        self.tool.kill(sig)
        return self.wait_event(event, seen + 1)

    def stats_now(self):
        """The statistics so far, by direction; under_way: packets inside the link."""
        return self.ask(signal.SIGHUP, "stats")

    def black_hole(self):
        """From its return on nothing arrives at either end, not even what is under way."""
        self.ask(signal.SIGUSR1, "black_hole")

    def restore(self):
        self.ask(signal.SIGUSR2, "black_hole")

    def command_in_a(self, *command):
        return ["nsenter", f"--net={self.namespace_a}", "--", *command]

    def command_in_b(self, *command):
        return ["nsenter", f"--net={self.namespace_b}", "--", *command]

    def in_a(self, function):
        return run_in(self.namespace_a, function)

    def in_b(self, function):
        return run_in(self.namespace_b, function)
