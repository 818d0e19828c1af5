/* rooms: settings runtime base */
/* A configuration: whatever the text, it is refused with at least one error or it is good; what is
 * good can be dumped, and the dump is good and says the same. */
#include "fuzz.h"

#include "sluice/settings.h"

#include <stdlib.h>

#define DUMP_MAX (64u << 20)

static void dump(const struct settings *settings, struct buf *out)
{
    buf_init(out, DUMP_MAX);
    SL_ASSERT(settings_dump(settings, out) == 0);
}

static void check_dump(const struct settings *settings)
{
    struct settings *again = NULL;
    struct error_list errors = {0};
    struct buf first;
    struct buf second;
    dump(settings, &first);
    if (first.len > CONFIG_TEXT_MAX) { /* longer than a file may be: the defaults stand in it */
        buf_done(&first);
        return;
    }
    SL_ASSERT(settings_load(buf_str(&first), "dump", &again, &errors) == 0);
    dump(again, &second);
    SL_ASSERT(str_equal(buf_str(&first), buf_str(&second)));
    settings_free(again);
    error_list_free(&errors);
    buf_done(&first);
    buf_done(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct settings *settings = NULL;
    struct error_list errors = {0};
    struct error_list warnings = {0};
    int rc = settings_load((struct str){(const char *)data, size}, "input", &settings, &errors);
    SL_ASSERT((rc == 0) == (errors.count == 0));
    SL_ASSERT((rc == 0) == (settings != NULL));
    if (rc == 0) {
        settings_warn(settings, &warnings);
        check_dump(settings);
    }
    for (uint32_t i = 0; i < errors.count; i++) {
        SL_ASSERT(errors.items[i].text[0] != '\0');
    }
    settings_free(settings);
    error_list_free(&errors);
    error_list_free(&warnings);
    return 0;
}
