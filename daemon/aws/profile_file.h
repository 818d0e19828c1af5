/*
 * profile_file: the text of an AWS config or credentials file, read as Python's configparser and
 * botocore on top of it read them, since that is what the AWS CLI accepts. Pure.
 *
 * Lines [section]; key = value or key: value; comments with # and ; on lines of their own; a line
 * indented deeper than its key goes on with the value. A value that begins on the next line is a
 * block of its own keys (s3 =, and sqs = in a [services x]). Keys in any case.
 */
#ifndef SLUICE_AWS_PROFILE_FILE_H
#define SLUICE_AWS_PROFILE_FILE_H

#include "sluice/base/err.h"
#include "sluice/base/mem.h"
#include "sluice/base/str.h"

#include <stdbool.h>

struct profile_entry {
    struct profile_entry *next;
    struct str key; /* lower case */
    struct str value;
    struct profile_entry *nested; /* of a block; value is empty then */
};

enum profile_section_kind { SECTION_PROFILE, SECTION_SSO_SESSION, SECTION_SERVICES, SECTION_OTHER };

struct profile_section {
    struct profile_section *next;
    enum profile_section_kind kind;
    struct str name; /* "x" of [profile x] */
    struct profile_entry *entries;
};

struct profile_file {
    char path[1024];
    bool is_credentials; /* sections are profiles by their whole name */
    struct profile_section *sections;
    struct profile_section *last;
    struct profile_entry *defaults; /* of [DEFAULT]: in every section */
};

/* path and is_credentials are set; text is borrowed during the call only. ERR_SYNTAX with path and
 * line; ERR_NOMEM. */
SL_MUST_CHECK int profile_file_parse(struct profile_file *file, struct str text,
                                     struct arena *arena, struct error *e);
/* NULL: none. */
const struct profile_section *profile_file_section(const struct profile_file *file,
                                                   enum profile_section_kind kind, struct str name);
const struct profile_entry *profile_file_entry(const struct profile_file *file,
                                               const struct profile_section *section,
                                               struct str key);

#endif
