/* rooms: sqs base */
/*
 * Filters of attributes and patterns of names, and the names of message attributes. The lines of
 * the input up to an empty one are filters, the rest are names.
 */
#include "fuzz.h"

#include "sluice/sqs/filter.h"
#include "sluice/sqs/iam.h"
#include "sluice/sqs/validate.h"

#define LINES_MAX 40

static uint32_t read_lines(struct str *rest, struct str lines[LINES_MAX])
{
    uint32_t count = 0;
    struct str line;
    while (count < LINES_MAX && str_next(rest, '\n', &line) && line.len > 0) {
        lines[count++] = line;
    }
    return count;
}

/* The rules, written down a second time. */
static bool is_wanted(const struct sqs_strings *wanted, struct str name)
{
    for (uint32_t i = 0; i < wanted->count; i++) {
        struct str w = wanted->items[i];
        bool prefix = w.len >= 2 && w.ptr[w.len - 2] == '.' && w.ptr[w.len - 1] == '*';
        if (str_equal(w, STR("All")) || str_equal(w, STR("*")) || str_equal(w, name) ||
            (prefix && str_starts_with(name, (struct str){w.ptr, w.len - 2}))) {
            return true;
        }
    }
    return false;
}

static bool matches(struct str s, struct str pattern)
{
    if (pattern.len == 0) {
        return s.len == 0;
    }
    struct str rest = {pattern.ptr + 1, pattern.len - 1};
    if (pattern.ptr[0] != '*') {
        return s.len > 0 && s.ptr[0] == pattern.ptr[0] &&
               matches((struct str){s.ptr + 1, s.len - 1}, rest);
    }
    for (size_t i = 0; i <= s.len; i++) {
        if (matches((struct str){s.ptr + i, s.len - i}, rest)) {
            return true;
        }
    }
    return false;
}

static void check_pattern(struct str pattern, struct str name)
{
    size_t stars = 0;
    for (size_t i = 0; i < pattern.len; i++) {
        stars += pattern.ptr[i] == '*';
    }
    bool matched = str_matches(name, pattern);
    if (stars <= 3 && name.len <= 40) { /* the slow way is very slow beyond */
        SL_ASSERT(matched == matches(name, pattern));
    }
    (void)sqs_iam_grants_something(pattern);
}

static void check_entry(struct str *names, uint32_t count)
{
    struct sqs_attribute items[LINES_MAX];
    for (uint32_t i = 0; i < count; i++) {
        items[i] = (struct sqs_attribute){.name = names[i],
                                          .data_type = i % 2 == 0 ? STR("String") : names[i],
                                          .string_value = STR("v")};
    }
    const struct sqs_send_entry entry = {.body = STR("b"), .attributes = {items, count, true}};
    const struct sqs_send_rules rules = {.max_message_bytes = 1048576};
    struct sqs_error e = {.code = SQS_OK};
    int rc = sqs_validate_send_entry(&entry, &rules, &e);
    SL_ASSERT(rc == (int)e.code);
    SL_ASSERT(rc != SQS_OK || count <= SQS_MESSAGE_ATTRIBUTES_MAX);
    for (uint32_t i = 0; rc == SQS_OK && i < count; i++) {
        SL_ASSERT(names[i].len <= 256 && names[i].ptr[0] != '.');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = {(const char *)data, size};
    struct str filters[LINES_MAX];
    struct str names[LINES_MAX];
    struct sqs_strings wanted = {filters, read_lines(&rest, filters), true};
    uint32_t count = read_lines(&rest, names);
    for (uint32_t n = 0; n < count; n++) {
        bool passed = sqs_filter_message_attribute(&wanted, names[n]);
        SL_ASSERT(passed == is_wanted(&wanted, names[n]));
        SL_ASSERT(passed || !sqs_filter_name(&wanted, names[n]));
        for (uint32_t i = 0; i < wanted.count; i++) {
            check_pattern(wanted.items[i], names[n]);
        }
    }
    check_entry(names, count);
    return 0;
}
