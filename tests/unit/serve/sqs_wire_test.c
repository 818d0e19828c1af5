/*
 * Every error that the embedded queue can give, on the wire: one row a case, run in both protocols
 * against the real API and the real engine on a clock of the test's own: HTTP status, __type,
 * x-amzn-query-error and the exact text. A row holds the request as JSON; its form follows from the
 * table of actions (whose names the test of the codecs pins).
 */
#include "sluice/serve/sqs_api.h"

#include "sluice/base/json.h"
#include "sluice/sqs/actions.h"
#include "sluice/sqs/move_task.h"
#include "support/http_kit.h"
#include "support/queue_kit.h"

#define TEXT_MAX ((size_t)8 << 20)

/* ---- the store: the engine, at once ---- */

struct store {
    struct kit *kit;
};

void store_submit(struct store *store, struct store_request *request)
{
    struct kit *kit = store->kit;
    kit_begin(kit);
    int rc = engine_run(&kit->engine, request);
    assert_int_equal(rc, 0);
    kit_commit(kit);
    request->done(request->context, request);
}

void store_cancel(struct store *store, struct store_request *request)
{
    (void)store;
    (void)request;
}

void store_peek(struct store *store, struct store_peek *peek)
{
    (void)store;
    (void)peek;
    fail();
}

/* ---- a server of one test case ---- */

struct fixture {
    struct kit kit;
    struct store store;
    struct metrics *metrics;
    struct sqs_api *api;
    struct http_exchange exchange;
    struct buf text, form, message;
    struct str handle; /* receipt or task handle of the preparation */
};

#define ARN(name)  "arn:aws:sqs:" KIT_REGION ":" KIT_ACCOUNT ":" name
#define NOW_MS     INT64_C(1795435200000) /* 20261123T120000Z */
#define GOES_DEAD  "{\"deadLetterTargetArn\":\"" ARN("dead") "\",\"maxReceiveCount\":3}"
#define QUEUE_PATH "/" KIT_ACCOUNT "/jobs"

static wall_ms test_clock(void)
{
    return NOW_MS;
}

static void setup(struct fixture *f, bool keys)
{
    static struct sqs_api_key key = {.id = {"AKIDONE", 7}, .secret = {"secret", 6}};
    const struct sqs_api_config config = {.access_keys = &key,
                                          .access_key_count = keys ? 1 : 0,
                                          .region = STR(KIT_REGION),
                                          .account = STR(KIT_ACCOUNT),
                                          .clock = test_clock};
    memset(f, 0, sizeof(*f));
    f->kit.sixty_second_rules = true;
    kit_directory(f->kit.directory, sizeof(f->kit.directory));
    (void)snprintf(f->kit.path, sizeof(f->kit.path), "%s/queue.db", f->kit.directory);
    arena_init(&f->kit.arena, (size_t)64 << 20);
    kit_open(&f->kit);
    assert_int_equal(kit_create(&f->kit, "dead", NULL), 0);
    assert_int_equal(kit_create(&f->kit, "jobs", "RedrivePolicy", GOES_DEAD, NULL), 0);
    assert_int_equal(kit_create(&f->kit, "jobs.fifo", "FifoQueue", "true", NULL), 0);
    f->store.kit = &f->kit;
    f->metrics = metrics_new();
    f->api = sqs_api_new(&f->store, f->metrics, &config);
    buf_init(&f->text, TEXT_MAX);
    buf_init(&f->form, TEXT_MAX);
    buf_init(&f->message, TEXT_MAX);
}

static void teardown(struct fixture *f)
{
    buf_done(&f->exchange.body);
    buf_done(&f->text);
    buf_done(&f->form);
    buf_done(&f->message);
    sqs_api_free(f->api);
    metrics_free(f->metrics);
    kit_done(&f->kit);
}

/* ---- preparations ---- */

