/* Starting DPDK as a guest in a program that knows nothing of it: see eal.h. */
#include "eal.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#define MOST_OPTIONS 48

static enum { UNTOUCHED, STARTED, THE_PROGRAMS, FAILED } eal_is = UNTOUCHED;
static pid_t started_by;
static char started_with[512], failure[200];

/* ---- Its log */

static char said[200];

static ssize_t keep_first_line(void* cookie, const char* text, size_t size) {
  (void)cookie;
  if (said[0] == '\0') {
    size_t length = 0;
    while (length < size && length < sizeof said - 1 && text[length] != '\n') ++length;
    memcpy(said, text, length);
    said[length] = '\0';
  }
  return (ssize_t)size;
}

void log_listen(void) { said[0] = '\0'; }

const char* log_said(int code) { return said[0] != '\0' ? said : rte_strerror(code < 0 ? -code : code); }

static int be_quiet(void) {
  FILE* log = fopencookie(NULL, "w", (cookie_io_functions_t){.write = keep_first_line});
  if (!log) return -ENOMEM;
  setvbuf(log, NULL, _IOLBF, 0);
  rte_log_set_global_level(RTE_LOG_ERR);
  return rte_openlog_stream(log);
}

/* ---- Its options */

struct options {
  int count;
  char* all[MOST_OPTIONS + 1];
  char cores[CPU_SETSIZE * 5], device[64], own[512];
};

static void add(struct options* o, const char* option) {
  if (o->count < MOST_OPTIONS) o->all[o->count++] = (char*)option; /* getopt wants it so, and leaves the text alone */
}

/* Separated by spaces, or if there are none by commas. */
static void add_own(struct options* o, const char* text) {
  snprintf(o->own, sizeof o->own, "%s", text);
  const char* between = strchr(text, ' ') ? " " : ",";
  char* rest = NULL;
  for (char* each = strtok_r(o->own, between, &rest); each; each = strtok_r(NULL, between, &rest)) add(o, each);
}

static int has_any(const struct options* o, const char* const* names) {
  for (int i = 1; i < o->count; ++i) {
    for (const char* const* name = names; *name; ++name) {
      if (strncmp(o->all[i], *name, strlen(*name)) == 0) return 1;
    }
  }
  return 0;
}

static unsigned long number_in(const char* folder, const char* entry) {
  char path[512];
  snprintf(path, sizeof path, "%s/%s/free_hugepages", folder, entry);
  unsigned long out = 0;
  FILE* file = fopen(path, "re");
  if (!file) return 0;
  if (fscanf(file, "%lu", &out) != 1) out = 0;
  fclose(file);
  return out;
}

/* Enough for the frames of a port, and for what DPDK keeps. */
static int has_hugepages(void) {
  const char* folder = "/sys/kernel/mm/hugepages";
  DIR* sizes = opendir(folder);
  if (!sizes) return 0;
  unsigned long kilobytes = 0;
  for (struct dirent* each = readdir(sizes); each; each = readdir(sizes)) {
    unsigned long size = 0;
    if (sscanf(each->d_name, "hugepages-%lukB", &size) == 1) kilobytes += size * number_in(folder, each->d_name);
  }
  closedir(sizes);
  return kilobytes >= 64 * 1024;
}

/* One logical core, the calling thread, that may run wherever it could before. */
static void choose_cores(struct options* o) {
  static const char* const names[] = {"-l", "-c", "--lcores", NULL};
  if (has_any(o, names)) return;
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  sched_getaffinity(0, sizeof allowed, &allowed);
  size_t length = (size_t)snprintf(o->cores, sizeof o->cores, "0@(");
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &allowed)) length += (size_t)snprintf(o->cores + length, sizeof o->cores - length, "%d,", cpu);
  }
  o->cores[length - 1] = ')';
  add(o, "--lcores");
  add(o, o->cores);
}

/* Memory of no file. Files, and other processes that share it, are what a program's own options may ask for. */
static void choose_memory(struct options* o) {
  static const char* const names[] = {"-m",           "--no-huge",    "--socket-mem", "--in-memory",
                                      "--legacy-mem", "--huge-dir",   "--file-prefix", "--proc-type",
                                      "--single-file-segments", NULL};
  if (has_any(o, names)) return;
  if (has_hugepages()) {
    add(o, "--in-memory");
    add(o, "--single-file-segments"); /* memif shares its memory by one file each */
    return;
  }
  add(o, "--no-huge");
  add(o, "-m");
  add(o, "1024"); /* address space: pages are taken when they are touched */
  add(o, "--no-shconf");
}

static int is_pci_address(const char* device) {
  unsigned a, b, c, d;
  int end = 0;
  if (sscanf(device, "%x:%x:%x.%x%n", &a, &b, &c, &d, &end) == 4 && end > 0) return 1;
  return sscanf(device, "%x:%x.%x%n", &a, &b, &c, &end) == 3 && end > 0;
}

