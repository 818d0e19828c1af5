/* rooms: sqs base */
/*
 * The policies of a queue: for dead letters, and for access. The first line of the input is a
 * label, the rest a document.
 */
#include "fuzz.h"

#include "sluice/base/json.h"
#include "sluice/sqs/arn.h"
#include "sluice/sqs/policy.h"
#include "sluice/sqs/validate.h"

#define ARENA_MAX  ((size_t)1 << 20)
#define POLICY_MAX ((size_t)64 << 10)

static void check_redrive(struct str text, struct arena *arena)
{
    struct sqs_redrive_policy policy;
    struct sqs_redrive_policy again;
    struct sqs_error e = {.code = SQS_OK};
    struct sqs_arn arn;
    struct buf written;
    int rc = sqs_redrive_policy_parse(text, arena, &policy, &e);
    SL_ASSERT(rc == (int)e.code);
    if (rc != SQS_OK) {
        SL_ASSERT(e.message[0] != '\0');
        return;
    }
    SL_ASSERT(policy.max_receives >= 1 && policy.max_receives <= 1000);
    SL_ASSERT(sqs_arn_parse(policy.dead_letter_arn, &arn) == ERR_OK);
    buf_init(&written, (size_t)8 << 20);
    SL_ASSERT(sqs_redrive_policy_write(&policy, &written) == 0);
    SL_ASSERT(sqs_redrive_policy_parse(buf_str(&written), arena, &again, &e) == SQS_OK);
    SL_ASSERT(again.max_receives == policy.max_receives);
    SL_ASSERT(str_equal(again.dead_letter_arn, policy.dead_letter_arn));
    buf_done(&written);
}

static void check_redrive_allow(struct str text, struct arena *arena)
{
    struct sqs_redrive_allow_policy policy;
    struct sqs_error e = {.code = SQS_OK};
    struct sqs_arn arn;
    int rc = sqs_redrive_allow_policy_parse(text, arena, &policy, &e);
    SL_ASSERT(rc == (int)e.code);
    if (rc == SQS_OK) {
        SL_ASSERT((policy.permission == SQS_REDRIVE_BY_QUEUE) == (policy.source_arns.count > 0));
        for (uint32_t i = 0; i < policy.source_arns.count; i++) {
            SL_ASSERT(sqs_arn_parse(policy.source_arns.items[i], &arn) == ERR_OK);
        }
    }
}

static bool is_json(struct str text)
{
    struct json json;
    bool good = json_parse(&json, text, JSON_STRICT, NULL) == 0;
    if (good) {
        json_done(&json);
    }
    return good;
}

/* What was added is there once, can be removed, and is gone then. */
static void check_access(struct str label, struct str document)
{
    struct str accounts[] = {STR("000000000000"), STR("123456789012")};
    struct str actions[] = {STR("SendMessage"), STR("*")};
    const struct sqs_add_permission_in in = {.queue_url = STR("jobs"),
                                             .label = label,
                                             .account_ids = {accounts, 2, true},
                                             .actions = {actions, 2, true}};
    struct str arn = STR("arn:aws:sqs:us-east-1:000000000000:jobs");
    struct sqs_error e = {.code = SQS_OK};
    struct buf added;
    struct buf out;
    buf_init(&added, POLICY_MAX);
    buf_init(&out, POLICY_MAX);
    if (sqs_policy_remove(document, label, &out, &e) == SQS_OK) {
        SL_ASSERT(out.len == 0 || is_json(buf_str(&out)));
    }
    buf_reset(&out);
    if (sqs_validate_add_permission(&in, &e) == SQS_OK &&
        sqs_policy_add(document, arn, &in, &added, &e) == SQS_OK) {
        SL_ASSERT(is_json(buf_str(&added)));
        SL_ASSERT(sqs_policy_add(buf_str(&added), arn, &in, &out, &e) != SQS_OK);
        buf_reset(&out);
        SL_ASSERT(sqs_policy_remove(buf_str(&added), label, &out, &e) == SQS_OK);
        struct buf rest;
        buf_init(&rest, POLICY_MAX);
        SL_ASSERT(sqs_policy_remove(buf_str(&out), label, &rest, &e) != SQS_OK);
        buf_done(&rest);
    }
    buf_done(&added);
    buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str document = {(const char *)data, size};
    struct str label = STR("");
    struct arena arena;
    arena_init(&arena, ARENA_MAX);
    (void)str_next(&document, '\n', &label);
    if (document.ptr == NULL) {
        document = STR("");
    }
    check_redrive(document, &arena);
    check_redrive_allow(document, &arena);
    check_access(label, document);
    arena_done(&arena);
    return 0;
}