static struct str receive_from(struct kit *kit, const char *queue, int64_t timeout_s)
{
    const struct sqs_receive_out *out = kit_receive(kit, queue, 1, timeout_s);
    assert_int_equal(out->messages.count, 1);
    return out->messages.items[0].receipt_handle;
}

static void received(struct fixture *f)
{
    assert_int_equal(kit_send(&f->kit, "jobs", "x", -1), 0);
    f->handle = receive_from(&f->kit, "jobs", 600);
    f->kit.now_ms += 1000;
}

static void deleted(struct fixture *f)
{
    received(f);
    assert_int_equal(kit_delete(&f->kit, "jobs", f->handle), 0);
}

static void fifo_expired(struct fixture *f)
{
    struct sqs_send_message_in in = {
        .queue_url = STR("jobs.fifo"),
        .entry = {.body = STR("x"), .group_id = STR("g"), .deduplication_id = STR("d")},
    };
    assert_int_equal(kit_run(&f->kit, SQS_SEND_MESSAGE, &in), 0);
    f->handle = receive_from(&f->kit, "jobs.fifo", 1);
    f->kit.now_ms += 1000;
}

static void in_flight_limit(struct fixture *f)
{
    engine_queue(&f->kit.engine, STR("jobs"))->state.counts[QUEUE_LEASED] = ENGINE_IN_FLIGHT_MAX;
}

static void purged(struct fixture *f)
{
    assert_int_equal(kit_queue_action(&f->kit, SQS_PURGE_QUEUE, "jobs"), 0);
}

static void deleted_queue(struct fixture *f)
{
    assert_int_equal(kit_queue_action(&f->kit, SQS_DELETE_QUEUE, "jobs"), 0);
}

static void denies_redrive(struct fixture *f)
{
    assert_int_equal(
        kit_set(&f->kit, "dead", "RedriveAllowPolicy", "{\"redrivePermission\":\"denyAll\"}", NULL),
        0);
}

static void small_messages(struct fixture *f)
{
    assert_int_equal(kit_set(&f->kit, "jobs", "MaximumMessageSize", "1024", NULL), 0);
}

static void labelled(struct fixture *f)
{
    struct str account = STR("111111111111");
    struct str action = STR("*");
    struct sqs_add_permission_in in = {.queue_url = STR("jobs"),
                                       .label = STR("l"),
                                       .account_ids = {&account, 1, true},
                                       .actions = {&action, 1, true}};
    assert_int_equal(kit_run(&f->kit, SQS_ADD_PERMISSION, &in), 0);
}

static void moving(struct fixture *f)
{
    struct sqs_start_move_task_in in = {.source_arn = STR(ARN("dead"))};
    assert_int_equal(kit_run(&f->kit, SQS_START_MESSAGE_MOVE_TASK, &in), 0);
    f->handle = ((const struct sqs_task_handle *)f->kit.request.output)->task_handle;
}

static void moved(struct fixture *f)
{
    moving(f);
    kit_step_tasks(&f->kit);
}

static void unknown_task(struct fixture *f)
{
    f->handle = sqs_move_handle_write(&f->kit.arena, STR("t"), STR(ARN("dead")));
}

static void task_of_no_queue(struct fixture *f)
{
    f->handle = sqs_move_handle_write(&f->kit.arena, STR("t"), STR(ARN("nosuch")));
}

static void disk_full(struct fixture *f)
{
    f->kit.engine.refuses_messages = true;
}

/* ---- errors: HTTP status, __type, code ---- */

#define SQS   "com.amazonaws.sqs#"
#define CORAL "com.amazon.coral.service#"
#define BATCH "AWS.SimpleQueueService."