/* Devices that nobody has named aren't touched. */
static void choose_devices(struct options* o, const char* device) {
  static const char* const names[] = {"--no-pci", "-a", "--allow", "-b", "--block", NULL};
  if (has_any(o, names)) return;
  if (!is_pci_address(device)) return add(o, "--no-pci");
  snprintf(o->device, sizeof o->device, "--allow=%.*s", (int)strcspn(device, ","), device);
  add(o, o->device);
}

/* ---- Starting it */

/* Drivers bring libraries along that write to stderr, of which the program knows nothing. */
static void silence(const char* library, const char* setter, int was_there) {
  void* handle = dlopen(library, RTLD_NOW | RTLD_NOLOAD);
  if (!handle) return;
  void* (*set_print)(void*) = (void* (*)(void*))dlsym(handle, setter);
  if (set_print && !was_there) set_print(NULL);
  dlclose(handle);
}

static int is_loaded(const char* library) {
  void* handle = dlopen(library, RTLD_NOW | RTLD_NOLOAD);
  if (handle) dlclose(handle);
  return handle != NULL;
}

/* What DPDK does to the process and the calling thread, besides what it is started for. */
struct surroundings {
  cpu_set_t cpus;
  sigset_t mask;
  struct sigaction actions[_NSIG];
  FILE* standard_output;
};

/* Its threads inherit the mask, so that none of them gets a signal of the program's. Its usage goes to stdout. */
static void keep(struct surroundings* s) {
  pthread_getaffinity_np(pthread_self(), sizeof s->cpus, &s->cpus);
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &s->mask);
  for (int i = 1; i < _NSIG; ++i) sigaction(i, NULL, &s->actions[i]);
  s->standard_output = stdout;
  FILE* nowhere = fopen("/dev/null", "we");
  if (nowhere) stdout = nowhere;
}

static void restore(const struct surroundings* s) {
  if (stdout != s->standard_output) {
    fclose(stdout);
    stdout = s->standard_output;
  }
  closelog(); /* it was opened by DPDK, under a name of its own */
  for (int i = 1; i < _NSIG; ++i) sigaction(i, &s->actions[i], NULL);
  pthread_setaffinity_np(pthread_self(), sizeof s->cpus, &s->cpus);
  pthread_sigmask(SIG_SETMASK, &s->mask, NULL);
}

static int initialise(const char* device, const char* options) {
  struct options o = {.count = 0};
  add(&o, "fastudp");
  if (options) add_own(&o, options);
  add(&o, "--no-telemetry");
  choose_cores(&o);
  choose_memory(&o);
  choose_devices(&o, device);
  struct surroundings before;
  keep(&before);
  log_listen();
  const int outcome = rte_eal_init(o.count, o.all);
  const int code = rte_errno;
  restore(&before);
  return outcome >= 0 ? 0 : code == EALREADY ? -EALREADY : -(code > 0 ? code : EINVAL);
}

static int is_as_asked(const char* options, char* why, size_t why_size) {
  if (!options || (eal_is == STARTED && strcmp(options, started_with) == 0)) return 0;
  snprintf(why, why_size, "eal=%s comes too late: DPDK already runs in this process", options);
  return -EBUSY;
}

int eal_start(const char* device, const char* options, char* why, size_t why_size) {
  if (eal_is == UNTOUCHED && rte_lcore_count() > 0) eal_is = THE_PROGRAMS;
  if (eal_is == FAILED) return snprintf(why, why_size, "DPDK doesn't start: %s", failure), -EIO;
  if (eal_is != UNTOUCHED) {
    if (eal_is == THE_PROGRAMS || started_by == getpid()) return is_as_asked(options, why, why_size);
    return snprintf(why, why_size, "DPDK was started before this process was forked, and can't be used in it"), -EPERM;
  }
  if (be_quiet() != 0) return snprintf(why, why_size, "no memory for DPDK's log"), -ENOMEM;
  const int has_bpf = is_loaded("libbpf.so.1"), has_xdp = is_loaded("libxdp.so.1");
  const int outcome = initialise(device, options);
  silence("libbpf.so.1", "libbpf_set_print", has_bpf);
  silence("libxdp.so.1", "libxdp_set_print", has_xdp);
  started_by = getpid();
  snprintf(started_with, sizeof started_with, "%s", options ? options : "");
  eal_is = outcome == 0 ? STARTED : FAILED;
  if (outcome == 0) return 0;
  snprintf(failure, sizeof failure, "%s", log_said(outcome));
  snprintf(why, why_size, "DPDK doesn't start: %s", failure);
  return outcome;
}
