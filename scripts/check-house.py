#!/usr/bin/env python3
"""Layers, sizes, banned functions and libraries' rooms. Prints one line a finding, exits 1 on any.

Waivers: scripts/waivers.txt, lines `kind path[:function]  # reason`. A waiver that nothing needs fails too.
"""
import re
import subprocess
import sys

MAY = {
    "base": "", "limit": "base", "flow": "base limit", "sim": "base limit flow", "sqs": "base",
    "runtime": "base", "net": "base runtime", "queue": "base sqs runtime", "aws": "base sqs runtime net",
    "observe": "base runtime net",
    "deliver": "base limit flow sqs runtime net aws queue observe",
    "serve": "base sqs runtime net queue observe flow limit",
    "cli": "base sqs sim limit flow runtime net",
}
PURE = {"base", "limit", "flow", "sim", "sqs"}
# The command line stands on top of the program: it may see the settings and the app.
ROOT_FOR_CLI = {"settings", "app"}
LIBRARIES = [
    (r"\bcurl_\w+\(", ("daemon/net/",)),
    (r"\bsqlite3_\w+\(", ("daemon/queue/",)),
    (r"\bcJSON_\w+\(", ("daemon/base/json",)),
    (r"\b(EVP|HMAC|RAND|SSL|BIO)_\w+\(", ("daemon/base/digest", "daemon/net/tls")),
    (r"\bllhttp_\w+\(", ("daemon/net/", "daemon/cli/mock_api")),
]
CLOCKS = r"\b(clock_gettime|gettimeofday|time|uv_hrtime|uv_now|loop_now|loop_wall)\s*\("
BANNED = r"(?<![\w.>])(sprintf|vsprintf|strcpy|strcat|strncat|strtok|strtok_r|atoi|atol|atof|strtol|strtoul|strtoll|strtoull|gets|alloca|localtime|gmtime|system|sscanf|asctime|ctime|tmpnam|usleep)\s*\("
FILE_MAX, FUNCTION_MAX = 800, 60


def strip(text):
    """Comments and string literals become blanks (line numbers stay)."""
    def blank(m):
        return re.sub(r"[^\n]", " ", m.group(0))
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', blank, text, flags=re.S)


def area_of(path):
    m = re.match(r"(?:daemon|include/sluice)/([a-z0-9]+)/", path)
    return m.group(1) if m else None


def check_includes(path, text, report):
    area = area_of(path)
    if area is None or area not in MAY:
        return
    allowed = set(MAY[area].split()) | {area}
    for n, line in enumerate(text.split("\n"), 1):
        m = re.match(r'\s*#\s*include\s+["<]sluice/([a-z0-9_]+)(?:/|\.h)', line)
        if m and m.group(1) not in allowed and not (area == "cli" and m.group(1) in ROOT_FOR_CLI):
            report("layer", path, f"{path}:{n}: {area} may not include {m.group(1)}")
        if area in PURE and re.match(r"\s*#\s*include\s+<(uv|curl/|sqlite3|sys/socket|time)\.?", line):
            report("layer", path, f"{path}:{n}: {area} is pure: {line.strip()}")


def check_calls(path, code, report):
    area = area_of(path)
    for n, line in enumerate(code.split("\n"), 1):
        for m in re.finditer(BANNED, line):
            report("banned", path, f"{path}:{n}: {m.group(1)} is banned")
        if not path.startswith("daemon/"):
            continue
        for pattern, rooms in LIBRARIES:
            m = re.search(pattern, line)
            if m and not path.startswith(rooms):
                report("library", path, f"{path}:{n}: {m.group(0)} outside {' '.join(rooms)}")
        if area in PURE and re.search(CLOCKS, line):
            report("layer", path, f"{path}:{n}: {area} is pure and calls a clock")


def functions(paths):
    out = subprocess.run(["ctags", "--c-kinds=f", "--fields=+ne", "-o", "-", "--sort=no"] + paths,
                         capture_output=True, text=True, check=True).stdout
    for line in out.split("\n"):
        if line.startswith("!") or not line:
            continue
        start, end = re.search(r"\tline:(\d+)", line), re.search(r"\tend:(\d+)", line)
        if start and end:
            name, path = line.split("\t")[:2]
            yield path, name, int(end.group(1)) - int(start.group(1)) + 1


def main():
    paths = sys.argv[1:]
    waivers, used, findings = {}, set(), []
    try:
        for line in open("scripts/waivers.txt"):
            rule, _, reason = line.partition("#")
            if rule.strip():
                if not reason.strip():
                    findings.append(f"scripts/waivers.txt: no reason: {rule.strip()}")
                waivers[tuple(rule.split())] = reason
    except FileNotFoundError:
        pass

    def report(kind, key, text):
        if (kind, key) in waivers:
            used.add((kind, key))
        else:
            findings.append(text)

    for path in paths:
        text = open(path, encoding="utf-8").read()
        check_includes(path, text, report)
        check_calls(path, strip(text), report)
        lines = text.count("\n")
        if lines > FILE_MAX:
            report("file", path, f"{path}: {lines} lines, at most {FILE_MAX}")
    for path, name, length in functions([p for p in paths if p.endswith(".c")]):
        if length > FUNCTION_MAX:
            report("function", f"{path}:{name}", f"{path}: {name} has {length} lines, at most {FUNCTION_MAX}")
    for waiver in set(waivers) - used:
        findings.append(f"scripts/waivers.txt: nothing needs `{' '.join(waiver)}` any more")
    print("\n".join(findings)) if findings else None
    return 1 if findings else 0


sys.exit(main())
