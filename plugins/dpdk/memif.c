/* Closing ports of net_memif: see memif.h. */
#include "memif.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <rte_dev.h>
#include <rte_devargs.h>
#include <rte_kvargs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define DEFAULT_SOCKET "/run/memif.sock"

/* A socket's file at which nobody listens. Who does isn't disturbed by one of another kind, which it can't accept. */
static int is_left_over(const char* name) {
  struct stat about;
  struct sockaddr_un at = {.sun_family = AF_UNIX};
  if (strlen(name) >= sizeof at.sun_path || lstat(name, &about) != 0 || !S_ISSOCK(about.st_mode)) return 0;
  strcpy(at.sun_path, name);
  const int other_kind = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const int is_refused = connect(other_kind, (struct sockaddr*)&at, sizeof at) != 0 && errno == ECONNREFUSED;
  if (other_kind >= 0) close(other_kind);
  return is_refused;
}

static int is_set_to(const struct rte_kvargs* keys, const char* key, const char* value) {
  const char* given = rte_kvargs_get(keys, key);
  return given && strcmp(given, value) == 0;
}

void memif_clear_name(const char* device) {
  const char* arguments = strchr(device, ',');
  struct rte_kvargs* keys = arguments ? rte_kvargs_parse(arguments + 1, NULL) : NULL;
  if (!keys) return;
  const char* name = rte_kvargs_get(keys, "socket");
  if (!name) name = DEFAULT_SOCKET;
  const int is_file = is_set_to(keys, "socket-abstract", "no");
  if (is_file && is_set_to(keys, "role", "server") && is_left_over(name)) unlink(name);
  rte_kvargs_free(keys);
}

int memif_is(uint16_t port) {
  struct rte_eth_dev_info about;
  return rte_eth_dev_info_get(port, &about) == 0 && strcmp(about.driver_name, "net_memif") == 0;
}

/* ---- Sockets */

struct socket_name {
  char text[sizeof((struct sockaddr_un*)NULL)->sun_path];
};

static int socket_of(uint16_t port, struct socket_name* out) {
  struct rte_eth_dev_info about;
  if (!memif_is(port) || rte_eth_dev_info_get(port, &about) != 0) return 0;
  const struct rte_devargs* given = rte_dev_devargs(about.device);
  struct rte_kvargs* keys = given && given->args ? rte_kvargs_parse(given->args, NULL) : NULL;
  const char* name = keys ? rte_kvargs_get(keys, "socket") : NULL;
  snprintf(out->text, sizeof out->text, "%s", name ? name : DEFAULT_SOCKET);
  rte_kvargs_free(keys);
  return 1;
}

static int has_another(uint16_t port, const struct socket_name* name) {
  uint16_t each;
  struct socket_name other;
  RTE_ETH_FOREACH_DEV(each) {
    if (each != port && socket_of(each, &other) && strcmp(other.text, name->text) == 0) return 1;
  }
  return 0;
}

/* A listening one has it, and those that it has accepted. An abstract name begins behind a 0. */
static int is_named(int fd, const struct socket_name* name) {
  struct sockaddr_un at = {0};
  socklen_t size = sizeof at - 1;
  if (getsockname(fd, (struct sockaddr*)&at, &size) != 0 || at.sun_family != AF_UNIX) return 0;
  return strncmp(at.sun_path + (at.sun_path[0] == '\0'), name->text, sizeof name->text - 2) == 0;
}

/* DPDK goes on watching a descriptor whose callback nobody takes back: it is replaced by one that is never ready. */
static void replace_named(const struct socket_name* name, int by) {
  DIR* descriptors = opendir("/proc/self/fd");
  if (!descriptors) return;
  for (const struct dirent* each = readdir(descriptors); each; each = readdir(descriptors)) {
    const int fd = atoi(each->d_name);
    if (each->d_name[0] != '.' && is_named(fd, name)) dup3(by, fd, O_CLOEXEC);
  }
  closedir(descriptors);
}

void memif_hang_up(uint16_t port) {
  struct socket_name name;
  if (!socket_of(port, &name) || has_another(port, &name)) return;
  const int never_ready = eventfd(0, EFD_CLOEXEC);
  if (never_ready < 0) return;
  replace_named(&name, never_ready);
  close(never_ready);
}
