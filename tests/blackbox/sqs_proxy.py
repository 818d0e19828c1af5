"""An SQS that misbehaves: a proxy in front of a sluice that is the server, with faults per queue and action.

A fault is a function of a ProxyCall; it returns an answer (status, dict or bytes), None to let the call through, or DROP to close the
connection. call.forward() asks the server itself, so that a fault can come before the work is done, after it, or change the answer.
"""
import http.client
import http.server
import json
import socketserver
import threading
import time

DROP = object()
JSON_TYPE = "application/x-amz-json-1.0"


class ProxyCall:
    def __init__(self, proxy, queue, action, body, number):
        self.proxy, self.queue, self.action, self.body, self.number = proxy, queue, action, body, number
        self.at, self.done_at, self.status, self.faulty = time.monotonic(), None, None, False

    def forward(self):
        """(status, dict) of the server; 503 while it is not there."""
        body = dict(self.body)
        if "QueueUrl" in body:
            body["QueueUrl"] = self.proxy.aliases.get(self.queue, self.queue)
        connection = http.client.HTTPConnection("127.0.0.1", self.proxy.server_port_sqs, timeout=60)
        try:
            connection.request("POST", "/", json.dumps(body), {"Content-Type": JSON_TYPE, "X-Amz-Target": f"AmazonSQS.{self.action}"})
            response = connection.getresponse()
            data = response.read()
            return response.status, json.loads(data) if data else {}
        except (OSError, http.client.HTTPException):
            return 503, {"__type": "com.amazonaws.sqs#ServiceUnavailable", "message": "the server is away"}
        finally:
            connection.close()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        proxy = self.server.proxy
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = proxy.answer(self.headers["X-Amz-Target"].split(".")[1], body)
        if answer is DROP:
            self.close_connection = True
            return
        status, content = answer
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "text/html" if isinstance(content, bytes) else JSON_TYPE)
            self.send_header("Content-Length", str(len(data)))
            if proxy.churn:
                self.send_header("Connection", "close")
                self.close_connection = True
            self.end_headers()
            self.wfile.write(data)
        except OSError:
            self.close_connection = True

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads, allow_reuse_address, request_queue_size = True, True, 256

    def handle_error(self, *_):
        pass  # connections are reset: that is what this is about


class SqsProxy:
    def __init__(self, port=9500, server_port=9424, address="127.0.0.1"):
        self.port, self.server_port_sqs, self.faults, self.calls, self.lock = port, server_port, {}, [], threading.Lock()
        self.max_wait = 1  # of long polls, so that nothing waits for them at the end
        self.aliases = {}  # another name for a queue: a way to it without its faults
        self.churn = False  # every connection ends with its answer
        self.server = Server((address, port), Handler)
        self.server.proxy = self
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, queue):
        return f"http://127.0.0.1:{self.port}/000000000000/{queue}"

    def answer(self, action, body):
        queue = body.get("QueueUrl", "").split("/")[-1]
        if "WaitTimeSeconds" in body:
            body["WaitTimeSeconds"] = min(body["WaitTimeSeconds"], self.max_wait)
        with self.lock:
            call = ProxyCall(self, queue, action, body, len(self.of(queue, action)) + 1)
            self.calls.append(call)
        fault = self.faults.get((queue, action))
        answer = fault(call) if fault else None
        call.faulty = answer is not None
        if answer is None:
            answer = call.forward()
        call.status, call.done_at = answer[0] if answer is not DROP else None, time.monotonic()
        return answer

    def of(self, queue, action):
        return [c for c in self.calls if (c.queue, c.action) == (queue, action)]


# ---- faults ----

def error(status, name, text="no"):
    return status, {"__type": f"com.amazonaws.sqs#{name}", "message": text}


def first(count, answer):
    """answer (or what it returns, a function of the call) for the first calls, then nothing out of the ordinary."""
    def fault(call):
        if call.number > count:
            return None
        return answer(call) if callable(answer) else answer
    return fault


def after_the_work(answer):
    """The server does it, and the answer is lost on the way."""
    def fault(call):
        call.forward()
        return answer
    return fault


def slowly(seconds):
    def fault(call):
        threading.Event().wait(seconds)  # the queue's own slowness
    return fault


def cut_off(call):
    """The server's answer, the second half of it missing."""
    status, answer = call.forward()
    data = json.dumps(answer).encode()
    return status, data[:len(data) // 2]


def entries_fail(code, sender_fault, which):
    """Entries for whose number in the batch which() is true fail, the others are done."""
    def fault(call):
        bad = [e for i, e in enumerate(call.body["Entries"]) if which(i)]
        call.body["Entries"] = [e for e in call.body["Entries"] if e not in bad]
        status, answer = call.forward() if call.body["Entries"] else (200, {"Successful": []})
        answer["Failed"] = answer.get("Failed", []) + [
            {"Id": e["Id"], "Code": code, "SenderFault": sender_fault, "Message": "no"} for e in bad]
        return status, answer
    return fault


def twice(call):
    """Every message is handed out twice at once, under two handles."""
    status, answer = call.forward()
    more = [dict(m, ReceiptHandle=m["ReceiptHandle"] + "#again") for m in answer.get("Messages", [])]
    if more:
        answer["Messages"] = (answer["Messages"] + more)[:10]
    return status, answer


def with_both_handles(call):
    """Both handles of a message delivered twice are good; the second deletion finds nothing to do."""
    again = [e for e in call.body["Entries"] if e["ReceiptHandle"].endswith("#again")]
    call.body["Entries"] = [dict(e, ReceiptHandle=e["ReceiptHandle"].removesuffix("#again")) for e in call.body["Entries"]]
    status, answer = call.forward()
    if status == 200 and again:  # gone already is no failure, as with the real one
        gone = {e["Id"] for e in again} & {f["Id"] for f in answer.get("Failed", [])}
        answer["Failed"] = [f for f in answer.get("Failed", []) if f["Id"] not in gone]
        answer["Successful"] = answer.get("Successful", []) + [{"Id": i} for i in sorted(gone)]
    return status, answer