#define ACCESS_DENIED     403, CORAL "AccessDeniedException", "AccessDenied"
#define BAD_SIGNATURE     403, CORAL "InvalidSignatureException", "SignatureDoesNotMatch"
#define DELETED_RECENTLY  400, SQS "QueueDeletedRecently", BATCH "QueueDeletedRecently"
#define EMPTY_BATCH       400, SQS "EmptyBatchRequest", BATCH "EmptyBatchRequest"
#define HANDLE_INVALID    404, SQS "ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid"
#define IDS_NOT_DISTINCT  400, SQS "BatchEntryIdsNotDistinct", BATCH "BatchEntryIdsNotDistinct"
#define INCOMPLETE        400, CORAL "IncompleteSignatureException", "IncompleteSignature"
#define INVALID           400, CORAL "InvalidParameterValueException", "InvalidParameterValue"
#define INVALID_ACTION    400, CORAL "UnknownOperationException", "InvalidAction"
#define INVALID_CONTENTS  400, SQS "InvalidMessageContents", "InvalidMessageContents"
#define INVALID_ENTRY_ID  400, SQS "InvalidBatchEntryId", BATCH "InvalidBatchEntryId"
#define INVALID_NAME      400, SQS "InvalidAttributeName", "InvalidAttributeName"
#define INVALID_VALUE     400, SQS "InvalidAttributeValue", "InvalidAttributeValue"
#define MALFORMED         400, CORAL "SerializationException", "MalformedInput"
#define MISSING           400, CORAL "MissingRequiredParameterException", "MissingParameter"
#define NAME_EXISTS       400, SQS "QueueNameExists", "QueueAlreadyExists"
#define NO_QUEUE          400, SQS "QueueDoesNotExist", BATCH "NonExistentQueue"
#define NO_RESOURCE       404, SQS "ResourceNotFoundException", "ResourceNotFoundException"
#define OVER_LIMIT        403, SQS "OverLimit", "OverLimit"
#define PURGE_IN_PROGRESS 403, SQS "PurgeQueueInProgress", BATCH "PurgeQueueInProgress"
#define TOO_LONG          400, SQS "BatchRequestTooLong", BATCH "BatchRequestTooLong"
#define TOO_MANY          400, SQS "TooManyEntriesInBatchRequest", BATCH "TooManyEntriesInBatchRequest"
#define UNAVAILABLE       503, CORAL "ServiceUnavailable", "ServiceUnavailable"
#define UNKNOWN_CLIENT    403, CORAL "UnrecognizedClientException", "InvalidClientTokenId"
#define UNSUPPORTED       400, SQS "UnsupportedOperation", BATCH "UnsupportedOperation"

#define NO_QUEUE_TEXT "The specified queue does not exist."

/*
 * In requests and texts: @H@ is the handle of the preparation, @x12@ twelve times x, @entries11@
 * eleven entries of a batch to send, @tags51@ so many tags.
 */
struct row {
    const char *action, *json;
    int status;
    const char *type, *code;
    const char *message;
    void (*prepare)(struct fixture *f);
    const char *failed_id; /* the answer is 200, and this entry of the batch has the error */
};

#include "sqs_wire_rows.h"

/* ---- making requests ---- */

static void add_list(struct buf *out, const char *what, int64_t count)
{
    for (int64_t i = 1; i <= count; i++) {
        if (what[0] == 'x') {
            (void)buf_addc(out, 'x');
        } else if (what[0] == 'e') {
            (void)buf_addf(out, "%s{\"Id\":\"%lld\",\"MessageBody\":\"b\"}", i == 1 ? "" : ",",
                           (long long)i);
        } else {
            (void)buf_addf(out, "%s\"k%lld\":\"v\"", i == 1 ? "" : ",", (long long)i);
        }
    }
}

