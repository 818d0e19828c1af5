#include "sluice/sqs/iam.h"

#define BATCH STR("Batch")

struct str sqs_iam_name(enum sqs_action action)
{
    struct str name = str_from(sqs_action_info(action)->name);
    if (str_ends_with(name, BATCH)) {
        name.len -= BATCH.len;
    }
    return name;
}

const char *sqs_iam_name_at(uint32_t i)
{
    for (int action = 0; action < SQS_ACTION__COUNT; action++) {
        const char *name = sqs_action_info((enum sqs_action)action)->name;
        if (!str_ends_with(str_from(name), BATCH) && i-- == 0) {
            return name;
        }
    }
    return NULL;
}

bool sqs_iam_grants_something(struct str pattern)
{
    const char *name;
    for (uint32_t i = 0; (name = sqs_iam_name_at(i)) != NULL; i++) {
        if (str_matches(str_from(name), pattern)) {
            return true;
        }
    }
    return false;
}
