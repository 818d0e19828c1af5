-- wrk: SendMessage in AWS JSON 1.0 with a body of 512 bytes to the queue "bench".
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/x-amz-json-1.0"
wrk.headers["X-Amz-Target"] = "AmazonSQS.SendMessage"
wrk.body = '{"QueueUrl":"http://127.0.0.1:9324/000000000000/bench","MessageBody":"' .. string.rep("x", 512) .. '"}'

function done(summary, latency, requests)
    local e = summary.errors
    io.write(string.format('{"requests":%d,"seconds":%.4f,"requests_per_s":%.1f,"p50_ms":%.3f,"p99_ms":%.3f,"failed":%d}\n',
        summary.requests, summary.duration / 1e6, summary.requests / (summary.duration / 1e6),
        latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
        e.connect + e.read + e.write + e.status + e.timeout))
end
