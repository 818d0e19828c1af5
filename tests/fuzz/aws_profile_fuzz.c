/* rooms: aws base */
/* The config and the credentials file of the AWS tools, each way of reading it. */
#include "fuzz.h"

#include "aws/profile_file.h"

#define ARENA_MAX ((size_t)4 << 20)

static void check_entries(const struct profile_entry *entry)
{
    for (; entry != NULL; entry = entry->next) {
        SL_ASSERT(entry->key.len > 0 && entry->value.ptr != NULL);
        SL_ASSERT(entry->nested == NULL || entry->value.len == 0);
        for (size_t i = 0; i < entry->key.len; i++) {
            SL_ASSERT(entry->key.ptr[i] < 'A' || entry->key.ptr[i] > 'Z');
        }
        check_entries(entry->nested);
    }
}

static void check(struct str text, bool is_credentials)
{
    struct profile_file file = {.path = "file", .is_credentials = is_credentials};
    struct arena arena;
    struct error e = {0};

    arena_init(&arena, ARENA_MAX);
    int rc = profile_file_parse(&file, text, &arena, &e);
    SL_ASSERT(rc == 0 || (rc == e.code && e.text[0] != '\0'));
    check_entries(file.defaults);
    for (const struct profile_section *s = file.sections; s != NULL; s = s->next) {
        SL_ASSERT(s->name.ptr != NULL);
        check_entries(s->entries);
        SL_ASSERT(profile_file_section(&file, s->kind, s->name) == s);
    }
    arena_wipe(&arena);
    arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};

    check(text, false);
    check(text, true);
    return 0;
}
