#include "stats_target.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace cli {
namespace {

bool is_special(const std::string& path) {
  struct stat facts;
  return ::stat(path.c_str(), &facts) == 0 && !S_ISREG(facts.st_mode);
}

int write_to(const std::string& path, int flags, const std::string& text) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC | flags, 0644);
  if (fd < 0) return errno;
  int problem = 0;
  for (std::size_t at = 0; at < text.size() && problem == 0;) {
    const ssize_t n = ::write(fd, text.data() + at, text.size() - at);
    if (n < 0 && errno != EINTR) problem = errno;
    if (n > 0) at += static_cast<std::size_t>(n);
  }
  ::close(fd);
  return problem;
}

}  // namespace

std::string why_not_writable(const std::string& path) {
  struct stat facts;
  if (::stat(path.c_str(), &facts) == 0 && S_ISDIR(facts.st_mode)) return path + " is a folder: name a file";
  if (is_special(path)) return "";
  const auto slash = path.rfind('/');
  const std::string folder = slash == path.npos ? "." : path.substr(0, slash + 1);
  if (::access(folder.c_str(), W_OK | X_OK) == 0) return "";
  return path + " can't be written: " + std::strerror(errno);
}

int replace_file(const std::string& path, const std::string& text) {
  if (is_special(path)) return write_to(path, 0, text);
  const std::string draft = path + "." + std::to_string(::getpid());
  int problem = write_to(draft, O_CREAT | O_EXCL, text);
  if (problem == 0 && ::rename(draft.c_str(), path.c_str()) != 0) problem = errno;
  if (problem != 0 && problem != EEXIST) ::unlink(draft.c_str());
  return problem;
}

}  // namespace cli
