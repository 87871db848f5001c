/* Which process holds a program at XDP by a link, as far as /proc shows it to us. */
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "state.h"

static FILE* open_file(const char* process, const char* folder, const char* name) {
  char path[600];
  snprintf(path, sizeof path, "/proc/%s/%s%s", process, folder, name);
  return fopen(path, "re");
}

static int is_of_bpf(const char* process, const char* fd) {
  char path[600], target[32] = "";
  snprintf(path, sizeof path, "/proc/%s/fd/%s", process, fd);
  return readlink(path, target, sizeof target - 1) > 0 && strncmp(target, "anon_inode:bpf", strlen("anon_inode:bpf")) == 0;
}

static int is_link_of(const char* process, const char* fd, uint32_t program) {
  char line[128];
  unsigned id = 0;
  int is_at_xdp = 0;
  FILE* file = open_file(process, "fdinfo/", fd);
  if (!file) return 0;
  while (fgets(line, sizeof line, file)) {
    is_at_xdp |= strcmp(line, "link_type:\txdp\n") == 0;
    (void)sscanf(line, "prog_id: %u", &id);
  }
  fclose(file);
  return is_at_xdp && id == program;
}

static int holds(const char* process, uint32_t program) {
  char path[300];
  snprintf(path, sizeof path, "/proc/%s/fd", process);
  DIR* all = opendir(path);
  int found = 0;
  if (!all) return 0;
  for (struct dirent* each = readdir(all); each && !found; each = readdir(all)) {
    found = is_of_bpf(process, each->d_name) && is_link_of(process, each->d_name, program);
  }
  closedir(all);
  return found;
}

/* A process chooses its name, and we print it. */
static void make_printable(char* text) {
  for (; *text; ++text) {
    if (*text < ' ' || *text > '~') *text = '?';
  }
}

static void name_process(const char* process, char* out, size_t size) {
  char name[64] = "";
  FILE* file = open_file(process, "comm", "");
  if (file && fgets(name, sizeof name, file)) name[strcspn(name, "\n")] = '\0';
  if (file) fclose(file);
  make_printable(name);
  snprintf(out, size, "%s (process %s)", name, process);
}

int find_holder(uint32_t program, char* out, size_t size) {
  DIR* all = opendir("/proc");
  int found = 0;
  if (!all) return 0;
  for (struct dirent* each = readdir(all); each && !found; each = readdir(all)) {
    found = isdigit((unsigned char)each->d_name[0]) && holds(each->d_name, program);
    if (found) name_process(each->d_name, out, size);
  }
  closedir(all);
  return found;
}
