#include "sluice/runtime/process.h"

#include "sluice/base/clock.h"
#include "sluice/base/mem.h"
#include "sluice/base/str.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define STAT_TEXT_MAX 1024
/* Fields of /proc/self/stat after the command's name, which may hold anything but ends with ')'. */
#define STAT_STARTTIME 19

struct process_metrics {
    struct metrics *metrics;
    struct metrics_collector collector;
    struct metric *cpu, *open_fds, *max_fds, *resident, *virtual;
};

static struct str read_text(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return STR_NONE;
    }
    ssize_t len = read(fd, text, size);
    (void)close(fd);
    return len < 0 ? STR_NONE : (struct str){text, (size_t)len};
}

/* The index-th field between spaces, as a number; -1 when there is none. */
static int64_t field(struct str text, uint32_t index)
{
    struct str part;
    int64_t number = -1;
    for (uint32_t i = 0; str_next(&text, ' ', &part); i++) {
        if (i == index) {
            return str_to_i64(part, 0, INT64_MAX, &number) == 0 ? number : -1;
        }
    }
    return -1;
}

static double seconds(clockid_t clock)
{
    struct timespec ts = {0};
    (void)clock_gettime(clock, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / (double)NS_PER_S;
}

/* From the time since boot, not from /proc/stat: a sandbox may hide what is not of a process. */
static double start_time(void)
{
    char bytes[STAT_TEXT_MAX];
    struct str text = read_text("/proc/self/stat", bytes, sizeof(bytes));
    size_t end = text.len;
    while (end > 0 && text.ptr[end - 1] != ')') {
        end--;
    }
    if (end == 0 || end + 1 >= text.len) {
        return seconds(CLOCK_REALTIME);
    }
    struct str fields = {text.ptr + end + 1, text.len - end - 1};
    int64_t ticks = field(str_trim(fields), STAT_STARTTIME);
    if (ticks < 0) {
        return seconds(CLOCK_REALTIME);
    }
    double since_boot = (double)ticks / (double)sysconf(_SC_CLK_TCK);
    return seconds(CLOCK_REALTIME) - (seconds(CLOCK_BOOTTIME) - since_boot);
}

static uint32_t count_fds(void)
{
    DIR *directory = opendir("/proc/self/fd");
    if (directory == NULL) {
        return 0;
    }
    uint32_t count = 0;
    const struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        count += entry->d_name[0] != '.';
    }
    (void)closedir(directory);
    return count - 1; /* the one that was counting */
}

static double cpu_seconds(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0) {
        return 0;
    }
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void collect_memory(struct process_metrics *process)
{
    char bytes[128];
    struct str text = read_text("/proc/self/statm", bytes, sizeof(bytes));
    int64_t virtual_pages = field(text, 0);
    int64_t resident_pages = field(text, 1);
    double page_bytes = (double)sysconf(_SC_PAGESIZE);
    if (virtual_pages >= 0 && resident_pages >= 0) {
        metric_set(process->virtual, (double)virtual_pages * page_bytes);
        metric_set(process->resident, (double)resident_pages * page_bytes);
    }
}

static void collect(void *context)
{
    struct process_metrics *process = context;
    struct rlimit fds;
    metric_set(process->cpu, cpu_seconds());
    metric_set(process->open_fds, count_fds());
    if (getrlimit(RLIMIT_NOFILE, &fds) == 0) {
        metric_set(process->max_fds, (double)fds.rlim_cur);
    }
    collect_memory(process);
}

static struct metric *single(struct metrics *metrics, enum metric_type type, const char *name,
                             const char *help)
{
    return metric_series(metrics_family(metrics, type, name, help, NULL), NULL);
}

struct process_metrics *process_metrics_new(struct metrics *metrics)
{
    struct process_metrics *process = MEM_NEW(struct process_metrics);
    process->metrics = metrics;
    process->cpu = single(metrics, METRIC_COUNTER, "process_cpu_seconds_total",
                          "Total user and system CPU time spent in seconds.");
    process->open_fds =
        single(metrics, METRIC_GAUGE, "process_open_fds", "Number of open file descriptors.");
    process->max_fds = single(metrics, METRIC_GAUGE, "process_max_fds",
                              "Maximum number of open file descriptors.");
    process->resident = single(metrics, METRIC_GAUGE, "process_resident_memory_bytes",
                               "Resident memory size in bytes.");
    process->virtual = single(metrics, METRIC_GAUGE, "process_virtual_memory_bytes",
                              "Virtual memory size in bytes.");
    metric_set(single(metrics, METRIC_GAUGE, "process_start_time_seconds",
                      "Start time of the process since unix epoch in seconds."),
               start_time());
    process->collector = (struct metrics_collector){.collect = collect, .context = process};
    metrics_collector_add(metrics, &process->collector);
    return process;
}

void process_metrics_free(struct process_metrics *process)
{
    if (process != NULL) {
        metrics_collector_remove(process->metrics, &process->collector);
        free(process);
    }
}
