#include "settings_check.h"

#include "settings_text.h"
#include "sluice/base/clock.h"

#include <stdio.h>
#include <string.h>

#define CONNECT_TIMEOUT_NS (5 * NS_PER_S)

static void check_headers(struct check *check, const struct target_settings *target)
{
    char key[PATH_TEXT_MAX];
    for (uint32_t i = 0; i < target->headers.count; i++) {
        struct str name = str_from(target->headers.items[i].name);
        const char *problem =
            settings_header_problem(name, str_from(target->headers.items[i].value));
        for (uint32_t j = 0; problem == NULL && j < i; j++) {
            if (str_equal_nocase(name, str_from(target->headers.items[j].name))) {
                problem = "the same header is there twice; remove one";
            }
        }
        if (problem != NULL) {
            (void)snprintf(key, sizeof(key), "headers.%s", target->headers.items[i].name);
            FAIL(check, place("targets", target->name, key).text, "%s", problem);
        }
    }
}

static const char *message_header_problem(const struct target_settings *target, uint32_t i)
{
    struct str name = str_from(target->message_headers.items[i].name);
    struct message_header header;
    const char *problem = settings_header_problem(name, STR(""));

    if (str_equal_nocase(name, STR("host")) || str_equal_nocase(name, STR("x-amzn-trace-id"))) {
        problem = "this header is sluice's own business; remove it";
    }
    if (problem == NULL && str_ends_with(name, STR("*"))) {
        problem = settings_header_prefix_problem((struct str){name.ptr, name.len - 1});
    }
    for (uint32_t j = 0; problem == NULL && j < target->headers.count; j++) {
        if (str_equal_nocase(name, str_from(target->headers.items[j].name))) {
            problem = "headers has it, too; remove one";
        }
    }
    for (uint32_t j = 0; problem == NULL && j < i; j++) {
        if (str_equal_nocase(name, str_from(target->message_headers.items[j].name))) {
            problem = "the same header is there twice; remove one";
        }
    }
    if (problem == NULL &&
        message_header_parse(name, str_from(target->message_headers.items[i].value), &header,
                             &problem) == 0) {
        problem = NULL;
    }
    return problem;
}

static void check_message_headers(struct check *check, const struct target_settings *target)
{
    char key[PATH_TEXT_MAX];

    for (uint32_t i = 0; i < target->message_headers.count; i++) {
        const struct config_pair *pair = &target->message_headers.items[i];
        const char *problem = message_header_problem(target, i);
        if (problem != NULL) {
            (void)snprintf(key, sizeof(key), "message_headers.%s", pair->name);
            FAIL(check, place("targets", target->name, key).text,
                 "found \"%.100s\": %s; allowed: " MESSAGE_KEY_FORMS
                 ", \"system:NAME\", and \"attribute:*\" for \"Prefix-*\"",
                 pair->value, problem);
        }
    }
}

/* "targets.legacy.outcomes[0].status[1]" */
static struct place outcome_place(const struct target_settings *target, uint32_t i, const char *key)
{
    char text[PATH_TEXT_MAX];
    (void)snprintf(text, sizeof(text), "outcomes[%u]%s%.40s", i, key[0] == '\0' ? "" : ".", key);
    return place("targets", target->name, text);
}

/* What could not be read is wrong already; what is missing because of that is no second error. */
static bool is_wrong_already(const struct check *check, const char *where)
{
    for (uint32_t i = 0; i < check->errors->count; i++) {
        if (str_starts_with(str_from(check->errors->items[i].where), str_from(where))) {
            return true;
        }
    }
    return false;
}

static void check_outcome(struct check *check, struct target_settings *target, uint32_t i)
{
    struct outcome_settings *item = &target->outcomes.items[i];
    const struct outcome_rule_text text = {
        .statuses = item->status.items,
        .status_count = item->status.count,
        .errors = item->error.items,
        .error_count = item->error.count,
        .header = item->header,
        .body = item->body,
        .value = item->value,
        .outcome = item->outcome,
    };
    struct error e = {0};
    if (is_wrong_already(check, outcome_place(target, i, "").text)) {
        return;
    }
    if (outcome_rule_read(&text, &item->rule, &e) != 0) {
        FAIL(check, outcome_place(target, i, e.where).text, "%s", e.text);
        return;
    }
    for (uint32_t j = 0; j < i; j++) {
        if (!is_wrong_already(check, outcome_place(target, j, "").text) &&
            outcome_rule_same(&item->rule, &target->outcomes.items[j].rule)) {
            FAIL(check, outcome_place(target, i, "").text,
                 "the conditions of outcomes[%u] again: this rule would never decide; remove one "
                 "of the two",
                 j);
            return;
        }
    }
}

void check_target(struct check *check, struct target_settings *target)
{
    const char *problem = target->url == NULL ? NULL : settings_url_problem(str_from(target->url));
    if (problem != NULL) {
        /* Not what was found: a URL with a password would end up in the log. */
        FAIL(check, place("targets", target->name, "url").text, "the URL cannot be used: %s",
             problem);
    }
    if (target->connect_timeout_ns == CONFIG_UNSET) {
        target->connect_timeout_ns = mono_min(CONNECT_TIMEOUT_NS, target->timeout_ns);
    }
    if (target->timeout_ns > 0 && target->connect_timeout_ns > target->timeout_ns) {
        char found[32];
        char timeout[32];
        config_duration_text(target->connect_timeout_ns, found, sizeof(found));
        config_duration_text(target->timeout_ns, timeout, sizeof(timeout));
        FAIL(check, place("targets", target->name, "connect_timeout").text,
             "found \"%s\"; allowed: at most the timeout, \"%s\"", found, timeout);
    }
    check_headers(check, target);
    check_message_headers(check, target);
    for (uint32_t i = 0; i < target->outcomes.count; i++) {
        check_outcome(check, target, i);
    }
}
