/* Limits: docs.aws.amazon.com, "Amazon SQS policy quotas"; AddPermission. */
#include "sluice/sqs/policy.h"

#include "sluice/base/json.h"
#include "sluice/sqs/validate.h"

#define LABEL_MAX      80
#define ACTIONS_MAX    7
#define STATEMENTS_MAX 20
#define ACCOUNT_DIGITS 12
#define SHOWN_MAX      200 /* of a caller's value inside a message */

#define INVALID(e, ...) sqs_error_set((e), SQS_ERROR_INVALID_PARAMETER_VALUE, __VA_ARGS__)

static struct str shown(struct str text)
{
    text.len = text.len > SHOWN_MAX ? SHOWN_MAX : text.len;
    return text;
}

/* ---- what is asked ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int validate_label(struct str label, struct sqs_error *e)
{
    bool ok = label.len <= LABEL_MAX;
    if (label.len == 0) {
        return sqs_error_set(e, SQS_ERROR_MISSING_PARAMETER,
                             "The request must contain the parameter Label.");
    }
    for (size_t i = 0; i < label.len && ok; i++) {
        char c = label.ptr[i];
        ok =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '-' || c == '_';
    }
    return ok ? SQS_OK
              : INVALID(e,
                        "Value %.*s for parameter Label is invalid. Reason: Can only include "
                        "alphanumeric characters, hyphens, or underscores. 1 to 80 in length.",
                        STR_FMT(shown(label)));
}

/* The actions that somebody else may be given; the others are the owner's alone. */
static bool is_shared_action(struct str action)
{
    static const char *const names[] = {
        "*",           "ChangeMessageVisibility",    "DeleteMessage", "GetQueueAttributes",
        "GetQueueUrl", "ListDeadLetterSourceQueues", "PurgeQueue",    "ReceiveMessage",
        "SendMessage"};
    for (size_t i = 0; i < SL_COUNT(names); i++) {
        if (str_equal(action, str_from(names[i]))) {
            return true;
        }
    }
    return false;
}

static int validate_actions(const struct sqs_strings *actions, struct sqs_error *e)
{
    if (actions->count == 0) {
        return sqs_error_set(e, SQS_ERROR_MISSING_PARAMETER,
                             "The request must contain the parameter Actions.");
    }
    if (actions->count > ACTIONS_MAX) {
        return sqs_error_set(e, SQS_ERROR_OVER_LIMIT,
                             "%u Actions were found, maximum allowed is %d.", actions->count,
                             ACTIONS_MAX);
    }
    for (uint32_t i = 0; i < actions->count; i++) {
        if (!is_shared_action(actions->items[i])) {
            return INVALID(e,
                           "Value SQS:%.*s for parameter ActionName is invalid. Reason: Only the "
                           "queue owner is allowed to invoke this action.",
                           STR_FMT(shown(actions->items[i])));
        }
    }
    return SQS_OK;
}

static bool is_account(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!is_digit(text.ptr[i])) {
            return false;
        }
    }
    return text.len == ACCOUNT_DIGITS;
}

static int validate_accounts(const struct sqs_strings *accounts, struct sqs_error *e)
{
    struct str bad = STR("");
    bool ok = accounts->count > 0;
    for (uint32_t i = 0; i < accounts->count && ok; i++) {
        bad = accounts->items[i];
        ok = is_account(bad);
    }
    return ok ? SQS_OK
              : INVALID(e,
                        "Value [%.*s] for parameter PrincipalId is invalid. Reason: Unable to "
                        "verify.",
                        STR_FMT(shown(bad)));
}

int sqs_validate_add_permission(const struct sqs_add_permission_in *in, struct sqs_error *e)
{
    int rc = validate_label(in->label, e);
    rc = rc != SQS_OK ? rc : validate_actions(&in->actions, e);
    return rc != SQS_OK ? rc : validate_accounts(&in->account_ids, e);
}

/* ---- the document ---- */

/* A list of one is written as its element, as AWS does. */
static void write_list(struct json_writer *w, const char *key, const struct sqs_strings *list,
                       const char *prefix, const char *suffix)
{
    struct buf item;
    buf_init(&item, SQS_POLICY_MAX_BYTES);
    json_key_write(w, str_from(key));
    if (list->count > 1) {
        json_array_begin(w);
    }
    for (uint32_t i = 0; i < list->count; i++) {
        buf_reset(&item);
        (void)buf_adds(&item, prefix);
        (void)buf_add(&item, list->items[i]);
        (void)buf_adds(&item, suffix);
        json_write_str(w, buf_str(&item));
    }
    if (list->count > 1) {
        json_array_end(w);
    }
    buf_done(&item);
}

static void write_statement(struct json_writer *w, struct str queue_arn,
                            const struct sqs_add_permission_in *in)
{
    json_object_begin(w);
    json_member_str(w, "Sid", in->label);
    json_member_str(w, "Effect", STR("Allow"));
    json_key_write(w, STR("Principal"));
    json_object_begin(w);
    write_list(w, "AWS", &in->account_ids, "arn:aws:iam::", ":root");
    json_object_end(w);
    write_list(w, "Action", &in->actions, "SQS:", "");
    json_member_str(w, "Resource", queue_arn);
    json_object_end(w);
}

static void write_value(struct json_writer *w, const struct json_value *value)
{
    struct buf text;
    buf_init(&text, 2 * SQS_POLICY_MAX_BYTES);
    (void)json_write_value(&text, value);
    json_write_raw(w, buf_str(&text));
    buf_done(&text);
}