/* With the placeholders filled in. */
static const char *expand(struct fixture *f, const char *text, struct buf *out)
{
    static const char *const words[] = {"x", "entries", "tags"};
    struct str rest = str_from(text);
    struct str part;
    buf_reset(out);
    for (bool inside = false; str_next(&rest, '@', &part); inside = !inside) {
        if (!inside || str_equal(part, STR("H"))) {
            (void)buf_add(out, inside ? f->handle : part);
            continue;
        }
        for (size_t i = 0; i < SL_COUNT(words); i++) {
            struct str word = str_from(words[i]);
            int64_t count;
            struct str digits = {part.ptr + word.len, part.len - word.len};
            if (str_starts_with(part, word) && str_to_i64(digits, 1, 1 << 21, &count) == 0) {
                add_list(out, words[i], count);
            }
        }
    }
    assert_int_equal(buf_failed(out), 0);
    return buf_str(out).ptr;
}

static void SL_PRINTF(3, 4)
    add_pair(struct buf *form, struct str value, const char *name_format, ...)
{
    va_list args;
    (void)buf_addc(form, '&');
    va_start(args, name_format);
    (void)buf_addv(form, name_format, args);
    va_end(args);
    (void)buf_addc(form, '=');
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (plain) {
            (void)buf_addc(form, (char)c);
        } else {
            (void)buf_addf(form, "%%%02X", c);
        }
    }
}

static void add_attribute(struct buf *form, const char *name, const struct json_value *value)
{
    static const char *const parts[] = {"DataType", "StringValue", "BinaryValue"};
    add_pair(form, json_key(value), "%s.Name", name);
    for (size_t i = 0; i < SL_COUNT(parts); i++) {
        struct str part = json_string(json_get(value, parts[i]));
        if (part.ptr != NULL) {
            add_pair(form, part, "%s.Value.%s", name, parts[i]);
        }
    }
    const struct json_value *list = json_first(json_get(value, "StringListValues"));
    if (list != NULL) {
        add_pair(form, json_string(list), "%s.Value.StringListValue.1", name);
    }
}

static void add_shape(struct buf *form, const struct sqs_shape *shape,
                      const struct json_value *object, const char *prefix);

/* name: of the element, with its number */
static void add_element(struct buf *form, const struct sqs_member *member, struct buf *name,
                        const struct json_value *value)
{
    const char *text = buf_str(name).ptr;
    switch (member->type) {
    case SQS_TYPE_STRINGS:
        add_pair(form, json_string(value), "%s", text);
        break;
    case SQS_TYPE_MAP:
        add_pair(form, json_key(value), "%s.%s", text, member->map_key);
        add_pair(form, json_string(value), "%s.%s", text, member->map_value);
        break;
    case SQS_TYPE_ATTRIBUTES:
        add_attribute(form, text, value);
        break;
    default:
        (void)buf_addc(name, '.');
        add_shape(form, member->shape, value, buf_str(name).ptr);
        break;
    }
}

static void add_shape(struct buf *form, const struct sqs_shape *shape,
                      const struct json_value *object, const char *prefix)
{
    for (size_t i = 0; i < shape->member_count; i++) {
        const struct sqs_member *member = &shape->members[i];
        const struct json_value *value = json_get(object, member->json_name);
        if (json_type(value) == JSON_STRING) {
            add_pair(form, json_string(value), "%s%s", prefix, member->query_name);
        } else if (json_type(value) == JSON_NUMBER) {
            (void)buf_addf(form, "&%s%s=%.0f", prefix, member->query_name, json_number(value));
        }
        uint32_t number = 0;
        for (const struct json_value *child = json_first(value); child != NULL;
             child = json_next(child)) {
            struct buf name;
            buf_init(&name, 256);
            (void)buf_addf(&name, "%s%s.%u", prefix, member->query_name, ++number);
            add_element(form, member, &name, child);
            buf_done(&name);
        }
    }
}

static const char *form_of(struct fixture *f, const struct sqs_action_info *info, const char *text)
{
    struct json json;
    buf_reset(&f->form);
    (void)buf_addf(&f->form, "Action=%s&Version=2012-11-05", info->name);
    assert_int_equal(json_parse(&json, str_from(text), JSON_STRICT, NULL), 0);
    add_shape(&f->form, info->input, json.root, "");
    json_done(&json);
    assert_int_equal(buf_failed(&f->form), 0);
    return buf_str(&f->form).ptr;
}

