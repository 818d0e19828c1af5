/*
 * settings_stage: a configuration with a stage's own file beside it. `sluice.json` and
 * `sluice.prd.json` are one configuration for stage prd: the second is merged into the first as a
 * JSON Merge Patch (RFC 7396).
 */
#ifndef SLUICE_SETTINGS_STAGE_H
#define SLUICE_SETTINGS_STAGE_H

#include "sluice/base/buf.h"
#include "sluice/base/json.h"
#include "sluice/settings.h"

/* The stage's own file, kept for naming it in errors. */
struct stage_overlay {
    char path[1024];
    struct json json;
};

/* text: of the file at path; becomes the merged one. errors: what is wrong with
 * one of the two, as a text, or which stages there are. stage_overlay_done() in any case. */
SL_MUST_CHECK int stage_merge(const char *path, const char *stage, struct buf *text,
                              struct stage_overlay *overlay, struct error_list *errors);
/* An error of a key that the stage's file has says so. */
void stage_name_errors(const struct stage_overlay *overlay, struct error_list *errors);
void stage_overlay_done(struct stage_overlay *overlay);

#endif
