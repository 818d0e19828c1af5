/* rooms: aws base */
/* What STS and the metadata services answer. */
#include "fuzz.h"

#include "aws/fetch_answer.h"

#include <string.h>

static void check(int rc, struct credentials *c, const struct error *e)
{
    SL_ASSERT(rc == 0 ? c != NULL : e->text[0] != '\0');
    if (rc == 0) {
        SL_ASSERT(c->access_key_id.len > 0 && c->secret_access_key.len > 0);
        credentials_unref(c);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct fetch_names names = {"AccessKeyId", "SecretAccessKey", "Token",
                                             "Expiration", true};
    struct str body = {(const char *)data, size};
    struct credentials *c = NULL;
    struct error e = {0};
    wall_ms at;
    char said[200];
    int rc = fetch_answer_sts(body, STR("fuzz"), &c, &e);

    check(rc, c, &e);
    c = NULL;
    rc = fetch_answer_json(body, &names, STR("fuzz"), &c, &e);
    check(rc, c, &e);
    fetch_answer_sts_error(body, said, sizeof(said));
    SL_ASSERT(strnlen(said, sizeof(said)) < sizeof(said));
    if (fetch_time_parse(body, &at) == 0) {
        SL_ASSERT(size < 48);
    }
    return 0;
}
