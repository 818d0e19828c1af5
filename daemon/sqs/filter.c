#include "sluice/sqs/filter.h"

static bool matches(struct str pattern, struct str name)
{
    if (str_equal(pattern, STR("All")) || str_equal(pattern, STR("*")) ||
        str_equal(pattern, name)) {
        return true;
    }
    if (str_ends_with(pattern, STR(".*"))) {
        pattern.len -= 2;
        return str_starts_with(name, pattern);
    }
    return false;
}

bool sqs_filter_message_attribute(const struct sqs_strings *wanted, struct str name)
{
    for (uint32_t i = 0; i < wanted->count; i++) {
        if (matches(wanted->items[i], name)) {
            return true;
        }
    }
    return false;
}

bool sqs_filter_name(const struct sqs_strings *wanted, struct str name)
{
    for (uint32_t i = 0; i < wanted->count; i++) {
        if (str_equal(wanted->items[i], STR("All")) || str_equal(wanted->items[i], name)) {
            return true;
        }
    }
    return false;
}

bool sqs_filter_system_attribute(const struct sqs_receive_in *receive, struct str name)
{
    return sqs_filter_name(&receive->attribute_names, name) ||
           sqs_filter_name(&receive->system_attribute_names, name);
}
