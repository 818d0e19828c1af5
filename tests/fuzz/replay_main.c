/* Runs a harness over every file of the directories and files named, in order; fails when there is
 * none, so that a lost corpus is not a passing test. */
#include "fuzz.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define INPUT_MAX ((size_t)4 << 20)

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(INPUT_MAX);
    if (file == NULL || data == NULL) {
        perror(path);
        free(data);
        return -1;
    }
    size_t size = fread(data, 1, INPUT_MAX, file);
    (void)fclose(file);
    /* Exactly as large as the input, so that a sanitizer sees the byte behind it. */
    uint8_t *exact = malloc(size > 0 ? size : 1);
    if (exact != NULL) {
        for (size_t i = 0; i < size; i++) {
            exact[i] = data[i];
        }
        (void)LLVMFuzzerTestOneInput(exact, size);
    }
    free(exact);
    free(data);
    return 1;
}

static int replay_directory(const char *path)
{
    struct dirent **entries;
    int count = scandir(path, &entries, NULL, alphasort);
    int done = 0;
    for (int i = 0; i < count; i++) {
        char file[PATH_MAX];
        (void)snprintf(file, sizeof(file), "%s/%s", path, entries[i]->d_name);
        struct stat st;
        if (done >= 0 && stat(file, &st) == 0 && S_ISREG(st.st_mode)) {
            int rc = replay_file(file);
            done = rc < 0 ? rc : done + rc;
        }
        free(entries[i]);
    }
    if (count >= 0) {
        free(entries);
    }
    return count < 0 ? -1 : done;
}

int main(int argc, char **argv)
{
    int done = 0;
    for (int i = 1; i < argc; i++) {
        struct stat st;
        int rc = stat(argv[i], &st) != 0 ? -1
                 : S_ISDIR(st.st_mode)   ? replay_directory(argv[i])
                                         : replay_file(argv[i]);
        if (rc < 0) {
            (void)fprintf(stderr, "cannot replay %s\n", argv[i]);
            return 1;
        }
        done += rc;
    }
    (void)printf("%d inputs\n", done);
    return done > 0 ? 0 : 1;
}
