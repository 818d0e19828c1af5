-- wrk: what sluice sends to a target: POST, 512 bytes of JSON, a message id of its own.
local body, thread_count, sent, number = '"' .. string.rep("x", 510) .. '"', 0, 0, 0

function setup(thread)
    thread:set("number", thread_count)
    thread_count = thread_count + 1
end

function request()
    sent = sent + 1
    return wrk.format("POST", nil, {
        ["Content-Type"] = "application/json",
        ["Sluice-Message-Id"] = string.format("00000000-0000-4000-%04d-%012d", number, sent),
    }, body)
end

function done(summary, latency, requests)
    local e = summary.errors
    io.write(string.format('{"requests":%d,"seconds":%.4f,"requests_per_s":%.1f,"p50_ms":%.3f,"p99_ms":%.3f,"failed":%d}\n',
        summary.requests, summary.duration / 1e6, summary.requests / (summary.duration / 1e6),
        latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
        e.connect + e.read + e.write + e.status + e.timeout))
end