static void send_json(struct fixture *f, const char *action, const char *body)
{
    char target[64];
    (void)snprintf(target, sizeof(target), "AmazonSQS.%s", action);
    exchange_begin(&f->exchange, "POST", "/", body);
    exchange_header(&f->exchange, "X-Amz-Target", target);
    exchange_header(&f->exchange, "Content-Type", "application/x-amz-json-1.0");
    sqs_api_handle(f->api, &f->exchange, &f->exchange.view);
}

static void send_form(struct fixture *f, const char *path, const char *body)
{
    exchange_begin(&f->exchange, "POST", path, body);
    exchange_header(&f->exchange, "Content-Type",
                    "application/x-www-form-urlencoded; charset=utf-8");
    sqs_api_handle(f->api, &f->exchange, &f->exchange.view);
}

/* ---- reading answers ---- */

static bool seen[SQS_ERROR__COUNT];

static void check_equal(const char *what, const char *got, const char *wanted, const char *request)
{
    if (strcmp(got, wanted) != 0) {
        fail_msg("%.300s: %s: got\n  %.600s\nwanted\n  %.600s", request, what, got, wanted);
    }
}

static void check_part(const char *body, const char *wanted, const char *request)
{
    if (strstr(body, wanted) == NULL) {
        fail_msg("%.300s: got\n  %.600s\nwithout\n  %.600s", request, body, wanted);
    }
}

static void add_escaped(struct buf *out, struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        const char *escape = c == '&'   ? "&amp;"
                             : c == '<' ? "&lt;"
                             : c == '>' ? "&gt;"
                             : c == '"' ? "&quot;"
                                        : NULL;
        if (escape != NULL) {
            (void)buf_adds(out, escape);
        } else {
            (void)buf_addc(out, c);
        }
    }
}

static void check_json(struct fixture *f, const struct row *row, const char *message)
{
    const struct http_exchange *x = &f->exchange;
    struct buf wanted;
    struct json_writer w;
    char header[128];
    buf_init(&wanted, TEXT_MAX);
    json_writer_init(&w, &wanted);
    json_object_begin(&w);
    if (row->failed_id == NULL) {
        json_member_str(&w, "__type", str_from(row->type));
        json_member_str(&w, "message", str_from(message));
        json_object_end(&w);
        (void)snprintf(header, sizeof(header), "%s;%s", row->code,
                       row->status < 500 ? "Sender" : "Receiver");
        check_equal("body", buf_str(&x->body).ptr, buf_str(&wanted).ptr, row->json);
        check_equal("x-amzn-query-error", x->query_error, header, row->json);
    } else {
        json_member_str(&w, "Id", str_from(row->failed_id));
        json_member_bool(&w, "SenderFault", true);
        json_member_str(&w, "Code", str_from(row->code));
        json_member_str(&w, "Message", str_from(message));
        json_object_end(&w);
        check_part(buf_str(&x->body).ptr, buf_str(&wanted).ptr, row->json);
        check_part(buf_str(&x->body).ptr, "\"Failed\":[", row->json);
    }
    check_equal("content type", x->content_type, "application/x-amz-json-1.0", row->json);
    buf_done(&wanted);
}

