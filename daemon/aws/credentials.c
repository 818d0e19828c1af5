#include "sluice/aws/credentials.h"

#include "sluice/base/mem.h"

#include <stdlib.h>
#include <string.h>

static struct str copy_of(struct str text)
{
    return text.len == 0 ? STR_NONE : (struct str){mem_dup(text.ptr, text.len), text.len};
}

static void wipe(struct str *text)
{
    union {
        const char *borrowed;
        char *owned;
    } pointer = {.borrowed = text->ptr};
    if (pointer.owned != NULL) {
        explicit_bzero(pointer.owned, text->len);
        free(pointer.owned);
    }
    *text = STR_NONE;
}

struct credentials *credentials_new(struct str access_key_id, struct str secret_access_key,
                                    struct str session_token, wall_ms expires_at, struct str source)
{
    struct credentials *c = MEM_NEW(struct credentials);

    c->access_key_id = copy_of(access_key_id);
    c->secret_access_key = copy_of(secret_access_key);
    c->session_token = copy_of(session_token);
    c->expires_at = expires_at;
    c->references = 1;
    (void)str_copy(c->source, sizeof(c->source), source);
    return c;
}

struct credentials *credentials_ref(struct credentials *credentials)
{
    credentials->references++;
    return credentials;
}

void credentials_unref(struct credentials *credentials)
{
    if (credentials == NULL || --credentials->references > 0) {
        return;
    }
    wipe(&credentials->access_key_id);
    wipe(&credentials->secret_access_key);
    wipe(&credentials->session_token);
    free(credentials);
}
