#include "destination_record.h"

#include "sluice/base/json.h"

#include <stdio.h>
#include <time.h>

const char *destination_condition(enum give_up why)
{
    switch (why) {
    case GIVE_UP_NONE:
        return "Success";
    case GIVE_UP_REFUSED:
        return "Refused";
    case GIVE_UP_MAX_ATTEMPTS:
        return "RetriesExhausted";
    case GIVE_UP_MAX_DURATION:
    case GIVE_UP_EXPIRED:
        return "EventAgeExceeded";
    case GIVE_UP_S3_POINTER:
        return "PayloadInS3";
    default:
        return "UnknownResult";
    }
}

void destination_time(wall_ms at, char out[DESTINATION_TIME_SIZE])
{
    time_t seconds = (time_t)(at / 1000);
    struct tm tm = {0};
    char date[DESTINATION_TIME_SIZE - 8];

    (void)gmtime_r(&seconds, &tm);
    (void)strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(out, DESTINATION_TIME_SIZE, "%s.%03dZ", date, (int)(at % 1000));
}

static bool continues(char c)
{
    return ((unsigned char)c & 0xC0) == 0x80;
}

struct str destination_cut(struct str text, size_t max)
{
    size_t len = max;

    if (text.len <= max) {
        return text;
    }
    /* At most three steps: what is longer is no UTF-8 and may be cut anywhere. */
    while (len > 0 && max - len < 4 && continues(text.ptr[len])) {
        len--;
    }
    return (struct str){text.ptr, len > 0 && continues(text.ptr[len]) ? max : len};
}

static void write_payload(struct json_writer *w, const char *key, struct str payload, bool left_out)
{
    struct json json;

    json_key_write(w, str_from(key));
    if (left_out || payload.ptr == NULL) {
        json_write_null(w);
    } else if (json_parse(&json, payload, JSON_STRICT, NULL) == 0) {
        json_done(&json);
        json_write_raw(w, payload); /* as it came: reading it could cost digits */
    } else {
        json_write_str(w, payload);
    }
}

static void write_request(struct json_writer *w, const struct destination_record *r, bool left_out)
{
    json_key_write(w, STR("requestContext"));
    json_object_begin(w);
    json_member_str(w, "requestId", r->message_id);
    json_member_str(w, "route", r->route);
    json_member_str(w, "queue", r->queue);
    json_member_str(w, "condition", str_from(destination_condition(r->give_up)));
    if (r->give_up != GIVE_UP_NONE) {
        json_member_str(w, "reason", str_from(give_up_name(r->give_up)));
    }
    json_member_i64(w, "approximateInvokeCount", r->attempts);
    if (left_out) {
        json_member_bool(w, "payloadOmitted", true);
    }
    json_object_end(w);
    write_payload(w, "requestPayload", r->body, left_out);
}

static void write_response(struct json_writer *w, const struct destination_record *r, bool left_out)
{
    bool answered = r->called && r->status != 0;

    json_key_write(w, STR("responseContext"));
    if (!r->called) {
        json_write_null(w);
    } else {
        json_object_begin(w);
        if (answered) {
            json_member_i64(w, "statusCode", r->status);
        }
        if (r->error != NULL) {
            json_member_str(w, "error", str_from(r->error));
        }
        if (left_out && r->answer.ptr != NULL) {
            json_member_bool(w, "payloadOmitted", true);
        } else if (r->answer_cut) {
            json_member_bool(w, "payloadTruncated", true);
        }
        json_object_end(w);
    }
    write_payload(w, "responsePayload", answered ? r->answer : STR_NONE, left_out);
}

static int write_once(const struct destination_record *r, struct buf *out, bool no_request,
                      bool no_response)
{
    struct json_writer w;
    char at[DESTINATION_TIME_SIZE];

    buf_reset(out);
    destination_time(r->at, at);
    json_writer_init(&w, out);
    json_object_begin(&w);
    json_member_str(&w, "version", STR("1.0"));
    json_member_str(&w, "timestamp", str_from(at));
    write_request(&w, r, no_request);
    write_response(&w, r, no_response);
    json_object_end(&w);
    return buf_failed(out);
}

int destination_record_write(const struct destination_record *record, struct buf *out)
{
    int error = ERR_TOO_BIG;

    if (!record->lean) {
        error = write_once(record, out, false, false);
        error = error == ERR_TOO_BIG ? write_once(record, out, true, false) : error;
    }
    return error == ERR_TOO_BIG ? write_once(record, out, true, true) : error;
}