/* A document with one statement may hold it without a list. */
static const struct json_value *first_statement(const struct json_value *statements)
{
    return json_type(statements) == JSON_OBJECT ? statements : json_first(statements);
}

static const struct json_value *next_statement(const struct json_value *statements,
                                               const struct json_value *statement)
{
    return statement == statements ? NULL : json_next(statement);
}

struct edit {
    struct str without;                      /* label of the statement to leave out */
    struct str queue_arn;                    /* of the statement to add */
    const struct sqs_add_permission_in *add; /* NULL: none */
    uint32_t found;                          /* statements that have the label */
    uint32_t kept;                           /* those that do not */
};

static void write_statements(struct json_writer *w, const struct json_value *statements,
                             const struct edit *edit)
{
    json_key_write(w, STR("Statement"));
    json_array_begin(w);
    for (const struct json_value *s = first_statement(statements); s != NULL;
         s = next_statement(statements, s)) {
        bool left_out =
            edit->without.len > 0 && str_equal(json_string(json_get(s, "Sid")), edit->without);
        if (!left_out) {
            write_value(w, s);
        }
    }
    if (edit->add != NULL) {
        write_statement(w, edit->queue_arn, edit->add);
    }
    json_array_end(w);
}

static void write_document(const struct json_value *root, const struct edit *edit, struct buf *out)
{
    struct json_writer w;
    struct buf id;
    bool written = false;
    json_writer_init(&w, out);
    json_object_begin(&w);
    if (root == NULL) {
        buf_init(&id, SQS_POLICY_MAX_BYTES);
        (void)buf_add(&id, edit->queue_arn);
        (void)buf_adds(&id, "/SQSDefaultPolicy");
        json_member_str(&w, "Version", STR("2008-10-17"));
        json_member_str(&w, "Id", buf_str(&id));
        buf_done(&id);
    }
    for (const struct json_value *member = json_first(root); member != NULL;
         member = json_next(member)) {
        if (str_equal(json_key(member), STR("Statement"))) {
            write_statements(&w, member, edit);
            written = true;
        } else {
            json_key_write(&w, json_key(member));
            write_value(&w, member);
        }
    }
    if (!written) {
        write_statements(&w, NULL, edit);
    }
    json_object_end(&w);
}

static void count_statements(const struct json_value *root, struct str label, struct edit *edit)
{
    const struct json_value *statements = json_get(root, "Statement");
    for (const struct json_value *s = first_statement(statements); s != NULL;
         s = next_statement(statements, s)) {
        if (str_equal(json_string(json_get(s, "Sid")), label)) {
            edit->found++;
        } else {
            edit->kept++;
        }
    }
}

/* 0 also when there is none: json->root is NULL then. A policy that is no JSON was put there by
 * hand. */
static int parse_policy(struct str policy, struct json *json, struct sqs_error *e)
{
    json->root = NULL;
    if (policy.len > 0 && json_parse(json, policy, JSON_STRICT, NULL) != ERR_OK) {
        return sqs_error_set(e, SQS_ERROR_INVALID_ATTRIBUTE_VALUE,
                             "Invalid value for the parameter Policy.");
    }
    return SQS_OK;
}

static int add_statement(const struct json_value *root, struct edit *edit, struct buf *out,
                         struct sqs_error *e)
{
    struct str label = edit->add->label;
    count_statements(root, label, edit);
    if (edit->found > 0) {
        return INVALID(e, "Value %.*s for parameter Label is invalid. Reason: Already exists.",
                       STR_FMT(label));
    }
    if (edit->kept >= STATEMENTS_MAX) {
        return sqs_error_set(e, SQS_ERROR_OVER_LIMIT,
                             "%u Statements were found, maximum allowed is %d.", edit->kept + 1,
                             STATEMENTS_MAX);
    }
    write_document(root, edit, out);
    if (buf_failed(out) != 0 || out->len > SQS_POLICY_MAX_BYTES) {
        return sqs_error_set(e, SQS_ERROR_OVER_LIMIT, "The policy is longer than %d bytes.",
                             SQS_POLICY_MAX_BYTES);
    }
    return SQS_OK;
}

int sqs_policy_add(struct str policy, struct str queue_arn, const struct sqs_add_permission_in *in,
                   struct buf *out, struct sqs_error *e)
{
    struct edit edit = {.queue_arn = queue_arn, .add = in};
    struct json json;
    int rc = parse_policy(policy, &json, e);
    if (rc == SQS_OK) {
        rc = add_statement(json.root, &edit, out, e);
        json_done(&json);
    }
    return rc;
}

int sqs_policy_remove(struct str policy, struct str label, struct buf *out, struct sqs_error *e)
{
    struct edit edit = {.without = label};
    struct json json;
    int rc = parse_policy(policy, &json, e);
    if (rc != SQS_OK) {
        return rc;
    }
    count_statements(json.root, label, &edit);
    if (label.len == 0 || edit.found == 0) {
        rc =
            label.len == 0
                ? validate_label(label, e)
                : INVALID(e, "Value %.*s for parameter Label is invalid. Reason: can't find label.",
                          STR_FMT(shown(label)));
    } else if (edit.kept > 0) {
        write_document(json.root, &edit, out);
        rc = buf_failed(out) == 0
                 ? SQS_OK
                 : sqs_error_set(e, SQS_ERROR_SERVICE_UNAVAILABLE, "Out of memory.");
    }
    json_done(&json);
    return rc;
}
