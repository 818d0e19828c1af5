#include "sluice/settings.h"

#include "settings_check.h"
#include "settings_rows.h"
#include "settings_stage.h"
#include "sluice/base/clock.h"
#include "sluice/base/mem.h"
#include "sluice/runtime/file.h"

#include <stdlib.h>
#include <string.h>

static const struct config_table table = {
    .parts = {&settings_rows_limits, &settings_rows_targets, &settings_rows_queues,
              &settings_rows_routes, &settings_rows_process},
    .root_size = sizeof(struct settings),
};

const struct config_table *settings_table(void)
{
    return &table;
}

/* An error of the text as a whole has no path: it lies in the file. */
static void name_file(struct error_list *errors, uint32_t first, const char *filename)
{
    for (uint32_t i = first; i < errors->count; i++) {
        if (errors->items[i].where[0] == '\0') {
            str_copy(errors->items[i].where, sizeof(errors->items[i].where), str_from(filename));
        }
    }
}

int settings_load(struct str text, const char *filename, struct settings **ret,
                  struct error_list *errors)
{
    struct settings *settings = MEM_NEW(struct settings);
    uint32_t first = errors->count;
    int rc = config_parse(&table, text, settings, errors);
    /* Also after an error: a person wants to know everything that is wrong. What could not be read
       is zero here, and passes. */
    int resolved = settings_resolve(settings, errors);
    rc = rc != 0 ? rc : resolved;
    name_file(errors, first, filename);
    if (rc != 0) {
        settings_free(settings);
        return rc;
    }
    *ret = settings;
    return 0;
}

int settings_load_file(const char *path, const char *stage, struct settings **ret,
                       struct error_list *errors)
{
    struct stage_overlay overlay = {.json = {NULL}};
    struct buf text;
    buf_init(&text, CONFIG_TEXT_MAX + 4096);
    int rc = file_read(path, &text);
    if (rc != 0) {
        (void)error_list_add(errors, rc, path, "cannot be read: %s; check the path and its rights",
                             err_text(rc));
    }
    if (rc == 0 && stage != NULL) {
        rc = stage_merge(path, stage, &text, &overlay, errors);
    }
    if (rc == 0) {
        rc = settings_load(buf_str(&text), path, ret, errors);
    }
    if (rc == 0 && stage != NULL) { /* whatever the file says of itself */
        free((*ret)->stage);
        (*ret)->stage = mem_dup(stage, strlen(stage));
    }
    stage_name_errors(&overlay, errors);
    stage_overlay_done(&overlay);
    /* It may have held secrets. */
    file_wipe(&text);
    return rc;
}

struct settings *settings_default(void)
{
    struct settings *settings = NULL;
    struct error_list errors = {0};
    int rc = settings_load(STR("{}"), "defaults", &settings, &errors);
    SL_ASSERT(rc == 0);
    error_list_free(&errors);
    return settings;
}

void settings_free(struct settings *settings)
{
    if (settings != NULL) {
        config_free(&table, settings);
        free(settings);
    }
}

int settings_dump(const struct settings *settings, struct buf *out)
{
    return config_dump(&table, settings, out);
}

int settings_example(struct buf *out)
{
    buf_adds(out,
             "// Every key of the configuration, with its default. Generated from the table of\n"
             "// settings: `sluice check --example` prints it.\n");
    return config_example(&table, out);
}
