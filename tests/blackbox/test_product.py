"""What a newcomer does: the README's commands, the demo, the plan."""
import json
import os
import re
import shutil
import subprocess

from support import BUILD, SOURCE, Daemon, MockApi, Program, Skip, figure, http_call, queue_counts, wait_until


def run(*command, **more):
    return subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=200,
                          stdin=subprocess.DEVNULL, **more)


def shell_blocks():
    text = (SOURCE / "README.md").read_text()
    for block in re.findall(r"```sh\n(.*?)```", text, re.S):
        for line in block.replace("\\\n", " ").split("\n"):
            line = re.sub(r"\s+#.*$", "", line).strip()
            if line:
                yield line


def listening(line):
    port = re.search(r"--listen \S+:(\d+)", line)
    return int(port.group(1)) if port else 9325


def start(line, running):
    """A command that stays: it replaces one of its kind that runs."""
    kind = line.split()[1]
    if kind in running:
        running[kind].stop()
    running[kind] = Program(["/bin/sh", "-c", "exec " + line], kind)
    path = "/stats" if kind == "mock-api" else "/readyz"

    def ready():
        assert running[kind].process.poll() is None, running[kind].text()
        try:
            return http_call(listening(line), "GET", path)[0] in (200, 503)
        except OSError:
            return False
    wait_until(ready, 20, line)


def test_every_command_of_the_readme():
    """In order, as printed, in a directory that looks like the checkout. scripts/demo and scripts/test: see below."""
    if not os.path.exists("/usr/bin/wrk") or not os.path.exists("/usr/bin/curl"):
        raise Skip("wrk or curl is not installed")
    os.makedirs("build")
    os.symlink(BUILD, "build/release")
    os.symlink(SOURCE / "conf", "conf")
    os.symlink(SOURCE / "tests", "tests")
    os.mkdir("bin")
    os.symlink("/usr/bin/aws", "bin/aws")
    os.environ["PATH"] = os.path.abspath("bin") + ":" + os.environ["PATH"]
    running, count = {}, 0
    for line in shell_blocks():
        count += 1
        print("$", line, flush=True)
        if line.startswith("scripts/"):
            assert os.access(SOURCE / line, os.X_OK), line
        elif line.startswith("cmake "):
            assert re.fullmatch(r"cmake --preset release && cmake --build --preset release", line), line
            assert (BUILD / "sluice").exists()
        elif re.match(r"build/release/sluice (run|mock-api) ", line):
            start(line, running)
        elif line.startswith("export "):
            for pair in line.split()[1:]:
                name, value = pair.split("=", 1)
                os.environ[name] = value
        else:
            done = run("/bin/sh", "-c", line)
            assert done.returncode == 0, (line, done.stdout)
    assert count >= 12, count


def block(language):
    """The README's one block of that language."""
    found = re.findall(rf"```{language}\n(.*?)```", (SOURCE / "README.md").read_text(), re.S)
    assert len(found) == 1, (language, len(found))
    return found[0]


def test_python_of_the_readme():
    daemon = Daemon()
    with open("readme.py", "w") as f:
        f.write(block("python"))
    done = run("/usr/bin/python3", "readme.py")
    if "No module named 'boto3'" in done.stdout:
        raise Skip("boto3 (package python3-boto3) is not installed")
    assert (done.returncode, done.stdout) == (0, "hello\n"), done.stdout
    assert queue_counts(9324, "orders.fifo") == (0, 0, 0)
    assert daemon.stop() == 0


def test_javascript_of_the_readme():
    node, modules = shutil.which("node"), SOURCE / "tests/blackbox/js/node_modules"
    if not node or not modules.exists():
        raise Skip("nodejs or the npm packages are not installed (scripts/setup)")
    daemon = Daemon()
    os.symlink(modules, "node_modules")
    with open("readme.mjs", "w") as f:
        f.write(block("js"))
    done = run(node, "readme.mjs")
    assert done.returncode == 0 and done.stdout.split("\n")[0] == "hello", done.stdout
    assert queue_counts(9324, "events") == (0, 0, 0)
    assert daemon.stop() == 0


def test_configurations_of_the_readme():
    """The first is what a newcomer copies: it stays short. A block that is no object is a part of one."""
    blocks = re.findall(r"```json\n(\{.*?)```", (SOURCE / "README.md").read_text(), re.S)
    assert len(blocks) == 2
    for text in blocks:
        with open("readme.json", "w") as f:
            f.write(text)
        done = run(BUILD / "sluice", "check", "--config", "readme.json")
        assert done.returncode == 0, done.stdout
    assert len(blocks[0].strip().split("\n")) <= 15


def test_plan():
    out = json.loads(run(BUILD / "sluice", "plan", "--limit", "5/1s", "--latency", "600ms", "--concurrency", "1-8", "--json").stdout)
    rows = {r["concurrency"]: r for r in out["concurrencies"]}
    assert (rows[2]["rule_count"], rows[2]["rule_holds"]) == (4, True)
    assert (rows[3]["rule_count"], rows[3]["rule_holds"]) == (6, False)
    assert abs(rows[2]["mean_rate"] - 10 / 3) < 0.01
    assert rows[2]["alone_window_peak"] == 4 and rows[3]["alone_window_peak"] == 6
    spread = json.loads(run(BUILD / "sluice", "plan", "--limit", "5/1s", "--latency", "600ms:1", "--json").stdout)
    rows = {r["concurrency"]: r for r in spread["concurrencies"]}
    figure(f"plan, concurrency 2, cv 1: {rows[2]['alone_window_peak']} in a second without the limit, {rows[2]['limited_window_peak']} with it; "
           f"recommended {spread['recommended_concurrency']}")
    assert rows[2]["alone_window_peak"] >= 10, "2 becomes 12"
    assert all(r["limited_window_peak"] <= 5 for r in rows.values())
    assert rows[spread["recommended_concurrency"]]["limited_rate"] >= 4.8
    text = run(BUILD / "sluice", "plan", "--limit", "5/1s", "--latency", "600ms").stdout
    assert "4 starts" in text and "True" in text and "6 starts" in text and "False" in text and "Recommended" in text, text
    assert run(BUILD / "sluice", "plan", "--limit", "5/1s").returncode == 2


def test_demo():
    """The main job from a bare checkout, as one JSON line."""
    done = subprocess.run([str(SOURCE / "scripts/demo"), "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=200,
                          stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = done.stdout.strip().split("\n")
    assert len(lines) == 1, done.stdout
    out = json.loads(lines[0])
    figure(f"demo: {lines[0]}")
    assert set(out) == {"sent", "delivered", "lost", "repeated", "rejected", "window_peak", "limit", "in_flight_peak", "utilisation"}
    assert (out["sent"], out["delivered"], out["lost"], out["repeated"], out["rejected"]) == (60, 60, 0, 0, 0), out
    assert out["window_peak"] == out["limit"] == 5 and out["in_flight_peak"] <= 8 and out["utilisation"] > 0.95, out


def test_mock_api_report():
    api = MockApi("--limit", "3/1s", "--latency", "1ms", "--retry-after", "1")
    for i in range(5):
        http_call(8080, "POST", "/jobs", "{}", {"Sluice-Message-Id": f"m{i % 4}"})
    stats = api.stats()
    assert (stats["arrivals"], stats["rejected"], stats["delivered"]) == (5, 2, 3), stats
    assert stats["window_peak"] == 5 and stats["distinct"] == 4
    assert api.stop() == 0
    report = json.loads(api.text().strip().split("\n")[-1])
    assert report["arrivals"] == 5, report


test_demo.weight = 70
test_every_command_of_the_readme.weight = 40
