-- wrk: works on the embedded queue in AWS JSON 1.0. From the environment: WORK (send, batch, receive, cycle), QUEUE, GROUPS
-- (0: a standard queue), COUNT for the end of deduplication ids. Bodies are 512 bytes. receive: ten at a time, each followed by
-- the delete of what came; cycle: sends of ten beside it. Prints what was sent and deleted, not what was asked for.
local work, queue = os.getenv("WORK") or "send", os.getenv("QUEUE") or "bench"
local groups, run = tonumber(os.getenv("GROUPS") or "0"), os.getenv("COUNT") or "0"
local url = '{"QueueUrl":"http://127.0.0.1:9324/000000000000/' .. queue .. '"'
local text = string.rep("x", 512)
local threads, thread_count = {}, 0
number, sent, deleted, asked, numbers, deletes = 0, 0, 0, 0, 0, {}

function setup(thread)
    thread:set("number", thread_count)
    thread_count = thread_count + 1
    table.insert(threads, thread)
end

local function post(action, body)
    return wrk.format("POST", "/", { ["Content-Type"] = "application/x-amz-json-1.0", ["X-Amz-Target"] = "AmazonSQS." .. action }, body)
end

local function message()
    if groups == 0 then return '"MessageBody":"' .. text .. '"' end
    numbers = numbers + 1
    return string.format('"MessageBody":"%s","MessageGroupId":"group-%d","MessageDeduplicationId":"%s-%d-%d"', text,
        math.random(0, groups - 1), run, number, numbers)
end

local function batch()
    local entries = {}
    for i = 1, 10 do entries[i] = string.format('{"Id":"%d",%s}', i, message()) end
    return post("SendMessageBatch", url .. ',"Entries":[' .. table.concat(entries, ",") .. "]}")
end

local receive, same_batch, same_send

function init()
    math.randomseed(number + 1)
    -- Two seconds: what wrk received and had no time to delete must not lock a group for the next run.
    receive = post("ReceiveMessage", url .. ',"MaxNumberOfMessages":10,"VisibilityTimeout":2}')
    same_batch, same_send = batch(), post("SendMessage", url .. "," .. message() .. "}")
end

function request()
    if work == "send" then return groups == 0 and same_send or post("SendMessage", url .. "," .. message() .. "}") end
    if work == "batch" then return groups == 0 and same_batch or batch() end
    local pending = table.remove(deletes)
    if pending then return pending end
    asked = asked + 1
    if work == "cycle" and asked % 2 == 1 then return groups == 0 and same_batch or batch() end
    return receive
end

function response(status, headers, body)
    if string.find(body, '"Messages":', 1, true) then
        local entries = {}
        for handle in string.gmatch(body, '"ReceiptHandle":"([^"]+)"') do
            entries[#entries + 1] = string.format('{"Id":"%d","ReceiptHandle":"%s"}', #entries, handle)
        end
        table.insert(deletes, post("DeleteMessageBatch", url .. ',"Entries":[' .. table.concat(entries, ",") .. "]}"))
    elseif string.find(body, '"MD5OfMessageBody"', 1, true) then
        sent = sent + (work == "send" and 1 or 10)
    elseif string.find(body, '"Successful"', 1, true) then
        deleted = deleted + select(2, string.gsub(body, '"Id"', ""))
    end
end
if work == "send" or work == "batch" then response = nil end -- costs wrk more than the request

function done(summary, latency, requests)
    local e, all_sent, all_deleted, seconds = summary.errors, 0, 0, summary.duration / 1e6
    for _, thread in ipairs(threads) do
        all_sent, all_deleted = all_sent + thread:get("sent"), all_deleted + thread:get("deleted")
    end
    if work == "send" or work == "batch" then all_sent = summary.requests * (work == "send" and 1 or 10) end
    io.write(string.format('{"requests":%d,"seconds":%.4f,"sent_per_s":%.1f,"deleted_per_s":%.1f,"p99_ms":%.3f,"failed":%d}\n',
        summary.requests, seconds, all_sent / seconds, all_deleted / seconds, latency:percentile(99) / 1e3,
        e.connect + e.read + e.write + e.status + e.timeout))
end
