"""What draining a queue of Amazon SQS costs: requests to it for 1,000 messages. A second sluice is the SQS; the figures are the daemon's own
counters, compared with what the server counted. tests/bench/run.py sqs"""
import json
import threading
import time

SQS_PORT, API_PORT, WORKER_PORT = 9324, 8080, 9325
SERVER = {"sqs_api": {"listen": [f"127.0.0.1:{SQS_PORT}"]}, "http": {"listen": ["127.0.0.1:9425"]},
          "queues": {"jobs": {"dead_letter": "jobs-dlq"}}, "log": {"format": "json", "level": "warning"}}
ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}


def requests(daemon):
    return {k.split('action="')[1].split('"')[0]: v for k, v in daemon.metrics().items() if k.startswith("sluice_source_requests_total")}


def drain(bench, name, limit, messages, trickle_per_s=0):
    """{action: requests for 1,000 messages}, and messages a second."""
    server = bench.daemon(SERVER, http_port=9425)
    api = bench.mock_api("--latency", "5ms")
    config = bench.config(limit)
    del config["queues"]
    config["sqs_api"] = {"listen": []}
    config["routes"]["createjob"].update(queue=f"http://127.0.0.1:{SQS_PORT}/000000000000/jobs", paused=True)
    worker = bench.daemon(config, env=ENVIRONMENT)
    if not trickle_per_s:
        bench.fill("jobs", messages)
    before, start = requests(worker), time.monotonic()
    worker.cli("route", "resume", "createjob")
    if trickle_per_s:
        def send():
            for i in range(messages):
                bench.support.sqs(SQS_PORT, "SendMessage", QueueUrl="jobs", MessageBody=json.dumps({"job": i}))
                time.sleep(1 / trickle_per_s)
        threading.Thread(target=send, daemon=True).start()
    acked = 'sluice_messages_settled_total{route="createjob",outcome="ack"}'
    bench.support.wait_until(lambda: worker.metric(acked) >= messages, 300, "drained")
    took = time.monotonic() - start
    after = requests(worker)
    cost = [v for k, v in worker.metrics().items() if k.startswith("sluice_source_estimated_cost_dollars_total")][0]
    for program in (worker, api, server):
        program.kill()
    per_1000 = {a: 1000 * (after[a] - before[a]) / messages for a in after}
    bench.say(f"sqs, {name}: " + ", ".join(f"{a} {v:.0f}" for a, v in per_1000.items() if v > 0))
    return sum(per_1000.values()), messages / took, 1e6 * cost / messages


def sqs(bench):
    # The limit of what comes one by one is above its pace: at the pace itself what gathers during the start is never caught up with, and each
    # receive is a full one.
    for name, limit, messages, trickle, goal in (("backlog, limit 5/s", bench.support.window(5), 200, 0, 250),
                                                 ("backlog, no limit", None, 20000, 0, 320),
                                                 ("5 a second sent one by one, limit 20/s", bench.support.window(20), 200, 5, None)):
        totals, rates, dollars = [], [], []
        for i in range(bench.repeats if limit is None else 1):
            total, rate, usd = drain(bench, name, limit, messages, trickle)
            totals.append(total)
            rates.append(rate)
            dollars.append(usd)
        bench.table.add(f"sqs: {name}", totals, "requests/1,000 msgs", f"goal {goal}" if goal else "")
        bench.table.add(f"sqs: {name}", rates, "messages/s")
        bench.table.add(f"sqs: {name}", dollars, "USD/million msgs")