static void check_xml(struct fixture *f, const struct row *row, const char *message)
{
    const struct http_exchange *x = &f->exchange;
    struct buf wanted;
    buf_init(&wanted, TEXT_MAX);
    if (row->failed_id == NULL) {
        (void)buf_addf(&wanted,
                       "<?xml version=\"1.0\"?><ErrorResponse xmlns=\"http://queue.amazonaws.com/"
                       "doc/2012-11-05/\"><Error><Type>%s</Type><Code>%s</Code><Message>",
                       row->status < 500 ? "Sender" : "Receiver", row->code);
    } else {
        (void)buf_addf(&wanted,
                       "<BatchResultErrorEntry><Id>%s</Id><SenderFault>true</SenderFault>"
                       "<Code>%s</Code><Message>",
                       row->failed_id, row->code);
    }
    add_escaped(&wanted, str_from(message));
    if (strcmp(message, NO_QUEUE_TEXT) == 0) {
        buf_truncate(&wanted, wanted.len - 1);
        (void)buf_adds(&wanted, " for this wsdl version.");
    }
    (void)buf_adds(&wanted, "</Message>");
    if (row->failed_id == NULL) {
        (void)buf_addf(&wanted, "<Detail/></Error><RequestId>%s</RequestId></ErrorResponse>",
                       x->request_id);
        check_equal("body", buf_str(&x->body).ptr, buf_str(&wanted).ptr, row->json);
    } else {
        check_part(buf_str(&x->body).ptr, buf_str(&wanted).ptr, row->json);
    }
    check_equal("content type", x->content_type, "text/xml", row->json);
    check_equal("x-amzn-query-error", x->query_error, "", row->json);
    buf_done(&wanted);
}

static void check_answer(struct fixture *f, const struct row *row, bool json)
{
    const char *message = expand(f, row->message, &f->message);
    int status = row->failed_id == NULL ? row->status : 200;
    if (f->exchange.responses != 1 || f->exchange.status != status) {
        fail_msg("%s %.300s: status %d, wanted %d: %.600s", row->action, row->json,
                 f->exchange.status, status, buf_str(&f->exchange.body).ptr);
    }
    if (json) {
        check_json(f, row, message);
    } else {
        check_xml(f, row, message);
    }
    seen[sqs_error_find(str_from(row->type))] = true;
}

/* ---- tests ---- */

static void run_in_protocol(struct fixture *f, const struct row *row, bool json)
{
    const struct sqs_action_info *info = sqs_action_info(sqs_action_find(str_from(row->action)));
    const char *body = expand(f, row->json, &f->text);
    if (json) {
        send_json(f, info->name, body);
    } else {
        send_form(f, "/", form_of(f, info, body));
    }
    check_answer(f, row, json);
}

/* On `plain` when nothing has to be prepared: an error changes nothing. */
static void run_row(struct fixture *plain, const struct row *row)
{
    for (int json = 0; json < 2; json++) {
        struct fixture f;
        if (row->prepare == NULL) {
            run_in_protocol(plain, row, json != 0);
            continue;
        }
        setup(&f, false);
        row->prepare(&f);
        run_in_protocol(&f, row, json != 0);
        teardown(&f);
    }
}

static void errors_in_both_protocols(void **state)
{
    (void)state;
    struct fixture plain;
    setup(&plain, false);
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        run_row(&plain, &rows[i]);
    }
    teardown(&plain);
}

/* Whatever else a request says, a queue that is not there comes first; and so does one not named.
 */
static void no_such_queue(void **state)
{
    (void)state;
    static const char *const urls[] = {"\"QueueUrl\":\"nosuch\",",
                                       "\"QueueUrl\":\"http://h/0/no\",", "\"QueueUrl\":\"\",", ""};
    static const char rest[] =
        "\"MessageBody\":\"b\",\"ReceiptHandle\":\"h\",\"VisibilityTimeout\":1,\"Label\":\"l\"";
    int actions = 0;
    struct fixture plain;
    setup(&plain, false);
    for (int i = 0; i < SQS_ACTION__COUNT; i++) {
        const struct sqs_action_info *info = sqs_action_info((enum sqs_action)i);
        for (size_t k = 0; info->on_queue && k < SL_COUNT(urls); k++) {
            char json[256];
            (void)snprintf(json, sizeof(json), "{%s%s}", urls[k], rest);
            const struct row row = {info->name, json, NO_QUEUE, NO_QUEUE_TEXT, NULL, NULL};
            run_row(&plain, &row);
        }
        actions += info->on_queue ? 1 : 0;
    }
    assert_int_equal(actions, 17);
    const struct row row = {
        "GetQueueUrl", "{\"QueueName\":\"nosuch\"}", NO_QUEUE, NO_QUEUE_TEXT, NULL, NULL};
    run_row(&plain, &row);
    teardown(&plain);
}

/* What only one protocol can get wrong. */
static void errors_of_one_protocol(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, false);
    for (size_t i = 0; i < SL_COUNT(json_rows); i++) {
        send_json(&f, json_rows[i].action, json_rows[i].json);
        check_answer(&f, &json_rows[i], true);
    }
    for (size_t i = 0; i < SL_COUNT(form_rows); i++) {
        send_form(&f, form_rows[i].action, form_rows[i].json);
        check_answer(&f, &form_rows[i], false);
    }
    exchange_begin(&f.exchange, "GET", QUEUE_PATH, "");
    sqs_api_handle(f.api, &f.exchange, &f.exchange.view);
    assert_int_equal(f.exchange.status, 404);
    assert_string_equal(buf_str(&f.exchange.body).ptr, "<UnknownOperationException/>\n");
    teardown(&f);
}

static void who_may_call(void **state)
{
    (void)state;
    for (size_t i = 0; i < SL_COUNT(access_rows); i++) {
        for (int json = 0; json < 2; json++) {
            const struct access_row *access = &access_rows[i];
            struct fixture f;
            setup(&f, access->keys);
            exchange_begin(&f.exchange, "POST", "/", json != 0 ? "{}" : "Action=ListQueues");
            if (json != 0) {
                exchange_header(&f.exchange, "X-Amz-Target", "AmazonSQS.ListQueues");
            }
            for (size_t k = 0; k < SL_COUNT(access->headers) && access->headers[k].name; k++) {
                exchange_header(&f.exchange, access->headers[k].name, access->headers[k].value);
            }
            sqs_api_handle(f.api, &f.exchange, &f.exchange.view);
            check_answer(&f, &access->row, json != 0);
            teardown(&f);
        }
    }
}

/* Runs last: the rows above are complete. */
static void every_error_was_seen(void **state)
{
    (void)state;
    static const enum sqs_error_code others[] = {
        /* AWS has them; the embedded queue has no cause to give them */
        SQS_ERROR_MESSAGE_NOT_INFLIGHT,
        SQS_ERROR_REQUEST_THROTTLED,
        SQS_ERROR_INVALID_ID_FORMAT,
        SQS_ERROR_INVALID_ADDRESS,
        SQS_ERROR_INVALID_SECURITY,
        SQS_ERROR_KMS_ACCESS_DENIED,
        SQS_ERROR_KMS_DISABLED,
        SQS_ERROR_KMS_INVALID_KEY_USAGE,
        SQS_ERROR_KMS_INVALID_STATE,
        SQS_ERROR_KMS_NOT_FOUND,
        SQS_ERROR_KMS_THROTTLED,
        SQS_ERROR_KMS_OPT_IN_REQUIRED,
        /* a file that refuses, an answer too large: tests of the store and of the API */
        SQS_ERROR_INTERNAL_FAILURE,
    };
    for (size_t i = 0; i < SL_COUNT(others); i++) {
        assert_false(seen[others[i]]);
        seen[others[i]] = true;
    }
    for (int i = 1; i < SQS_ERROR__COUNT; i++) {
        if (!seen[i]) {
            fail_msg("no row gave %s", sqs_error_info((enum sqs_error_code)i)->shape);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_in_both_protocols), cmocka_unit_test(no_such_queue),
        cmocka_unit_test(errors_of_one_protocol),   cmocka_unit_test(who_may_call),
        cmocka_unit_test(every_error_was_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
